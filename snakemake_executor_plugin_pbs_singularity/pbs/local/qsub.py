"""qsub: options and #PBS directives become a request. Messages and codes: transcripts openpbs/05 and 06."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path

from .call import Answer, Call, NeedsInputError, UsageError, options
from .cluster import Cluster
from .job import Indices, Interactive, Request
from .reading import (
    StopError,
    Wanted,
    directives,
    host_path,
    named_variables,
    other_pairs,
    read_dependencies,
    read_execution_time,
    read_script,
    read_umask,
    resource_pairs,
)
from .refusal import Reason, RefusalError
from .resources import resources

_OPTIONS = "a:A:c:C:e:fhIj:J:k:l:m:M:N:o:p:P:q:r:R:S:u:v:VW:Xz"
_DIRECTIVE_PREFIX = "#PBS"
_LONGEST_NAME = 230
_NAME = re.compile(r"[A-Za-z0-9_.+-]+")
_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9_.+-]")
_RANGE = re.compile(r"(\d+)-(\d+)(?::(\d+))?(?:%(\d+))?")
_USAGE = """usage: qsub [-a date_time] [-A account_string] [-c interval]
	[-C directive_prefix] [-e path] [-f ] [-h ] [-I [-X]] [-j oe|eo] [-J X-Y[:Z]]
	[-k keep] [-l resource_list] [-m mail_options] [-M user_list]
	[-N jobname] [-o path] [-p priority] [-P project] [-q queue] [-r y|n]
	[-R o|e|oe] [-S path] [-u user_list] [-W otherattributes=value...]
	[-v variable_list] [-V ] [-z] [script | -- command [arg1 ...]]
       qsub --version
