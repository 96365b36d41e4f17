r"""The OpenPBS dialect: the arguments its commands take, what they print, and what their exit codes mean.

Pure. Numbers in brackets are transcripts of an OpenPBS 23.06.06; a name such as qstat.c is a file of its source.

Which ``qstat`` asks for many jobs. Named ids cost one connection and one reserved port *each* (20-MEASURES:
about 500 of them within a minute stall every PBS client of the host for a minute, 17a). A listing without ids
is one connection, but brings every user's jobs with their environments and the site's whole history. ``-E``
sends all ids as one request over one connection (qstat.c, E_opt) and brings these jobs only: 1000 subjobs in
0.3 s and one port. JSON prints the first of several ids only (04d3), and is not always JSON (11, 18). So it is
``qstat -x -f -E -w ID...``, where ``-w`` keeps each attribute on one line and writes a newline in a value as
``\n``, so that no value can pass for another attribute or another job. A qstat that does not know these two is
asked without them, and the parser therefore also unwraps lines.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import ErrorKind
from .request import Chunk, Request

JOB_ID = re.compile(r"\d+(?:\[\d*\])?\.[A-Za-z0-9._-]+")
"""``12.server``, ``12[].server`` for an array, ``12[3].server`` for a subjob."""
QUEUE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(?:@[A-Za-z0-9_.:-]+)?")

NAME_LIMIT = 63
"""Characters of a job name. OpenPBS takes 230 (05h2); ``qstat`` shows 15, file names take 255 bytes."""
NAME_TAIL = 20
"""Characters at the end of a name that are never cut: callers put what makes it unique there."""

UNKNOWN_JOB_EXIT = 153
UNKNOWN_QUEUE_EXIT = 170


@dataclass(frozen=True)
class Submission:
    """One ``qsub``: a job, or an array."""

    script: Path
    """The job script. PBS keeps a copy of it and sends it to every node: keep it small."""
    name: str
    """A name that ``job_name`` made, unique to this submission: ``find_by_name`` looks for it."""
    output: Path
    """Where what the script and PBS itself print goes when the job is over, unless it ends with 0: then PBS throws
    it away, if it knows how to. The folder must be there, or PBS tries for half a minute. For an array
    ``^array_index^`` in the name becomes the index, and an existing folder gets a file for each subjob
    (``12[3].server.OU``); with a plain name the subjobs overwrite one another's."""
    arguments: tuple[str, ...]
    """The request, such as ``("-l", "select=1:ncpus=4", "-q", "long")``."""
    workdir: Path
    """The folder to submit from: PBS_O_WORKDIR of the job, which does not begin there by itself."""
    size: int = 1
    """Subjobs, whose PBS_ARRAY_INDEX counts from 0; 1 is a plain job, which has none (PBS takes no array of 1)."""
    max_running: int | None = None
    """How many subjobs of an array may run at a time; None leaves that to PBS. A PBS Pro before 20 refuses it."""


def request_arguments(request: Request, tasks: int = 1) -> tuple[str, ...]:
    """Give the arguments of ``qsub`` that ask for this, for so many tasks one after the other (qsub(1B))."""
    walltime = request.walltime and request.walltime * tasks
    nodes = 0 if request.select else sum(chunk.count for chunk in request.chunks)
    place = request.place or ("scatter" if nodes > 1 else None)
    options = [
        ("-l", f"select={request.select or select_of(request)}"),
        ("-l", walltime and f"walltime={walltime}"),
        ("-l", place and f"place={place}"),
        *(("-l", f"{name}={value}") for name, value in request.site),
        ("-q", request.queue),
        ("-A", request.account),
        ("-P", request.project),
    ]
    return (*(word for option, value in options if value for word in (option, str(value))), *request.extra)


def select_of(request: Request) -> str:
    """Give the chunks of a request as the value of ``select``."""
    return "+".join(_chunk(chunk, request) for chunk in request.chunks)


def _chunk(chunk: Chunk, request: Request) -> str:
    parts = [
        (True, f"{chunk.count}:ncpus={chunk.ncpus}"),
        (chunk.mpiprocs, f"mpiprocs={chunk.mpiprocs}"),
        (chunk.mem_mb, f"mem={chunk.mem_mb}mb"),
        (chunk.ngpus, f"ngpus={chunk.ngpus}"),
        (request.gpu_model and chunk.ngpus, f"{request.gpu_model_resource}={request.gpu_model}"),
    ]
    return ":".join(text for wanted, text in parts if wanted)


