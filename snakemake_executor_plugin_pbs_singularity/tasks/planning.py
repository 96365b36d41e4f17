"""Direct or nested: whether a job's command can run by itself on the node, or needs Snakemake there.

A nested Snakemake costs more than a second of CPU per job and an import storm on the shared file system, and
a plain `shell:` rule needs none of it. What the node's Snakemake alone can do stays with it.
"""

from dataclasses import dataclass
from itertools import chain
from typing import Any

from snakemake.common.tbdstring import TBDString
from snakemake.exceptions import WorkflowError
from snakemake.io import is_flagged
from snakemake.shell import shell
from snakemake.utils import format as format_as_snakemake
from snakemake_interface_executor_plugins.settings import DeploymentMethod, SharedFSUsage

from ..settings import split_options

LONGEST_COMMAND = 60_000
"""Bytes. Linux takes 128 KiB in one argument, Singularity before 3.7 rather less; Snakemake itself turns to a
file at 64 KiB (`snakemake/shell.py`)."""

_NODE_TMPDIR = "system_tmpdir"
"""Snakemake's default for the resource tmpdir: what `tempfile.gettempdir()` gives on the node."""


@dataclass(frozen=True)
class ShellCommand:
    """What a `shell:` job runs."""

    shell: str
    """The shell's path."""
    text: str
    """With prefix and suffix, as `shell -c` takes it."""
    tmpdir: str | None
    """What `resources.tmpdir` is, None for the node's own temporary folder."""


@dataclass(frozen=True)
class NeedsSnakemake:
    """A job that has to run nested."""

    reason: str


def plan(job: Any, workflow: Any) -> ShellCommand | NeedsSnakemake:
    """Give the command of a job that can run by itself, or the reason why it cannot."""
    reason = _reason_in_rule(job, workflow) or _reason_in_files(job) or _reason_in_tmpdir(job)
    if reason is not None:
        return NeedsSnakemake(reason)
    executable = job.resources.get("shell_exec") or shell.get_executable() or "/bin/sh"
    try:
        text = _format_command(job)
        prefix = shell._get_process_prefix(executable)
    except (WorkflowError, NameError, AttributeError, LookupError, TypeError, ValueError) as error:
        return NeedsSnakemake(f"its command cannot be written down here ({error})")
    command = " ".join((prefix, text, shell._process_suffix)).strip()
    if "<TBD>" in command:
        return NeedsSnakemake("its command names resources.tmpdir, which only the node knows")
    if len(command.encode(errors="surrogateescape")) > LONGEST_COMMAND:
        return NeedsSnakemake("its command is too long for one argument")
    return ShellCommand(str(executable), command, _tmpdir(job))


def known_resources(job: Any) -> dict[str, object]:
    """Give a job's resources, less those that cannot be known yet."""
    return {name: value for name, value in job.resources.items() if not isinstance(value, TBDString)}


def jobs_in(job: Any) -> list[Any]:
    """Give the members of a group, or the job itself."""
    return list(job.jobs) if job.is_group() else [job]


def launcher(job: Any, planned: ShellCommand | NeedsSnakemake) -> tuple[str, ...]:
    """Give what starts the container of a job, once for each process of MPI; nothing for most jobs.

    MPI on several nodes has to be started outside of containers (the hybrid model of Singularity and Apptainer): a rule
    with a container and the resource `mpi` says what each process runs, and the plugin starts as many as its `tasks`. A
    command that names `{resources.mpi}` itself starts it in its container, as under Snakemake's own integration.

    Raises WorkflowError for what cannot work so.
    """
    started = [one for one in jobs_in(job) if _is_started_by_mpi(one)]
    if not started:
        return ()
    if isinstance(planned, NeedsSnakemake):
        raise _no_launcher(started[0], planned.reason)
    words = split_options(str(job.resources.mpi), f"Rule {job.rule.name}, resource mpi")
    tasks = job.resources.get("tasks")
    return (*words, *(["-n", str(tasks)] if tasks else []))


def check_launcher(job: Any) -> None:
    """Raise WorkflowError as `launcher` does, for what the rule of a job alone tells, before its input is there."""
    if _is_started_by_mpi(job):
        reason = "it is in a group" if job.group is not None else _reason_in_rule(job, job.dag.workflow)
        if reason is not None:
            raise _no_launcher(job, reason)


def _is_started_by_mpi(job: Any) -> bool:
    """Tell whether MPI is to start the containers of a job, rather than its command in one."""
    if not job.container_img_url or not job.resources.get("mpi"):
        return False
    if not job.is_shell or "resources.mpi" not in job.rule.shellcmd:
        return True
    if int(job.resources.get("nodes") or 1) > 1:
        raise WorkflowError(
            f"Rule {job.rule.name}: its command starts MPI in one container, from which it does not reach the "
            "other nodes. To have it start a container for each process, leave {resources.mpi} and its options out "
            "of the command."
        )
    return False


def _no_launcher(job: Any, reason: str) -> WorkflowError:
    return WorkflowError(
        f"Rule {job.rule.name}: mpi cannot start its containers, as the job needs Snakemake on the node "
        f"({reason}). Make it a plain shell: rule, or name {{resources.mpi}} in its command."
    )


def _reason_in_rule(job: Any, workflow: Any) -> str | None:
    if job.is_group():
        return "it is a group of jobs"
    methods = workflow.deployment_settings.deployment_method
    reasons = {
        "its rule is not a shell: rule": not job.is_shell,
        "its rule has a benchmark:": bool(job.benchmark),
        "its rule has a shadow:": job.is_shadow,
        "its rule has a cache:": workflow.workflow_settings.cache is not None and bool(job.rule.cache),
        "its rule has a conda environment": DeploymentMethod.CONDA in methods and bool(job.conda_env_spec),
        "its rule has envmodules": DeploymentMethod.ENV_MODULES in methods and bool(job.env_modules),
        "a --precommand is given": bool(workflow.remote_execution_settings.precommand),
        "its files are not all shared": SharedFSUsage.all() != set(workflow.storage_settings.shared_fs_usage),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _reason_in_files(job: Any) -> str | None:
    for file in chain(job.input, job.output):
        for flag in ("pipe", "service", "update"):
            if is_flagged(file, flag):
                return f"{file} is a {flag}() file"
        if file.is_storage:
            return f"{file} is in a remote storage"
    return None


def _reason_in_tmpdir(job: Any) -> str | None:
    """Find out whether tmpdir is an expression: Snakemake evaluates it on the node only (`Job.resources`)."""
    resource = job.rule.resources.get("tmpdir")
    if resource is not None and resource.raw == _NODE_TMPDIR:
        return None
    if resource is None or resource.is_evaluable() or not isinstance(resource.value, str):
        return "its tmpdir is evaluated on the node"
    return None


def _tmpdir(job: Any) -> str | None:
    resource = job.rule.resources["tmpdir"]
    return None if resource.raw == _NODE_TMPDIR else str(resource.value)


def _format_command(job: Any) -> str:
    """Fill in a shell command as the rule's own function would: from the globals of its module."""
    variables = {
        **job.rule.run_func.__globals__,
        "input": job.input._plainstrings(),
        "output": job.output._plainstrings(),
        "params": job.params,
        "wildcards": job.wildcards,
        "threads": job.threads,
        "resources": job.resources,
        "log": job.log._plainstrings(),
        "rule": job.rule.name,
        "jobid": job.jobid,
        "bench_iteration": None,
    }
    return str(format_as_snakemake(job.rule.shellcmd, **variables))
