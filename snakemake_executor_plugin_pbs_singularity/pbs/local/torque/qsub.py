"""qsub of TORQUE: what differs from OpenPBS's. Messages and codes: transcripts torque/08 and 09-arrays-misc."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from ..call import Answer, Call, NeedsInputError, UsageError, options
from ..cluster import Cluster
from ..job import INDEX_TAG, Indices, Interactive, Request
from ..reading import (
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
from ..refusal import Reason, RefusalError
from .resources import resources
from .words import TorqueError, refusal

_OPTIONS = "a:A:b:c:C:d:D:e:EfF:hIj:J:k:K:l:m:M:nN:o:p:P:q:r:S:t:T:u:v:Vw:W:xXz"
_USAGE = """
usage: qsub [-a date_time] [-A account_string] [-b secs]
    [-c [ none | { enabled | periodic | shutdown |
    depth=<int> | dir=<path> | interval=<minutes>}... ]
    [-C directive_prefix] [-d path] [-D path]
    [-e path] [-h] [-I] [-j oe|eo|n] [-k {oe}] [-K <kill delay seconds>]{blank}
    [-l resource_list] [-m n|{abe}] [-M user_list] [-N jobname] [-o path]{blank}
    [-p priority] [-P proxy_user [-J <jobid]] [-q queue] [-r y|n]{blank}
    [-S path] [-t number_to_submit] [-T type]  [-u user_list] [-w] path
    [-W additional_attributes] [-v variable_list] [-V ] [-x] [-X] [-z] [script]

""".replace("{blank}", " ")
_ATTRIBUTES = frozenset({"depend", "umask", "group_list", "x", "job_radix", "interactive", "stagein", "stageout"})
_LARGEST_INDEX = 99_999_999


def answer(call: Call, cluster: Cluster) -> Answer:
    """Submit a job or array."""
    wanted = Wanted()
    try:
        return _submit(call, cluster, wanted)
    except UsageError as error:
        words = str(error).strip()
        lines = f"{words}\n[exiting]\n" if "option" in words and "--" in words else f"[{words}]\n"
        return Answer(err=f"{lines}{_USAGE}", code=2)
    except StopError as error:
        return Answer(err=str(error), code=error.code)
    except (RefusalError, TorqueError) as error:
        text, code = refusal(error, cluster.owner(), _queue(wanted, cluster))
        return Answer(err=text, code=code)


def _submit(call: Call, cluster: Cluster, wanted: Wanted) -> Answer:
    operands = _take(call.arguments, wanted, frozenset())
    interactive = "I" in wanted.letters
    command = " ".join(operands)
    name = "STDIN"
    script = b""
    if operands and operands[-1] != "-":
        path = Path(call.cwd, operands[0] if interactive else operands[-1])
        try:
            script, name = read_script(path), path.name
        except StopError as error:
            problem = str(error).partition("::")[2].strip() or "Is a directory"
            shown = operands[0] if interactive else operands[-1]
            raise StopError(f"qsub: script file '{shown}' cannot be loaded - {problem}\n", 1) from error
    elif not interactive:
        if call.stdin is None:
            raise NeedsInputError("stdin")
        script = call.stdin.encode("utf-8", "surrogateescape")
    said = frozenset(wanted.letters)
    prefix = wanted.letters.get("C", call.environment.get("PBS_DPREFIX", "#PBS"))
    written = Wanted()
    for words in directives(script, prefix):
        _take(words, written, said)
    wanted.fill_from(written)
    terminal = _terminal(call, cluster, wanted, command)
    return _hand_over(call, cluster, wanted, script, wanted.letters.get("N", name), terminal)


def _take(arguments: list[str], wanted: Wanted, said: frozenset[str]) -> list[str]:
    try:
        pairs, operands = options(arguments, _OPTIONS)
    except UsageError as error:
        raise UsageError(f"qsub: {error}") from error
    for option, value in pairs:
        letter = option[1]
        if letter == "l":
            wanted.resources.update(resource_pairs(value))
        elif letter == "W":
            wanted.others.update(other_pairs(value))
        elif letter not in said:
            _check(letter, value)
            wanted.letters.setdefault(letter, value)
    if "J" in wanted.letters and "P" not in wanted.letters:
        raise UsageError("The -J option can only be used in conjunction with -P")
    return operands


def _check(letter: str, value: str) -> None:
    fits: dict[str, Callable[[], bool]] = {
        "N": lambda: bool(value) and not any(character.isspace() for character in value),
        "j": lambda: value in ("oe", "eo", "n"),
        "k": lambda: value in ("o", "e", "oe", "eo", "n"),
        "p": lambda: re.fullmatch(r"[+-]?\d{1,4}", value) is not None and -1024 <= int(value) <= 1023,
        "r": lambda: value in ("y", "n"),
        "a": lambda: read_execution_time(value) is not None,
    }
    if letter in fits and not fits[letter]():
        raise UsageError(f"qsub: illegal -{letter} value")


def _terminal(call: Call, cluster: Cluster, wanted: Wanted, command: str) -> Interactive | None:
    """Give the terminal of ``qsub -I``; what ``-x`` names is a line for the user's shell and needs none of its own."""
    letters = wanted.letters
    if "I" not in letters:
        if "x" in letters:
            raise UsageError("qsub: '-x' invalid on non-interactive job")
        return None
    if "x" in letters and not command:
        raise UsageError("qsub: '-x' used without a script specified")
    if "t" in letters:
        raise StopError("qsub: interactive job can not be job array.\n", 2)
    if call.terminal is None:
        raise NeedsInputError("terminal")
    if not call.has_terminal and "x" not in letters:
        words = "qsub:\tstandard input and output must be a terminal for \n\tinteractive job submission\n"
        raise StopError(words, 1)
    shell = letters.get("S", "").partition("@")[0] or cluster.node.user.shell
    line = (shell, "-c", command) if "x" in letters else ()
    return Interactive(call.terminal, call.environment.get("TERM", ""), line)


def _queue(wanted: Wanted, cluster: Cluster) -> str:
    return wanted.letters.get("q", next(iter(cluster.settings.queues))).partition("@")[0]


def _hand_over(
    call: Call, cluster: Cluster, wanted: Wanted, script: bytes, name: str, interactive: Interactive | None
) -> Answer:
    letters, queue = wanted.letters, _queue(wanted, cluster)
    if queue not in cluster.settings.queues:
        raise RefusalError(Reason.UNKNOWN_QUEUE)
    if walltime := cluster.settings.queues[queue].resources_default.get("walltime"):
        wanted.resources.setdefault("walltime", walltime)
    if "P" in letters:
        user = cluster.node.user.name
        words = f"User '{user}' is attempting to submit a proxy job for user '{letters['P']}' but is not a manager"
        raise TorqueError(f"Bad UID for job execution MSG={words}", 177)
    if set(wanted.others) - _ATTRIBUTES:
        raise TorqueError("Undefined attribute  MSG=detected presence of an unknown attribute", 154)
    indices = _indices(letters["t"]) if "t" in letters else None
    dependencies = _dependencies(wanted.others.get("depend"), cluster)
    request = Request(
        name=name,
        owner=cluster.owner(),
        queue=queue,
        resources=resources(wanted.resources.items(), cluster.node.total, cluster.server),
        submitted=time.time(),
        output=_output(letters.get("o"), call, cluster.server, indices),
        error=_output(letters.get("e"), call, cluster.server, indices),
        variables=tuple(_variables(call, letters, queue, cluster.server)),
        arguments=" ".join(call.arguments),
        join=letters.get("j", "n"),
        keep=letters.get("k", "n"),
        mail_points=letters.get("m", "a").strip(),
        mail_users=letters.get("M", ""),
        priority=int(letters.get("p", "0")),
        rerunable=letters.get("r", "y") == "y",
        account=letters.get("A", ""),
        umask=read_umask(wanted.others.get("umask")),
        shell=letters.get("S", "").partition("@")[0],
        depend=dependencies,
        execution_time=read_execution_time(letters.get("a")),
        indices=indices,
        interactive=interactive,
    )
    job = cluster.submit(request, script, "u" if "h" in letters else "n")
    identity = job.identity().text(cluster.server)
    if interactive is not None:
        return Answer(out=f"qsub: waiting for job {identity} to start\n", wait_for=job.number, interactive=True)
    return Answer(out="" if "z" in letters else f"{identity}\n")


def _dependencies(text: str | None, cluster: Cluster) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Read ``depend``; a job that is over or unknown is refused, and ``afterokarray`` is ``afterok`` of an array."""
    plain = None if text is None else re.sub(r"\b(after\w*)array\b", r"\1", text).replace("[]", "")
    found = read_dependencies(plain, cluster.server)
    if any(number not in cluster.jobs for _, numbers in found for number in numbers):
        raise TorqueError("Invalid Job Dependency", 208)
    return found


def _indices(text: str) -> Indices:
    """Read -t: ``0-9``, ``1,3,5-7``, with ``%2`` at most two at a time. A step is refused."""
    bad = TorqueError("Bad Job Array Request", 235)
    match = re.fullmatch(r"(\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)(?:%(\d+))?", text)
    if match is None:
        raise bad
    indices: set[int] = set()
    for part in match[1].split(","):
        first, _, last = part.partition("-")
        if not int(first) <= int(last or first) <= _LARGEST_INDEX:
            raise bad
        indices |= set(range(int(first), int(last or first) + 1))
    every = sorted(indices)
    listed = () if len(every) == every[-1] - every[0] + 1 else tuple(every)
    return Indices(every[0], every[-1], 1, int(match[2]) if match[2] else None, listed, text)


def _output(path: str | None, call: Call, server: str, indices: Indices | None) -> str:
    """Give an output path as the server shows it; that of a subjob has ``-3`` at its end unless it is a folder."""
    shown = host_path(path, call.cwd, server)
    plain = shown.partition(":")[2]
    if not shown or indices is None or plain == "/dev/null" or os.path.isdir(plain):  # noqa: PTH112
        return shown
    return f"{shown}-{INDEX_TAG}"


def _variables(call: Call, letters: dict[str, str], queue: str, server: str) -> list[tuple[str, str]]:
    environment = call.environment
    names = ("HOME", "LOGNAME", "PATH", "MAIL", "SHELL", "LANG")
    variables = [("PBS_O_QUEUE", queue)]
    variables += [(f"PBS_O_{name}", environment[name]) for name in names if name in environment]
    if "V" in letters:
        variables += [(name, value) for name, value in environment.items() if name != "_"]
    if "v" in letters:
        variables += named_variables(letters["v"], call, strict=False)
    workdir = letters.get("w", call.cwd)
    return [*variables, ("PBS_O_WORKDIR", workdir), ("PBS_O_HOST", server), ("PBS_O_SERVER", server)]
