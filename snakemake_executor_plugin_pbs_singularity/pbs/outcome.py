"""States of PBS jobs, how they ended, and what that means in words for a person who has never seen PBS.

Pure. Numbers are OpenPBS's, as measured (transcripts 02, 08, 09, 10) and as in its ``job.h``.
"""

import math
import signal
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise

KILLED_NCPUS_BURST, KILLED_NCPUS, KILLED_VMEM, KILLED_MEM, KILLED_CPUT, KILLED_WALLTIME = range(-24, -30, -1)
"""``Exit_status`` of jobs that OpenPBS ended for using more than they asked for."""
DELETED = 256 + signal.SIGTERM
"""``qdel`` while running, whatever the job makes of the signal (transcript 08c)."""
DELETED_BY_FORCE = 256 + signal.SIGKILL
"""``qdel -W force``, or a job that did not heed the first signal (transcript 08f2)."""
TERMINATED = 91
"""Substate of what was deleted. Its exit status is then not always 271: that of a subjob may be its shell's, 143,
or 1 if it never ran (transcript 08n); that of a job deleted in its first seconds is 0 (seen on 23.06.06)."""


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


_NEVER_STARTED = {
    -1: "PBS could not start it",
    -2: "PBS could not start it",
    -3: "PBS could not start it, and could not try again",
    -4: "its node was restarted while it ran",
    -5: "its node was restarted while it ran",
    -6: "its node was restarted while it ran",
    -10: "its node does not know your user or group",
    -11: "PBS took it off its node to run it again",
    -13: "its node did not accept your password",
    -14: "PBS took it off its nodes to run it again, as one of them did not answer",
    -16: "a hook of the site refused it",
    -17: "a hook of the site refused it",
    -18: "a hook of the site took it off its node to run it again",
    -19: "a hook of the site deleted it",
    -20: "the connection to its node was lost",
    -21: "its node found PBS's own folders insecure",
    -22: "a hook of the site failed",
    -23: "it had no Kerberos ticket",
    -30: "its nodes could not join",
}
_ADMINISTRATOR = "Try again; if it happens again, show this line and the job id to the cluster's administrators."


def explain_exit(status: JobStatus) -> Verdict | None:
    """Say why a job did not end well; None if it succeeded, is not over, or is an array.

    Not being known to PBS any more is explained too, as a loss: the caller decides whether to believe it.
    """
    if status.state is State.UNKNOWN:
        return Verdict(
            "PBS no longer knows this job, so how it ended is not known.",
            "The site may keep no history of finished jobs, or somebody may have removed it from there.",
        )
    if status.state is State.MOVED:
        return Verdict(
            "PBS moved this job to another server, so how it ends is not known here.",
            "Submit to a queue of this server: set the resource pbs_queue.",
        )
    if status.state is not State.FINISHED or status.is_array:
        return None
    deleted_early = status.substate == TERMINATED and not status.run_count and status.exit_status == 1
    if status.exit_status is None or deleted_early:
        return Verdict(
            f"It was deleted before it ran, by hand (qdel) or by the site.{_comment(status)}",
            "If nobody deleted it, ask the cluster's administrators why the queue did.",
        )
    if status.succeeded:
        return None
    return _explain_limit(status) or _explain_pbs(status) or explain_code(status.exit_status, status)


def explain_waiting(status: JobStatus) -> Verdict | None:
    """Say what is amiss with a job that has not begun, if PBS says so; None if it simply waits its turn.

    PBS accepts requests that no node can ever fulfil and lets them wait for ever (transcripts 05c, 05v).
    """
    comment = status.comment or ""
    if status.state is State.HELD:
        return Verdict(
            f"It is held, and will not begin until somebody releases it.{_comment(status)}",
            "Release it with `qrls` and its id, or delete it with `qdel`.",
        )
    if status.state is not State.QUEUED:
        return None
    if "Can Never Run" in comment:
        return Verdict(
            f"It can never run: no node has what it asks for. PBS says: {comment}",
            "Lower the rule's threads, mem_mb or gpu, or choose another queue with the resource pbs_queue.",
        )
    if "Queue not started" in comment:
        return Verdict(
            f"Its queue {status.queue} is stopped: jobs wait there until the administrators start it.",
            "Choose another queue with the resource pbs_queue, or wait.",
        )
    return None


def explain_code(code: int, status: JobStatus | None = None) -> Verdict | None:
    """Say what the exit code of a command usually means; None for 0.

    For codes from exit records too, where PBS is not asked. With a status, what the job used is told.
    """
    if code == 0:
        return None
    used = _used(status)
    if code == 126:
        return Verdict(
            f"Exit code 126: a command was found but could not be executed.{used}",
            "Make the file executable (chmod +x), and check that it is a program for this kind of machine.",
        )
    if code == 127:
        return Verdict(
            f"Exit code 127: a command was not found.{used}",
            "Check its spelling, and that it is installed in the rule's container, or on the node if the rule"
            " has none.",
        )
    if code == 128 + signal.SIGKILL:
        return Verdict(
            f"Exit code 137: it was killed (signal 9), most often because memory ran out.{used}",
            _raise_memory(status),
        )
    if code == 128 + signal.SIGSEGV:
        return Verdict(
            f"Exit code 139: it crashed (signal 11, segmentation fault).{used}",
            "That is a fault of the program or of one of its libraries; some do it when memory or stack runs out.",
        )
    if code == 128 + signal.SIGTERM:
        return Verdict(
            f"Exit code 143: it was asked to end (signal 15), by the system or by another program.{used}",
            "Look for the reason in its log.",
        )
    if code == 255:
        return Verdict(
            f"Exit code 255: what the container command, ssh and many programs say when they cannot do their"
            f" work.{used}",
            "The reason is in the log.",
        )
    name = _signal_name(code - 128)
    if name:
        return Verdict(f"Exit code {code}: it was ended by signal {code - 128} ({name}).{used}")
    return Verdict(f"Exit code {code}.{used}", "Its meaning is that of the command; look in the log.")


