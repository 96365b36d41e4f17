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
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tenacity import Retrying, retry_if_result, stop_after_attempt, wait_exponential

from .errors import ErrorKind, PbsError
from .openpbs import (
    JOB_ID,
    QUEUE_NAME,
    REFUSALS,
    Submission,
    command_environment,
    describe_failure,
    is_finished_complaint,
    is_history_off,
    is_unconnected,
    is_usage_complaint,
    name_arguments,
    parse_blocks,
    parse_job_id,
    parse_job_ids,
    parse_jobs,
    status_arguments,
    submit_arguments,
    unknown_ids,
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

    No server is asked. Raises PbsError: ABSENT if a command is missing, OTHER if it is TORQUE or nothing that is
    known.
    """
    path = environment.get("PATH", os.defpath)
    found = {name: shutil.which(name, path=path) for name in _COMMANDS}
    missing = [name for name, where in found.items() if where is None]
    qsub = found["qsub"]
    if qsub is None or missing:
        raise PbsError(
            ErrorKind.ABSENT,
            f"{' and '.join(missing)} cannot be found on PATH.",
            "Load PBS first, as your site says (such as `module load pbs` or `. /etc/profile.d/pbs.sh`), start on a"
            " node from which jobs can be submitted, or try the PBS of one machine: --pbs-singularity-pbs local.",
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
    answer is lost (no answer in time, a broken connection), the job is looked for by its name, and its id is given
    if it is there. Raises PbsError: REFUSED with PBS's words, UNREACHABLE, OTHER; ``uncertain`` if the job may
    have been submitted all the same, in which case look for its name before submitting it again.
    """
    try:
        answer = _run_connected(pbs, "qsub", submit_arguments(submission), cwd=submission.workdir)
    except PbsError as error:
        if not error.uncertain:
            raise
        return _look_for(pbs, submission.name, error)
    job_id = parse_job_id(answer.stdout)
    if answer.exit_code == 0 and job_id is not None:
        return job_id
    if answer.exit_code == 0:
        said = answer.stdout.strip()[:200]
        return _look_for(
            pbs,
            submission.name,
            PbsError(
                ErrorKind.OTHER, f"`qsub` succeeded but gave no job id. It says: {said!r}.", uncertain=True
            ),
        )
    if is_unconnected(answer.stderr) or answer.exit_code in REFUSALS:
        raise answer.error()
    return _look_for(pbs, submission.name, answer.error(uncertain=True))


def _look_for(pbs: Pbs, name: str, error: PbsError) -> str:
    """Find a job that may have been submitted, or raise the error that left it in doubt.

    Twice: the background qsub, which a time limit does not reach, may be about to commit it.
    """
    for attempt in range(2):
        if attempt:
            time.sleep(_PAUSE)
        try:
            found = find_by_name(pbs, name)
        except PbsError:
            raise error from None
        if len(found) == 1:
            return found[0]
        if found:
            raise PbsError(
                ErrorKind.OTHER, f"There are several jobs named {name}: {', '.join(found)}.", uncertain=True
            ) from error
    if error.kind is ErrorKind.UNREACHABLE:
        raise error
    raise PbsError(error.kind, error.problem, error.remedy)


def find_by_name(pbs: Pbs, name: str) -> list[str]:
    """Give the ids of the user's own jobs and arrays of exactly this name, finished ones too if PBS keeps them.

    Raises PbsError if PBS cannot be asked.
    """
    user = pwd.getpwuid(os.getuid()).pw_name
    answer = _run_connected(pbs, "qselect", name_arguments(name, user))
    if is_history_off(answer.stderr):
        answer = _run_connected(pbs, "qselect", name_arguments(name, user, history=False))
    if answer.exit_code != 0:
        raise answer.error()
    return parse_job_ids(answer.stdout)


def status(pbs: Pbs, ids: Collection[str]) -> dict[str, JobStatus]:
    """Ask for jobs, subjobs and arrays by their ids; one connection for 1000 of them, one more for unknown ones.

    An id that PBS says it does not know gets State.UNKNOWN. An id that is missing from the answer is one about which
    nothing could be learned this time. Raises PbsError if nothing was learned about any: nothing follows from that
    for the jobs. Not tried again here; ask again at the next poll. What is FINISHED need not be asked for again.
    """
    wanted = list(dict.fromkeys(ids))
    for job_id in wanted:
        if not JOB_ID.fullmatch(job_id):
            raise PbsError(ErrorKind.OTHER, f"{job_id!r} is no PBS job id.")
    learned: dict[str, JobStatus] = {}
    for chunk in _chunks(wanted, STATUS_CHUNK):
        try:
            learned |= _status(pbs, chunk)
        except PbsError:
            if not learned:
                raise
            break
    return learned


def _status(pbs: Pbs, ids: list[str]) -> dict[str, JobStatus]:
    answer = _ask_status(pbs, ids)
    asked = set(ids)
    learned = {job_id: job for job_id, job in parse_jobs(answer.stdout).items() if job_id in asked}
    unknown = unknown_ids(answer.stderr) & asked
    if learned and not unknown and len(learned) < len(ids) and answer.exit_code == 0:
        # About unknown ids among known ones -E is silent, and silence is not taken for an answer
        rest = [job_id for job_id in ids if job_id not in learned]
        again = _ask_status(pbs, rest)
        learned |= {job_id: job for job_id, job in parse_jobs(again.stdout).items() if job_id in rest}
        unknown = unknown_ids(again.stderr) & set(rest)
    learned |= {job_id: JobStatus(State.UNKNOWN) for job_id in unknown - learned.keys()}
    if ids and not learned:
        if answer.exit_code != 0:
            raise answer.error()
        said = (answer.stdout + answer.stderr).strip()[:200]
        raise PbsError(ErrorKind.OTHER, f"`qstat` gave an answer that cannot be read: {said!r}.")
    return learned


def _ask_status(pbs: Pbs, ids: list[str]) -> _Answer:
    history = express = True
    answer = _run(pbs, "qstat", status_arguments(ids))
    if is_usage_complaint(answer.exit_code, answer.stderr):
        express = False
        answer = _run(pbs, "qstat", status_arguments(ids, express=express))
    if is_history_off(answer.stderr):
        history = False
        answer = _run(pbs, "qstat", status_arguments(ids, history=history, express=express))
    return answer


def delete(pbs: Pbs, ids: Sequence[str]) -> None:
    """Delete jobs, arrays or subjobs; ids that are unknown or over are fine.

    They are not gone yet when this returns: a running job has some seconds to end (transcript 08e). All are tried;
    then PbsError is raised for what could not be deleted.
    """
    problems: list[PbsError] = []
    for chunk in _chunks(list(dict.fromkeys(ids)), DELETE_CHUNK):
        try:
            answer = _run_connected(pbs, "qdel", chunk)
        except PbsError as error:
            problems.append(error)
            continue
        if is_unconnected(answer.stderr):
            raise answer.error()
        lines = [line for line in answer.stderr.splitlines() if line.strip()]
        if answer.exit_code != 0 and not (lines and all(map(is_finished_complaint, lines))):
            problems.append(answer.error())
    if problems:
        raise problems[0]


def check_queue(pbs: Pbs, queue: str) -> None:
    """Check that a queue exists and takes jobs. One that is stopped passes: jobs wait there.

    Raises PbsError: REFUSED with the names of the queues there are, UNREACHABLE, OTHER.
    """
    answer = _Answer("qstat", 170, "", "")
    if QUEUE_NAME.fullmatch(queue):
        answer = _run_connected(pbs, "qstat", ["-Q", "-f", queue])
    if answer.exit_code == 0:
        for _name, attributes in parse_blocks(answer.stdout, "Queue"):
            if attributes.get("enabled") == "False":
                raise PbsError(
                    ErrorKind.REFUSED,
                    f"The queue {queue!r} takes no jobs now (it is not enabled).",
                    _choose(pbs),
                )
    elif answer.exit_code == 170:
        raise PbsError(ErrorKind.REFUSED, f"There is no queue {queue!r}.", _choose(pbs))
    else:
        raise answer.error()


def _choose(pbs: Pbs) -> str:
    answer = _run_connected(pbs, "qstat", ["-Q", "-f"])
    open_queues = [
        name
        for name, attributes in parse_blocks(answer.stdout, "Queue")
        if attributes.get("enabled") == "True" and attributes.get("from_route_only") != "True"
    ]
    return f"Choose one of: {', '.join(sorted(open_queues))}." if open_queues else "No queue takes jobs now."


def _run_connected(pbs: Pbs, command: str, arguments: Sequence[str], cwd: Path | None = None) -> _Answer:
    """Run a command; thrice if it cannot connect, in which case it did nothing."""
    retrying = Retrying(
        stop=stop_after_attempt(3),
        wait=wait_exponential(_PAUSE),
        retry=retry_if_result(lambda answer: answer.exit_code != 0 and is_unconnected(answer.stderr)),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    answer: _Answer = retrying(_run, pbs, command, arguments, cwd)
    return answer


def _run(pbs: Pbs, command: str, arguments: Sequence[str], cwd: Path | None = None) -> _Answer:
    """Run a command. Raises PbsError: ABSENT if it cannot be executed, UNREACHABLE and uncertain if it hangs.

    It gets a session of its own: Ctrl-C must not end a qsub between submitting and telling the id.
    """
    environment = dict(pbs.environment)
    if cwd is not None:
        environment["PWD"] = str(cwd)
    where = shutil.which(command, path=f"{pbs.commands}{os.pathsep}{environment.get('PATH', os.defpath)}")
    try:
        process = subprocess.Popen(
            [where or str(pbs.commands / command), *arguments],
            env=environment,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise PbsError(
            ErrorKind.ABSENT,
            f"{pbs.commands / command} cannot be executed: {error.strerror} ({error.filename}).",
            "Load PBS again, as your site says.",
        ) from error
    try:
        stdout, stderr = process.communicate(timeout=pbs.time_limit)
    except subprocess.TimeoutExpired as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise PbsError(
            ErrorKind.UNREACHABLE,
            f"`{command}` gave no answer in {pbs.time_limit:g} seconds.",
            "The PBS server hangs or is very busy; try `qstat -B` by hand, and again later.",
            uncertain=True,
        ) from error
    return _Answer(command, process.returncode, stdout, stderr)


def _chunks(items: Sequence[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
