"""Finds and runs the commands of PBS, each with a time limit and an environment of its own."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tenacity import Retrying, retry_if_result, stop_after_attempt, wait_exponential

from . import openpbs, torque
from .dialect import Answer, Dialect
from .environment import command_environment
from .errors import ErrorKind, PbsError

TIME_LIMIT = 90.0
"""Seconds that one command may take. A host whose reserved ports are used up makes its PBS commands wait 62
seconds, after which they work (transcripts 17a, 17b): less than that would turn waiting into failing."""
PAUSE = 2.0
"""Seconds before what could not connect is tried again, and before a second look for a lost job."""
DIALECTS: Mapping[str, Dialect] = {"openpbs": openpbs, "torque": torque}
"""The kinds of PBS that this package can talk to."""
_COMMANDS = ("qsub", "qstat", "qdel", "qselect")


@dataclass(frozen=True)
class Pbs:
    """A PBS that can be talked to, as ``find_pbs`` found it."""

    commands: Path
    """The folder of its ``qsub``."""
    environment: Mapping[str, str]
    """What its commands run with."""
    version: str
    """As in "23.06.06"; empty if it was not asked."""
    dialect: Dialect = openpbs
    """Of its kind."""
    time_limit: float = TIME_LIMIT
    """Seconds that one command may take."""

    @property
    def title(self) -> str:
        """Give what it is, such as "PBS 23.06.06"."""
        return f"{self.dialect.NAME} {self.version}".strip()


def find_pbs(environment: Mapping[str, str], kind: str = "auto") -> Pbs:
    """Find the PBS commands on the PATH of an environment, and ask which kind of PBS it is unless that is given.

    ``kind`` is a name of ``DIALECTS``, or "auto". No server is asked. Raises PbsError: ABSENT if a command is missing,
    OTHER if it is nothing known.
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
            " a node that jobs can be submitted from, or try the PBS of one machine (--pbs-singularity-pbs local, or"
            " SNAKEMAKE_PBS_SINGULARITY_PBS=local).",
        )
    pbs = Pbs(Path(qsub).absolute().parent, command_environment(environment), version="")
    if kind in DIALECTS:
        return replace(pbs, dialect=DIALECTS[kind])
    answer = run(pbs, "qstat", ["--version"])
    said = (answer.stdout + answer.stderr).strip()
    for dialect in DIALECTS.values():
        version = dialect.read_version(said)
        if version is not None:
            return replace(pbs, dialect=dialect, version=version)
    raise PbsError(
        ErrorKind.OTHER,
        f"{pbs.commands / 'qstat'} is not an OpenPBS, a PBS Pro or a TORQUE"
        f" (`qstat --version` answers: {said.splitlines()[0] if said else 'nothing'}).",
        "Put the commands of one of these first on PATH, or say which it is: --pbs-singularity-pbs openpbs or torque,"
        " also as SNAKEMAKE_PBS_SINGULARITY_PBS; local is a PBS of this machine.",
    )


def run_connected(pbs: Pbs, command: str, arguments: Sequence[str], folder: Path | None = None) -> Answer:
    """Run a command; thrice if it cannot connect, in which case it did nothing."""
    answer: Answer = Retrying(
        stop=stop_after_attempt(3),
        wait=wait_exponential(PAUSE),
        retry=retry_if_result(pbs.dialect.is_unconnected),
        retry_error_callback=lambda state: state.outcome and state.outcome.result(),
    )(run, pbs, command, arguments, folder)
    return answer


def run(pbs: Pbs, command: str, arguments: Sequence[str], folder: Path | None = None) -> Answer:
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
    return Answer(command, process.returncode, out, err, pbs.dialect)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command and what it started; one that hangs in the file system is left behind."""
    os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(5)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
