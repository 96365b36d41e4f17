"""The tasks that PBS has, from their submission to their end: on the screen, in the ledger, and in memory.

What is known of an end is entered in the ledger before the witness of it, the exit record, is removed; what is to be
submitted is entered before PBS is asked. The executor tells Snakemake.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from .adoption import LONGEST_DOUBT, PAUSE, Left, LeftOvers, look_up, remove_left_folders
from .batch import Batch, ledger_batch, write_batch
from .contact import Contact
from .pbs import ErrorKind, JobStatus, Pbs, PbsError, Submission, delete, find_by_name, status, submit
from .task import Task
from .tasks.identity import request_digest
from .tasks.script import Surroundings
from .tracking.ledger import Ledger
from .tracking.run_folder import RunFolder
from .tracking.witness import ExitRecord, Over, judge, put_away, read_record, read_records, was_untouched
from .watch import PbsJob, SubmittedBatch, Watch, submitted_batch


@dataclass(frozen=True)
class Submitted:
    """A task that PBS has."""

    job: Any
    """Of Snakemake."""
    token: str
    label: str
    log: Path
    pbs_job: PbsJob
    batch: SubmittedBatch
    folder: RunFolder
    """Of the run that submitted it."""
    image: Path | None
    """What its command runs in; None if that runs on the node itself."""

    @property
    def status(self) -> JobStatus | None:
        """Give what PBS last said of it, unless that is said of a whole bundle."""
        return None if self.pbs_job.is_bundle else self.pbs_job.status


Outcome = tuple[Submitted, Over]


@dataclass
class Replacing:
    """Jobs of earlier runs that are to be gone from PBS, and the task that waits for that."""

    task: Task | None
    """None if an earlier run's goes on in its place."""
    old: dict[str, PbsJob]
    """By their ids; those that are gone are taken out."""
    is_deleted: bool = False


