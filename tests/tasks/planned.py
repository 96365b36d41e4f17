"""Real Snakemake jobs: a Snakefile is loaded up to the moment where its executor is made."""

import contextlib
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from snakemake.api import SnakemakeApi
from snakemake.settings import types as settings
from snakemake.shell import shell
from snakemake_interface_executor_plugins.executors.real import RealExecutor
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry
from snakemake_interface_executor_plugins.settings import CommonSettings, ExecMode

from snakemake_executor_plugin_pbs_singularity.executor import common_settings

Look = Callable[[Any, list[Any]], Any]
"""What is done with the executor and the jobs or groups that it would be given."""


class SeenEnoughError(Exception):
    """Nothing is to be run."""


class Probe(RealExecutor):
    """An executor that looks at its jobs and runs none."""

    look: Look
    seen: Any = None

    def __post_init__(self) -> None:
        dag = self.workflow.dag
        jobs = list(dag.get_jobs_or_groups()) if dag else []
        type(self).seen = type(self).look(self, jobs)
        raise SeenEnoughError

    @property
    def cores(self) -> str:
        return "all"

    def get_exec_mode(self) -> ExecMode:
        return ExecMode.REMOTE

    def get_python_executable(self) -> str:
        return "python"

    def run_job(self, job: Any) -> None:
        raise NotImplementedError

    def cancel(self) -> None:
        raise NotImplementedError

    def shutdown(self) -> None:
        raise NotImplementedError


class _Plugin(ModuleType):
    Executor = Probe
    common_settings: CommonSettings = common_settings


def look_at(folder: Path, snakefile: str, look: Look, **groups: Mapping[str, Any]) -> Any:
    """Load a Snakefile in a folder and give what `look` makes of its jobs.

    Settings are given by their group, such as `deployment={"apptainer_args": "--nv"}`.
    """
    (folder / "Snakefile").write_text(textwrap.dedent(snakefile))
    registry = ExecutorPluginRegistry()
    if not registry.is_installed("probe"):
        registry.register_plugin("probe", _Plugin("snakemake_executor_plugin_probe"))
    Probe.look = staticmethod(look)  # type: ignore[assignment]
    given = {name: dict(values) for name, values in groups.items()}
    with (
        contextlib.chdir(folder),
        fresh_shell(),
        SnakemakeApi(settings.OutputSettings(quiet={settings.Quietness.ALL})) as api,
    ):
        workflow = api.workflow(
            resource_settings=settings.ResourceSettings(nodes=4, **given.pop("resource", {})),
            config_settings=settings.ConfigSettings(**given.pop("config", {})),
            storage_settings=settings.StorageSettings(**given.pop("storage", {})),
            workflow_settings=settings.WorkflowSettings(**given.pop("workflow", {})),
            deployment_settings=settings.DeploymentSettings(**given.pop("deployment", {})),
            snakefile=folder / "Snakefile",
        )
        dag = workflow.dag(settings.DAGSettings(**given.pop("dag", {})))
        with contextlib.suppress(SeenEnoughError):
            dag.execute_workflow(
                executor="probe",
                execution_settings=settings.ExecutionSettings(lock=False, **given.pop("execution", {})),
                remote_execution_settings=settings.RemoteExecutionSettings(**given.pop("remote", {})),
                group_settings=settings.GroupSettings(**given.pop("group", {})),
            )
    assert not given, f"unknown settings {given}"
    return Probe.seen


@contextlib.contextmanager
def fresh_shell() -> Any:
    """Keep what a Snakefile tells `shell` from the Snakefiles after it."""
    kept = (dict(shell._process_args), shell._process_prefix, shell._process_suffix)
    try:
        yield
    finally:
        shell._process_args, shell._process_prefix, shell._process_suffix = kept
