"""What PBS says of the jobs of a run: asked seldom, and about whole batches first.

Records say how nearly all tasks end, so PBS is asked only for what they cannot say: that a job was killed, is held,
can never run. One question about all batches costs the server one short answer, however many subjobs they have; it
says how many of an array are left. Only where those are fewer than have left no record are the subjobs asked for.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .batch import Batch, pbs_log
from .contact import Contact
from .pbs import (
    Hindrance,
    JobStatus,
    Pbs,
    PbsError,
    State,
    Verdict,
    delete,
    explain_waiting,
    hindrance,
    status,
    subjob_id,
    subjob_status,
)
from .text import minutes
from .tracking.run_folder import RunFolder

SELDOMEST = 6
"""How much longer than at first the time between two questions becomes while all goes well."""
GROWTH = 1.5


@dataclass(eq=False)
class PbsJob:
    """A job or subjob of this run, and what PBS last said of it."""

    id: str
    log: Path
    """What PBS itself writes."""
    tokens: list[str]
    """Of its tasks whose end is not known, in the order in which they run."""
    size: int
    """Tasks that it was given."""
    status: JobStatus | None = None
    over_since: float | None = None
    """When PBS first said that it is over, by `time.monotonic()`."""
    to_repeat: bool = False
    """Whether its tasks are to run again if it ends without success: nobody watched it, or it was to make way."""
    refused: Verdict | None = None
    """Why it was deleted before it began, if it was: PBS has been saying for long that it can never run."""

    @property
    def is_bundle(self) -> bool:
        """Tell whether what PBS says of it is said of several tasks."""
        return self.size > 1

    def note(self, job_status: JobStatus) -> None:
        """Remember what PBS says of it."""
        self.status = job_status
        if not job_status.is_over:
            self.over_since = None
        elif self.over_since is None:
            self.over_since = time.monotonic()

    def seconds_over(self, now: float) -> float:
        """Give for how long PBS has been saying that it is over."""
        return 0.0 if self.over_since is None else now - self.over_since


@dataclass(eq=False)
class SubmittedBatch:
    """A batch that PBS has."""

    id: str
    """Of the array, or of the job."""
    title: str
    size: int
    """Jobs or subjobs."""
    jobs: dict[str, PbsJob]
    """Those with tasks whose end is not known, by their ids."""
    status: JobStatus | None = None
    asked_closely: bool = True
    """Whether the subjobs were asked for since PBS last spoke of the array."""
    others: set[str] = field(default_factory=set)
    """Tasks without a known end that are not this run's: then how many are left says nothing of those that are."""
    warned: set[Hindrance] = field(default_factory=set)
    """What was said on the screen to keep it from going on."""
    never_since: float | None = None
    """Since when PBS has been saying that it can never run, by `time.monotonic()`."""
    is_given_up: bool = False
    """Whether it was deleted because of that."""

    @property
    def is_array(self) -> bool:
        """Tell whether it has subjobs."""
        return self.size > 1

    @property
    def own_ids(self) -> list[str]:
        """Give the ids to delete it by: its own, or those of its jobs if there are others in it."""
        return list(self.jobs) if self.others else [self.id]

    @property
    def hides_ends(self) -> bool:
        """Tell whether more subjobs are over than those whose end is known."""
        if self.status is None or self.asked_closely:
            return False
        if self.others:
            return True
        unaccounted = sum(job.over_since is None for job in self.jobs.values())
        return unaccounted > (0 if self.status.is_over else self.status.subjobs_left or 0)


def submitted_batch(batch: Batch, pbs_id: str, folder: RunFolder) -> SubmittedBatch:
    """Give what is known of a batch when PBS has given it an id."""
    size = len(batch.bundles)
    jobs = [
        PbsJob(
            id=subjob_id(pbs_id, index),
            log=pbs_log(batch, index, folder),
            tokens=[task.token for task in bundle],
            size=len(bundle),
        )
        for index, bundle in enumerate(batch.bundles)
    ]
    return SubmittedBatch(pbs_id, batch.title, size, {job.id: job for job in jobs})


