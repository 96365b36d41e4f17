"""``pbs-singularity jobs``: what runs of Snakemake have submitted from a working directory and PBS still has."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from ..pbs import JobStatus, Pbs, PbsError, array_of, delete, find_by_name, status, subjob_id, subjob_status
from ..text import count
from ..tracking.ledger import LEDGER_NAME, LedgerBatch, LedgerTask, read_ledger
from ..tracking.run_folder import STATE
from .place import find_settings
from .table import print_table


@dataclass(frozen=True)
class Job:
    """A task that may still be in PBS."""

    id: str
    status: JobStatus | None
    """None if PBS did not say this time."""
    task: LedgerTask

    @property
    def state(self) -> str:
        """Give its state in a word of PBS's; "unknown" if PBS no longer knows it."""
        return self.status.state.value if self.status is not None else "no answer"


@click.group(invoke_without_command=True)
@click.option(
    "--directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="The working directory of the workflow.",
    show_default=True,
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.pass_context
def jobs(context: click.Context, directory: Path, as_json: bool) -> None:
    """List the jobs of this working directory that PBS still has, or whose end no run has taken note of yet.

    The next run takes over those that are still wanted. Without a run, they go on by themselves; `cancel` ends them.
    """
    context.obj = directory
    if context.invoked_subcommand is not None:
        return
    found = _find(directory)
    if as_json:
        click.echo(json.dumps([_values(job) for job in found], indent=2))
    elif found:
        print_table(["PBS JOB", "STATE", "TASK", "LOG"], [list(_values(job).values()) for job in found])
    else:
        click.echo("No jobs.")


@jobs.command()
@click.argument("ids", metavar="[PBS_JOB]...", nargs=-1)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def cancel(directory: Path, ids: tuple[str, ...], yes: bool) -> None:
    """Delete jobs of this working directory from PBS: all, or those that are named as the list names them."""
    active = [job for job in _find(directory) if job.status is None or not job.status.is_over]
    chosen = [job for job in active if not ids or job.id in ids]
    unknown = sorted(set(ids) - {job.id for job in chosen})
    if unknown:
        raise click.ClickException(
            f"PBS does not have {', '.join(unknown)} of this directory: see pbs-singularity jobs."
        )
    if not chosen:
        click.echo("No jobs to cancel.")
        return
    names = _with_whole_arrays({job.id for job in chosen}, {job.id for job in active})
    deleted = count(len(names), "PBS job")
    if not yes:
        click.confirm(f"Delete {deleted} with {count(len(chosen), 'task')}?", abort=True, err=True)
    try:
        delete(_pbs(), names)
    except PbsError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Asked PBS to delete {deleted}. A run that watches them will call them failed.")


def _with_whole_arrays(chosen: set[str], active: set[str]) -> list[str]:
    """Give chosen jobs to delete, and in the place of all active subjobs of an array the array: PBS is quicker then."""
    spared = {array_of(job) for job in active - chosen}
    arrays = {job: array for job in chosen if (array := array_of(job)) is not None and array not in spared}
    return sorted({arrays.get(job, job) for job in chosen})


def _find(directory: Path) -> list[Job]:
    """Give the tasks of the ledger without an end, with what PBS says of them. Raises ClickException."""
    try:
        batches = [batch for batch in read_ledger(directory / STATE / LEDGER_NAME).values() if batch.live]
        return _ask(batches, _pbs()) if batches else []
    except (OSError, PbsError) as error:
        raise click.ClickException(str(error)) from error


def _ask(batches: Iterable[LedgerBatch], pbs: Pbs) -> list[Job]:
    """Ask PBS how the tasks of batches are: once for all single jobs, and once for each array. Raises PbsError."""
    ids = {batch.token: batch.id or next(iter(find_by_name(pbs, batch.name)), None) for batch in batches}
    known = [(batch, pbs_id) for batch in batches if (pbs_id := ids[batch.token]) is not None]
    said = status(pbs, [pbs_id for batch, pbs_id in known if batch.size == 1])
    for batch, pbs_id in known:
        if batch.size > 1:
            said |= subjob_status(pbs, pbs_id)
    jobs = []
    for batch, pbs_id in known:
        for task in batch.live:
            job_id = subjob_id(pbs_id, task.index)
            jobs.append(Job(job_id, said.get(job_id, said.get(pbs_id)), task))
    return jobs


def _pbs() -> Pbs:
    """Find the PBS that a run started here would use. Raises PbsError, and ClickException for settings that are bad."""
    from ..site import pbs_of  # takes Snakemake's interfaces along, which are slow to import

    return pbs_of(find_settings({}).pbs, os.environ)


def _values(job: Job) -> dict[str, str]:
    return {"pbs_job": job.id, "state": job.state, "task": job.task.label, "log": job.task.log}
