"""The SHA-256 of an image, computed once for each version of its file.

It alone finds flipped bytes: such an image starts as if nothing were wrong (transcript apptainer/97). Reading some
gigabytes takes a while, so the result is kept, with what tells versions of a file apart.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from .errors import ImageError


def checksum_cache(environment: Mapping[str, str]) -> Path:
    """Give the user's file of checksums: ``$XDG_CACHE_HOME/pbs-singularity/checksums`` or in ``~/.cache``."""
    base = Path(environment.get("XDG_CACHE_HOME", ""))
    root = base if base.is_absolute() else Path(environment.get("HOME") or Path.home(), ".cache")
    return root / "pbs-singularity/checksums"


def sha256_of(image: Path, cache: Path, *, afresh: bool = False) -> str:
    """Give the SHA-256 of an image as 64 digits.

    What was computed before for the same path, size, times and inode is taken from ``cache``, which many processes
    may use at once and which may be missing, damaged or not writable: then it is computed. Bytes that a failing
    disk flips change none of these; ``afresh`` computes in any case.

    For an unpacked image it is that of a list of all that is in it: for each path its kind, whether it may be
    executed, and the SHA-256 of its contents or where it leads. Owners and times do not count.

    Raises ImageError if something cannot be read or changes meanwhile.
    """
    path = image.absolute()
    unpacked = False
    try:
        unpacked = path.is_dir()
        version = _version(path)
        known = _recall(cache, path, version)
        if known is not None and not afresh:
            return known
        checksum = _tree_checksum(path) if unpacked else file_checksum(path)
        if _version(path) != version:
            raise ImageError(f"The image {image} changed while it was read.", "Try again when nobody writes it.")
    except OSError as error:
        raise ImageError(
            f"The checksum of {image} cannot be computed: {error.strerror} ({error.filename}).",
            "An unpacked image must be readable whole; build a file of it."
            if unpacked
            else "Ask its owner for permission to read it.",
        ) from error
    if checksum != known:
        _remember(cache, path, version, checksum)
    return checksum


def size_in_bytes(image: Path) -> int:
    """Give the size of an image; of an unpacked one, that of all its files."""
    try:
        return sum(path.lstat().st_size for path in _walk(image) if not path.is_dir() or path.is_symlink())
    except OSError as error:
        raise ImageError(f"The size of {image} is unknown: {error.strerror} ({error.filename}).") from error


def _version(path: Path) -> str:
    """Give what changes when an image is changed: of a file, or of all that is in a folder."""
    if path.is_dir():
        digest = hashlib.sha256()
        for found in _walk(path):
            digest.update(f"{os.fsencode(found)!r} {_file_version(found.lstat())}\n".encode())
        return digest.hexdigest()
    return _file_version(path.stat())


def _file_version(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino}"


def _walk(path: Path) -> Iterator[Path]:
    """Give a path and everything below it, in an order that depends on names only."""
    yield path
    if path.is_dir():
        for parent, folders, files in os.walk(path, onerror=_raise):
            folders.sort()
            yield from (Path(parent, name) for name in sorted([*folders, *files]))


def _raise(error: OSError) -> None:
    raise error


def file_checksum(path: Path) -> str:
    """Compute the SHA-256 of a file as 64 digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _tree_checksum(root: Path) -> str:
    digest = hashlib.sha256()
    for path in _walk(root):
        name = os.fsencode(path.relative_to(root))
        digest.update(f"{name!r} {_contents(path)}\n".encode())
    return digest.hexdigest()


def _contents(path: Path) -> str:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return f"link {os.fsencode(path.readlink())!r}"
    if stat.S_ISREG(mode):
        return f"{'program' if mode & 0o111 else 'file'} {file_checksum(path)}"
    return "folder" if stat.S_ISDIR(mode) else "special"


def _recall(cache: Path, path: Path, version: str) -> str | None:
    """Look a checksum up; the last line about a path and version counts, and lines that are damaged do not."""
    try:
        lines = cache.read_text(errors="replace").splitlines()
    except OSError:  # none yet, or not for us: then nothing is known
        return None
    wanted = [str(path), version]
    for line in reversed(lines):
        try:
            *key, checksum = json.loads(line)
        except (ValueError, TypeError):  # two machines wrote at once
            continue
        if key == wanted and isinstance(checksum, str) and len(checksum) == 64:
            return checksum
    return None


def _remember(cache: Path, path: Path, version: str, checksum: str) -> None:
    """Add a line in one write, so that processes that write at once do not cut each other's lines."""
    line = json.dumps([str(path), version, checksum]) + "\n"
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(cache, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:  # a home that is full or read-only costs time, nothing else
        return
    try:
        os.write(file, line.encode())
    except OSError:
        return
    finally:
        os.close(file)
