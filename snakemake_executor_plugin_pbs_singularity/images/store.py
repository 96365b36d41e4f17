"""Where pulled images go: one file for each URI, under a name that a person recognises."""

import contextlib
import glob
import hashlib
import os
import re
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import ImageError
from .group import end_orphans
from .reference import UriReference
from .runtime import Runtime, image_ending

_LONGEST_NAME = 120
_LOCK_POLL = 0.5

PULLING = ".pulling"
"""How the folders end that images are pulled in, beside where they go."""


def stored_path(reference: UriReference, store: Path, runtime: Runtime | None = None) -> Path:
    """Give the file in the store for a URI, such as ``docker/ubuntu_22.04-9859e0c0.sif``.

    The same URI always gives the same file. The digits are from the SHA-256 of the whole URI, so that
    URIs that differ only in what a file name cannot hold, or in what may be secret and is left out, stay
    apart. The scheme and the name are plain ASCII, with no leading dot or dash. The runtime decides the
    ending only.
    """
    digits = hashlib.sha256(reference.uri.encode()).hexdigest()[:8]
    readable = re.sub(r"[^A-Za-z0-9.+-]+", "_", reference.public_rest).strip("._-") or "image"
    readable = readable.removesuffix(".sif").removesuffix(".simg")[:_LONGEST_NAME]
    return store / reference.scheme / f"{readable}-{digits}{image_ending(runtime)}"


def prepare_store(store: Path, folder: Path) -> None:
    """Make the store and the folder in it, and find out now, not in an hour, whether they can be written."""
    remedy = "Choose another store, or ask its owner for write permission."
    try:
        if not store.parent.is_dir():
            raise ImageError(f"The image store {store} cannot be made: {store.parent} is not there.", remedy)
        store.mkdir(exist_ok=True)
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            folder.chmod(stat.S_IMODE(store.stat().st_mode))  # who may fill the store may fill this folder
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ImageError(f"The image store {store} cannot be written: {error.strerror}.", remedy) from error


@contextlib.contextmanager
def locked(
    destination: Path, reference: UriReference, report: Callable[[str], None], time_limit: float, stop: threading.Event
) -> Iterator[None]:
    """Keep other processes, on this machine or on others, from pulling the same image."""
    path = _lock_of(destination)
    try:
        with contextlib.suppress(FileExistsError):
            file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC)
            os.fchmod(file, destination.parent.stat().st_mode & 0o666)  # whoever may pull here may lock
            os.close(file)
        lock = FileLock(path, mode=stat.S_IMODE(path.stat().st_mode))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            report(f"Waiting for another process that is pulling {reference.shown} (lock {path}).")
            lock.acquire(timeout=time_limit, poll_interval=_LOCK_POLL, cancel_check=stop.is_set)
    except Timeout as error:
        if stop.is_set():
            raise ImageError(f"Waiting for {reference.shown} was interrupted.") from error
        raise ImageError(
            f"Another process has been pulling {reference.shown} for {time_limit:g} seconds.",
            f"If none is, remove {path}.",
        ) from error
    except (OSError, NotImplementedError) as error:
        raise ImageError(
            f"The lock {path} cannot be taken: {error}.",
            "Ask the owner of the file, or choose a store on a file system that knows locks.",
        ) from error
    try:
        yield
    finally:
        lock.release()


def remove_leftovers(destination: Path) -> None:
    """Remove what a pull left that was killed too hard to clean up; for the holder of the lock only."""
    for leftover in _leftovers(destination):
        end_orphans(leftover)
        remove_tree(leftover)


def remove_unowned_leftovers(destination: Path) -> None:
    """Remove it beside an image that is there, if nobody holds its lock and the store can be written."""
    if not _leftovers(destination):
        return
    lock = FileLock(_lock_of(destination))
    with contextlib.suppress(Timeout, OSError), lock.acquire(timeout=0):
        remove_leftovers(destination)


def _leftovers(destination: Path) -> list[Path]:
    return list(destination.parent.glob(f"{glob.escape(f'.{destination.name}.')}*{PULLING}"))


def _lock_of(destination: Path) -> Path:
    return destination.with_name(f".{destination.name}.lock")


def remove_tree(folder: Path) -> None:
    """Remove a folder and all in it, also the folders of an image that are write-protected."""
    for parent, names, _ in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            if not path.is_symlink():
                with contextlib.suppress(OSError):
                    path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
