"""The home of a local PBS: one private folder that holds its state, its jobs and its commands."""

from __future__ import annotations

import os
import shlex
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

HOME_VARIABLE = "PBS_SINGULARITY_LOCAL_HOME"
COMMANDS = ("qsub", "qstat", "qdel", "qhold", "qrls", "qselect", "pbsnodes")

_NETWORK_FILE_SYSTEMS = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "beegfs", "ceph", "afs", "9p", "panfs", "fuse.sshfs")
)


class HomeError(Exception):
    """The folder of the local PBS cannot be used; the text says why and what to do."""


def home_folder(environment: Mapping[str, str]) -> Path:
    """Give the folder that PBS_SINGULARITY_LOCAL_HOME names, else one of this user's under /var/tmp."""
    named = environment.get(HOME_VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    return Path(f"/var/tmp/pbs-singularity-local-{os.getuid()}")  # noqa: S108 - owner and mode are checked


def prepare_home(environment: Mapping[str, str]) -> Path:
    """Give the home, made with mode 0700 if it was not there. Raises HomeError if it cannot be used."""
    home = home_folder(environment)
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_home(home)
        for name in ("jobs", "undelivered", "bin"):
            (home / name).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise HomeError(
            f"The folder of the local PBS, {home}, cannot be made: {error.strerror}. "
            f"Name another one in {HOME_VARIABLE}."
        ) from error
    return home


def check_home(home: Path) -> None:
    """Raise HomeError unless the home is a folder of this user alone, on a disk of this machine."""
    another = f"Name another folder in {HOME_VARIABLE}."
    status = home.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise HomeError(f"The folder of the local PBS, {home}, is not a folder. {another}")
    if status.st_uid != os.getuid():
        raise HomeError(f"The folder of the local PBS, {home}, belongs to user {status.st_uid}, not to you. {another}")
    if status.st_mode & 0o077:
        raise HomeError(f"The folder of the local PBS, {home}, is open to other users. Close it with: chmod 700 {home}")
    kind = file_system(home)
    if kind in _NETWORK_FILE_SYSTEMS:
        raise HomeError(
            f"The folder of the local PBS, {home}, is on a network file system ({kind}), where its locks and "
            f"sockets do not work. {another}"
        )


def file_system(folder: Path) -> str:
    """Give the type of the file system that holds a folder, such as ``nfs4``; empty if Linux does not say."""
    device = folder.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    kinds = [line.partition(" - ")[2].split()[0] for line in lines if line.split()[2] == wanted]
    return kinds[-1] if kinds else ""


def install_commands(home: Path) -> Path:
    """Write the commands into the home's ``bin`` and give that folder."""
    folder = home / "bin"
    for command in COMMANDS:
        script = folder / command
        text = f'#!/bin/sh\nexec {shlex.join(python_line(home, "main", command))} "$@"\n'
        try:
            if script.read_text() == text:
                continue
        except FileNotFoundError:
            pass
        unfinished = script.with_suffix(f".{os.getpid()}")
        unfinished.write_text(text)
        unfinished.chmod(0o700)
        unfinished.rename(script)
    return folder


def python_line(home: Path, function: str, *arguments: str) -> list[str]:
    """Give the words that run a function of ``client`` in a Python that starts quickly.

    -I and -S leave out all that a site or a user adds to Python; see the package's text for why this
    folder is loaded by itself.
    """
    package = str(Path(__file__).resolve().parent.parent)
    words = ", ".join(ascii(word) for word in (str(home), *arguments))
    code = (
        f"import sys; sys.path.insert(0, {package!a}); from local.client import {function}; "
        f"sys.exit({function}({words}))"
    )
    return [sys.executable, "-I", "-S", "-c", code]