def job_name(text: str) -> str:
    """Make a valid job name of any text, by cutting the middle of what is too long.

    The last 20 characters survive if they are letters, digits or ``_.-``: put what makes it unique there.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", text)
    if not re.match(r"[A-Za-z]", name):
        name = f"j{name}"
    if len(name) > NAME_LIMIT:
        name = f"{name[: NAME_LIMIT - NAME_TAIL - 2]}..{name[-NAME_TAIL:]}"
    return name


def output_argument(output: Path, workdir: Path) -> tuple[str, Path]:
    """Give the value of ``-o`` for an output file, and the folder that ``qsub`` must be run in for it.

    ``qsub`` refuses a path with anything but printable ASCII, ``illegal -o value``, but only in what is written
    there (prepare_path.c): of a relative path it does not mind the folder it completes it with. It is run in the
    output's own folder only where that alone helps, as PBS_O_WORKDIR follows.
    """
    if _is_printable(str(output)):
        return str(output), workdir
    if output.is_relative_to(workdir) and _is_printable(str(output.relative_to(workdir))):
        return f"./{output.relative_to(workdir)}", workdir
    return f"./{output.name}", output.parent


def _is_printable(text: str) -> bool:
    return text.isascii() and text.isprintable()


def submit_arguments(submission: Submission, output: str, *, leave_out_output: bool = True) -> list[str]:
    """Give the arguments of ``qsub``, with ``output`` as ``output_argument`` says.

    No ``-V`` and no ``-v``: every user of the cluster can read a job's variables and arguments (15a). With ``-R``
    the output of a job that ends with 0 is not copied, but thrown away on its node: an OpenPBS then ends 100
    subjobs of ``true`` in 2.1 s, not in 4.5 s, with 10 ms less of processor time each. ``leave_out_output``
    is for a ``qsub`` that does not know it.
    """
    array = []
    if submission.size > 1:
        limit = "" if submission.max_running is None else f"%{submission.max_running}"
        array = ["-J", f"0-{submission.size - 1}{limit}"]
    remove = ["-R", "oe"] if leave_out_output else []
    options = [*array, "-N", submission.name, "-j", "oe", *remove, "-o", output]
    return [*submission.arguments, *options, str(submission.script)]


def subjob_id(array_id: str, index: int) -> str:
    """Give the id of a subjob: ``12[3].server`` of ``12[].server`` and 3; of what is no array, the id itself."""
    return array_id.replace("[]", f"[{index}]", 1)


def status_arguments(
    ids: Collection[str], *, subjobs: bool = False, history: bool = True, express: bool = True
) -> list[str]:
    """Give the arguments of ``qstat`` that ask for these jobs; what the options are for stands above.

    With ``subjobs`` for those of arrays too. Never without an id: that can loop for ever (transcript 16).
    """
    options = [*(["-x"] if history else []), "-f", *(["-t"] if subjobs else []), *(["-E", "-w"] if express else [])]
    return [*options, *ids]


def name_arguments(name: str, user: str | None, *, history: bool = True) -> list[str]:
    """Give the arguments of ``qselect`` that ask for the ids of a user's, or any, jobs and arrays of that name."""
    return [*(["-x"] if history else []), *(["-u", user] if user else []), "-N", name]


def deletable(ids: Iterable[str]) -> list[str]:
    """Leave out what comes twice, and subjobs of arrays that are there themselves.

    An array that stands in one ``qdel`` with subjobs of its own is not deleted, without a word (23.06.06).
    """
    unique = dict.fromkeys(ids)
    return [job_id for job_id in unique if array_of(job_id) not in unique]


def array_of(job_id: str) -> str | None:
    """Give the id of a subjob's array; None for what is no subjob."""
    array, subjobs = re.subn(r"\[\d+\]", "[]", job_id)
    return array if subjobs else None


def is_nothing_to_delete(line: str) -> bool:
    """Tell whether a line of ``qdel`` says that a job is unknown or over (04p, 04q)."""
    return bool(re.search(r"Unknown Job Id|Job has finished|finished array subjob", line))


def is_history_off(stderr: str) -> bool:
    """Tell whether the server keeps no history and so refuses ``-x``, with exit code 0 (pbs_messages.c)."""
    return "not configured to maintain job history" in stderr


def is_usage_complaint(exit_code: int, stderr: str) -> bool:
    """Tell whether a command did not know one of its options (04n, 05o)."""
    return exit_code == 2 and "usage:" in stderr


def is_unconnected(stdout: str, stderr: str) -> bool:
    """Tell whether a command failed before it could ask the server for anything (12, 13).

    By its words: ``qselect`` without a readable pbs.conf says so with exit code 0.
    """
    words = re.search(r"cannot connect to server|Couldn't connect to cluster", stderr)
    return words is not None and not JOB_ID.search(stdout)