def _explain_limit(status: JobStatus) -> Verdict | None:
    used, asked = status.used, status.asked
    if status.exit_status == KILLED_WALLTIME:
        ran = f"ran {duration(used.walltime)}" if used.walltime is not None else "ran too long"
        limit = f"its walltime of {duration(asked.walltime)}" if asked.walltime else "its walltime"
        return Verdict(f"Killed by PBS: it {ran}, more than {limit}.", _raise_runtime(asked.walltime))
    if status.exit_status in (KILLED_MEM, KILLED_VMEM):
        kind = "memory" if status.exit_status == KILLED_MEM else "virtual memory"
        amount = f"used {used.mem} MiB of {kind}" if used.mem is not None else f"used too much {kind}"
        limit = f"the {asked.mem} MiB it asked for" if asked.mem is not None else "it may"
        return Verdict(f"Killed by PBS: it {amount}, more than {limit}.", _raise_memory(status))
    if status.exit_status == KILLED_CPUT:
        amount = f"used {duration(used.cput)} of processor time" if used.cput is not None else "used too much"
        limit = f"its limit of {duration(asked.cput)}" if asked.cput else "its limit"
        return Verdict(
            f"Killed by PBS: it {amount}, more than {limit} (cput).",
            "Raise cput where it is set: in the rule's pbs_extra, or by the queue.",
        )
    if status.exit_status in (KILLED_NCPUS, KILLED_NCPUS_BURST):
        limit = f"the {asked.ncpus} it asked for" if asked.ncpus is not None else "it asked for"
        return Verdict(
            f"Killed by PBS: it kept more processor cores busy than {limit}.",
            "Raise the rule's threads, or make the program use {threads} of them and no more.",
        )
    return None


def _explain_pbs(status: JobStatus) -> Verdict | None:
    code = status.exit_status
    if code == DELETED_BY_FORCE:
        return Verdict(
            "It was killed by PBS, as by `qdel -W force`, or because it did not end when asked to."
            f"{_comment(status)}{_used(status)}",
            "If nobody deleted it, ask the cluster's administrators.",
        )
    if code == DELETED or status.substate == TERMINATED:
        return Verdict(
            f"It was deleted while it ran, by hand (qdel) or by the site.{_comment(status)}{_used(status)}",
            "If nobody deleted it, ask the cluster's administrators.",
        )
    if code is not None and code < 0:
        what = _NEVER_STARTED.get(code, "PBS ended it")
        return Verdict(f"It did not run to its end: {what} (PBS exit status {code}).{_comment(status)}", _ADMINISTRATOR)
    if code is not None and code > 256:
        name = _signal_name(code - 256)
        if name:
            return Verdict(
                f"It was ended through PBS by signal {code - 256} ({name}), as by qsig or qdel."
                f"{_comment(status)}{_used(status)}"
            )
    return None


def _comment(status: JobStatus) -> str:
    return f" PBS says: {status.comment.rstrip('.')}." if status.comment else ""


def _used(status: JobStatus | None) -> str:
    """Give what it used against what it asked, as a sentence with a space before it; empty if not known."""
    if status is None:
        return ""
    parts = []
    used, asked = status.used, status.asked
    if used.walltime is not None:
        limit = f" (of {duration(asked.walltime)})" if asked.walltime else ""
        parts.append(f"ran {duration(used.walltime)}{limit}")
    if used.mem:
        limit = f" (asked for {asked.mem} MiB)" if asked.mem else ""
        parts.append(f"used {used.mem} MiB of memory{limit}")
    hosts = dict.fromkeys(place.split("/")[0] for place in (status.exec_host or "").split("+"))
    where = f" on {', '.join(hosts)}" if status.exec_host else ""
    again = f" PBS started it {status.run_count} times." if status.run_count > 1 else ""
    return (f" It {' and '.join(parts)}{where}." if parts else "") + again


def _raise_runtime(asked: int | None) -> str:
    if not asked:
        return "Give the rule a runtime in minutes, such as `resources: runtime=120`."
    minutes = math.ceil(asked / 60)
    return (
        f"Raise the rule's runtime (now {minutes} minute{'' if minutes == 1 else 's'}), "
        f"for example `resources: runtime={minutes * 2}`."
    )


def _raise_memory(status: JobStatus | None) -> str:
    used = status.used.mem if status else None
    asked = status.asked.mem if status else None
    needed = max(math.ceil((used or 0) * 1.2), (asked or 0) * 2)
    example = math.ceil(needed / 100) * 100 or 4000
    now = f" (it asked for {asked} MiB)" if asked else ""
    return f"Raise the rule's mem_mb{now}, for example `resources: mem_mb={example}`."


def duration(seconds: int | None) -> str:
    """Give a time in words, in the two greatest units: ``61 s``, ``1 h 30 min``, ``2 d 4 h``."""
    if seconds is None:
        return "an unknown time"
    if seconds < 120:
        return f"{seconds} s"
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    for (name, size), (next_name, next_size) in pairwise(units):
        if seconds >= size:
            rest = seconds % size // next_size
            return f"{seconds // size} {name}" + (f" {rest} {next_name}" if rest else "")
    return f"{seconds} s"


def _signal_name(number: int) -> str | None:
    try:
        return signal.Signals(number).name
    except ValueError:
        return None