class Watch:
    """Asks PBS about the batches of a run, when it is time to."""

    def __init__(
        self, pbs: Pbs, least: float, contact: Contact, warn: Callable[[str], None], never_runs_after: float = 0
    ) -> None:
        """Watch with at least so many seconds between two questions.

        What PBS has been saying for `never_runs_after` seconds can never run is deleted; with 0 it stays.
        """
        self._never_runs_after = never_runs_after
        self._pbs = pbs
        self._least = least
        self._contact = contact
        self._warn = warn
        self._pause = least
        self._next = time.monotonic()
        self.batches: dict[str, SubmittedBatch] = {}

    def add(self, batch: SubmittedBatch) -> None:
        """Watch a batch that has just been submitted."""
        self.batches[batch.id] = batch
        self._pause = self._least
        self._next = min(self._next, time.monotonic() + self._least)

    def done(self, batch: SubmittedBatch, job: PbsJob, token: str) -> None:
        """Take note that the end of a task is known; what has no other is watched no longer."""
        job.tokens.remove(token)
        if not job.tokens:
            batch.jobs.pop(job.id, None)
        if not batch.jobs:
            self.batches.pop(batch.id, None)

    def look(self) -> None:
        """Ask about all batches if it is time to, and about the subjobs of those that hide something.

        An answer that does not come says nothing of any job.
        """
        batches = list(self.batches.values())
        hiding = [batch for batch in batches if batch.is_array and batch.hides_ends]
        is_time = bool(batches) and time.monotonic() >= self._next
        if not hiding and not is_time:
            return
        try:
            if is_time:
                self._ask(batches)
                self._give_up([batch for batch in batches if self._is_hopeless(batch)])
            for batch in hiding:
                self._ask_closely(batch)
        except PbsError as error:
            if is_time:
                self._next = time.monotonic() + self._least
            self._contact.lose(error)
        else:
            self._contact.regain()

    def _ask(self, batches: list[SubmittedBatch]) -> None:
        statuses = status(self._pbs, [batch.id for batch in batches])
        for batch in batches:
            if batch.id in statuses:
                self._note(batch, statuses[batch.id])
        is_overdue = any(job.over_since is not None for batch in batches for job in list(batch.jobs.values()))
        self._pause = self._least if is_overdue else min(self._pause * GROWTH, self._least * SELDOMEST)
        self._next = time.monotonic() + self._pause

    def _note(self, batch: SubmittedBatch, said: JobStatus) -> None:
        """Remember what PBS says of a batch, and say once what keeps it from starting."""
        was_unknown = batch.status is not None and batch.status.state is State.UNKNOWN
        batch.status = said
        batch.asked_closely = False
        for job in list(batch.jobs.values()):
            is_known_again = was_unknown and job.status is not None and job.status.state is State.UNKNOWN
            if not batch.is_array or said.state is State.UNKNOWN or is_known_again:
                job.note(said)
        self._point_out(batch, batch.id, said)
        if hindrance(said) is not Hindrance.NEVER_RUNS:
            batch.never_since = None
        elif batch.never_since is None:
            batch.never_since = time.monotonic()

    def _point_out(self, batch: SubmittedBatch, pbs_id: str, said: JobStatus) -> None:
        """Say once what keeps a batch, or any of its subjobs, from going on.

        One that was released and is held again is said again, as somebody has to release it again. What comes and goes
        by itself, as when jobs are suspended for more urgent ones, is not.
        """
        what = hindrance(said)
        if what is None and pbs_id == batch.id and said.state is not State.UNKNOWN:
            batch.warned.discard(Hindrance.HELD)
        waiting = explain_waiting(said, pbs_id)
        if what is None or waiting is None or what in batch.warned:
            return
        batch.warned.add(what)
        limit = (
            f" If PBS says so for {minutes(self._never_runs_after)}, it is deleted and counts as failed."
            if what is Hindrance.NEVER_RUNS and self._never_runs_after
            else ""
        )
        self._warn(f"{batch.title} (PBS job {pbs_id}): {waiting}{limit}")

    def _is_hopeless(self, batch: SubmittedBatch) -> bool:
        if not self._never_runs_after or batch.never_since is None or batch.is_given_up:
            return False
        return time.monotonic() - batch.never_since >= self._never_runs_after

    def _give_up(self, batches: list[SubmittedBatch]) -> None:
        """Delete what PBS has been saying for long that it can never run; its jobs know why.

        Their ends are then PBS's to tell, as of all that is deleted. Raises PbsError; it is tried again then.
        """
        ids = [one for batch in batches for one in batch.own_ids]
        if not ids:
            return
        delete(self._pbs, ids)
        for batch in batches:
            batch.is_given_up = True
            why = explain_waiting(batch.status, batch.id) if batch.status is not None else None
            for job in list(batch.jobs.values()):
                job.refused = why and Verdict(
                    f"{why.problem} After {minutes(self._never_runs_after)} it was deleted "
                    "(--pbs-singularity-never-run-minutes).",
                    why.remedy,
                )

    def _ask_closely(self, batch: SubmittedBatch) -> None:
        batch.asked_closely = True  # also if no answer comes: others are not to wait for it
        for job_id, said in subjob_status(self._pbs, batch.id).items():
            if job_id in batch.jobs:
                batch.jobs[job_id].note(said)
                if said.state is State.SUSPENDED:
                    self._point_out(batch, job_id, said)
