"""A PBS for the tests that submit jobs, and a made one for faults that no real PBS has on request."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.pbs import Pbs, find_pbs
from snakemake_executor_plugin_pbs_singularity.pbs.local import provide


@pytest.fixture(scope="session")
def pbs_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with the local PBS first on PATH, or as it is with PBS=path."""
    environment = dict(os.environ)
    if environment.get("PBS") != "path":
        environment["PBS_SINGULARITY_LOCAL_HOME"] = str(tmp_path_factory.mktemp("pbs"))
        environment["PATH"] = f"{provide(environment)}{os.pathsep}{environment['PATH']}"
    return environment


@pytest.fixture(scope="session")
def pbs(pbs_environment: dict[str, str]) -> Pbs:
    return find_pbs(pbs_environment)


@pytest.fixture
def made_pbs(tmp_path: Path) -> Callable[..., Pbs]:
    """Make a PBS of shell scripts, one for each command; those not given fail."""

    def make(kind: str = "openpbs", **scripts: str) -> Pbs:
        folder = tmp_path / "made-pbs"
        folder.mkdir(exist_ok=True)
        for name in {"qsub", "qstat", "qdel", "qselect", *scripts}:
            command = folder / name
            script = scripts.get(name, "echo not expected >&2; exit 99")
            command.write_text(f'#!/bin/sh\ncd "$(dirname "$0")"; echo "$@" >> {name}.calls\n{script}\n')
            command.chmod(0o755)
        found = find_pbs({"PATH": f"{folder}:{os.environ['PATH']}"}, kind)
        return replace(found, version="made", time_limit=5)

    return make
