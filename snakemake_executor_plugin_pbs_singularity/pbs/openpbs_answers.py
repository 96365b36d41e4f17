r"""What ``qstat`` of an OpenPBS or PBS Professional prints about jobs, read, and what its numbers mean. Pure.

Numbers in brackets are transcripts of an OpenPBS 23.06.06; a name such as job.h is a file of its source.
"""

import re
import signal
from collections.abc import Collection, Mapping, Sequence

from .answers import parse_blocks, parse_integer, parse_usage
from .dialect import Answer, Told
from .ids import array_of, is_array_id
from .outcome import Cause, Hindrance, JobStatus, State
from .signals import signal_in_words

UNKNOWN_JOB_EXIT = 153

KILLED_NCPUS_BURST, KILLED_NCPUS, KILLED_VMEM, KILLED_MEM, KILLED_CPUT, KILLED_WALLTIME = range(-24, -30, -1)
"""``Exit_status`` of jobs that OpenPBS ended for using more than they asked for (02, 09, 10)."""
DELETED = 256 + signal.SIGTERM
"""``qdel`` while running, whatever the job makes of the signal (08c)."""
DELETED_BY_FORCE = 256 + signal.SIGKILL
"""``qdel -W force``, or a job that did not heed the first signal (08f2)."""
MOVED_AND_OVER = 92
"""Substate of a job that was moved to another server and is over there (job.h)."""
TERMINATED = 91
"""Substate of what was deleted. Its exit status is then not always 271: that of a subjob may be its shell's, 143; that
of a job deleted in its first seconds is 0 (seen on 23.06.06)."""
FAILED = 93
"""Substate of what did not end well. Without an exit status: its node was lost and it must not run twice (``qsub
-r n``; node_manager.c, svr_setjob_histinfo)."""
WAITS_FOR_ANOTHER = 22
"""Substate of a job that is held as it depends on another (``qsub -W depend=``; job.h)."""

_FORGOTTEN = {"Subjob finished", "Subjob failed", "Subjob terminated"}
"""Comments of subjobs that PBS has no job of (any more): what else it shows of them are attributes of their array, the
exit status too (status_subjob in stat_job.c). Where there is no history, and on a PBS Pro 14, those are all that are
over; on a 23.06.06 with a history, those that were deleted before they ran (08n)."""

