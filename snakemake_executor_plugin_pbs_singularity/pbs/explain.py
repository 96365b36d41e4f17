"""Why PBS ended a job, and what keeps one from going on, in words for a person who has never seen PBS. Pure.

The numbers are OpenPBS's and PBS Professional's, as in ``outcome.py``.
"""

import math
import re
import shlex
import signal
from itertools import pairwise

from .outcome import (
    DELETED,
    DELETED_BY_FORCE,
    FAILED,
    KILLED_CPUT,
    KILLED_MEM,
    KILLED_NCPUS,
    KILLED_NCPUS_BURST,
    KILLED_VMEM,
    KILLED_WALLTIME,
    TERMINATED,
    Hindrance,
    JobStatus,
    State,
    Verdict,
    hindrance,
)

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
_OTHER_QUEUE = "Queues of this server keep their jobs here: set the resource pbs_queue."
_ADMINISTRATOR = "Try again; if it happens again, show this line and the job id to the cluster's administrators."


def explain_exit(status: JobStatus) -> Verdict | None:
    """Say why PBS ended a job; None if it ended by itself, well or badly, is not over, or is an array.

    Not being known to PBS any more is explained too, as a loss: the caller decides whether to believe it.
    """
    if status.state is State.UNKNOWN:
        return Verdict(
            "PBS no longer knows this job, so how it ended is not known.",
            "The site may keep no history of finished jobs, or somebody may have removed it from there.",
        )
    if status.state is State.MOVED:
        return Verdict("PBS moved this job to another server, so how it ends is not known here.", _OTHER_QUEUE)
    if not status.ended_by_pbs:
        return None
    if status.exit_status is None and status.substate == FAILED:
        return Verdict(
            f"The node that it ran on was lost, and PBS did not run it again.{_comment(status)}{used_in_words(status)}",
            _ADMINISTRATOR,
        )
    deleted_early = status.substate == TERMINATED and not status.run_count and status.exit_status == 1
    if status.exit_status is None or deleted_early:
        who, remedy = _deleted_by(status)
        return Verdict(f"It was deleted before it ran, {who}", remedy)
    return _explain_limit(status) or _explain_pbs(status)


def explain_waiting(status: JobStatus, pbs_id: str) -> Verdict | None:
    """Say what keeps a job from going on, if PBS says so; None if it goes on, or simply waits its turn."""
    match hindrance(status):
        case Hindrance.HELD:
            return Verdict(
                f"It is held: it has not failed, and will not begin until somebody releases it.{_comment(status)}",
                f"Release it with `qrls {shlex.quote(pbs_id)}`. If that is refused, the site holds it: ask the "
                "cluster's administrators.",
            )
        case Hindrance.SUSPENDED:
            return Verdict(
                "It is suspended: it has not failed, PBS has stopped it for a while, as for a more urgent job.",
                "It goes on by itself when PBS lets it; if that takes too long, ask the cluster's administrators.",
            )
        case Hindrance.MOVED:
            where = f", to {status.queue}" if status.queue and "@" in status.queue else ""
            return Verdict(
                f"PBS moved it to another server{where}. It has not failed: when it leaves its exit record in the "
                "working directory, its end is known.",
                "If that server does not see the working directory, or ends it, it has to be deleted by hand. "
                f"{_OTHER_QUEUE}",
            )
        case Hindrance.NEVER_RUNS:
            return Verdict(
                f"It can never run: no node has what it asks for.{_comment(status)}{_shortage(status)}",
                "Ask for less (the rule's threads, mem_mb, gpu, nodes or pbs_select), or choose another queue with the "
                "resource pbs_queue. `pbsnodes -a` shows what the nodes have.",
            )
        case Hindrance.QUEUE_STOPPED:
            return Verdict(
                f"Its queue {status.queue} is stopped: jobs wait there until the administrators start it.",
                "Choose another queue with the resource pbs_queue, or wait.",
            )
    return None


def _shortage(status: JobStatus) -> str:
    """Put PBS's ``(R: 1000 A: 64 T: 64)`` into words: requested, available, total."""
    match = re.search(r"resource: (\S+) \(R: (\S+) A: \S+ T: (\S+)\)", status.comment or "")
    return f" That is: asked for {match[1]}={match[2]}, there are {match[3]}." if match else ""


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
        return Verdict(f"Killed by PBS: it {amount}, more than {limit}.", raise_memory(status))
    if status.exit_status == KILLED_CPUT:
        amount = f"used {duration(used.cput)} of processor time" if used.cput is not None else "used too much"
        limit = f"its limit of {duration(asked.cput)}" if asked.cput else "its limit"
        return Verdict(
            f"Killed by PBS: it {amount}, more than {limit} (cput).",
            f'Raise the rule\'s cput, such as `resources: pbs_extra="-l cput={2 * (asked.cput or 1800)}"` (seconds); '
            "if the rule sets none, its queue does.",
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
            f"{_comment(status)}{used_in_words(status)}",
            "If nobody deleted it, ask the cluster's administrators.",
        )
    if code == DELETED or status.substate == TERMINATED:
        who, remedy = _deleted_by(status)
        return Verdict(f"It was deleted while it ran, {who}{used_in_words(status)}", remedy)
    if code is not None and code < 0:
        what = _NEVER_STARTED.get(code, "PBS ended it")
        return Verdict(f"It did not run to its end: {what} (PBS exit status {code}).{_comment(status)}", _ADMINISTRATOR)
    if code is not None and code > 256:
        name = signal_name(code - 256)
        return Verdict(
            f"It was ended through PBS by signal {code - 256}{f' ({name})' if name else ''}, as by qsig or qdel."
            f"{_comment(status)}{used_in_words(status)}",
            "If nobody sent it that signal, ask the cluster's administrators.",
        )
    return None


def _comment(status: JobStatus) -> str:
    return f" PBS says: {status.comment.rstrip('.')}." if status.comment else ""


def _deleted_by(status: JobStatus) -> tuple[str, str]:
    """Give by whom it was deleted, as the end of a sentence, and what to do.

    OpenPBS says who if the job had begun, and nothing of one that had not (seen on 23.06.06).
    """
    match = re.search(r" and terminated by (\S+?)\.?$", status.comment or "")
    if match:
        return f"by {match[1]} (qdel).", "If that was not you, ask the cluster's administrators why."
    return (
        f"by hand (qdel) or by the site.{_comment(status)}",
        "If nobody deleted it, ask the cluster's administrators.",
    )


def used_in_words(status: JobStatus | None) -> str:
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


def raise_memory(status: JobStatus | None) -> str:
    """Say how much memory to ask for, from what a job used and asked for."""
    used = status.used.mem if status else None
    asked = status.asked.mem if status else None
    needed = max(math.ceil((used or 0) * 1.2), (asked or 0) * 2)
    example = math.ceil(needed / 100) * 100
    if not example:
        return "Give the rule more memory, in MB: `resources: mem_mb=4000`, or twice what it has now."
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


def signal_name(number: int) -> str | None:
    """Give the name of a signal, such as SIGKILL; None for a number that is none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return None
