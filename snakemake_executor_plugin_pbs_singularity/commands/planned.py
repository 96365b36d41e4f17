"""The jobs of a workflow made ready to run, as a run makes them, but not run."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.real import RealExecutor

from ..executor import Executor
from ..images import ImageError
from ..pbs import PbsError
from ..site import Site, find_site
from ..task import Task, make_surroundings, make_task
from ..tasks.script import Surroundings
from ..tracking.run_folder import STATE, RunFolder


@dataclass(frozen=True)
class Planned:
    """What a workflow would run."""

    tasks: tuple[Task, ...]
    """Each after those that it needs."""
    missing: dict[str, dict[str, str]]
    """By a task's token, its input files that are not there, and the rules that make them."""
    surroundings: Surroundings
    declared: tuple[str, ...]
    """Variables that go along because the workflow declares them: they can be secrets."""
    site: Site


class _Planner(Executor):
    """The executor as tasks are made with it: it submits nothing, and so starts no thread."""

    def __init__(self, workflow: Any) -> None:
        from snakemake.logging import logger

        RealExecutor.__init__(self, workflow, logger, post_init=False)


def plan_workflow(arguments: Sequence[str], *, whole: bool) -> Planned:
    """Read a workflow as ``snakemake`` does with these arguments, and make tasks of the jobs that make its targets.

    With ``whole`` of those too that make what these need. Snakemake does all that it does before a run, with the same
    profiles and settings; where it would begin to run, this has its place, in this process and nowhere else. Raises
    ClickException.
    """
    from snakemake import api, cli  # the api first: it and the workflow import each other
    from snakemake.exceptions import CliException

    Workflow = api.Workflow  # noqa: N806 - a class
    planned: list[Planned] = []
    refused: list[str] = []

    def execute(workflow: Any, executor_plugin: Any, executor_settings: Any, *_: Any, **__: Any) -> None:
        _build_dag(workflow, executor_plugin, executor_settings)
        try:
            planned.append(_plan(workflow, whole=whole))
        except (WorkflowError, ImageError, PbsError) as error:
            if isinstance(error, WorkflowError) and error.rule is not None:
                raise  # Snakemake says in which line
            refused.append(str(error))

    run, Workflow.execute = Workflow.execute, execute
    given = ["--executor", "pbs-singularity", "--jobs", "1", "--nolock", "--quiet", "progress", "rules", "host"]
    try:
        with contextlib.redirect_stdout(sys.stderr):
            parser, parsed = cli.parse_args([*given, "--ignore-incomplete", *arguments])
            cli.args_to_api(parsed, parser)
    except (CliException, WorkflowError, ValueError) as error:
        raise click.ClickException(f"Snakemake's settings cannot be read: {error}") from error
    finally:
        Workflow.execute = run
    if refused:
        raise click.ClickException(refused[0])
    if not planned:
        raise click.ClickException("There is no script to show; see above.")
    return planned[0]


def _build_dag(workflow: Any, executor_plugin: Any, executor_settings: Any) -> None:
    """Do what ``Workflow.execute`` does up to the first job, less what changes anything."""
    if workflow.remote_execution_settings.envvars:
        workflow.register_envvars(*workflow.remote_execution_settings.envvars)
    workflow._executor_plugin = executor_plugin
    workflow.executor_settings = executor_settings
    workflow._prepare_dag(
        forceall=workflow.dag_settings.forceall,
        ignore_incomplete=True,
        lock_warn_only=True,
        nolock=True,
        shadow_prefix=workflow.execution_settings.shadow_prefix,
    )
    workflow._build_dag()
    workflow.async_run(workflow.dag.postprocess(update_needrun=False, check_initial=False))


def _plan(workflow: Any, *, whole: bool) -> Planned:
    """Make the tasks of a workflow. Raises WorkflowError, ImageError and PbsError for what a run would refuse."""
    dag, settings = workflow.dag, workflow.executor_settings
    chosen = set(dag.jobs) if whole else set(dag.targetjobs)
    jobs = [job for job in _in_order(dag, chosen) if not job.is_norun]
    if not jobs:
        raise WorkflowError(
            "The target runs nothing itself: name a file or a rule that does, or give --all for what it needs."
        )
    executor = _Planner(workflow)
    site = find_site(settings, STATE.absolute(), os.environ, sources=Path(workflow.basedir))
    folder = RunFolder(STATE.absolute(), "by-hand")
    resolve = cache(site.resolve)
    tasks = tuple(make_task(job, executor, site, folder, resolve) for job in jobs)
    return Planned(
        tasks,
        {task.token: _missing(task.job, dag) for task in tasks},
        make_surroundings(executor, site, folder),
        tuple(executor.envvars()),
        site,
    )


def _in_order(dag: Any, jobs: Iterable[Any]) -> Iterator[Any]:
    """Give jobs, each after those that it depends on."""
    done: set[Any] = set()
    wanted = sorted(jobs, key=lambda job: job.jobid)

    def visit(job: Any) -> Iterator[Any]:
        if job in done:
            return
        done.add(job)
        for needed in sorted((one for one in dag.dependencies[job] if one in wanted), key=lambda one: one.jobid):
            yield from visit(needed)
        yield job

    for job in wanted:
        yield from visit(job)


def _missing(job: Any, dag: Any) -> dict[str, str]:
    makers = {str(file): needed.rule.name for needed, files in dag.dependencies[job].items() for file in files}
    return {str(file): makers.get(str(file), "nothing") for file in job.input if not Path(file).exists()}
