"""A PBS, containers and Snakemake for the tests that run whole workflows.

The PBS is the local one, or with ``PBS=path`` in the environment the one on PATH; nothing else differs.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.pbs.local import provide
from snakemake_executor_plugin_pbs_singularity.pbs.local.settings import change

from . import harness
from .harness import Run, Snakemake

ON_PATH = os.environ.get("PBS") == "path"


@pytest.fixture(scope="session")
def environment(
    container_environment: dict[str, str], library: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """An environment with a PBS, a container runtime and the library of images for tests."""
    environment = {**container_environment, "SNAKEMAKE_PBS_SINGULARITY_LIBRARY": str(library)}
    if not ON_PATH:
        home = tmp_path_factory.mktemp("pbs")
        home.chmod(0o700)
        environment["PBS_SINGULARITY_LOCAL_HOME"] = str(home)
        change(home, ncpus=4, ngpus=1, kill_grace=1, idle=20)
        environment["PATH"] = f"{provide(environment)}{os.pathsep}{environment['PATH']}"
    return environment


@pytest.fixture(scope="session")
def snakemake(environment: dict[str, str]) -> Snakemake:
    """Runs Snakemake so that it submits to the PBS of these tests."""

    def run(folder: Path, *options: str, fails: bool = False, variables: Mapping[str, str | None] | None = None) -> Run:
        return harness.run(
            folder, [*harness.pbs_options(), *options], harness.changed(environment, variables), fails=fails
        )

    return run
