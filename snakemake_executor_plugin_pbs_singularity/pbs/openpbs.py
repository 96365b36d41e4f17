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
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import ErrorKind
from .outcome import JobStatus, State, Usage

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
    """Where what the script and PBS itself print goes when the job is over; its folder must be there. For an
    array ``^array_index^`` in the name becomes the index, and an existing folder gets a file for each subjob
    (``12[3].server.OU``); with a plain name the subjobs overwrite one another's."""
    arguments: tuple[str, ...]
    """The request, such as ``("-l", "select=1:ncpus=4", "-q", "long")``."""
    workdir: Path
    """The folder to submit from: PBS_O_WORKDIR of the job, which does not begin there by itself."""
    size: int = 1
    """Subjobs, whose PBS_ARRAY_INDEX counts from 0; 1 is a plain job, which has none (PBS takes no array of 1)."""
    max_running: int | None = None
    """How many subjobs of an array may run at a time; None leaves that to PBS. A PBS Pro before 20 refuses it."""


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


def submit_arguments(submission: Submission, output: str) -> list[str]:
    """Give the arguments of ``qsub``, with ``output`` as ``output_argument`` says.

    No ``-V`` and no ``-v``: every user of the cluster can read a job's variables and arguments (15a).
    """
    array = []
    if submission.size > 1:
        limit = "" if submission.max_running is None else f"%{submission.max_running}"
        array = ["-J", f"0-{submission.size - 1}{limit}"]
    return [*submission.arguments, *array, "-N", submission.name, "-j", "oe", "-o", output, str(submission.script)]


def subjob_id(array_id: str, index: int) -> str:
    """Give the id of a subjob: ``12[3].server`` of ``12[].server`` and 3."""
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


def parse_job_id(text: str) -> str | None:
    """Find the job id in what ``qsub`` printed: the last line that is one; wrappers of sites print more."""
    ids = parse_job_ids(text)
    return ids[-1] if ids else None


def parse_job_ids(text: str) -> list[str]:
    """Give all job ids in what ``qselect`` printed, one on a line."""
    return [line.strip() for line in text.splitlines() if JOB_ID.fullmatch(line.strip())]


def parse_blocks(text: str, kind: str = "Job Id") -> Iterator[tuple[str, dict[str, str]]]:
    """Give name and attributes of each block of ``qstat -f`` that is whole.

    A block begins with ``Job Id: 12.server`` (or ``Queue: name``) and ends with an empty line. One that is cut
    off, or has an attribute twice (a value whose newlines make it look like attributes), is passed over:
    nothing is better than half of it.
    """
    for chunk in re.split(rf"(?:\A|(?<=\n\n))(?={kind}: )", text):
        head, newline, rest = chunk.partition("\n")
        if not head.startswith(f"{kind}: ") or not newline or not chunk.endswith("\n\n"):
            continue
        attributes = _parse_attributes(rest)
        if attributes is not None:
            yield head.removeprefix(f"{kind}: ").strip(), attributes


def _parse_attributes(text: str) -> dict[str, str] | None:
    attributes: dict[str, str] = {}
    name = None
    for line in text.split("\n"):
        match = re.fullmatch(r" {4}([A-Za-z_][\w.-]*) = (.*)", line)
        if match is not None:
            name = match[1]
            if name in attributes:
                return None
            attributes[name] = match[2]
        elif name is not None:  # a line goes on after newline and tab; anything else is a newline in a value
            attributes[name] += line[1:] if line.startswith("\t") else f"\n{line}"
    return {name: value.rstrip("\n") for name, value in attributes.items()}


def parse_jobs(text: str) -> dict[str, JobStatus]:
    """Read ``qstat -f``; jobs that cannot be made sense of, or come twice, are left out."""
    jobs: dict[str, JobStatus | None] = {}
    for job_id, attributes in parse_blocks(text):
        jobs[job_id] = None if job_id in jobs else _parse_job(job_id, attributes)
    return {job_id: status for job_id, status in jobs.items() if status is not None}


