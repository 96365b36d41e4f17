"""Talks to PBS: submits jobs, asks how they are, deletes them. All effects of this package are here.

Every command runs with a time limit and an environment of its own. What fails raises PbsError; for a status
query that means that nothing was learned about any job, not that a job failed.
"""

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tenacity import Retrying, retry_if_result, stop_after_attempt, wait_exponential

from .errors import ErrorKind, PbsError
from .openpbs import (
    JOB_ID,
    QUEUE_NAME,
    REFUSALS,
    UNKNOWN_QUEUE_EXIT,
    Submission,
    array_of,
    command_environment,
    deletable,
    describe_failure,
    is_history_off,
    is_nothing_to_delete,
    is_unconnected,
    is_usage_complaint,
    name_arguments,
    output_argument,
    parse_answer,
    parse_blocks,
    parse_job_id,
    parse_job_ids,
    parse_jobs,
    parse_strangers,
    status_arguments,
    submit_arguments,
)
from .outcome import JobStatus, State

TIME_LIMIT = 90.0
"""Seconds that one command may take. A host whose reserved ports are used up makes its PBS commands wait 62
seconds, after which they work (transcripts 17a, 17b): less than that would turn waiting into failing."""
STATUS_CHUNK = 1000
"""Jobs that one ``qstat`` asks for, over one connection."""
DELETE_CHUNK = 50
"""Jobs that one ``qdel`` deletes; older ones take a connection for each."""
_COMMANDS = ("qsub", "qstat", "qdel", "qselect")
_PAUSE = 2.0
"""Seconds before what could not connect is tried again, and before a second look for a lost job."""


@dataclass(frozen=True)
class Pbs:
    """A PBS that can be talked to, as ``find_pbs`` found it."""

    commands: Path
    """The folder of its ``qsub``."""
    environment: Mapping[str, str]
    """What its commands run with."""
    version: str
    """As in "23.06.06"; empty if it was not asked."""
    time_limit: float = TIME_LIMIT
    """Seconds that one command may take."""


@dataclass(frozen=True)
class _Answer:
    command: str
    exit_code: int
    stdout: str
    stderr: str

    def error(self, *, uncertain: bool = False) -> PbsError:
        return PbsError(*describe_failure(self.command, self.exit_code, self.stderr), uncertain=uncertain)


def find_pbs(environment: Mapping[str, str], *, check: bool = True) -> Pbs:
    """Find the PBS commands on the PATH of an environment and, with ``check``, ask which PBS it is.

    No server is asked. Raises PbsError: ABSENT if a command is missing, OTHER if it is TORQUE or nothing known.
    """
    path = environment.get("PATH", os.defpath)
    found = {name: shutil.which(name, path=path) for name in _COMMANDS}
    missing = [name for name, where in found.items() if where is None]
    qsub = found["qsub"]
    if qsub is None or missing:
        raise PbsError(
            ErrorKind.ABSENT,
            f"{' and '.join(missing)} cannot be found on PATH.",
            "Load PBS first, as your site says (such as `module load pbs` or `. /etc/profile.d/pbs.sh`), start on"
            " a node that jobs can be submitted from, or try the PBS of one machine: --pbs-singularity-pbs local.",
        )
    pbs = Pbs(Path(qsub).absolute().parent, command_environment(environment), version="")
    if not check:
        return pbs
    answer = _run(pbs, "qstat", ["--version"])
    said = (answer.stdout + answer.stderr).strip()
    version = said.partition("pbs_version = ")[2].split("\n")[0].strip()
    if not version:
        torque = said.startswith("Version: ") or "torque" in said.lower()
        raise PbsError(
            ErrorKind.OTHER,
            f"{pbs.commands / 'qstat'} is {'TORQUE' if torque else 'not an OpenPBS or PBS Pro'}"
            f" (`qstat --version` answers: {said.splitlines()[0] if said else 'nothing'})."
            + (" TORQUE is not supported yet." if torque else ""),
            "Put the commands of an OpenPBS or PBS Pro first on PATH, or use --pbs-singularity-pbs local.",
        )
    return Pbs(pbs.commands, pbs.environment, version)


