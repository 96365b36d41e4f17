"""One job in PBS from its submission to its end, for the commands that are used by hand.

A server that is away is no failure: it is waited for, and said once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from ..contact import Contact
from ..pbs import (
    ErrorKind,
    Hindrance,
    JobStatus,
    Pbs,
    PbsError,
    Submission,
    delete,
    explain_waiting,
    find_by_name,
    hindrance,
    status,
    submit,
)
from .ending import Ending
from .wording import in_options

PAUSE = 2.0
"""Seconds between two attempts to reach a server that is away."""
LONGEST_DOUBT = 60.0
"""Seconds for which a job that may have been submitted is looked for before it is submitted again."""
LONGEST_END = 120.0
"""Seconds that PBS may take to end a job that was deleted."""
_LOOK = 0.5
"""Seconds between two looks whether a job is gone."""
SLOWEST = 10.0
"""Seconds between two questions about a job that goes on."""

Say = Callable[[str], None]


def submit_when_possible(pbs: Pbs, submission: Submission, ending: Ending, contact: Contact) -> str | None:
    """Submit a job and give its id, waiting while the server is away; None if a signal ended that before.

    Raises PbsError for what waiting does not help, and if after a signal it is not known whether PBS has the job.
    """
    doubtful_until: float | None = None
    while True:
        try:
            if doubtful_until is not None and (found := find_by_name(pbs, submission.name)):
                contact.regain()
                return found[0]
            if doubtful_until is None or time.monotonic() >= doubtful_until:
                doubtful_until = None
                if ending.signal is not None:
                    return None
                job_id = submit(pbs, submission)
                contact.regain()
                return job_id
        except PbsError as error:
            if error.uncertain:
                doubtful_until = time.monotonic() + LONGEST_DOUBT
            elif doubtful_until is None and error.kind is not ErrorKind.UNREACHABLE:
                raise
            contact.lose(error)
        if ending.signal is not None and doubtful_until is not None:
            time.sleep(PAUSE)  # Ctrl-C again leaves at once
        else:
            ending.sleep(PAUSE)


@dataclass
class Looks:
    """What PBS says of a job: asked at growing pauses, and what keeps the job waiting is said once."""

    pbs: Pbs
    job_id: str
    contact: Contact
    say: Say
    status: JobStatus | None = None
    """What it said last."""
    over_since: float | None = None
    """When it first said that the job is over, by `time.monotonic()`."""
    _said: set[Hindrance] = field(default_factory=set)
    _pause: float = 1.0
    _next: float = 0.0

    def look(self, *, now: bool = False) -> None:
        """Ask if it is time to, or at once; an answer that does not come says nothing of the job."""
        if not now and time.monotonic() < self._next:
            return
        try:
            answer = status(self.pbs, [self.job_id]).get(self.job_id)
            self.contact.regain()
        except PbsError as error:
            self.contact.lose(error)
            answer = None
        if answer is not None:
            self._note(answer)
        self._pause = min(self._pause * 1.5, SLOWEST)
        self._next = time.monotonic() + self._pause

    @property
    def seconds_over(self) -> float:
        """Give for how long PBS has been saying that the job is over."""
        return 0.0 if self.over_since is None else time.monotonic() - self.over_since

    def _note(self, answer: JobStatus) -> None:
        self.status = answer
        if answer.is_over:
            self.over_since = self.over_since or time.monotonic()
        what = hindrance(answer)
        if what is not None and what not in self._said and (waiting := explain_waiting(answer, self.job_id)):
            self._said.add(what)
            self.say(f"{in_options(str(waiting))} Ctrl-C deletes it.")


def delete_and_see_gone(pbs: Pbs, job_id: str, say: Say) -> bool:
    """Delete a job and wait until PBS says that it is gone, also for a server that is away; tell whether it is.

    Raises KeyboardInterrupt at the next Ctrl-C.
    """
    until = time.monotonic() + LONGEST_END
    is_deleted = False
    said = ""
    while time.monotonic() < until:
        try:
            if not is_deleted:
                delete(pbs, [job_id])
                is_deleted = True
            answer = status(pbs, [job_id]).get(job_id)
            if answer is not None and answer.is_over:
                return True
            progress = f"Deleted job {job_id}; PBS is ending it."
        except PbsError as error:
            progress = f"PBS has not deleted job {job_id} yet. {error}"
        if progress != said:
            said = progress
            say(f"{progress} Ctrl-C again leaves at once.")
        time.sleep(_LOOK)
    return False


def wait_until_gone(looks: Looks, seconds: float) -> bool:
    """Wait for PBS to say that a job is over which has ended by itself; tell whether it does so in time.

    Until then files that PBS writes to must stay. Raises KeyboardInterrupt at Ctrl-C after a first signal.
    """
    until = time.monotonic() + seconds
    while True:
        with suppress(PbsError):
            looks.look(now=True)
        if looks.over_since is not None or time.monotonic() >= until:
            return looks.over_since is not None
        time.sleep(_LOOK)