"""


def answer(call: Call, cluster: Cluster) -> Answer:
    """Submit a job or array."""
    try:
        return _submit(call, cluster)
    except UsageError as error:
        return Answer(err=f"{error}{_USAGE}", code=2)
    except StopError as error:
        return Answer(err=str(error), code=error.code)
    except RefusalError as error:
        return Answer(err=f"qsub: {error}\n", code=error.reason.code)


def _submit(call: Call, cluster: Cluster) -> Answer:
    arguments = list(call.arguments)
    command: list[str] = []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, command = arguments[:at], arguments[at + 1 :]
    wanted = Wanted()
    operands = _take(arguments, wanted)
    if len(operands) > 1 or (operands and command):
        raise UsageError("")
    if "I" in wanted.letters and not (operands and operands[0] != "-"):
        script, name = b"", "STDIN"
    elif command:
        script, name = (shlex.join(command) + "\n").encode("utf-8", "surrogateescape"), "STDIN"
    elif operands and operands[0] != "-":
        path = Path(call.cwd, operands[0])
        script, name = read_script(path), _NOT_IN_NAME.sub("_", path.name)[:_LONGEST_NAME]
    elif call.stdin is None:
        raise NeedsInputError("stdin")
    else:
        script, name = call.stdin.encode("utf-8", "surrogateescape"), "STDIN"
    written = Wanted()
    prefix = wanted.letters.get("C", call.environment.get("PBS_DPREFIX", _DIRECTIVE_PREFIX))
    for words in directives(script, prefix):
        _take(words, written, before=wanted)
    wanted.fill_from(written)
    if "I" in wanted.letters:
        _check_interactive(call, wanted)
    if wanted.letters.get("r") == "n" and "J" in wanted.letters:
        raise UsageError("qsub:  cannot submit non-rerunable Array Job\n")
    return _hand_over(call, cluster, wanted, script, name, command)


def _check_interactive(call: Call, wanted: Wanted) -> None:
    if "J" in wanted.letters:
        raise UsageError("qsub: interactive and array job submission cannot be used together\n")
    if call.terminal is None:
        raise NeedsInputError("terminal")
    if not call.has_terminal:
        raise StopError("qsub:\tstandard input and output must be a terminal for\n\tinteractive job submission\n", 1)


def _hand_over(call: Call, cluster: Cluster, wanted: Wanted, script: bytes, name: str, command: list[str]) -> Answer:
    letters = wanted.letters
    interactive = None
    if "I" in letters and call.terminal is not None:
        interactive = Interactive(call.terminal, call.environment.get("TERM", ""), tuple(command))
    queue = letters.get("q", next(iter(cluster.settings.queues))).partition("@")[0]
    variables = _variables(call, letters, queue, cluster.server)
    if len(letters.get("N", "")) > _LONGEST_NAME:
        raise RefusalError(Reason.NAME_TOO_LONG)
    if queue not in cluster.settings.queues:
        raise RefusalError(Reason.UNKNOWN_QUEUE)
    if walltime := cluster.settings.queues[queue].resources_default.get("walltime"):
        wanted.resources.setdefault("walltime", walltime)
    request = Request(
        name=letters.get("N", name),
        owner=cluster.owner(),
        queue=queue,
        resources=resources(wanted.resources.items(), has_gpus=cluster.node.total.ngpus > 0),
        submitted=time.time(),
        output=host_path(letters.get("o"), call.cwd, cluster.server),
        error=host_path(letters.get("e"), call.cwd, cluster.server),
        variables=tuple(variables),
        arguments=" ".join(call.arguments),
        join=letters.get("j", "n"),
        keep=letters.get("k", "n"),
        mail_points=letters.get("m", "a").strip(),
        mail_users=letters.get("M", ""),
        priority=int(letters.get("p", "0")),
        rerunable=letters.get("r", "y") == "y" and interactive is None,
        project=letters.get("P", "_pbs_project_default"),
        account=letters.get("A", ""),
        umask=read_umask(wanted.others.get("umask")),
        shell=letters.get("S", "").partition("@")[0],
        depend=read_dependencies(wanted.others.get("depend"), cluster.server),
        execution_time=read_execution_time(letters.get("a")),
        indices=_indices(letters.get("J")),
        remove=letters.get("R", ""),
        interactive=interactive,
    )
    job = cluster.submit(request, script, "u" if "h" in letters else "n")
    identity = job.identity().text(cluster.server)
    if interactive is not None:
        return Answer(out=f"qsub: waiting for job {identity} to start\n", wait_for=job.number, interactive=True)
    return Answer(
        out="" if "z" in letters else f"{identity}\n",
        wait_for=job.number if wanted.others.get("block", "false").lower() == "true" else None,
    )


def _take(arguments: list[str], wanted: Wanted, before: Wanted | None = None) -> list[str]:
    """Check options and add them to what is wanted; give the operands."""
    try:
        pairs, operands = options(arguments, _OPTIONS)
    except UsageError as error:
        raise UsageError(f"qsub: {error}") from error
    for option, value in pairs:
        letter = option[1]
        if letter == "l":
            for name, amount in resource_pairs(value):
                wanted.resources[name] = amount
        elif letter == "W":
            for name, setting in other_pairs(value):
                wanted.others.setdefault(name, setting)
        elif before is None or letter not in before.letters:
            _check(letter, value)
            wanted.letters.setdefault(letter, value)
    return operands


def _check(letter: str, value: str) -> None:
    """Raise UsageError for a value that qsub itself refuses."""
    fits: dict[str, Callable[[], bool]] = {
        "N": lambda: len(value) > _LONGEST_NAME or _NAME.fullmatch(value) is not None,
        "j": lambda: value in ("oe", "eo", "n"),
        "J": lambda: _indices(value) is not None,
        "k": lambda: value in ("o", "e", "oe", "eo", "n") or value.rstrip("d") in ("o", "e", "oe", "eo"),
        "p": lambda: re.fullmatch(r"[+-]?\d{1,4}", value) is not None and -1024 <= int(value) <= 1023,
        "r": lambda: value in ("y", "n"),
        "R": lambda: value in ("o", "e", "oe", "eo"),
        "a": lambda: read_execution_time(value) is not None,
    }
    if letter in fits and not fits[letter]():
        raise UsageError(f"qsub: illegal -{letter} value\n")


def _variables(call: Call, letters: dict[str, str], queue: str, server: str) -> list[tuple[str, str]]:
    """Give the job's Variable_List: PBS_O_* and what -v and -V ask for."""
    environment = call.environment
    cwd = environment.get("PWD", "")
    if not (cwd.startswith("/") and _same_folder(cwd, call.cwd)):
        cwd = call.cwd
    names = ("HOME", "LANG", "LOGNAME", "PATH", "MAIL", "SHELL", "TZ")
    variables = [(f"PBS_O_{name}", environment[name]) for name in names if name in environment]
    variables += [
        ("PBS_O_INTERACTIVE_AUTH_METHOD", "resvport"),
        ("PBS_O_INTERACTIVE_ENCRYPT_METHOD", ""),
        ("PBS_O_WORKDIR", cwd),
        ("PBS_O_SYSTEM", "Linux"),
    ]
    if "V" in letters:
        variables += [(name, value.rstrip()) for name, value in environment.items() if name != "_"]
    if "v" in letters:
        variables += named_variables(letters["v"], call)
    return [*variables, ("PBS_O_QUEUE", queue), ("PBS_O_HOST", server)]


def _same_folder(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)  # noqa: PTH121 - strings are what there is
    except OSError:
        return False


def _indices(text: str | None) -> Indices | None:
    """Read -J; None if it is no range (transcripts openpbs/05q and 05r)."""
    match = _RANGE.fullmatch(text or "")
    if match is None:
        return None
    first, last, step = int(match[1]), int(match[2]), int(match[3] or 1)
    if step < 1 or first >= last:
        return None
    return Indices(first, last, step, int(match[4]) if match[4] else None)