def submit(pbs: Pbs, submission: Submission) -> str:
    """Submit a job or an array and give its id, such as "12.server" or "12[].server".

    Tried again only if the server could not be connected to, so that nothing can have been submitted. If the
    answer is lost (none in time, a broken connection), the job is looked for by its name, and its id is given
    if it is there. Raises PbsError: REFUSED with PBS's words, UNREACHABLE, ABSENT, OTHER. If it is
    ``uncertain``, the job may have been submitted all the same: look for its name before submitting it again.
    """
    output, folder = output_argument(submission.output, submission.workdir)
    try:
        answer = _run_connected(pbs, "qsub", submit_arguments(submission, output), folder)
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
    if is_unconnected(answer.stdout, answer.stderr) or answer.exit_code in REFUSALS:
        raise answer.error()
    return _look_for(pbs, submission.name, answer.error(uncertain=True))


def _look_for(pbs: Pbs, name: str, error: PbsError) -> str:
    """Find a job that may have been submitted, or raise the error that left it in doubt.

    Twice, unless PBS plainly refused it: the background process that ``qsub`` hands jobs to, which outlives a
    qsub that ran out of time, may be about to submit it.
    """
    doubt = f"It may have been submitted all the same: see `qselect -x -N {name}`."
    in_doubt = PbsError(error.kind, error.problem, f"{error.remedy} {doubt}".lstrip(), uncertain=True)
    for pause in [0.0] if error.kind is ErrorKind.REFUSED else [0.0, _PAUSE]:
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
    answer = _run_connected(pbs, "qselect", name_arguments(name, user))
    if is_history_off(answer.stderr):
        answer = _run_connected(pbs, "qselect", name_arguments(name, user, history=False))
    ids = parse_job_ids(answer.stdout)
    if answer.exit_code != 0 or (not ids and answer.stderr.strip()):
        raise answer.error()
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

    Subjobs that wait are among them. One that is missing is one about which nothing could be learned this time.
    If PBS says that it does not know the array, there is the array's own id alone, with State.UNKNOWN. Raises
    PbsError, as ``status`` does, if nothing was learned; it is not tried again here.
    """
    _check_ids([array_id])
    answer, express = _qstat(pbs, [array_id], subjobs=True)
    jobs = parse_jobs(answer.stdout)
    learned = {job_id: status for job_id, status in jobs.items() if array_of(job_id) == array_id}
    if learned:
        return learned
    told = parse_answer([array_id], answer.exit_code, answer.stdout, answer.stderr, express=express)
    if array_id in told and told[array_id].state is State.UNKNOWN:
        return told
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
    answer, express = _qstat(pbs, ids)
    learned = parse_answer(ids, answer.exit_code, answer.stdout, answer.stderr, express=express)
    strangers = parse_strangers(answer.stderr).intersection(ids)
    if not learned and 0 < len(strangers) < len(ids):  # such an id as the last one spoils the whole question
        return _ask_status(pbs, [job_id for job_id in ids if job_id not in strangers])
    if ids and not learned:
        raise _unreadable(answer) if answer.exit_code == 0 else answer.error()
    return learned


def _qstat(pbs: Pbs, ids: list[str], *, subjobs: bool = False) -> tuple[_Answer, bool]:
    """Ask for jobs in the way that this PBS knows; tell whether with ``-E``."""
    express = True
    answer = _run(pbs, "qstat", status_arguments(ids, subjobs=subjobs))
    if is_usage_complaint(answer.exit_code, answer.stderr):
        express = False
        answer = _run(pbs, "qstat", status_arguments(ids, subjobs=subjobs, express=express))
    if is_history_off(answer.stderr):
        answer = _run(pbs, "qstat", status_arguments(ids, subjobs=subjobs, history=False, express=express))
    return answer, express


def _unreadable(answer: _Answer) -> PbsError:
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
        answer = _run_connected(pbs, "qdel", wanted[start : start + DELETE_CHUNK])
        lines = [line for line in answer.stderr.splitlines() if not is_nothing_to_delete(line)]
        if answer.exit_code == 0 or (answer.stderr.strip() and not "".join(lines).strip()):
            continue
        error = PbsError(*describe_failure("qdel", answer.exit_code, "\n".join(lines)))
        if error.kind is ErrorKind.UNREACHABLE:
            raise error
        problem = problem or error
    if problem is not None:
        raise problem


def check_queue(pbs: Pbs, queue: str) -> None:
    """Check that a queue exists and takes jobs. One that is stopped passes: jobs wait there.

    Raises PbsError: REFUSED with the names of the queues there are, UNREACHABLE, OTHER.
    """
    if not QUEUE_NAME.fullmatch(queue):
        raise PbsError(ErrorKind.REFUSED, f"{queue!r} cannot be the name of a queue.", _choose(pbs))
    answer = _run_connected(pbs, "qstat", ["-Q", "-f", queue])
    if answer.exit_code == UNKNOWN_QUEUE_EXIT:
        raise PbsError(ErrorKind.REFUSED, f"There is no queue {queue!r}.", _choose(pbs))
    if answer.exit_code != 0:
        raise answer.error()
    for _, attributes in parse_blocks(answer.stdout, "Queue"):
        if attributes.get("enabled") == "False":
            problem = f"The queue {queue!r} takes no jobs now (it is not enabled)."
            raise PbsError(ErrorKind.REFUSED, problem, _choose(pbs))


def max_array_size(pbs: Pbs, queue: str | None) -> int | None:
    """Give how many subjobs an array may have in a queue, or in the default queue: what it or the server says.

    None if neither says anything. Raises PbsError: REFUSED for what is no queue's name, UNREACHABLE, or OTHER as
    for a queue that is not there.
    """
    if queue and not QUEUE_NAME.fullmatch(queue):
        raise PbsError(ErrorKind.REFUSED, f"{queue!r} cannot be the name of a queue.")
    other_server = queue.partition("@")[2] if queue else ""
    server = _ask_attributes(pbs, "Server", "-B", other_server)
    asked = [server]
    if queue := queue or server.get("default_queue"):
        asked.append(_ask_attributes(pbs, "Queue", "-Q", queue))
    sizes = [attributes.get("max_array_size", "") for attributes in asked]
    return min((int(size) for size in sizes if size.isdecimal()), default=None)


def _ask_attributes(pbs: Pbs, kind: str, option: str, name: str) -> dict[str, str]:
    answer = _run_connected(pbs, "qstat", [option, "-f", *([name] if name else [])])
    if answer.exit_code != 0:
        raise answer.error()
    return next((attributes for _, attributes in parse_blocks(answer.stdout, kind)), {})


def _choose(pbs: Pbs) -> str:
    answer = _run_connected(pbs, "qstat", ["-Q", "-f"])
    names = [
        name
        for name, attributes in parse_blocks(answer.stdout, "Queue")
        if attributes.get("enabled") == "True" and attributes.get("from_route_only") != "True"
    ]
    return f"Choose one of: {', '.join(sorted(names))}." if names else "No queue of this server takes jobs now."


def _run_connected(pbs: Pbs, command: str, arguments: Sequence[str], folder: Path | None = None) -> _Answer:
    """Run a command; thrice if it cannot connect, in which case it did nothing."""
    answer: _Answer = Retrying(
        stop=stop_after_attempt(3),
        wait=wait_exponential(_PAUSE),
        retry=retry_if_result(lambda answer: is_unconnected(answer.stdout, answer.stderr)),
        retry_error_callback=lambda state: state.outcome and state.outcome.result(),
    )(_run, pbs, command, arguments, folder)
    return answer


def _run(pbs: Pbs, command: str, arguments: Sequence[str], folder: Path | None = None) -> _Answer:
    """Run a command. Raises PbsError: ABSENT if it cannot be executed, UNREACHABLE and uncertain if it hangs.

    It gets a session of its own: Ctrl-C must not end a qsub between submitting and telling the id.
    """
    environment = dict(pbs.environment)
    if folder is not None:
        environment["PWD"] = str(folder)
    where = shutil.which(command, path=f"{pbs.commands}{os.pathsep}{environment.get('PATH', os.defpath)}")
    try:
        process = subprocess.Popen(
            [where or str(pbs.commands / command), *arguments],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise PbsError(
            ErrorKind.ABSENT,
            f"`{command}` cannot be executed in {folder or Path.cwd()}: {error.strerror} ({error.filename}).",
            "Load PBS again, as your site says, and see that the folder is there.",
        ) from error
    try:
        stdout, stderr = process.communicate(timeout=pbs.time_limit)
    except subprocess.TimeoutExpired as error:
        _end(process)
        raise PbsError(
            ErrorKind.UNREACHABLE,
            f"`{command}` gave no answer in {pbs.time_limit:g} seconds.",
            "The PBS server hangs or is very busy; try `qstat -B` by hand, and again later.",
            uncertain=True,
        ) from error
    # Not as text: a carriage return in a value would become a newline, and so perhaps another attribute
    out, err = (output.decode(errors="replace") for output in (stdout, stderr))
    return _Answer(command, process.returncode, out, err)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command and what it started; one that hangs in the file system is left behind."""
    os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(5)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
