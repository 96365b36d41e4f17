"""What ``qstat -x`` of a TORQUE prints about jobs, read, and what its numbers mean. Pure.

Numbers in brackets are transcripts of a TORQUE 6.1.3; a name such as pbs_job.h is a file of its source. Its XML is
read with Python's own parser: the server is trusted and escapes what jobs bring with them (MXML.c), though not the
control characters that XML does not have, and before version 6 no ``&``. It writes no DTD, so one that has any is not
read.
"""

import re
import signal
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from xml.etree import ElementTree

from .answers import parse_integer, parse_usage
from .dialect import Answer, Told
from .ids import array_of, is_array_id, subjob_id
from .outcome import Cause, Hindrance, JobStatus, State, Usage
from .signals import signal_in_words

DELETED = 256 + signal.SIGTERM
"""``qdel`` while running, whatever the job makes of the signal (07); also what a dependency has deleted (12-deps)."""
DELETED_BY_FORCE = 256 + signal.SIGKILL
"""Deleted, and did not heed the first signal (12-hold-suspend)."""

_STATES = {
    "C": State.FINISHED,
    "E": State.EXITING,
    "H": State.HELD,
    "Q": State.QUEUED,
    "R": State.RUNNING,
    "S": State.SUSPENDED,
    "T": State.TRANSIT,
    "W": State.WAITING,
}
OVER_LIMIT = -10
"""More memory than asked for (07, 21); on a TORQUE 2.5 more of anything (JOB_EXEC_OVERLIMIT of pbs_job.h)."""
_LIMITS = {OVER_LIMIT: Cause.MEMORY, -11: Cause.WALLTIME, -12: Cause.CPUT}
"""JOB_EXEC_OVERLIMIT_* (pbs_job.h)."""
_FAULTS = {
    -1: "PBS could not start it",
    -2: "PBS could not start it",
    -3: "PBS could not start it, and could not try again",
    -4: "its node was restarted while it ran",
    -5: "its node was restarted while it ran",
    -6: "its node was restarted while it ran",
    -7: "PBS could not start it again where it was",
    -8: "its node could not execute its shell",
    -9: "its node could not make the files for its output",
    -13: "its node could not make its control groups",
    -14: "a prologue of the site failed",
}
_DOCUMENT = re.compile(r"<Data>.*?</Data>", re.DOTALL)
_BARE_AMPERSAND = re.compile("&(?!(?:amp|lt|gt|quot|apos);)")
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def read_status(ids: Collection[str], arguments: Sequence[str], answer: Answer) -> Told:
    """Give what one ``qstat -x -t`` said about the jobs it was asked for.

    Of an array it gives the subjobs, which say how the array is. It names each id that it does not know (11).
    """
    asked = set(ids)
    jobs = parse_jobs(answer.stdout)
    learned = {job_id: job for job_id, job in jobs.items() if job_id in asked}
    for array_id in filter(is_array_id, asked):
        subjobs = [job for job_id, job in jobs.items() if array_of(job_id) == array_id]
        if subjobs:
            learned[array_id] = _array(subjobs)
    unknown = asked.intersection(re.findall(r"Unknown Job Id\b.* (\S+)$", answer.stderr, re.MULTILINE))
    return Told(learned | {job_id: JobStatus(State.UNKNOWN) for job_id in unknown - learned.keys()})


def read_subjobs(array_id: str, answer: Answer) -> dict[str, JobStatus]:
    """Give what ``qstat -x -t`` said about the subjobs of an array.

    TORQUE forgets them one by one, some time after their ends, and makes them one by one, as there is room for 300 that
    wait. So of those before one that is there, those that are missing are gone; of those after, nothing is known.
    """
    jobs = {job_id: job for job_id, job in parse_jobs(answer.stdout).items() if array_of(job_id) == array_id}
    indices = [int(job_id.partition("[")[2].partition("]")[0]) for job_id in jobs]
    before = (subjob_id(array_id, index) for index in range(max(indices, default=0)))
    return {job_id: JobStatus(State.UNKNOWN) for job_id in before if job_id not in jobs} | jobs


def parse_jobs(text: str) -> dict[str, JobStatus]:
    """Read what ``qstat -x`` printed: a document for each id that it was asked for.

    One that is cut off or otherwise no XML says nothing; of a job that comes twice, the later is newer.
    """
    jobs = {}
    for element in _job_elements(text):
        job_id = element.findtext("Job_Id", "")
        status = _parse_job(_attributes(element))
        if job_id and status is not None:
            jobs[job_id] = replace(status, is_array=is_array_id(job_id))
    return jobs


