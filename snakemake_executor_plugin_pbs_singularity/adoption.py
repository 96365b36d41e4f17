"""What earlier runs have left in PBS is taken over, so that nothing is lost and nothing runs twice.

A run that was killed leaves jobs that wait, run, or have ended meanwhile. When the same job of the workflow is to run
again, its old task takes its place if it would do the very same; otherwise it is deleted, and seen gone, first.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from snakemake_interface_common.exceptions import WorkflowError

from .pbs import ErrorKind, JobStatus, Pbs, PbsError, State, array_of, find_by_name, status, subjob_id, subjob_status
from .text import count
from .tracking.ledger import Ledger, LedgerBatch, LedgerTask
from .tracking.run_folder import RunFolder, run_folders
from .tracking.witness import ExitRecord, read_records
from .watch import PbsJob, SubmittedBatch

PAUSE = 2.0
"""Seconds between two attempts to reach a server that is away, or looks whether something is there or gone."""
LONGEST_DOUBT = 60.0
"""Seconds for which what may have been submitted is looked for before it is submitted again: as long as `qsub`, or
the background process that outlives it, may take (transcripts 17a, 17b)."""
_WAITING = (State.QUEUED, State.HELD, State.WAITING)


@dataclass(frozen=True)
class Left:
    """A task that an earlier run has left."""

    task: LedgerTask
    batch: SubmittedBatch
    pbs_job: PbsJob
    folder: RunFolder
    record: ExitRecord | None
    """How it has ended, if that is known."""
    was_noted: bool
    """Whether the earlier run knew that it has ended; then it may have told Snakemake too."""
    is_lost: bool
    """Whether it cannot go on: the earlier run had it deleted, or the folder of its script and record is gone."""

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

    def ends(self) -> dict[str, int | None]:
        """Give how those ended that nobody has asked for, by their tokens; None of those gone without a word."""
        unclaimed = [one for left in self.by_job.values() for one in left if not one.was_noted]
        return {
            one.task.token: one.record.exit_status if one.record else None
            for one in unclaimed
            if one.record is not None or one.pbs_job.over_since is not None
        }


@dataclass(frozen=True)
class _Run:
    """An earlier run that is dead, as it was found."""

    folder: RunFolder
    is_there: bool
    """Whether its folder is; else its jobs can leave no record."""
    records: dict[str, ExitRecord]
    """Of tasks whose end it has not taken note of."""


@dataclass(frozen=True)
class _Earlier:
    """A batch of an earlier run, with what is left of its jobs."""

    batch: LedgerBatch
    submitted: SubmittedBatch
    run: _Run
    jobs: dict[int, PbsJob]
    """By the indices of the subjobs."""


def find_left_overs(ledger: Ledger, pbs: Pbs, state: Path, say: Callable[[str], None]) -> LeftOvers:
    """Find what earlier runs have left, and tell it in a line.

    Runs whose process still lives are left alone. Raises WorkflowError if PBS cannot say whether it has a job that
    was about to be submitted when its run was killed: it must not be submitted a second time.
    """
    runs = {name: _take_over_run(state, name) for name in {batch.run: None for batch in ledger.before.values()}}
    earlier = []
    for batch in ledger.before.values():
        run = runs[batch.run]
        if run is None:
            continue
        if batch.id is None and batch.live:
            batch.id = _look_for(batch, ledger, pbs, run.folder, say)
        if batch.id is not None:
            earlier.append(_earlier(batch, batch.id, run))
    if any(batch.live and runs[batch.run] is None for batch in ledger.before.values()):
        say("Another run may be going on in this directory. The jobs that it has submitted are left alone.")
    _ask(earlier, pbs)
    left = [task for one in earlier for task in _left_of(one)]
    ledger.ended({one.task.token: one.record.exit_status for one in left if one.record and _has_failed(one)})
    _tell(left, say)
    by_job: dict[str, list[Left]] = {}
    for one in left:
        if not _has_failed(one):
            by_job.setdefault(one.task.job, []).append(one)
    return LeftOvers(by_job, {name: run.folder for name, run in runs.items() if run is not None})


def _take_over_run(state: Path, name: str) -> _Run | None:
    """Take an earlier run for this process's own and read its records; None if it may be alive."""
    folder = RunFolder(state, name)
    is_there = folder.run.is_dir()
    if is_there and not folder.hold():
        return None
    return _Run(folder, is_there, dict(read_records(folder.records, lambda token: True)))