_STATES = {
    "B": State.RUNNING,
    "E": State.EXITING,
    "F": State.FINISHED,
    "H": State.HELD,
    "M": State.MOVED,
    "Q": State.QUEUED,
    "R": State.RUNNING,
    "S": State.SUSPENDED,
    "T": State.TRANSIT,
    "U": State.SUSPENDED,
    "W": State.WAITING,
    "X": State.FINISHED,
}
_LIMITS = {
    KILLED_WALLTIME: Cause.WALLTIME,
    KILLED_CPUT: Cause.CPUT,
    KILLED_MEM: Cause.MEMORY,
    KILLED_VMEM: Cause.VIRTUAL_MEMORY,
    KILLED_NCPUS: Cause.CORES,
    KILLED_NCPUS_BURST: Cause.CORES,
}
_FAULTS = {
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


def read_status(ids: Collection[str], arguments: Sequence[str], answer: Answer) -> Told:
    """Give what one ``qstat`` said about the jobs it was asked for.

    With ``-E`` it is silent about unknown ids among known ones. If it knows none of them, it names one of them
    and means all (req_stat.c); without ``-E`` it names each (04d, 04e). Ids whose server it cannot find are named
    too (04h).
    """
    asked = set(ids)
    learned = {job_id: status for job_id, status in parse_jobs(answer.stdout).items() if job_id in asked}
    unknown = set(re.findall(r"Unknown Job Id (\S+)", answer.stderr))
    knows_none = answer.exit_code == UNKNOWN_JOB_EXIT and "Job Id: " not in answer.stdout
    if "-E" in arguments and knows_none and unknown & asked:
        unknown = asked
    strangers = asked.intersection(re.findall(r"illegally formed job identifier: (\S+)", answer.stderr))
    gone = {job_id: JobStatus(State.UNKNOWN) for job_id in unknown & asked - learned.keys()}
    return Told(learned | gone, frozenset(strangers))


def read_subjobs(array_id: str, answer: Answer) -> dict[str, JobStatus]:
    """Give what one ``qstat -t`` said about the subjobs of an array: it lists all, those that it has forgotten too."""
    return {job_id: job for job_id, job in parse_jobs(answer.stdout).items() if array_of(job_id) == array_id}


def parse_jobs(text: str) -> dict[str, JobStatus]:
    """Read ``qstat -f``; jobs that cannot be made sense of, or come twice, are left out."""
    jobs: dict[str, JobStatus | None] = {}
    for job_id, attributes in parse_blocks(text):
        jobs[job_id] = None if job_id in jobs else _parse_job(job_id, attributes)
    return {job_id: status for job_id, status in jobs.items() if status is not None}


def _parse_job(job_id: str, attributes: Mapping[str, str]) -> JobStatus | None:
    state = _STATES.get(attributes.get("job_state", ""))
    if state is None:
        return None
    is_array = is_array_id(job_id)
    exit_status = None
    if "Exit_status" in attributes and not is_array:
        exit_status = parse_integer(attributes["Exit_status"])
        if exit_status is None:
            return None
    comment = attributes.get("comment") or None
    run_count = parse_integer(attributes.get("run_count", "")) or 0
    substate = parse_integer(attributes.get("substate", ""))
    if state is State.MOVED and substate == MOVED_AND_OVER:
        state = State.OVER_ELSEWHERE
    elif state is State.HELD and substate == WAITS_FOR_ANOTHER:
        state = State.WAITING
    cause, reason = None, ""
    if state is State.FINISHED and array_of(job_id) is not None and _is_forgotten(exit_status, substate, comment):
        exit_status, cause = None, _end_of_forgotten(substate, comment)
        if cause is None:
            return JobStatus(State.UNKNOWN)
    elif state is State.FINISHED and not is_array:
        cause, reason = _cause(exit_status, substate)
    waits_for = _waits_for(comment) if state is State.QUEUED else None
    return JobStatus(
        state=state,
        exit_status=exit_status,
        cause=cause,
        reason=_shortage(comment) if waits_for is Hindrance.NEVER_RUNS else reason,
        deleted_by=_deleted_by(comment) if cause in (Cause.DELETED, Cause.DELETED_WAITING) else None,
        waits_for=waits_for,
        comment=comment,
        queue=attributes.get("queue") or None,
        exec_host=attributes.get("exec_host") or None,
        used=parse_usage(attributes, "resources_used"),
        asked=parse_usage(attributes, "Resource_List"),
        run_count=run_count,
        is_array=is_array,
        subjobs_left=_subjobs_left(attributes) if is_array and state is not State.FINISHED else None,
    )


def _is_forgotten(exit_status: int | None, substate: int | None, comment: str | None) -> bool:
    """Tell whether PBS has a subjob that is over in its array's table only, which keeps no exit status."""
    return comment in _FORGOTTEN or (exit_status is None and substate not in (TERMINATED, FAILED))


def _end_of_forgotten(substate: int | None, comment: str | None) -> Cause | None:
    """Say why PBS ended a subjob that it has forgotten; None if nothing is known of its end."""
    if substate == TERMINATED:  # the array's: it was deleted with what it had not run
        return Cause.DELETED_WAITING
    return Cause.DELETED if comment == "Subjob terminated" else None


def _cause(exit_status: int | None, substate: int | None) -> tuple[Cause | None, str]:
    """Say why PBS ended a job, with a reason in words; None if it ended by itself."""
    if exit_status is None:
        return (Cause.NODE_LOST if substate == FAILED else Cause.DELETED_WAITING), ""
    if exit_status in _LIMITS:
        return _LIMITS[exit_status], ""
    if exit_status < 0:
        return Cause.FAULT, _FAULTS.get(exit_status, "PBS ended it")
    if exit_status == DELETED_BY_FORCE:
        return Cause.KILLED, ""
    if exit_status == DELETED or substate == TERMINATED:
        return Cause.DELETED, ""
    return (Cause.SIGNAL, signal_in_words(exit_status - 256)) if exit_status > 256 else (None, "")


def _waits_for(comment: str | None) -> Hindrance | None:
    if comment and "Can Never Run" in comment:
        return Hindrance.NEVER_RUNS
    return Hindrance.QUEUE_STOPPED if comment and "Queue not started" in comment else None


def _shortage(comment: str | None) -> str:
    """Put PBS's ``(R: 1000 A: 64 T: 64)`` into words: requested, available, total."""
    match = re.search(r"resource: (\S+) \(R: (\S+) A: \S+ T: (\S+)\)", comment or "")
    return f"asked for {match[1]}={match[2]}, there are {match[3]}" if match else ""


def _deleted_by(comment: str | None) -> str | None:
    """Give who deleted a job: PBS says it if the job had begun, and nothing of one that had not (23.06.06)."""
    match = re.search(r" and terminated by (\S+?)\.?$", comment or "")
    return match[1] if match else None


def _subjobs_left(attributes: Mapping[str, str]) -> int | None:
    """Count the subjobs that are not over, in ``Queued:997 Running:0 Exiting:0 Expired:3``."""
    counts = re.findall(r"\b([A-Z][a-z]+):(\d{1,9})\b", attributes.get("array_state_count", ""), re.ASCII)
    return sum(int(number) for state, number in counts if state != "Expired") if counts else None
