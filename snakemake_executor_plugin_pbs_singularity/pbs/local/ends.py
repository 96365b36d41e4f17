"""What an end means: exit status, substate and comment. Pure. Transcripts openpbs/02, 03m, 08, 09 and 10."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass

from .job import Job, Request, Run

TERMINATED, FINISHED, FAILED = 91, 92, 93
_LIMITS = {"walltime": -29, "mem": -27}
_NODE_FORGOT = -4  # JOB_EXEC_INITABT of job.h: the node came back and knew nothing of the job's end


@dataclass(frozen=True)
class End:
    """What a keeper recorded."""

    status: int
    """As wait(2) gave it."""
    reason: str
    """deleted, force, walltime or mem; "" if it ended by itself."""
    session: int
    ended: float
    staged_out: bool | None
    """Whether its output is where it was to be; None if none was to be anywhere."""
    used: dict[str, int]


def note_end(run: Run, end: End | None, now: float, request: Request) -> None:
    """Put an end into a run: all but its state. None: its keeper was killed and recorded nothing."""
    run.ended = run.changed = now if end is None else end.ended
    reason = "" if end is None else end.reason
    if end is None:
        run.exit_status = _NODE_FORGOT
    else:
        run.exit_status = _exit_status(end, run)
        if request.interactive is not None and reason not in _LIMITS:
            run.exit_status = 0  # OpenPBS notes no other for what runs on a terminal
        run.session, run.staged_out = end.session, end.staged_out
        run.used = {**end.used, "ncpus": request.resources.ncpus}
    if run.deleted_by and reason in ("deleted", "force"):
        run.substate = TERMINATED
        return
    run.substate = FAILED if run.exit_status else FINISHED
    words = "failed" if run.exit_status else "finished"
    if reason in _LIMITS:
        words = f"exceeded resource {reason}"
    run.comment = f"{run.comment.partition(' and terminated by')[0]} and {words}"


def _exit_status(end: End, run: Run) -> int:
    if end.reason in _LIMITS:
        return _LIMITS[end.reason]
    if end.reason and run.deleted_by:
        return 256 + (signal.SIGKILL if end.reason == "force" else signal.SIGTERM)
    code = os.waitstatus_to_exitcode(end.status)
    return 256 - code if code < 0 else code


def note_array_end(job: Job, now: float) -> None:
    """Put the end of an array into its run, when its last subjob is over: all but its state."""
    runs: Iterable[Run] = job.subjobs.values()
    size = 0 if job.request.indices is None else len(job.request.indices.all())
    job.run.never_begun = size - sum(run.started is not None for run in runs)
    words, job.run.substate = "finished", FINISHED
    if any(run.exit_status for run in runs):
        words, job.run.substate = "failed", FAILED
    if job.run.deleted_by or any(run.substate == TERMINATED for run in runs):
        words, job.run.substate = "terminated", TERMINATED
        job.run.exit_status = 1 if job.subjobs else None
    if job.run.comment:
        job.run.comment += f" and {words}"
    job.run.ended = now if job.subjobs else None


def satisfied(dependency: str, other: Job) -> bool:
    """Tell whether the end of a job is what ``afterok`` and the like ask for."""
    ended_well = other.run.substate == FINISHED
    return {"afterok": ended_well, "afternotok": not ended_well}.get(dependency, True)
