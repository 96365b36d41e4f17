"""The folder where downloads and what was built of them are kept, and building in it once and whole."""

import contextlib
import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path


class ToolError(Exception):
    """Something that the demo or the tests need cannot be had; the text says what, and what to do."""


def say(line: str) -> None:
    """Show a line of progress at once; on stderr, as stdout is for results."""
    print(line, file=sys.stderr, flush=True)


def cache_folder() -> Path:
    """Give the cache folder, which need not exist: ``$XDG_CACHE_HOME/…`` or ``~/.cache/…``."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    root = base if base.is_absolute() else Path.home() / ".cache"
    return root / "snakemake-executor-plugin-pbs-singularity"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes of this machine out while the block runs; ``path`` becomes the lock file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Waiting for another process that holds {path} …")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def new_folder(destination: Path) -> Iterator[Path]:
    """Give an empty folder beside ``destination`` that takes its name when the block ends without an error.

    If the block fails, the folder is removed and ``destination`` is not there. What is at ``destination``
    before is replaced.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent))
    work.chmod(0o755)
    try:
        yield work
        shutil.rmtree(destination, ignore_errors=True)
        work.rename(destination)
    finally:
        shutil.rmtree(work, ignore_errors=True)
