"""The dialect of TORQUE: the arguments that its commands take, and what their failures mean.

Pure. Numbers in brackets are transcripts of a TORQUE 6.1.3; a name such as qstat.c is a file of its source. What
``qstat`` prints is read in ``torque_answers.py``, requests are made in ``torque_request.py``.

Which ``qstat`` asks for jobs. Without ``-t``, an id of an array makes TORQUE list every job of the server (16), so it
is always there. ``-x`` (XML) brings all attributes and costs the server 20 ms for an array of 1,000, ``qstat -t``
without it 5 ms; but only with it a subjob that waits for its array's limit is told from one that somebody holds. Each
id is a connection of its own, which takes 2 ms.
"""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from .answers import telling_lines
from .dialect import Answer
from .errors import ErrorKind
from .ids import JOB_ID
from .submission import Submission
from .torque_answers import read_status, read_subjobs
from .torque_request import request_arguments

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
    "status_arguments",
    "subjob_name",
    "submit_arguments",
]

NAME = "TORQUE"


def read_version(said: str) -> str | None:
    """Give the version of ``Version: 6.1.3.h5``; None if something else is said."""
    match = re.match(r"\s*(?:Version|version): (\d\S*)", said)
    return match[1] if match else None


def submit_arguments(submission: Submission, output: str) -> list[str]:
    """Give the arguments of ``qsub``, with ``output`` as ``output_argument`` says.

    An array's output goes to ``output`` with the index of the subjob after it (16-array-subset). There is no way to
    have none of a job that ends well, as on OpenPBS, and no ``-J``.
    """
    array = []
    if submission.size > 1:
        limit = "" if submission.max_running is None else f"%{submission.max_running}"
        array = ["-t", f"0-{submission.size - 1}{limit}"]
    return [
        *(*submission.arguments, *array),
        *("-N", submission.name, "-j", "oe", "-o", _unexpanded(output)),
        str(submission.script),
    ]


def interactive_arguments(request: Sequence[str], name: str, script: Path) -> list[str]:
    """Give the arguments of ``qsub`` for an interactive job: ``-x`` runs the script, which has to be executable."""
    return ["-I", *request, "-N", name, "-x", str(script)]


def _unexpanded(output: str) -> str:
    r"""Keep a node from taking a path for a piece of shell: it expands where it copies to with wordexp(3) (requests.c).

    It cannot copy to a path with spaces at all, whatever is done (seen on 6.1.3); then what PBS itself says is lost.
    """
    return re.sub(r"([^A-Za-z0-9_./@%+=:, -])", r"\\\1", output)


def status_arguments(ids: Collection[str], *, subjobs: bool = False) -> list[str]:
    """Give the arguments of ``qstat`` that ask for jobs; for arrays, TORQUE gives the subjobs anyway."""
    return ["-x", "-t", *ids]


def name_arguments(name: str | None, user: str | None) -> list[str]:
    """Give the arguments of ``qselect`` that ask for jobs, of exactly this name unless that is None."""
    return [*(["-N", name] if name else []), *(["-u", user] if user else [])]


def other_name(name: str) -> str | None:
    """Give nothing: all versions take long names."""
    return None


def subjob_name(name: str, index: int) -> str | None:
    """Give the name of a subjob: ``qselect`` lists those, and never the array itself (seen on 6.1.3)."""
    return f"{name}-{index}"


def other_arguments(arguments: Sequence[str], answer: Answer) -> list[str] | None:
    """Give nothing: these options are in all versions of TORQUE since 2.5."""
    return None


def is_nothing_to_delete(line: str) -> bool:
    """Tell whether a line of ``qdel`` says that a job is unknown or over (08, 13)."""
    return bool(re.search(r"nonexistent job id|Unknown Job Id|invalid state for job - COMPLETE", line))


def is_unknown_queue(answer: Answer) -> bool:
    """Tell whether ``qstat -Q`` says that there is no such queue."""
    return answer.exit_code == _UNKNOWN_QUEUE_EXIT


def is_unconnected(answer: Answer) -> bool:
    """Tell whether a command failed before it could ask the server for anything (17, 18)."""
    return "cannot connect to server" in answer.stderr and not JOB_ID.search(answer.stdout)


def is_refusal(answer: Answer) -> bool:
    """Tell whether a ``qsub`` that failed has certainly submitted nothing.

    Exit codes 1 and 2 are those of ``qsub`` itself, which then has not asked the server.
    """
    return answer.exit_code in REFUSALS and ("submit error" in answer.stderr or answer.exit_code in (1, 2))


