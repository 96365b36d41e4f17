"""One command as the server gets it, and what it answers."""

from __future__ import annotations

import getopt
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Call:
    """A command with its arguments and what it was run with."""

    command: str
    arguments: list[str]
    cwd: str
    environment: Mapping[str, str]
    stdin: str | None
    """None as long as the command has not been asked for it."""
    terminal: str | None = None
    """The pseudo-terminal that qsub has made for an interactive job; None as stdin."""
    has_terminal: bool = False
    """Whether stdin and stdout of that qsub are a terminal."""


@dataclass(frozen=True)
class Answer:
    """What a command prints, and its exit code."""

    out: str = ""
    err: str = ""
    code: int = 0
    wait_for: int | None = None
    """Number of the job whose end the command waits for (``-W block=true`` and ``-I``)."""
    interactive: bool = False
    """Whether the command stays with that job and ends it if it is killed."""


class NeedsInputError(Exception):
    """Something is needed that only the command has; the text says what: ``stdin`` or ``terminal``."""


class UsageError(Exception):
    """Wrong arguments; the text is what goes to stderr before the usage."""


def options(arguments: list[str], accepted: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Take options and operands apart as getopt(3) does. Raises UsageError without the command's name."""
    try:
        return getopt.gnu_getopt(arguments, accepted)
    except getopt.GetoptError as error:
        letter = error.opt[:1] or "-"
        if "requires argument" in error.msg:
            raise UsageError(f"option requires an argument -- '{letter}'\n") from error
        raise UsageError(f"invalid option -- '{letter}'\n") from error
