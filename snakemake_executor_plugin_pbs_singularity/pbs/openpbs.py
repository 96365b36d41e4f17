r"""The dialect of OpenPBS and PBS Professional: the arguments that commands take, and what their failures mean.

Pure. Numbers in brackets are transcripts of an OpenPBS 23.06.06; a name such as qstat.c is a file of its source. What
``qstat`` prints is read in ``openpbs_answers.py``.

Which ``qstat`` asks for many jobs. Named ids cost one connection and one reserved port *each* (20-MEASURES:
about 500 of them within a minute stall every PBS client of the host for a minute, 17a). A listing without ids
is one connection, but brings every user's jobs with their environments and the site's whole history. ``-E``
sends all ids as one request over one connection (qstat.c, E_opt) and brings these jobs only: 1000 subjobs in
0.3 s and one port. JSON prints the first of several ids only (04d3), and is not always JSON (11, 18). So it is
``qstat -x -f -E -w ID...``, where ``-w`` keeps each attribute on one line and writes a newline in a value as
``\n``, so that no value can pass for another attribute or another job.

A PBS Pro 12 or 13 knows neither JSON nor these two; it is asked without them, and the parser therefore also unwraps
lines. A site without a job history refuses ``-x``; it is asked without it.
"""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from .answers import telling_lines
from .dialect import Answer
from .errors import ErrorKind, PbsError
from .ids import JOB_ID
from .openpbs_answers import read_status, read_subjobs
from .request import Chunk, Request
from .submission import Submission, short_name

__all__ = [
    "NAME",
    "describe_failure",
    "interactive_arguments",
    "is_nothing_to_delete",
    "is_refusal",
    "is_unconnected",
    "is_unknown_queue",
    "name_arguments",
    "other_arguments",
    "other_name",
    "read_status",
    "read_subjobs",
    "read_version",
    "request_arguments",
    "select_of",
    "status_arguments",
    "subjob_name",
    "submit_arguments",
]

NAME = "PBS"
_UNKNOWN_QUEUE_EXIT = 170


def read_version(said: str) -> str | None:
    """Give the version of ``pbs_version = 23.06.06``; None if something else is said."""
    return said.partition("pbs_version = ")[2].split("\n")[0].strip() or None