def parse_answer(
    ids: Collection[str], exit_code: int, stdout: str, stderr: str, *, express: bool = True
) -> dict[str, JobStatus]:
    """Give what one ``qstat`` said about the jobs it was asked for; those it was silent about are left out.

    With ``-E`` it is silent about unknown ids among known ones. If it knows none of them, it names one of them
    and means all (req_stat.c); without ``-E`` it names each (04d, 04e).
    """
    asked = set(ids)
    learned = {job_id: status for job_id, status in parse_jobs(stdout).items() if job_id in asked}
    unknown = set(re.findall(r"Unknown Job Id (\S+)", stderr))
    if express and exit_code == UNKNOWN_JOB_EXIT and unknown & asked and "Job Id: " not in stdout:
        unknown = asked
    return learned | {job_id: JobStatus(State.UNKNOWN) for job_id in unknown & asked - learned.keys()}


def parse_strangers(stderr: str) -> set[str]:
    """Give the ids whose server ``qstat`` cannot find (04h), for now or for ever: nothing is known about them."""
    return set(re.findall(r"illegally formed job identifier: (\S+)", stderr))


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


def _parse_job(job_id: str, attributes: Mapping[str, str]) -> JobStatus | None:
    state = _STATES.get(attributes.get("job_state", ""))
    if state is None:
        return None
    is_array = "[]" in job_id
    exit_status = None
    if "Exit_status" in attributes and not is_array:
        exit_status = _integer(attributes["Exit_status"])
        if exit_status is None:
            return None
    return JobStatus(
        state=state,
        exit_status=exit_status,
        comment=attributes.get("comment") or None,
        queue=attributes.get("queue") or None,
        exec_host=attributes.get("exec_host") or None,
        used=_usage(attributes, "resources_used"),
        asked=_usage(attributes, "Resource_List"),
        run_count=_integer(attributes.get("run_count", "")) or 0,
        substate=_integer(attributes.get("substate", "")),
        is_array=is_array,
        subjobs_over=_subjobs_over(attributes) if is_array and state is not State.FINISHED else None,
    )


def _subjobs_over(attributes: Mapping[str, str]) -> int | None:
    match = re.search(r"\bExpired:(\d{1,9})\b", attributes.get("array_state_count", ""), re.ASCII)
    return int(match[1]) if match else None


def _usage(attributes: Mapping[str, str], prefix: str) -> Usage:
    def value(name: str) -> str:
        return attributes.get(f"{prefix}.{name}", "")

    return Usage(
        walltime=parse_duration(value("walltime")),
        cput=parse_duration(value("cput")),
        mem=parse_size(value("mem")),
        ncpus=_integer(value("ncpus")),
    )


def parse_duration(text: str) -> int | None:
    """Give the seconds of ``HH:MM:SS``, ``MM:SS`` or ``SS`` (fractions are cut off); None for anything else."""
    match = re.fullmatch(r"(?:(?:(\d{1,9}):)?(\d{1,9}):)?(\d{1,9})(?:\.\d*)?", text, re.ASCII)
    if match is None:
        return None
    hours, minutes, seconds = (int(number or 0) for number in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def parse_size(text: str) -> int | None:
    """Give the MiB, rounded up, of a size such as ``6248kb``, ``2gb`` or ``100`` (bytes); None for anything else.

    A ``w`` counts words, of 8 bytes as on every 64-bit node.
    """
    match = re.fullmatch(r"(\d{1,18})([kmgtp]?)([bw]?)", text.lower(), re.ASCII)
    if match is None:
        return None
    number, scale, unit = match.groups()
    size = (int(number) << 10 * " kmgtp".index(scale or " ")) * (8 if unit == "w" else 1)
    return -(-size // 1024**2)


def _integer(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?\d{1,18}", text, re.ASCII) else None


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