_UNKNOWN_QUEUE_EXIT = 172
_LESS = "Lower the rule's runtime, mem_mb, threads, nodes or gpu to what the queue allows (`qstat -Qf`) and nodes have"
REFUSALS = {
    1: "Correct what `qsub` names.",
    2: "Correct the option that PBS names.",
    154: "Leave out the attribute of pbs_extra's -W that this PBS does not know.",
    159: "Choose another queue or account (pbs_queue, pbs_account): you may not use this one.",
    168: "Correct the value of the resource that PBS names.",
    172: "Choose one of the queues that `qstat -Q` lists, with the resource pbs_queue or --pbs-singularity-queue.",
    175: "Choose another queue (pbs_queue): this one takes no jobs now.",
    176: "Choose another queue (pbs_queue): you may not use this one.",
    177: "PBS does not know you on this host: start from one that jobs may be submitted from, or ask the cluster's"
    " administrators (submit_hosts, acl_hosts).",
    183: "Leave out what this PBS has no support for.",
    189: "Leave out the resource that PBS names, or ask the site what it calls it.",
    190: f"{_LESS} (`pbsnodes`), or choose another queue (pbs_queue).",
    191: "Name a queue (pbs_queue or --pbs-singularity-queue): this server has no default one.",
    193: f"{_LESS} (`pbsnodes`), or choose another queue (pbs_queue).",
    199: "Correct the group of pbs_extra's -W group_list.",
    200: "Start with fewer jobs at once (`--jobs`): the site limits how many the queue may have.",
    203: "Correct the account (pbs_account, --pbs-singularity-account).",
    208: "Correct the job that pbs_extra's -W depend names.",
    228: "Start with fewer jobs at once (`--jobs`): the site limits how many one user may have.",
    231: "Choose another queue (pbs_queue): this one takes no batch jobs.",
    232: "Choose another queue (pbs_queue), or write pbs_extra='-r n': this one takes no jobs that may run again.",
    233: "Choose another queue (pbs_queue), or leave out `-r n`: this one takes no jobs that must not run again.",
    235: "Ask for fewer at once (--pbs-singularity-max-array-size): the site limits the size of arrays.",
    241: "Choose another queue (pbs_queue): this one takes no arrays.",
    255: "Choose another queue (pbs_queue): this one takes no jobs now.",
}
"""What to do about an exit code of ``qsub`` that means no (08; the last eight bits of a number in pbs_error_db.h)."""

_ROOT = "Start as a user: TORQUE's `qsub` refuses root."
_UNREACHABLE_WORDS = re.compile(
    r"cannot connect to server|trqauthd|timed? ?out|end of file|(?:in|to|from|on) socket|socket (?:close|information)"
    r"|too busy|shutting down|no free connections|protocol error|request protocol|cannot resolve|can not resolve",
    re.IGNORECASE,
)
_UNREACHABLE_REMEDY = (
    "The PBS server is away or cannot be reached from here; try `qstat -B` by hand, and again later."
    " PBS_DEFAULT in the environment says which server it is."
)
_NO_TRQAUTHD = "This host's trqauthd does not run, without which no command reaches PBS: tell its administrators."
_NODE_AWAY = (
    "A node does not answer, so PBS cannot end the job on it: try again, or ask the cluster's administrators"
    " (`qdel -p`)."
)


def describe_failure(answer: Answer) -> tuple[ErrorKind, str, str]:
    """Give kind, problem and remedy of a command that failed."""
    command, stderr = answer.command, answer.stderr
    said = "; ".join(telling_lines(stderr)) or "nothing"
    problem = f"`{command}` failed with exit status {answer.exit_code}. PBS says: {said}."
    if "could not connect to MOM" in stderr:
        return ErrorKind.OTHER, problem, _NODE_AWAY
    is_certain = command == "qsub" and is_refusal(answer) and not is_unconnected(answer)  # whatever words it has
    if _UNREACHABLE_WORDS.search(stderr) and not is_certain:
        return ErrorKind.UNREACHABLE, problem, _NO_TRQAUTHD if "15137" in stderr else _UNREACHABLE_REMEDY
    if command == "qsub" and answer.exit_code >= 0:  # killed by a signal, it has refused nothing
        return ErrorKind.REFUSED, problem, _ROOT if "run as root" in stderr else REFUSALS.get(answer.exit_code, "")
    if "Unknown Job Id" in stderr or "nonexistent job id" in stderr:
        return ErrorKind.UNKNOWN_JOB, problem, ""
    if "Unauthorized Request" in stderr:
        return ErrorKind.REFUSED, problem, "It belongs to somebody else."
    return ErrorKind.OTHER, problem, ""
