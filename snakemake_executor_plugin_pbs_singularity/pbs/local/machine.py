"""What this machine has and who runs on it."""

from __future__ import annotations

import grp
import os
import pwd
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .backlog import Room
from .settings import Settings

_NO_SHELLS = frozenset({"", "/usr/sbin/nologin", "/sbin/nologin", "/bin/false", "/usr/bin/false"})


@dataclass(frozen=True)
class User:
    """The user of a local PBS: name, home folder and login shell."""

    name: str
    home: str
    shell: str


def host_name() -> str:
    """Give this machine's name up to the first dot; it is the server's name too."""
    return os.uname().nodename.split(".")[0]


def current_user() -> User:
    """Give the user of this process. Where a login shell is missing or refuses logins, /bin/sh stands in."""
    try:
        entry = pwd.getpwuid(os.getuid())
    except KeyError:  # such as in a container that was given a bare user number
        return User(str(os.getuid()), "/", "/bin/sh")
    shell = entry.pw_shell
    usable = shell not in _NO_SHELLS and os.access(shell, os.X_OK)
    return User(entry.pw_name, entry.pw_dir, shell if usable else "/bin/sh")


def group_names() -> set[str]:
    """Give the names of the groups of this process."""
    names = set()
    for number in {os.getgid(), *os.getgroups()}:
        with suppress(KeyError):
            names.add(grp.getgrgid(number).gr_name)
    return names


def room_of(settings: Settings) -> Room:
    """Give what the machine has, or what the settings say that it has."""
    return Room(
        ncpus=len(os.sched_getaffinity(0)) if settings.ncpus is None else settings.ncpus,
        mem_kb=_memory_kb() if settings.mem_mb is None else settings.mem_mb * 1024,
        ngpus=_gpus() if settings.ngpus is None else settings.ngpus,
    )


def _memory_kb() -> int:
    return os.sysconf("SC_PHYS_PAGES") * (os.sysconf("SC_PAGE_SIZE") // 1024)


def _gpus() -> int:
    return sum(1 for path in Path("/dev").glob("nvidia*") if path.name.removeprefix("nvidia").isdigit())
