"""States of PBS jobs, how they ended, and what keeps them from going on; ``explain.py`` puts that into words.

Pure, and the same for all kinds of PBS: each dialect turns its own numbers and words into these. What the exit codes
of commands mean, which no PBS has a part in, stands in ``reporting/exit_codes.py``.
"""

from dataclasses import dataclass, field
from enum import Enum


class Hindrance(Enum):
    """What keeps a job from going on, other than that others are before it."""

    HELD = "held"
    SUSPENDED = "suspended"
    MOVED = "moved to another server"
    NEVER_RUNS = "can never run"
    QUEUE_STOPPED = "queue stopped"


class State(Enum):
    """Where a job is. For PBS itself states only move forward, but for a job that it runs again."""

    QUEUED = "queued"
    HELD = "held"
    """By somebody, who has to release it."""
    WAITING = "waiting"
    """For a time or for another job, as the user asked for (``qsub -a``, ``-W depend=``)."""
    TRANSIT = "in transit"
    """On its way to another server."""
    RUNNING = "running"
    """Also an array of which something has begun."""
    SUSPENDED = "suspended"
    EXITING = "exiting"
    FINISHED = "finished"
    """Final: what is said of a finished job never changes, there is no need to ask again."""
    MOVED = "moved"
    """Given to another server, which alone knows how it ends."""
    OVER_ELSEWHERE = "over on another server"
    """Given to another server, which alone knows how it ended."""
    UNKNOWN = "unknown"
    """PBS itself says it knows no such job: never existed, or it keeps none that are over (any more)."""


class Cause(Enum):
    """Why PBS ended a job that did not end by itself."""

    WALLTIME = "walltime"
    CPUT = "processor time"
    MEMORY = "memory"
    VIRTUAL_MEMORY = "virtual memory"
    CORES = "cores"
    FAULT = "fault of PBS or of the site"
    """It could not be started, or not be run to its end; ``JobStatus.reason`` says more."""
    NODE_LOST = "node lost"
    """Its node was lost, and it is not run again."""
    SIGNAL = "signal"
    """Somebody sent it one through PBS; ``JobStatus.reason`` says which."""
    DELETED = "deleted while it ran"
    DELETED_WAITING = "deleted before it ran"
    KILLED = "killed"
    """Deleted by force, or it did not heed the first signal."""


_CUT_SHORT = {Cause.WALLTIME, Cause.CPUT, Cause.MEMORY, Cause.VIRTUAL_MEMORY, Cause.CORES, Cause.FAULT}


@dataclass(frozen=True)
class Usage:
    """What a job used or asked for; None where PBS gave nothing."""

    walltime: int | None = None
    """Seconds."""
    cput: int | None = None
    """Seconds of processor time."""
    mem: int | None = None
    """MiB, rounded up."""
    ncpus: int | None = None


@dataclass(frozen=True)
class JobStatus:
    """What PBS says of one job, subjob or array."""

    state: State
    exit_status: int | None = None
    """The job's own if there is no ``cause``, else a number of this PBS. None: PBS gave none. Always None for an
    array, as OpenPBS gives it the status of its last subjob (transcript openpbs/03m)."""
    cause: Cause | None = None
    """Why PBS ended it; None if it did not, or is not over."""
    reason: str = ""
    """More about the cause or about what keeps it waiting, in words."""
    deleted_by: str | None = None
    """``user@host``, if PBS tells who deleted it."""
    waits_for: Hindrance | None = None
    """Why PBS does not start it, if it says something worth knowing."""
    comment: str | None = None
    """What PBS itself says, in its own words."""
    queue: str | None = None
    exec_host: str | None = None
    """Where it runs or ran, as PBS writes it: ``node1/0*4+node2/0*4``."""
    used: Usage = field(default_factory=Usage)
    asked: Usage = field(default_factory=Usage)
    run_count: int = 0
    """How often PBS started it; more than 1 if a node was lost and it began again."""
    is_array: bool = False
    """This is the array itself (``12[].server``), not one of its subjobs."""
    subjobs_left: int | None = None
    """Of an array, how many subjobs PBS has that are not over; None if it does not say."""

    @property
    def is_over(self) -> bool:
        """Tell whether PBS will not run it any more, or does not know it."""
        return self.state in (State.FINISHED, State.UNKNOWN, State.OVER_ELSEWHERE)

    @property
    def succeeded(self) -> bool:
        """Tell whether PBS says that it ended by itself and well.

        Exit status 0 is not enough: a job that is deleted in its first seconds has that too on OpenPBS.
        """
        return self.state is State.FINISHED and self.exit_status == 0 and self.cause is None

    @property
    def ended_by_pbs(self) -> bool:
        """Tell whether PBS ended it: for a limit, by a signal, or as it was deleted."""
        return self.state is State.FINISHED and not self.is_array and self.cause is not None

    @property
    def was_cut_short(self) -> bool:
        """Tell whether PBS ended it for a limit or for a fault that is not its own: nobody wanted it deleted."""
        return self.ended_by_pbs and self.cause in _CUT_SHORT


@dataclass(frozen=True)
class Verdict:
    """Why a job did not end well, in words."""

    problem: str
    """Whole sentences: what ended it, what it used against what it asked."""
    remedy: str = ""
    """Whole sentences: what to write or do instead; empty if nothing is known."""

    def __str__(self) -> str:
        return f"{self.problem} {self.remedy}".rstrip()


def hindrance(status: JobStatus) -> Hindrance | None:
    """Tell what keeps a job or an array from going on; None if it goes on, or simply waits its turn.

    OpenPBS accepts requests that no node can ever fulfil and lets them wait for ever (transcripts openpbs/05c, 05v).
    """
    if status.state is State.HELD:
        return Hindrance.HELD
    if status.state is State.SUSPENDED:
        return Hindrance.SUSPENDED
    if status.state is State.MOVED:
        return Hindrance.MOVED
    return status.waits_for if status.state is State.QUEUED else None
