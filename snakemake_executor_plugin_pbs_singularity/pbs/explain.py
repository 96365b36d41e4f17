"""Why PBS ended a job, and what keeps one from going on, in words for a person who has never seen PBS. Pure."""

import math
import shlex
from itertools import pairwise

from .outcome import Cause, Hindrance, JobStatus, State, Verdict, hindrance

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
    if status.state in (State.MOVED, State.OVER_ELSEWHERE):
        return Verdict("PBS moved this job to another server, so how it ends is not known here.", _OTHER_QUEUE)
    if not status.ended_by_pbs:
        return None
    return _explain_limit(status) or _explain_end(status)


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
            shortage = f" That is: {status.reason}." if status.reason else ""
            return Verdict(
                f"It can never run: no node has what it asks for.{_comment(status)}{shortage}",
                "Ask for less (the rule's threads, mem_mb, gpu, nodes or pbs_select), or choose another queue with the "
                "resource pbs_queue. `pbsnodes -a` shows what the nodes have.",
            )
        case Hindrance.QUEUE_STOPPED:
            return Verdict(
                f"Its queue {status.queue} is stopped: jobs wait there until the administrators start it.",
                "Choose another queue with the resource pbs_queue, or wait.",
            )
    return None


def _explain_limit(status: JobStatus) -> Verdict | None:
    used, asked = status.used, status.asked
    match status.cause:
        case Cause.WALLTIME:
            ran = f"ran {duration(used.walltime)}" if _is_above(used.walltime, asked.walltime) else "ran too long"
            limit = f"its walltime of {duration(asked.walltime)}" if asked.walltime else "its walltime"
            return Verdict(f"Killed by PBS: it {ran}, more than {limit}.", _raise_runtime(asked.walltime))
        case Cause.MEMORY:
            amount = f"{used.mem} MiB of" if _is_above(used.mem, asked.mem) else "too much"
            limit = f"the {asked.mem} MiB it asked for" if asked.mem is not None else "it may"
            return Verdict(f"Killed by PBS: it used {amount} memory, more than {limit}.", raise_memory(status))
        case Cause.VIRTUAL_MEMORY:
            return Verdict(
                "Killed by PBS: it used more virtual memory (vmem) than it may.",
                "Ask for more with the rule's pbs_select, such as `resources: pbs_select='1:ncpus=4:vmem=16gb'`; "
                "if it asks for none, its queue sets it, or the site.",
            )
        case Cause.CPUT:
            amount = f"{duration(used.cput)} of" if _is_above(used.cput, asked.cput) else "too much"
            limit = f"its limit of {duration(asked.cput)}" if asked.cput else "its limit"
            return Verdict(
                f"Killed by PBS: it used {amount} processor time, more than {limit} (cput).",
                f'Raise the rule\'s cput, such as `resources: pbs_extra="-l cput={2 * (asked.cput or 1800)}"` '
                "(seconds); if the rule sets none, its queue does.",
            )
        case Cause.CORES:
            limit = f"the {asked.ncpus} it asked for" if asked.ncpus is not None else "it asked for"
            return Verdict(
                f"Killed by PBS: it kept more processor cores busy than {limit}.",
                "Raise the rule's threads, or make the program use {threads} of them and no more.",
            )
    return None


def _is_above(used: int | None, asked: int | None) -> bool:
    """Tell whether PBS, which looks from time to time, saw more used than was asked for."""
    return used is not None and used > (asked or 0)


def _explain_end(status: JobStatus) -> Verdict | None:
    match status.cause:
        case Cause.NODE_LOST:
            return Verdict(
                "The node that it ran on was lost, and PBS did not run it again."
                f"{_comment(status)}{used_in_words(status)}",
                _ADMINISTRATOR,
            )
        case Cause.DELETED_WAITING:
            who, remedy = _deleted_by(status)
            return Verdict(f"It was deleted before it ran, {who}", remedy)
        case Cause.KILLED:
            return Verdict(
                "It was killed by PBS, as by `qdel -W force`, or because it did not end when asked to."
                f"{_comment(status)}{used_in_words(status)}",
                "If nobody deleted it, ask the cluster's administrators.",
            )
        case Cause.DELETED:
            who, remedy = _deleted_by(status)
            return Verdict(f"It was deleted while it ran, {who}{used_in_words(status)}", remedy)
        case Cause.FAULT:
            return Verdict(
                f"It did not run to its end: {status.reason} (PBS exit status {status.exit_status}).{_comment(status)}",
                _ADMINISTRATOR,
            )
        case Cause.SIGNAL:
            return Verdict(
                f"It was ended through PBS by {status.reason}, as by qsig or qdel."
                f"{_comment(status)}{used_in_words(status)}",
                "If nobody sent it that signal, ask the cluster's administrators.",
            )
    return None


def _comment(status: JobStatus) -> str:
    return f" PBS says: {status.comment.rstrip('.')}." if status.comment else ""


def _deleted_by(status: JobStatus) -> tuple[str, str]:
    """Give by whom it was deleted, as the end of a sentence, and what to do."""
    if status.deleted_by:
        return f"by {status.deleted_by} (qdel).", "If that was not you, ask the cluster's administrators why."
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
