"""Submits jobs, asks how they are, deletes them.

What fails raises PbsError; for a status query that means that nothing was learned about any job, not that a job
failed.
"""

import os
import pwd
import shlex
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from . import commands
from .commands import Pbs, run, run_connected
from .dialect import Answer
from .errors import ErrorKind, PbsError
from .ids import JOB_ID, array_of, deletable, parse_job_id, parse_job_ids
from .outcome import JobStatus, State
from .submission import Submission, output_argument

Run = Callable[[Pbs, str, Sequence[str], Path | None], Answer]
STATUS_CHUNK = 1000
"""Jobs that one ``qstat`` asks for, over one connection."""
DELETE_CHUNK = 50
"""Jobs that one ``qdel`` deletes; older ones take a connection for each."""


def submit(pbs: Pbs, submission: Submission) -> str:
    """Submit a job or an array and give its id, such as "12.server" or "12[].server".

    Tried again only if the server could not be connected to, so that nothing can have been submitted. If the
    answer is lost (none in time, a broken connection), the job is looked for by its name, and its id is given
    if it is there. Raises PbsError: REFUSED with PBS's words, UNREACHABLE, ABSENT, OTHER. If it is
    ``uncertain``, the job may have been submitted all the same: look for its name before submitting it again.
    """
    try:
        answer = _qsub(pbs, submission)
    except PbsError as error:
        if not error.uncertain:
            raise
        return _look_for(pbs, submission.name, error)
    job_id = parse_job_id(answer.stdout)
    if answer.exit_code == 0 and job_id is not None:
        return job_id
    if answer.exit_code == 0:
        said = (answer.stdout + answer.stderr).strip()[:200]
        problem = f"`qsub` succeeded but gave no job id. It says: {said!r}."
        return _look_for(pbs, submission.name, PbsError(ErrorKind.OTHER, problem, uncertain=True))
    if pbs.dialect.is_unconnected(answer) or pbs.dialect.is_refusal(answer):
        raise answer.error()
    return _look_for(pbs, submission.name, answer.error(uncertain=True))


def _qsub(pbs: Pbs, submission: Submission) -> Answer:
    output, folder = output_argument(submission.output, submission.workdir)
    answer, _ = _ask(pbs, "qsub", pbs.dialect.submit_arguments(submission, output), run_connected, folder)
    return answer


def _ask(
    pbs: Pbs, command: str, arguments: list[str], run: Run, folder: Path | None = None
) -> tuple[Answer, list[str]]:
    """Run a command in the way that this PBS knows; give the arguments too that it was given at last."""
    while True:
        answer = run(pbs, command, arguments, folder)
        others = pbs.dialect.other_arguments(arguments, answer)
        if others is None:
            return answer, arguments
        arguments = others


def _look_for(pbs: Pbs, name: str, error: PbsError) -> str:
    """Find a job that may have been submitted, or raise the error that left it in doubt.

    Twice, unless PBS plainly refused it: the background process that ``qsub`` hands jobs to, which outlives a
    qsub that ran out of time, may be about to submit it.
    """
    words = shlex.join(["qselect", *pbs.dialect.name_arguments(name, None)])
    doubt = f"It may have been submitted all the same: see `{words}`."
    in_doubt = PbsError(error.kind, error.problem, f"{error.remedy} {doubt}".lstrip(), uncertain=True)
    for pause in [0.0] if error.kind is ErrorKind.REFUSED else [0.0, commands.PAUSE]:
        time.sleep(pause)
        try:
            found = find_by_name(pbs, name)
        except PbsError:
            raise in_doubt from None
        if len(found) == 1:
            return found[0]
        if found:
            problem = f"There are several jobs of the name {name}: {', '.join(found)}."
            raise PbsError(ErrorKind.OTHER, problem, "Delete all but one with `qdel`.", uncertain=True)
    if error.kind is ErrorKind.REFUSED:
        raise PbsError(error.kind, error.problem, error.remedy)
    raise in_doubt


def find_by_name(pbs: Pbs, name: str) -> list[str]:
    """Give the ids of the user's own jobs and arrays of exactly this name.

    Finished ones too, if the site keeps a history. Raises PbsError if PBS cannot be asked; that it finds none is
    taken from an answer without complaints only, as a job that is thought not to be there is submitted again.
    """
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # users may be kept in a directory that does not answer now
        user = None
    found = _select(pbs, name, user) or _find_array(pbs, name, user)
    other = None if found else pbs.dialect.other_name(name)
    return _select(pbs, other, user) if other is not None else found


def _find_array(pbs: Pbs, name: str, user: str | None) -> list[str]:
    """Find an array of which PBS gives the subjobs alone, by one that it still has, whichever that is."""
    if pbs.dialect.subjob_name(name, 0) is None:
        return []
    indices: dict[str, int] = {}
    for job_id in _select(pbs, None, user):
        array = array_of(job_id)
        if array is not None:
            indices.setdefault(array, int(job_id.partition("[")[2].partition("]")[0]))
    names = [pbs.dialect.subjob_name(name, index) for index in dict.fromkeys(indices.values())]
    subjobs = [job_id for one in names for job_id in _select(pbs, one, user)]
    return list(dict.fromkeys(array for job_id in subjobs if (array := array_of(job_id)) is not None))