def request_arguments(request: Request, tasks: int = 1) -> tuple[str, ...]:
    """Give the arguments of ``qsub`` that ask for this, for so many tasks one after the other (qsub(1B)).

    Raises PbsError for a request in TORQUE's words alone.
    """
    if request.nodes and not request.select:
        raise PbsError(
            ErrorKind.REFUSED,
            f"pbs_nodes={request.nodes!r} is for TORQUE.",
            "Write it for OpenPBS as pbs_select, such as pbs_select='2:ncpus=4:mem=8gb'; a rule may have both.",
        )
    walltime = request.walltime and request.walltime * tasks
    options = [
        ("-l", f"select={request.select or select_of(request)}"),
        ("-l", walltime and f"walltime={walltime}"),
        ("-l", request.placing and f"place={request.placing}"),
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


def submit_arguments(submission: Submission, output: str) -> list[str]:
    """Give the arguments of ``qsub``, with ``output`` as ``output_argument`` says.

    No ``-V`` and no ``-v``: every user of the cluster can read a job's variables and arguments (15a). With ``-R``
    the output of a job that ends with 0 is not copied, but thrown away on its node: an OpenPBS then ends 100
    subjobs of ``true`` in 2.1 s, not in 4.5 s, with 10 ms less of processor time each.
    """
    array = []
    if submission.size > 1:
        limit = "" if submission.max_running is None else f"%{submission.max_running}"
        array = ["-J", f"0-{submission.size - 1}{limit}"]
        output = f"{output}-^array_index^"  # as subjob_output says
    options = [*array, "-N", submission.name, "-j", "oe", "-R", "oe", "-o", output]
    return [*submission.arguments, *options, str(submission.script)]


def interactive_arguments(request: Sequence[str], name: str, script: Path) -> list[str]:
    """Give the arguments of ``qsub`` for an interactive job.

    A command after ``--`` is started in the place of the login shell, on the job's terminal (start_exec.c).
    """
    return ["-I", *request, "-N", name, "--", "/bin/sh", str(script), "0"]


def status_arguments(ids: Collection[str], *, subjobs: bool = False) -> list[str]:
    """Give the arguments of ``qstat`` that ask for jobs, with the subjobs of arrays if wanted.

    Never without ids: with ``-t`` that makes an OpenPBS print everything for ever (16).
    """
    return ["-x", "-f", *(["-t"] if subjobs else []), "-E", "-w", *ids]


def name_arguments(name: str | None, user: str | None) -> list[str]:
    """Give the arguments of ``qselect`` that ask for jobs, of exactly this name unless that is None."""
    return ["-x", *(["-N", name] if name else []), *(["-u", user] if user else [])]


def other_name(name: str) -> str | None:
    """Give the name that a PBS Pro before 13 has a job by, if it is another."""
    return None if short_name(name) == name else short_name(name)


def subjob_name(name: str, index: int) -> str | None:
    """Give nothing: ``qselect`` gives arrays by their names, and no subjobs."""
    return None


def other_arguments(arguments: Sequence[str], answer: Answer) -> list[str] | None:
    """Leave out what an old ``qsub`` or ``qstat`` does not know, or a site without a history refuses."""
    if answer.command == "qsub":
        is_old = "invalid option" in answer.stderr and is_usage_complaint(answer)
        if is_old and "-R" in arguments:
            return _without(arguments, "-R", "oe")
        return _with_short_name(arguments) if "illegal -N value" in answer.stderr else None
    if answer.command == "qselect" and re.search("illegal -N value|Illegal attribute.*Job_Name", answer.stderr):
        return _with_short_name(arguments)
    if is_usage_complaint(answer) and "-E" in arguments:
        return _without(arguments, "-E", "-w")
    return _without(arguments, "-x") if is_history_off(answer.stderr) and "-x" in arguments else None


def _with_short_name(arguments: Sequence[str]) -> list[str] | None:
    """Shorten the name of a job; None if there is none that is too long."""
    if "-N" not in arguments:
        return None
    place = arguments.index("-N") + 1
    name = short_name(arguments[place])
    return None if name == arguments[place] else [*arguments[:place], name, *arguments[place + 1 :]]


def _without(arguments: Sequence[str], *words: str) -> list[str]:
    """Leave out the first place where these words follow each other."""
    places = range(len(arguments) - len(words) + 1)
    place = next((place for place in places if tuple(arguments[place : place + len(words)]) == words), None)
    return list(arguments) if place is None else [*arguments[:place], *arguments[place + len(words) :]]


def is_nothing_to_delete(line: str) -> bool:
    """Tell whether a line of ``qdel`` says that a job is unknown or over (04p, 04q)."""
    return bool(re.search(r"Unknown Job Id|Job has finished|finished array subjob", line))


def is_unknown_queue(answer: Answer) -> bool:
    """Tell whether ``qstat -Q`` says that there is no such queue."""
    return answer.exit_code == _UNKNOWN_QUEUE_EXIT


def is_history_off(stderr: str) -> bool:
    """Tell whether the server keeps no history and so refuses ``-x``, with exit code 0 (pbs_messages.c)."""
    return "not configured to maintain job history" in stderr


def is_usage_complaint(answer: Answer) -> bool:
    """Tell whether a command did not know one of its options (04n, 05o)."""
    return answer.exit_code == 2 and "usage:" in answer.stderr


def is_unconnected(answer: Answer) -> bool:
    """Tell whether a command failed before it could ask the server for anything (12, 13).

    By its words: ``qselect`` without a readable pbs.conf says so with exit code 0.
    """
    return _cannot_connect(answer.stderr) and not JOB_ID.search(answer.stdout)


def _cannot_connect(stderr: str) -> bool:
    return bool(re.search(r"cannot connect to server|Couldn't connect to cluster", stderr))


def is_refusal(answer: Answer) -> bool:
    """Tell whether a ``qsub`` that failed has certainly submitted nothing."""
    return answer.exit_code in REFUSALS


REFUSALS = {
    2: "Correct the option that PBS names.",
    3: "Ask for fewer at once: the site limits the size of arrays.",
    5: "Write the whole request as pbs_select, without ncpus, mem or nodes in pbs_extra.",
    32: "Ask for what the site's own rule (a hook) demands.",
    38: "Start with fewer jobs at once (`--jobs`): the site limits how many one user may have.",
    159: "Choose another queue or account (pbs_queue, pbs_account): you may not use this one.",
    166: "Correct the value of the resource that PBS names.",
    170: "Choose one of the queues that `qstat -Q` lists, with the resource pbs_queue or --pbs-singularity-queue.",
    173: "Choose another queue (pbs_queue): this one takes no jobs now.",
    174: "Choose another queue (pbs_queue): this one takes no jobs from you.",
    187: "Leave out the resource that PBS names, or ask the site what it calls it.",
    188: "Lower the rule's runtime, mem_mb or threads to what the queue allows (`qstat -Qf`), or choose"
    " another queue (pbs_queue).",
    189: "Name a queue (pbs_queue or --pbs-singularity-queue): this server has no default one.",
    191: "Lower the rule's runtime, mem_mb or threads to what the queues behind it allow (`qstat -Qf`), ask for fewer"
    " at once, or choose another queue (pbs_queue).",
    198: "Start with fewer jobs at once (`--jobs`): the site limits how many the queue may have.",
}
"""What to do about an exit code of ``qsub`` that means no (05, 06; the last eight bits of a number in
pbs_error.h). With these it is certain that nothing was submitted."""

_UNREACHABLE_WORDS = re.compile(
    r"pbs_iff|\bmunge[_ ]|authenticat|background qsub|protocol error|request protocol|end of file|timed? ?out"
    r"|connection reset|broken pipe|server shutting down|no free connections|connection table full|failed to save job",
    re.IGNORECASE,
)
_UNREACHABLE_REMEDY = (
    "The PBS server is away or cannot be reached from here; try `qstat -B` by hand, and again later."
    " PBS_CONF_FILE and PBS_SERVER in the environment say which server it is."
)


def describe_failure(answer: Answer) -> tuple[ErrorKind, str, str]:
    """Give kind, problem and remedy of a command that failed."""
    command, stderr = answer.command, answer.stderr
    said = "; ".join(telling_lines(stderr)) or "nothing"
    problem = f"`{command}` failed with exit status {answer.exit_code}. PBS says: {said}."
    is_refusal = command == "qsub" and answer.exit_code in REFUSALS  # whatever words of the user or a hook it has
    if _cannot_connect(stderr) or (_UNREACHABLE_WORDS.search(said) and not is_refusal):
        return ErrorKind.UNREACHABLE, problem, _UNREACHABLE_REMEDY
    if command == "qsub" and answer.exit_code >= 0:  # killed by a signal, it has refused nothing
        return ErrorKind.REFUSED, problem, REFUSALS.get(answer.exit_code, "")
    if "Unknown Job Id" in stderr:
        return ErrorKind.UNKNOWN_JOB, problem, ""
    if "Unauthorized Request" in stderr:
        return ErrorKind.REFUSED, problem, "It belongs to somebody else."
    return ErrorKind.OTHER, problem, ""
