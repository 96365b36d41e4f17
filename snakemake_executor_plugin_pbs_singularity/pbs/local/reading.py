"""What all kinds of qsub read alike: values of options, scripts and their directives."""

from __future__ import annotations

import re
import shlex
import time
from dataclasses import dataclass, field
from pathlib import Path

from .call import Call, UsageError
from .job import BadIdError, parse_id
from .refusal import Reason, RefusalError

_DEPENDENCIES = ("after", "afterok", "afternotok", "afterany")


class StopError(Exception):
    """qsub ends here with a message and an exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Wanted:
    """Options by letter; -l by resource and -W by keyword. What was said first holds."""

    letters: dict[str, str] = field(default_factory=dict)
    resources: dict[str, str] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)

    def fill_from(self, later: Wanted) -> None:
        """Take what is said later, as by directives of the script, where nothing was said before."""
        for mine, added in (
            (self.letters, later.letters),
            (self.resources, later.resources),
            (self.others, later.others),
        ):
            for key, value in added.items():
                mine.setdefault(key, value)


def resource_pairs(text: str) -> list[tuple[str, str]]:
    """Take -l apart. Raises UsageError."""
    pairs = []
    for item in text.split(","):
        name, equals, value = (part.strip() for part in item.partition("="))
        if not name or (equals and not value):
            raise UsageError("qsub: illegal -l value\n")
        pairs.append((name, value))
    return pairs


def other_pairs(text: str) -> list[tuple[str, str]]:
    """Take -W apart; a comma begins a new keyword only if an = follows: depend=afterok:1,afterany:2."""
    pairs: list[tuple[str, str]] = []
    for item in text.split(","):
        name, equals, value = item.strip().partition("=")
        if equals:
            pairs.append((name, value))
        elif pairs:
            pairs[-1] = (pairs[-1][0], f"{pairs[-1][1]},{item}")
        else:
            raise UsageError("qsub: illegal -W value\n")
    for name, value in pairs:
        if name == "block" and value.lower() not in ("true", "false"):
            raise UsageError("qsub: illegal -W value\n")
        if name in ("stagein", "stageout"):
            raise StopError("qsub: the local PBS does not stage files\n", 1)
    return pairs


def read_script(path: Path) -> bytes:
    """Give a script. Raises StopError if there is none."""
    try:
        if not path.is_file() and path.exists():
            raise StopError("qsub: script not a file\n", 1)
        return path.read_bytes()
    except OSError as error:
        raise StopError(f"qsub: script file:: {error.strerror}\n", 1) from error


def directives(script: bytes, prefix: str) -> list[list[str]]:
    """Give the words of each directive; they end where the first command begins."""
    found = []
    for line in script.decode("utf-8", "surrogateescape").splitlines():
        text = line.strip()
        if prefix and text.startswith(prefix):
            rest = text[len(prefix) :]
            if not rest[:1].isspace() and rest:
                continue
            try:
                found.append(shlex.split(rest, comments=True))
            except ValueError as error:
                raise StopError(f"qsub: unmatched quote in directive: {text}\n", 1) from error
        elif text and not text.startswith(("#", ":")):
            break
    return found


def host_path(path: str | None, cwd: str, server: str) -> str:
    """Give an output path as the server shows it, ``host:/path``; "" for the default."""
    if path is None:
        return ""
    host, colon, rest = path.partition(":")
    if not colon or "/" in host:
        host, rest = server, path
    return f"{host}:{rest if rest.startswith('/') else f'{cwd}/{rest}'}"


def named_variables(text: str, call: Call, *, strict: bool = True) -> list[tuple[str, str]]:
    """Read -v: names or NAME=value at commas; quotes protect commas and vanish, backslashes double.

    So found in transcript openpbs/11-nasty-SUMMARY.
    """
    refused = StopError("qsub: cannot send environment with the job\n", 1)
    items = [""]
    quote = ""
    characters = iter(range(len(text)))
    for at in characters:
        character = text[at]
        if character == quote:
            quote = ""
        elif not quote and character in "\"'":
            quote = character
        elif character == "\\" and text[at + 1 : at + 2] == ",":
            items[-1] += ","
            next(characters)
        elif character == "\\":
            items[-1] += "\\\\"
        elif character == "," and not quote:
            items.append("")
        else:
            items[-1] += character
    if quote:
        raise refused
    found = []
    for item in items:
        name, equals, value = item.partition("=")
        if not equals:
            if name not in call.environment and strict:
                raise refused
            if name not in call.environment:
                continue
            value = call.environment[name]
        found.append((name.strip(), value.rstrip()))
    return found


def read_umask(text: str | None) -> int | None:
    """Read ``-W umask=``. Raises RefusalError."""
    if text is None:
        return None
    if re.fullmatch(r"[0-7]{1,4}", text) is None:
        raise RefusalError(Reason.BAD_VALUE, " umask")
    return int(text, 8)


def read_dependencies(text: str | None, server: str) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Read ``-W depend=``. Raises UsageError."""
    if text is None:
        return ()
    found = []
    for part in text.split(","):
        kind, *ids = part.strip().strip('"').split(":")
        if kind not in _DEPENDENCIES or not ids:
            raise UsageError("qsub: illegal -W value\n")
        try:
            found.append((kind, tuple(parse_id(one, server).number for one in ids)))
        except BadIdError as error:
            raise UsageError("qsub: illegal -W value\n") from error
    return tuple(found)


def read_execution_time(text: str | None) -> float | None:
    """Read -a, ``[[CC]YY]MMDDhhmm[.SS]`` or ``hhmm``, as seconds since the epoch; None if it is none."""
    match = re.fullmatch(r"(\d{4}|\d{8}|\d{10}|\d{12})(?:\.(\d\d))?", text or "")
    if match is None:
        return None
    now = time.localtime()
    digits, seconds = match[1], match[2] or "00"
    begin = time.strftime("%Y%m%d", now)
    begin = begin[: 12 - len(digits)] + digits + seconds
    try:
        return time.mktime(time.strptime(begin, "%Y%m%d%H%M%S"))
    except ValueError:
        return None