def remove_left_folders(left: LeftOvers, state: Path, ledger: Mapping[str, LedgerBatch]) -> None:
    """Remove the folders of runs that are dead and of which nothing is in PBS any more."""
    needed = {batch.run for batch in ledger.values() if batch.live}
    for folder in run_folders(state):
        if folder.name not in needed and (folder.name in left.folders or folder.hold()):
            folder.remove()


def look_up(pbs: Pbs, name: str, folder: RunFolder, tokens: Collection[str]) -> str | None:
    """Give the id of a job or array that may have been submitted; None if PBS does not have it. Raises PbsError.

    A site may keep no history; then it may be over already, and only records of its tasks tell of it.
    """
    for pbs_id in find_by_name(pbs, name):
        return pbs_id
    for _, record in read_records(folder.records, tokens.__contains__):
        if record.pbs_id:
            return array_of(record.pbs_id) or record.pbs_id
    return None


def _look_for(
    batch: LedgerBatch, ledger: Ledger, pbs: Pbs, folder: RunFolder, say: Callable[[str], None]
) -> str | None:
    """Find out whether PBS has got a batch that was about to be submitted, and give its id.

    The `qsub` outlives the run that started it, so PBS may get it a little later. A server that is away is waited for.
    """
    until = time.monotonic() + min(LONGEST_DOUBT, batch.at + LONGEST_DOUBT - time.time())
    said = ""
    while True:
        found = None
        try:
            found = look_up(pbs, batch.name, folder, batch.tasks)
            if found is not None or time.monotonic() >= until:
                break
            why = "Looking for a minute whether PBS has got them."
        except PbsError as error:
            if error.kind is not ErrorKind.UNREACHABLE:
                raise WorkflowError(
                    "The last run was ended while it submitted jobs, and PBS does not say whether it has them "
                    f"(name {batch.name}). Nothing was submitted; start again when it does. {error}"
                ) from error
            why = f"Waiting for PBS to say whether it has them. {error}"
        if why != said:
            said = why
            say(f"The last run was ended while it submitted jobs. {why}")
        time.sleep(PAUSE)
    if found is None:
        ledger.withdrawn(batch.token)
    else:
        ledger.submitted(batch.token, found)
    return found


def _earlier(batch: LedgerBatch, pbs_id: str, run: _Run) -> _Earlier:
    tasks_of: dict[int, list[LedgerTask]] = {}
    for task in batch.tasks.values():
        tasks_of.setdefault(task.index, []).append(task)
    live = {task.token for task in batch.live if task.token not in run.records}
    jobs = {
        index: PbsJob(
            id=subjob_id(pbs_id, index),
            log=run.folder.pbs_log(batch.token, index if batch.size > 1 else None),
            tokens=[task.token for task in tasks if task.token in live],
            size=len(tasks),
        )
        for index, tasks in tasks_of.items()
    }
    title = f"{count(len(batch.tasks), 'task')} of an earlier run"
    return _Earlier(batch, SubmittedBatch(pbs_id, title, batch.size, {}, others=live), run, jobs)


def _ask(earlier: Iterable[_Earlier], pbs: Pbs) -> None:
    """Ask PBS how the jobs without a known end are. Those that are over without a record run again if none comes."""
    wanted = [one for one in earlier if one.submitted.others]
    said: dict[str, JobStatus] = {}
    try:
        said |= status(pbs, [one.submitted.id for one in wanted if not one.submitted.is_array])
        for one in wanted:
            if one.submitted.is_array:
                said |= subjob_status(pbs, one.submitted.id)
    except PbsError:
        pass  # what nothing is known of counts as running, as always
    for one in wanted:
        for job in one.jobs.values():
            job_status = said.get(job.id, said.get(one.submitted.id))
            if job_status is not None:
                job.note(job_status)
                job.to_repeat = job.over_since is not None


def _left_of(earlier: _Earlier) -> Iterator[Left]:
    """Give the tasks of a batch that may still matter: those without an end, and those that ended well."""
    batch = earlier.batch
    for token, task in batch.tasks.items():
        was_noted = batch.ended.get(token, -1) == 0
        record = ExitRecord(0, "") if was_noted else earlier.run.records.get(token)
        if was_noted or token not in batch.ended:
            job = earlier.jobs[task.index]
            is_lost = token in batch.deleted or not (was_noted or earlier.run.is_there)
            yield Left(task, earlier.submitted, job, earlier.run.folder, record, was_noted, is_lost)


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