def _select(pbs: Pbs, name: str | None, user: str | None) -> list[str]:
    answer, _ = _ask(pbs, "qselect", pbs.dialect.name_arguments(name, user), run_connected)
    ids = parse_job_ids(answer.stdout)
    if answer.exit_code != 0 or (not ids and answer.stderr.strip()):
        raise answer.error()
    if not ids and answer.stdout.strip():
        raise _unreadable(answer)
    return ids


def status(pbs: Pbs, ids: Collection[str]) -> dict[str, JobStatus]:
    """Ask for jobs, subjobs and arrays by their ids: one connection for 1000, one more if some are unknown.

    An id that PBS says it does not know gets State.UNKNOWN. An id that is missing from the answer is one about
    which nothing could be learned this time. Raises PbsError if nothing was learned about any: nothing follows
    from that for the jobs. Not tried again here; ask again at the next poll. What is FINISHED stays as it is,
    there is no need to ask for it again.
    """
    wanted = list(dict.fromkeys(ids))
    _check_ids(wanted)
    learned: dict[str, JobStatus] = {}
    for start in range(0, len(wanted), STATUS_CHUNK):
        try:
            learned |= _status(pbs, wanted[start : start + STATUS_CHUNK])
        except PbsError:
            if not learned:
                raise
            break
    return learned


def subjob_status(pbs: Pbs, array_id: str) -> dict[str, JobStatus]:
    """Ask for all subjobs of one array (``12[].server``), over one connection; give them by their ids.

    Subjobs that wait are among them. One that is missing is one about which nothing could be learned this time; one
    that PBS has forgotten, though not its array, has State.UNKNOWN. If PBS says that it does not know the array, there
    is the array's own id alone, with State.UNKNOWN. Raises PbsError, as ``status`` does, if nothing was learned; it is
    not tried again here.
    """
    _check_ids([array_id])
    answer, arguments = _ask(pbs, "qstat", pbs.dialect.status_arguments([array_id], subjobs=True), run)
    learned = pbs.dialect.read_subjobs(array_id, answer)
    if learned:
        return learned
    told = pbs.dialect.read_status([array_id], arguments, answer).jobs
    if array_id in told and told[array_id].state is State.UNKNOWN:
        return dict(told)
    raise _unreadable(answer) if answer.exit_code == 0 else answer.error()


def _check_ids(ids: list[str]) -> None:
    for job_id in ids:
        if not JOB_ID.fullmatch(job_id):
            raise PbsError(ErrorKind.OTHER, f"{job_id!r} is no PBS job id.")


def _status(pbs: Pbs, ids: list[str]) -> dict[str, JobStatus]:
    learned = _ask_status(pbs, ids)
    silent = [job_id for job_id in ids if job_id not in learned]
    if learned and silent:  # silence is no answer: asked about them alone, PBS has to say that they are unknown
        try:
            learned |= _ask_status(pbs, silent)
        except PbsError:
            return learned
    return learned


def _ask_status(pbs: Pbs, ids: list[str]) -> dict[str, JobStatus]:
    answer, arguments = _ask(pbs, "qstat", pbs.dialect.status_arguments(ids), run)
    told = pbs.dialect.read_status(ids, arguments, answer)
    if not told.jobs and 0 < len(told.strangers) < len(ids):  # such an id as the last one spoils the whole question
        return _ask_status(pbs, [job_id for job_id in ids if job_id not in told.strangers])
    if ids and not told.jobs:
        raise _unreadable(answer) if answer.exit_code == 0 else answer.error()
    return dict(told.jobs)


def _unreadable(answer: Answer) -> PbsError:
    said = (answer.stdout + answer.stderr).strip()[:200]
    return PbsError(ErrorKind.OTHER, f"`{answer.command}` gave an answer that cannot be read: {said!r}.")


def delete(pbs: Pbs, ids: Sequence[str]) -> None:
    """Delete jobs, arrays or subjobs; ids that are unknown or over are fine.

    They are not gone yet when this returns: a running job has some seconds to end (transcript 08e). Raises
    PbsError: UNREACHABLE at once, anything else after all have been tried.
    """
    wanted = deletable(ids)
    problem: PbsError | None = None
    for start in range(0, len(wanted), DELETE_CHUNK):
        answer = run_connected(pbs, "qdel", wanted[start : start + DELETE_CHUNK])
        lines = [line for line in answer.stderr.splitlines() if not pbs.dialect.is_nothing_to_delete(line)]
        if answer.exit_code == 0 or (answer.stderr.strip() and not "".join(lines).strip()):
            continue
        error = replace(answer, stderr="\n".join(lines)).error()
        if error.kind is ErrorKind.UNREACHABLE:
            raise error
        problem = problem or error
    if problem is not None:
        raise problem
