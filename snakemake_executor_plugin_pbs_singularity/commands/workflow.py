"""The images of a workflow, as Snakemake understands it."""

import contextlib
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click


@dataclass(frozen=True)
class WorkflowImages:
    """What the jobs of a workflow want."""

    containers: dict[str, tuple[str, ...]]
    """The ``container:`` values, sorted, each with the names of the rules that have it."""
    workdir: Path
    """Where the workflow runs: relative paths and the default store begin there."""
    sources: Path
    """The folder of the Snakefile."""


def read_workflow(
    snakefile: Path | None = None,
    directory: Path | None = None,
    configfiles: Sequence[Path] = (),
    library: str | None = None,
) -> WorkflowImages:
    """Give the ``container:`` values of all jobs of a workflow, done or not, and the rules that have them.

    Without a Snakefile those are tried that ``snakemake`` tries; profiles and environment variables count as they do
    for it, and ``library`` for what the helper ``image()`` gives. What only a checkpoint will tell is not known, so a
    workflow with checkpoints counts with all its rules. Whatever the Snakefile prints goes to stderr. Raises
    ClickException for a workflow that Snakemake cannot read, also because input files are missing; Snakemake has
    said why then.
    """
    from snakemake.api import SnakemakeApi
    from snakemake.cli import parse_args, parse_config
    from snakemake.exceptions import CliException
    from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, Quietness, ResourceSettings

    from ..helpers.container import LIBRARY_VARIABLE

    given = [
        *(["--snakefile", str(snakefile)] if snakefile is not None else []),
        *(["--directory", str(directory)] if directory is not None else []),
        *(["--configfile", *map(str, configfiles)] if configfiles else []),
    ]
    quiet = OutputSettings(quiet={Quietness.PROGRESS, Quietness.RULES, Quietness.HOST})
    with contextlib.redirect_stdout(sys.stderr):
        try:
            _, arguments = parse_args(given)
        except CliException as error:
            raise click.ClickException(f"Snakemake's settings cannot be read: {error}") from error
        library = library or getattr(arguments, "pbs_singularity_library", None)
        if isinstance(library, str):
            os.environ[LIBRARY_VARIABLE] = library
        with SnakemakeApi(quiet) as api:
            try:
                workflow_api = api.workflow(
                    resource_settings=ResourceSettings(cores=1),
                    config_settings=ConfigSettings(
                        config=parse_config(arguments.config),
                        configfiles=arguments.configfile,
                        config_args=arguments.config,
                        replace_workflow_config=arguments.replace_workflow_config,
                    ),
                    snakefile=arguments.snakefile,
                    workdir=arguments.directory,
                )
                workflow_api.dag(DAGSettings(forceall=True))
                workflow = workflow_api._workflow
                # What DAGApi.summary does before it prints; nothing public gives the jobs.
                workflow._prepare_dag(forceall=True, ignore_incomplete=True, lock_warn_only=True)
                workflow._build_dag()
                return WorkflowImages(_containers(workflow), Path.cwd(), Path(workflow.basedir))
            except Exception as error:  # whatever a Snakefile can raise
                try:
                    api.print_exception(error)
                except KeyError:  # Snakemake 9.27 does not find the line of some syntax errors
                    raise click.ClickException(f"The workflow cannot be read: {error}") from error
                raise click.ClickException("The workflow cannot be read; see above.") from error


def _containers(workflow: Any) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for job in workflow.dag.jobs:
        if job.container_img_url:
            found.setdefault(job.container_img_url, set()).add(job.rule.name)
    for value, rule in _fixed_containers(workflow.rules):
        found.setdefault(value, set()).add(rule)
    return {value: tuple(sorted(rules)) for value, rules in sorted(found.items())}


def _fixed_containers(rules: Iterable[Any]) -> list[tuple[str, str]]:
    """Give the values without wildcards of all rules, if some jobs are only known after a checkpoint."""
    rules = list(rules)
    if not any(rule.is_checkpoint for rule in rules):
        return []
    written = [(rule.container_img, rule.name) for rule in rules]
    return [(value, name) for value, name in written if isinstance(value, str) and "{" not in value]
