"""A PBS, containers and Snakemake for the tests that run whole workflows.

The PBS is the local one, with ``PBS=torque`` in the environment the local one with the face of TORQUE, or with
``PBS=path`` the one on PATH; nothing else differs.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.pbs.local import provide
from snakemake_executor_plugin_pbs_singularity.pbs.local.settings import change

from . import harness
from .harness import Run, Snakemake

ON_TORQUE = os.environ.get("PBS") == "torque"
ON_PATH = os.environ.get("PBS") == "path"


@pytest.fixture(scope="session")
def environment(
    container_environment: dict[str, str], library: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """An environment with a PBS, a container runtime and the library of images for tests."""
    home = None if ON_PATH else tmp_path_factory.mktemp("pbs")
    return with_pbs(container_environment, library, home, face="torque" if ON_TORQUE else "openpbs")


def with_pbs(environment: Mapping[str, str], library: Path, home: Path | None, face: str) -> dict[str, str]:
    """Add a library and a local PBS, whose home is a new folder, to an environment; None leaves PATH as it is."""
    environment = {**environment, "SNAKEMAKE_PBS_SINGULARITY_LIBRARY": str(library)}
    if home is not None:
        home.chmod(0o700)
        environment["PBS_SINGULARITY_LOCAL_HOME"] = str(home)
        change(home, ncpus=4, ngpus=1, kill_grace=1, idle=20, face=face)
        environment["PATH"] = f"{provide(environment)}{os.pathsep}{environment['PATH']}"
    return environment


@pytest.fixture(scope="session")
def snakemake(environment: dict[str, str]) -> Snakemake:
    """Runs Snakemake so that it submits to the PBS of these tests."""
    return runner(environment)


def runner(environment: Mapping[str, str]) -> Snakemake:
    """Give what runs Snakemake in an environment."""

    def run(folder: Path, *options: str, fails: bool = False, variables: Mapping[str, str | None] | None = None) -> Run:
        return harness.run(
            folder, [*harness.pbs_options(), *options], harness.changed(environment, variables), fails=fails
        )

    return run