class Tracker:
    """Keeps account of a run's tasks."""

    def __init__(
        self,
        pbs: Pbs,
        surroundings: Surroundings,
        folder: RunFolder,
        ledger: Ledger,
        left: LeftOvers,
        watch: Watch,
        contact: Contact,
        stopped: Event,
        warn: Callable[[str], None],
        grace: float,
    ) -> None:
        self._pbs = pbs
        self._surroundings = surroundings
        self._folder = folder
        self._ledger = ledger
        self._left = left
        self._contact = contact
        self._stopped = stopped
        self._warn = warn
        self._grace = grace
        self._in_doubt: set[str] = set()
        self._next_look = 0.0
        self._folders = {folder}
        """Those of which records are awaited."""
        self._records: dict[str, ExitRecord] = {}
        self._noted: set[str] = set()
        self._replacing: list[Replacing] = []
        self._is_ledger_stuck = False
        self.watch = watch
        self.submitted: dict[str, Submitted] = {}
        """By their tokens."""

    def submit(self, batch: Batch, max_running: int | None) -> list[Submitted]:
        """Write the files of a batch, enter it in the ledger and submit it, when PBS answers. Raises PbsError."""
        try:
            submission = write_batch(batch, self._surroundings, self._folder, self._pbs, max_running)
            self._ledger.intend(ledger_batch(batch, submission.name, self._folder))
        except OSError as error:
            raise PbsError(ErrorKind.OTHER, str(error), "Is the disk full, or your share of it?") from error
        try:
            pbs_id = self._submit(submission, [task.token for task in batch.tasks])
        except PbsError as error:
            if not error.uncertain:
                self._note(lambda: self._ledger.withdrawn(batch.token))
            raise
        self._note(lambda: self._ledger.submitted(batch.token, pbs_id))  # if not: it is found by its name
        as_submitted = submitted_batch(batch, pbs_id, self._folder)
        self.watch.add(as_submitted)
        jobs = list(as_submitted.jobs.values())
        tasks = [
            Submitted(task.job, task.token, task.label, task.log, pbs_job, as_submitted, self._folder, task.image)
            for bundle, pbs_job in zip(batch.bundles, jobs, strict=True)
            for task in bundle
        ]
        self.submitted |= {task.token: task for task in tasks}
        return tasks

    def _submit(self, submission: Submission, tokens: Collection[str]) -> str:
        """Submit, and give the id. While the server is away, wait; what it may have got already is looked for first.

        Raises PbsError for what waiting does not help, and if the run stops meanwhile.
        """
        doubtful_until: float | None = None
        while True:
            try:
                if doubtful_until is not None:
                    pbs_id = look_up(self._pbs, submission.name, self._folder, tokens)
                    self._contact.regain()
                    if pbs_id is not None:
                        self._in_doubt.discard(submission.name)
                        return pbs_id
                if doubtful_until is None or time.monotonic() >= doubtful_until:
                    doubtful_until = None
                    self._in_doubt.discard(submission.name)
                    pbs_id = submit(self._pbs, submission)
                    self._contact.regain()
                    return pbs_id
            except PbsError as error:
                if error.uncertain:
                    doubtful_until = time.monotonic() + LONGEST_DOUBT
                    self._in_doubt.add(submission.name)
                elif doubtful_until is None and error.kind is not ErrorKind.UNREACHABLE:
                    raise
                self._contact.lose(error)
            if self._stopped.wait(PAUSE):
                is_certain = doubtful_until is None
                raise PbsError(ErrorKind.UNREACHABLE, "The run ended before PBS answered.", uncertain=not is_certain)

    def take_over(self, task: Task, counts: Callable[[Left], bool]) -> Submitted | Replacing | None:
        """Give the task of an earlier run that takes the place of this one, which must then not be submitted.

        If it is another by now, it is deleted, and this one waits until it is gone; None if there is none. One that
        has begun goes on even if it would ask for something else now. `counts` tells whether one that has ended well
        still does.
        """
        old = self._left.of(task.job_digest)
        request = request_digest(task.request)
        same = [
            one
            for one in old
            if one.task.work == task.work_digest
            and not one.is_lost
            and (one.task.request == request or not one.waits)
            and (one.record is None or counts(one))
        ]
        kept = same[-1] if same else None
        ends = {one.task.token: one.record.exit_status for one in old if one is not kept and one.record is not None}
        self._enter(ends)  # nobody will ask for them any more
        others = {one.pbs_job.id: one.pbs_job for one in old if one is not kept and one.record is None}
        if kept is not None:
            others.pop(kept.pbs_job.id, None)
        waiting = Replacing(None if kept is not None else task, others)
        if others:
            self._replacing.append(waiting)
        if kept is not None:
            return self._adopt(kept, task)
        return waiting if others else None

    def _adopt(self, left: Left, task: Task) -> Submitted:
        batch, pbs_job, token = left.batch, left.pbs_job, left.task.token
        adopted = Submitted(task.job, token, task.label, Path(left.task.log), pbs_job, batch, left.folder, task.image)
        if left.was_noted and left.record is not None:  # its file is gone
            self._records[token] = left.record
        if token not in pbs_job.tokens:
            pbs_job.tokens.append(token)
        batch.others.discard(token)
        self._folders.add(left.folder)
        batch.jobs[pbs_job.id] = pbs_job
        self.watch.add(batch)
        self.submitted[token] = adopted
        return adopted

    def replaced(self) -> list[Task]:
        """Give the tasks of which PBS no longer has what they replace: they can be submitted."""
        if not self._replacing or time.monotonic() < self._next_look:
            return []
        self._next_look = time.monotonic() + PAUSE
        new = [waiting for waiting in self._replacing if not waiting.is_deleted]
        try:
            if new:
                delete(self._pbs, [pbs_id for waiting in new for pbs_id in waiting.old])
            for waiting in new:
                waiting.is_deleted = True
                for pbs_job in waiting.old.values():
                    pbs_job.to_repeat = True  # what else it had was not to be deleted
            said = status(self._pbs, [pbs_id for waiting in self._replacing for pbs_id in waiting.old])
        except PbsError as error:
            self._contact.lose(error)
            return []
        self._contact.regain()
        gone = {pbs_id for pbs_id, job_status in said.items() if job_status.is_over}
        for waiting in self._replacing:
            for pbs_id in gone.intersection(waiting.old):
                self._enter(dict.fromkeys(waiting.old.pop(pbs_id).tokens))
        ready = [waiting.task for waiting in self._replacing if waiting.task is not None and not waiting.old]
        self._replacing = [waiting for waiting in self._replacing if waiting.old]
        return ready

    def recorded(self, tokens: Collection[str]) -> list[Outcome]:
        """Read the exit records that have come, and give how those of these tasks ended that left one."""
        for folder in list(self._folders):
            self._take(folder, read_records(folder.records, self._is_awaited))
        if not self._records:
            return []
        active = [self.submitted[token] for token in tokens if token in self._records and token in self.submitted]
        outcomes = [(one, Over(self._records.pop(one.token), one.status)) for one in active]
        self._forget(one for one, _ in outcomes)
        return outcomes

    def judged(self, tokens: Collection[str]) -> tuple[list[Outcome], list[Submitted]]:
        """Give how those of these tasks ended that PBS calls over though they left no record, and those to run again.

        Those have not failed: PBS ended their bundle before they began, or they were an earlier run's and lost.
        """
        now = time.monotonic()
        outcomes, again = [], []
        active = (self.submitted.get(token) for token in tokens)  # another thread may have cancelled some
        for one in [one for one in active if one is not None and one.pbs_job.over_since is not None]:
            pbs_job = one.pbs_job
            over = judge(pbs_job.status, pbs_job.seconds_over(now), self._grace, bundled=pbs_job.is_bundle)
            if over is None:
                continue
            if self._has_record(one):
                continue  # it is reported at the next look
            if pbs_job.to_repeat or was_untouched(over, one.token, pbs_job.tokens):
                again.append(one)
            else:
                outcomes.append((one, over))
        ended = [*(one for one, _ in outcomes), *again]
        self._enter({one.token: None for one in ended})
        self._forget(ended)
        return outcomes, again

    def _has_record(self, one: Submitted) -> bool:
        """Look for the very file of a record: a network file system may list a folder as it was a while ago."""
        record = read_record(one.folder.records / one.token)
        if record is not None:
            self._take(one.folder, [(one.token, record)])
        return record is not None

    def explained(self, failed: list[Outcome]) -> list[Outcome]:
        """Add what PBS says of failed tasks, asked for all at once: what they used, who deleted them.

        Of a bundle it can only say what all its tasks did together.
        """
        ids = [one.pbs_job.id for one, over in failed if over.status is None and not one.pbs_job.is_bundle]
        said: dict[str, JobStatus] = {}
        try:
            said |= status(self._pbs, ids) if ids else {}
            if not all(job_status.is_over for job_status in said.values()):  # what it used is told at the end only
                time.sleep(1)
                said |= status(self._pbs, ids)
        except PbsError:
            pass  # the message does without
        return [(one, Over(over.record, over.status or said.get(one.pbs_job.id))) for one, over in failed]

    def delete_all(self) -> list[str]:
        """Have PBS delete all that this run has in it, arrays whole; give the ids. Raises PbsError."""
        ids = self.ids
        for name in list(self._in_doubt):
            ids += find_by_name(self._pbs, name)
            self._in_doubt.discard(name)
        if ids:
            self._note(lambda: self._ledger.deleted(self.submitted))
            delete(self._pbs, ids)
        return ids

    @property
    def ids(self) -> list[str]:
        """Give the ids of all jobs and arrays in PBS; of arrays that are not all this run's, the subjobs."""
        return [pbs_id for batch in list(self.watch.batches.values()) for pbs_id in batch.own_ids]

    @property
    def is_in_doubt(self) -> bool:
        """Tell whether PBS may have got a batch of which it has not said so."""
        return bool(self._in_doubt)

    def gone(self, ids: Collection[str]) -> set[str]:
        """Give those of these jobs and arrays that PBS says it no longer has. Raises PbsError."""
        return {pbs_id for pbs_id, said in status(self._pbs, ids).items() if said.is_over}

    def close(self) -> None:
        """Take note that nothing of this run is in PBS any more, and remove what only its tasks needed."""
        self._enter(dict.fromkeys(self.submitted))
        self._enter(self._left.ends())
        self.submitted.clear()
        self._folder.remove()
        remove_left_folders(self._left, self._folder.state, self._ledger.read())

    def _is_awaited(self, token: str) -> bool:
        return token in self.submitted and token not in self._noted

    def _take(self, folder: RunFolder, records: Iterable[tuple[str, ExitRecord]]) -> None:
        """Take note of exit records; the ledger has them before they are put away."""
        found = dict(records)
        if found and self._enter({token: record.exit_status for token, record in found.items()}):
            self._records |= found
            self._noted |= found.keys()
            put_away(found, folder.records, folder.ended)

    def _enter(self, ends: Mapping[str, int | None]) -> bool:
        """Enter ends in the ledger; while that cannot be done, records are left for later."""
        return self._note(lambda: self._ledger.ended(ends))

    def _note(self, enter: Callable[[], None]) -> bool:
        """Enter something in the ledger; say once if that cannot be done."""
        try:
            enter()
        except OSError as error:
            if not self._is_ledger_stuck:
                self._warn(f"The ledger cannot be written: {error}. Jobs that end are noticed when it can. Make room.")
            self._is_ledger_stuck = True
            return False
        self._is_ledger_stuck = False
        return True

    def _forget(self, known: Iterable[Submitted]) -> None:
        for one in known:
            self.submitted.pop(one.token, None)
            self.watch.done(one.batch, one.pbs_job, one.token)
