"""What earlier runs have left in PBS is taken over, so that nothing is lost and nothing runs twice.

A run that was killed leaves jobs that wait, run, or have ended meanwhile. When the same job of the workflow is to run
again, its old task takes its place if it would do the very same; otherwise it is deleted, and seen gone, first.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from snakemake_interface_common.exceptions import WorkflowError

from .pbs import Pbs, PbsError, State, array_of, find_by_name, status, subjob_id, subjob_status
from .tracking.ledger import Ledger, LedgerBatch, LedgerTask
from .tracking.run_folder import RunFolder, run_folders
from .tracking.witness import ExitRecord, read_records
from .watch import PbsJob, SubmittedBatch

_WAITING = (State.QUEUED, State.HELD, State.WAITING)


@dataclass(frozen=True)
class Left:
    """A task that an earlier run has left."""

    task: LedgerTask
    batch: SubmittedBatch
    pbs_job: PbsJob
    record: ExitRecord | None
    """How it has ended, if that is known."""
    was_noted: bool
    """Whether the earlier run knew that it has ended; then it may have told Snakemake too."""
    was_deleted: bool
    """Whether the earlier run asked PBS to delete it."""

    @property
    def waits(self) -> bool:
        """Tell whether PBS says that it has not begun: then it can still ask for something else."""
        return self.pbs_job.status is not None and self.pbs_job.status.state in _WAITING


@dataclass(frozen=True)
class LeftOvers:
    """All that earlier runs of a working directory have left."""

    by_job: dict[str, list[Left]]
    """By what stands for a job of the workflow, the latest last."""
    folders: dict[str, RunFolder]
    """The run folders, by their names, that this process has taken over."""

    def of(self, job: str) -> list[Left]:
        """Give the tasks that were left of a job, once."""
        return self.by_job.pop(job, [])


def find_left_overs(ledger: Ledger, pbs: Pbs, state: Path, say: Callable[[str], None]) -> LeftOvers:
    """Find what earlier runs have left, and tell it in a line.

    Runs whose process still lives are left alone. Raises WorkflowError if PBS cannot say whether it has a job that
    was about to be submitted when its run was killed: it must not be submitted a second time.
    """
    folders: dict[str, RunFolder | None] = {}
    left: list[Left] = []
    for batch in ledger.before.values():
        if batch.run not in folders:
            folder = RunFolder(state, batch.run)
            folders[batch.run] = folder if folder.run.is_dir() and folder.hold() else None
        folder_of_batch = folders[batch.run]
        if folder_of_batch is not None and batch.id is None and batch.live:
            batch.id = _look_for(batch, ledger, pbs, folder_of_batch)
        if folder_of_batch is not None and batch.id is not None:
            left += _left_of(batch, batch.id, folder_of_batch, pbs)
    kept = [one for one in left if not _has_failed(one)]
    ledger.ended({one.task.token: one.record.exit_status for one in left if one.record and _has_failed(one)})
    _tell(left, say)
    by_job: dict[str, list[Left]] = {}
    for one in kept:
        by_job.setdefault(one.task.job, []).append(one)
    return LeftOvers(by_job, {name: folder for name, folder in folders.items() if folder is not None})


def remove_left_folders(left: LeftOvers, state: Path, ledger: Mapping[str, LedgerBatch]) -> None:
    """Remove the folders of runs that are dead and of which nothing is in PBS any more."""
    needed = {batch.run for batch in ledger.values() if batch.live}
    for folder in run_folders(state):
        if folder.name not in needed and (folder.name in left.folders or folder.hold()):
            folder.remove()


def look_up(pbs: Pbs, name: str, records: Mapping[str, ExitRecord]) -> str | None:
    """Give the id of a job or array that may have been submitted; None if PBS does not have it. Raises PbsError.

    A site may keep no history; then it may be over already, and only records of its tasks tell of it.
    """
    found = find_by_name(pbs, name)
    ids = found or [array_of(record.pbs_id) or record.pbs_id for record in records.values() if record.pbs_id]
    return ids[0] if ids else None


def _look_for(batch: LedgerBatch, ledger: Ledger, pbs: Pbs, folder: RunFolder) -> str | None:
    """Find out whether PBS has got a batch that was about to be submitted, and give its id."""
    try:
        found = look_up(pbs, batch.name, dict(read_records(folder.records, batch.tasks.__contains__)))
    except PbsError as error:
        raise WorkflowError(
            "The run before this one was ended while it submitted jobs, and PBS does not say whether it has them "
            f"(name {batch.name}). Nothing was submitted; start again when PBS answers. {error}"
        ) from error
    if found is None:
        ledger.withdrawn(batch.token)
    else:
        ledger.submitted(batch.token, found)
    return found


def _left_of(batch: LedgerBatch, array_or_job: str, folder: RunFolder, pbs: Pbs) -> list[Left]:
    """Give the tasks of a batch that may still matter: those without an end, and those that ended well."""
    records = dict(read_records(folder.records, batch.tasks.__contains__))
    tasks_of: dict[int, list[LedgerTask]] = {}
    for task in batch.tasks.values():
        tasks_of.setdefault(task.index, []).append(task)
    jobs = {}
    for index, tasks in tasks_of.items():
        log = folder.pbs_log(batch.token, index if batch.size > 1 else None)
        live = [task.token for task in tasks if task.token not in batch.ended and task.token not in records]
        pbs_id = subjob_id(array_or_job, index) if batch.size > 1 else array_or_job
        jobs[index] = PbsJob(pbs_id, log, live, len(tasks))
    submitted = SubmittedBatch(
        array_or_job, f"{len(batch.tasks)} tasks of an earlier run", batch.size, {}, is_partial=True
    )
    if any(job.tokens for job in jobs.values()):
        _ask(submitted, list(jobs.values()), pbs)
    left = []
    for task in batch.tasks.values():
        noted = batch.ended.get(task.token, -1) == 0
        record = ExitRecord(0, "") if noted else records.get(task.token)
        if noted or task.token not in batch.ended:
            was_deleted = task.token in batch.deleted
            left.append(Left(task, submitted, jobs[task.index], record, noted, was_deleted))
    return left


def _ask(batch: SubmittedBatch, jobs: Iterable[PbsJob], pbs: Pbs) -> None:
    """Ask PBS how the jobs of a batch are. Those that are over without a record will be run again if none comes."""
    try:
        said = subjob_status(pbs, batch.id) if batch.is_array else status(pbs, [batch.id])
    except PbsError:
        return  # they count as running, as always
    unknown = said.get(batch.id) if batch.is_array else None
    for job in jobs:
        job_status = said.get(job.id, unknown)
        if job_status is not None:
            job.note(job_status)
            job.to_repeat = job.over_since is not None


def _has_failed(left: Left) -> bool:
    return left.record is not None and left.record.exit_status != 0


def _tell(left: Iterable[Left], say: Callable[[str], None]) -> None:
    unnoted = [one for one in left if not one.was_noted]
    kinds = Counter(
        "failed, to be run again"
        if _has_failed(one)
        else "ended well"
        if one.record
        else "gone from PBS without a word"
        if one.pbs_job.over_since is not None
        else "waiting or running"
        for one in unnoted
    )
    if kinds:
        say("Tasks of earlier runs: " + "; ".join(f"{number} {kind}" for kind, number in kinds.items()) + ".")