def _job_elements(text: str) -> Iterator[ElementTree.Element]:
    if "<!" in text:  # no DTD, so no entities of its own
        return
    for document in _DOCUMENT.findall(_BARE_AMPERSAND.sub("&amp;", _NOT_IN_XML.sub("\ufffd", text))):
        try:
            root = ElementTree.fromstring(document)  # noqa: S314
        except ElementTree.ParseError:
            continue
        yield from root.iterfind("Job")


def _attributes(element: ElementTree.Element) -> dict[str, str]:
    """Give the attributes of a job as ``qstat -f`` names them: ``resources_used.mem``."""
    attributes = {}
    for child in element:
        attributes[child.tag] = (child.text or "").strip()
        for part in child:
            attributes[f"{child.tag}.{part.tag}"] = (part.text or "").strip()
    return attributes


def _parse_job(attributes: Mapping[str, str]) -> JobStatus | None:
    state = _STATES.get(attributes.get("job_state", ""))
    if state is None:
        return None
    exit_status = None
    if "exit_status" in attributes:
        exit_status = parse_integer(attributes["exit_status"])
        if exit_status is None:
            return None
    run_count = parse_integer(attributes.get("start_count", "")) or 0
    used, asked = (parse_usage(attributes, prefix) for prefix in ("resources_used", "Resource_List"))
    cause, reason = (None, "") if state is not State.FINISHED else _cause(exit_status, run_count)
    if exit_status == OVER_LIMIT and cause is Cause.MEMORY:
        cause = _limit_exceeded(used, asked)
    comment = _comment(attributes)
    stopped = state is State.QUEUED and comment is not None and "Queue not started" in comment
    return JobStatus(
        state=_held(attributes) if state is State.HELD else state,
        exit_status=exit_status,
        cause=cause,
        reason=reason,
        waits_for=Hindrance.QUEUE_STOPPED if stopped else None,
        comment=comment,
        queue=attributes.get("queue") or None,
        exec_host=attributes.get("exec_host") or None,
        used=used,
        asked=asked,
        run_count=run_count,
    )


def _held(attributes: Mapping[str, str]) -> State:
    """Tell who holds a job: somebody (``u``, ``o``, ``s``), its array's limit (``l``, ``a``), or another job."""
    holders = attributes.get("Hold_Types", "")
    if holders and set(holders) <= set("al"):
        return State.QUEUED
    return State.WAITING if holders == "s" and attributes.get("depend") else State.HELD


def _cause(exit_status: int | None, run_count: int) -> tuple[Cause | None, str]:
    """Say why PBS ended a job, with a reason in words; None if it ended by itself."""
    if exit_status is None:
        return (Cause.DELETED if run_count else Cause.DELETED_WAITING), ""
    if exit_status in _LIMITS:
        return _LIMITS[exit_status], ""
    if exit_status < 0:
        return Cause.FAULT, _FAULTS.get(exit_status, "PBS ended it")
    if exit_status == DELETED:
        return (Cause.DELETED if run_count else Cause.DELETED_WAITING), ""
    if exit_status == DELETED_BY_FORCE:
        return Cause.KILLED, ""
    return (Cause.SIGNAL, signal_in_words(exit_status - 256)) if exit_status > 256 else (None, "")


def _limit_exceeded(used: Usage, asked: Usage) -> Cause:
    """Tell which of its limits a job has exceeded."""
    if used.walltime is not None and asked.walltime is not None and used.walltime > asked.walltime:
        return Cause.WALLTIME
    if used.cput is not None and asked.cput is not None and used.cput > asked.cput:
        return Cause.CPUT
    return Cause.MEMORY


def _comment(attributes: Mapping[str, str]) -> str | None:
    """Give what PBS says that is worth knowing: its hint, or its comment unless that only says when it began."""
    comment = attributes.get("comment", "")
    told = attributes.get("sched_hint") or ("" if comment.startswith("Job started on") else comment)
    return " ".join(told.split()) or None


def _array(subjobs: Iterable[JobStatus]) -> JobStatus:
    """Say how an array is, from those of its subjobs that PBS has; those that it has not made yet are not counted."""
    known = list(subjobs)
    left = [job for job in known if job.state is not State.FINISHED]
    states = {job.state for job in left}
    if not left:
        state = State.FINISHED
    elif len(states) == 1:
        (state,) = states
    elif states <= {State.QUEUED, State.HELD, State.WAITING, State.TRANSIT}:
        state = State.QUEUED
    else:
        state = State.RUNNING
    if len(left) < len(known) and state in (State.QUEUED, State.EXITING):
        state = State.RUNNING
    first = (left or known)[0]
    same = all(job.waits_for is first.waits_for for job in left)
    return JobStatus(
        state=state,
        waits_for=first.waits_for if same else None,
        comment=first.comment if left else None,
        queue=first.queue,
        asked=first.asked,
        is_array=True,
        subjobs_left=len(left) or None,
    )