REFUSALS = {
    2: "Correct the option that PBS names.",
    3: "Ask for fewer at once: the site limits the size of arrays.",
    5: "Write the whole request as pbs_select, without ncpus, mem or nodes in pbs_extra.",
    38: "Start with fewer jobs at once (`--jobs`): the site limits how many one user may have.",
    159: "Choose another queue or account (pbs_queue, pbs_account): you may not use this one.",
    166: "Correct the value of the resource that PBS names.",
    170: "Choose one of the queues that `qstat -Q` lists, with the resource pbs_queue or --pbs-singularity-queue.",
    173: "Choose another queue (pbs_queue): this one takes no jobs now.",
    187: "Leave out the resource that PBS names, or ask the site what it calls it.",
    188: "Lower the rule's runtime, mem_mb or threads to what the queue allows (`qstat -Qf`), or choose"
    " another queue (pbs_queue).",
    191: "Lower the rule's runtime, mem_mb or threads to what the queues behind it allow (`qstat -Qf`), ask for fewer"
    " at once, or choose another queue (pbs_queue).",
    198: "Start with fewer jobs at once (`--jobs`): the site limits how many the queue may have.",
}
"""What to do about an exit code of ``qsub`` that means no (05, 06; the last eight bits of a number in
pbs_error.h). With these it is certain that nothing was submitted."""

_UNREACHABLE_WORDS = re.compile(
    r"pbs_iff|munge|authenticat|background qsub|protocol|end of file|timed? ?out|connection reset|broken pipe",
    re.IGNORECASE,
)
_UNREACHABLE_REMEDY = (
    "The PBS server is away or cannot be reached from here; try `qstat -B` by hand, and again later."
    " PBS_CONF_FILE and PBS_SERVER in the environment say which server it is."
)


def describe_failure(command: str, exit_code: int, stderr: str) -> tuple[ErrorKind, str, str]:
    """Give kind, problem and remedy of a command that failed."""
    said = "; ".join(_telling_lines(stderr)) or "nothing"
    problem = f"`{command}` failed with exit status {exit_code}. PBS says: {said}."
    if is_unconnected("", stderr) or _UNREACHABLE_WORDS.search(said):
        return ErrorKind.UNREACHABLE, problem, _UNREACHABLE_REMEDY
    if "Unknown Job Id" in stderr:
        return ErrorKind.UNKNOWN_JOB, problem, ""
    if command == "qsub":
        return ErrorKind.REFUSED, problem, REFUSALS.get(exit_code, "")
    if "Unauthorized Request" in stderr:
        return ErrorKind.REFUSED, problem, "It belongs to somebody else."
    return ErrorKind.OTHER, problem, ""


def _telling_lines(stderr: str) -> list[str]:
    """Leave out the usage that some complaints are followed by, and say nothing twice."""
    words = re.split(r"^usage:", stderr, maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line.strip().rstrip(".") for line in words.splitlines()]
    return list(dict.fromkeys(line for line in lines if line))[:5]


_USER = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER", "XDG_RUNTIME_DIR")
_SYSTEM = ("KRB5CCNAME", "KRB5_CONFIG", "LD_LIBRARY_PATH")
_PBS = (
    *("PBS_CONF_FILE", "PBS_DEFAULT", "PBS_EXEC", "PBS_HOME", "PBS_PRIMARY", "PBS_SECONDARY", "PBS_SERVER"),
    *("PBS_BATCH_SERVICE_PORT", "PBS_BATCH_SERVICE_PORT_DIS", "PBS_MANAGER_SERVICE_PORT"),
    *("PBS_AUTH_METHOD", "PBS_ENCRYPT_METHOD", "PBS_SUPPORTED_AUTH_METHODS", "PBS_GSS_USER_CREDENTIALS_BIN"),
    *("PBS_INTERACTIVE_AUTH_METHOD", "PBS_INTERACTIVE_ENCRYPT_METHOD"),
    *("PBS_LEAF_NAME", "PBS_LEAF_ROUTERS", "PBS_OUTPUT_HOST_NAME", "PBS_PUBLIC_HOST_NAME", "PBS_SERVER_HOST_NAME"),
    "PBS_TMPDIR",
    "PBS_JOBID",
)
_PASSED_ON = frozenset((*_USER, *_SYSTEM, *_PBS))
_LOCAL_PREFIX = "PBS_SINGULARITY_LOCAL_"


def command_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Give what PBS's commands run with: what they need of an environment, and nothing else of it.

    What they read is listed in pbs_loadconf.c. ``qsub`` copies HOME, LANG, LOGNAME, PATH, MAIL, SHELL and TZ into
    the job as PBS_O_*, where everybody can read them (15a); MAIL is not needed. Of the variables of a job that
    Snakemake itself may run in, only PBS_JOBID stays: with it ``qsub`` leaves no background process on the node
    (qsub.c), and the new job gets its own. PBS_DPREFIX, which says what a script's ``#PBS`` is, does not.
    The locale is C, in which ``qstat`` prints all bytes as they are.
    """
    passed = {
        name: value for name, value in environment.items() if name in _PASSED_ON or name.startswith(_LOCAL_PREFIX)
    }
    return passed | {"LC_ALL": "C"}
