"""States of PBS jobs, how they ended, and what keeps them from going on; ``explain.py`` puts that into words.

Pure. All numbers are OpenPBS's and PBS Professional's, as measured (transcripts 02, 08, 09, 10) and as in its
``job.h``; TORQUE has others for the same ends (-11 for the walltime), so nothing here may be asked about its jobs.
What the exit codes of commands mean, which no PBS has a part in, stands in ``reporting/exit_codes.py``.
"""

import signal
from dataclasses import dataclass, field
from enum import Enum

KILLED_NCPUS_BURST, KILLED_NCPUS, KILLED_VMEM, KILLED_MEM, KILLED_CPUT, KILLED_WALLTIME = range(-24, -30, -1)
"""``Exit_status`` of jobs that OpenPBS ended for using more than they asked for."""
DELETED = 256 + signal.SIGTERM
"""``qdel`` while running, whatever the job makes of the signal (transcript 08c)."""
DELETED_BY_FORCE = 256 + signal.SIGKILL
"""``qdel -W force``, or a job that did not heed the first signal (transcript 08f2)."""
MOVED_AND_OVER = 92
"""Substate of a job that was moved to another server and is over there (``job.h``)."""
TERMINATED = 91
"""Substate of what was deleted. Its exit status is then not always 271: that of a subjob may be its shell's, 143,
or 1 if it never ran (transcript 08n); that of a job deleted in its first seconds is 0 (seen on 23.06.06)."""
FAILED = 93
"""Substate of what did not end well. Without an exit status: its node was lost and it must not run twice (``qsub
-r n``; node_manager.c, svr_setjob_histinfo)."""
WAITS_FOR_ANOTHER = 22
"""Substate of a job that is held as it depends on another (``qsub -W depend=``; ``job.h``)."""


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
    WAITING = "waiting"
    """For a time the user asked for (``qsub -a``)."""
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
    UNKNOWN = "unknown"
    """PBS itself says it knows no such job: never existed, or its history is off or purged."""


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
    """None: PBS gave none, because it is not over or was deleted before it ran. Always None for an array,
    as PBS gives it the status of its last subjob (transcript 03m)."""
    comment: str | None = None
    queue: str | None = None
    exec_host: str | None = None
    """Where it runs or ran, as PBS writes it: ``node1/0*4+node2/0*4``."""
    used: Usage = field(default_factory=Usage)
    asked: Usage = field(default_factory=Usage)
    run_count: int = 0
    """How often PBS started it; more than 1 if a node was lost and it began again."""
    substate: int | None = None
    is_array: bool = False
    """This is the array itself (``12[].server``), not one of its subjobs."""
    subjobs_over: int | None = None
    """Of an array, how many subjobs are over, however they ended. None for a FINISHED one, of which all are: PBS
    says 0 then (transcript 03g)."""

    @property
    def succeeded(self) -> bool:
        """Tell whether PBS says that it ended by itself and well.

        Exit status 0 is not enough: a job that is deleted in its first seconds has that too.
        """
        return self.state is State.FINISHED and self.exit_status == 0 and not self.ended_by_pbs

    @property
    def ended_by_pbs(self) -> bool:
        """Tell whether PBS ended it: for a limit (negative), by a signal (above 256), or as it was deleted."""
        if self.state is not State.FINISHED or self.is_array:
            return False
        if self.exit_status is None or self.substate == TERMINATED:
            return True
        return self.exit_status < 0 or self.exit_status > 256


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

    PBS accepts requests that no node can ever fulfil and lets them wait for ever (transcripts 05c, 05v). A job that
    waits for another, as its pbs_extra may ask, does what it was asked to.
    """
    comment = status.comment or ""
    if status.state is State.HELD:
        return None if status.substate == WAITS_FOR_ANOTHER else Hindrance.HELD
    if status.state is State.SUSPENDED:
        return Hindrance.SUSPENDED
    if status.state is State.MOVED:
        return Hindrance.MOVED
    if status.state is not State.QUEUED:
        return None
    if "Can Never Run" in comment:
        return Hindrance.NEVER_RUNS
    return Hindrance.QUEUE_STOPPED if "Queue not started" in comment else None
