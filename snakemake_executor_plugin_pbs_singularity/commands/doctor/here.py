"""What the doctor looks at on this machine: folders, locks, the user, Snakemake."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ...pbs.local.home import file_system
from ..table import size_in_words
from .findings import Finding, ok, problem, warning

_LOCAL_FILE_SYSTEMS = frozenset(("btrfs", "ext2", "ext3", "ext4", "overlay", "ramfs", "tmpfs", "xfs", "zfs"))
"""Those that other machines do not see, unless this one is their server."""
_LITTLE_ROOM = 5_000_000_000
"""Bytes: images have one to ten times 10^9, and need room for a copy while they are pulled."""
SEVERAL_MACHINES = (
    "Work in a folder of the shared file system, as your site says (often below /home, /scratch or /data)."
)


def check_user(uid: int) -> Finding:
    """Tell whether an ordinary user asks."""
    if uid != 0:
        return ok("user", f"An ordinary user (uid {uid}).")
    return warning(
        "user",
        "You are root: PBS may refuse root's jobs (TORQUE does), and containers may work for root only.",
        "Run the doctor and Snakemake as the user whose jobs they are to be.",
    )


def check_snakemake(snakemake: str, python: str) -> Finding:
    """Tell which Snakemake this is; that it can be imported its installation has made sure of."""
    return ok("Snakemake", f"Snakemake {snakemake}, with Python in {python}.")


def check_libraries(folders: Sequence[Path], default: Path) -> list[Finding]:
    """Look at the image libraries of this machine; that they exist the settings have made sure of."""
    if not folders:
        return [
            ok(
                "library",
                f"None: {default} is not here, and --pbs-singularity-library names none. Images are URIs or paths.",
            )
        ]
    return [_check_library(folder) for folder in folders]


def _check_library(folder: Path) -> Finding:
    try:
        empty = next(folder.iterdir(), None) is None
    except OSError as error:
        return problem(
            "library",
            f"{folder} cannot be read: {error.strerror}.",
            "Ask its owner for permission to read it, or leave it out of --pbs-singularity-library.",
        )
    if empty:
        return warning(
            "library", f"{folder} is empty.", "Is it mounted here? `pbs-singularity images list` shows images."
        )
    return ok("library", f"{folder} is here.")


def check_store(store: Path, default: bool) -> Finding:
    """Tell whether images can be pulled into the store, and what room it has."""
    there = next(folder for folder in (store, *store.parents) if folder.exists())
    remedy = "Name another folder with --pbs-singularity-store, on the shared file system."
    if there != store and not default and there != store.parent:
        return problem("store", f"{store} cannot be made: {store.parent} is not there.", remedy)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return problem("store", f"Images cannot be pulled into {store}: {there} cannot be written to.", remedy)
    free = shutil.disk_usage(there).free
    if free < _LITTLE_ROOM:
        return warning(
            "store",
            f"{store} has room for {size_in_words(free)}; one image takes some GB while it is pulled.",
            f"Make room there, or do as follows. {remedy}",
        )
    return ok("store", f"Images are pulled into {store}: {size_in_words(free)} free.")


def check_workdir(workdir: Path, *, probed: bool) -> Finding:
    """Tell whether the working directory can be written to and, unless a node was asked, whether it seems shared."""
    try:
        with tempfile.TemporaryFile(dir=workdir) as file:
            file.write(b"x" * 4096)
            file.flush()
    except OSError as error:
        return problem(
            "working directory",
            f"{workdir} cannot be written to: {error.strerror}.",
            "Start where you may write, on the shared file system; see to your quota if the disk is full.",
        )
    kind = file_system(workdir)
    if not probed and kind in _LOCAL_FILE_SYSTEMS:
        return warning(
            "working directory",
            f"{workdir} is on a file system of this machine ({kind}), which compute nodes may not see.",
            f"{SEVERAL_MACHINES} Without --no-probe the doctor looks whether nodes see it.",
        )
    return ok("working directory", f"{workdir} can be written to{f' ({kind})' if kind else ''}.")


def check_locks(workdir: Path) -> Finding:
    """Tell whether two processes can keep each other out there, as pulls and runs do."""
    try:
        with (
            tempfile.NamedTemporaryFile(dir=workdir, prefix=".pbs-singularity-") as first,
            Path(first.name).open() as second,
        ):
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return ok("locks", "Locks work in the working directory.")
        said = "Locks have no effect in the working directory: two processes got the same one."
    except OSError as error:
        said = f"Files in the working directory cannot be locked: {error.strerror}."
    return problem(
        "locks", said, "Work on another file system, or ask the administrators to mount this one with locks (flock)."
    )
