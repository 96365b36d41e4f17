"""The test suite that Snakemake has for every executor plugin."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from snakemake.common.tests import TestWorkflowsLocalStorageBase

from snakemake_executor_plugin_pbs_singularity import ExecutorSettings


@pytest.fixture(autouse=True)
def surroundings(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process itself find the PBS of the tests, as the suite starts Snakemake in it."""
    here = Path.cwd()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    yield
    os.chdir(here)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the solver that Snakemake uses
class TestOfficial(TestWorkflowsLocalStorageBase):
    __test__ = True

    def get_executor(self) -> str:
        return "pbs-singularity"

    def get_executor_settings(self) -> ExecutorSettings:
        return ExecutorSettings()
