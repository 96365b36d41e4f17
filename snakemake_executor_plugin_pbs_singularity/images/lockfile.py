"""``images.lock``: what every image of a workflow was. Beside the Snakefile, to be read and kept with it.

It is TOML, an ``[[image]]`` for each reference, sorted, so that a change of one image is a change of a few lines. The
store keeps what is known of a pulled image in the same form, see record.py.
"""

import contextlib
import json
import os
import re
import stat
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .errors import ImageError
from .registry_name import is_digest

LOCK_NAME = "images.lock"
VERSION = 1

_HEAD = f"""\
# What the images of this workflow are, by `pbs-singularity images lock`. Keep it with the Snakefile.
version = {VERSION}
"""
_SHA256 = re.compile(r"[0-9a-f]{64}")


class NewerLockError(ImageError):
    """A lock file was written by a version that this one does not know: it is not to be written over."""


@dataclass(frozen=True)
class LockedImage:
    """What one image was when it was locked or pulled."""

    reference: str
    """The ``container:`` value; a URI without what may be secret in it."""
    digest: str | None
    """``sha256:…`` of the manifest in its registry; None for images without one."""
    sha256: str
    """Of the file, as checksum.sha256_of gives it. Two images converted from one digest differ in it."""
    size: int
    """In bytes."""
    made: datetime
    """When the file was made, in UTC and whole seconds."""
    runtime: str | None
    """What made it, such as ``Apptainer 1.4.5``; None where that is not known."""


def read_lock(path: Path) -> dict[str, LockedImage]:
    """Give the images of a lock file by their references.

    Raises ImageError, naming the file, if it is missing, unreadable, damaged or, as NewerLockError, of a newer version.
    """
    again = "Write it again with `pbs-singularity images lock`, or take it from the workflow's history."
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ImageError(f"There is no {path}.", "Write it with `pbs-singularity images lock`.") from error
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ImageError(f"{path} is damaged: it is no text.", again) from error
    try:
        contents = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        conflict = " Two versions of it were merged." if re.search(r"^(<{7}|>{7}) ", text, re.MULTILINE) else ""
        raise ImageError(f"{path} is damaged: {error}.{conflict}", again) from error
    version = contents.get("version")
    if type(version) is int and version > VERSION:
        raise NewerLockError(
            f"{path} is of version {version}; this plugin knows versions up to {VERSION}.",
            "Install a newer snakemake-executor-plugin-pbs-singularity.",
        )
    images: dict[str, LockedImage] = {}
    try:
        if version != VERSION or type(version) is not int:
            raise ValueError(f"its version is {version!r}")
        tables = contents.get("image", [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise ValueError("image is no list of tables")
        for number, table in enumerate(tables, start=1):
            image = _image(table, number)
            if image.reference in images:
                raise ValueError(f"{image.reference!r} is in it twice")
            images[image.reference] = image
    except (ValueError, TypeError) as error:
        raise ImageError(f"{path} is damaged: {error}.", again) from error
    return images


def write_lock(path: Path, images: Iterable[LockedImage]) -> None:
    """Write a lock file, whole or not at all. Raises ImageError if it cannot be written."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
        write_text(path, _HEAD + "".join(map(as_toml, sorted(images, key=lambda image: image.reference))), mode)
    except OSError as error:
        raise ImageError(f"{path} cannot be written: {error.strerror}.") from error


def _image(table: Mapping[str, Any], number: int) -> LockedImage:
    """Read one image; raises ValueError with what is wrong with it."""

    def field(name: str, kind: type, *, needed: bool = True) -> Any:
        value = table.get(name)
        if value is None and not needed:
            return None
        if type(value) is not kind:
            what = "is missing" if value is None else f"is {value!r}"
            raise ValueError(f"image {number} ({table.get('reference', 'without a reference')}): {name} {what}")
        return value

    image = LockedImage(
        reference=field("reference", str),
        digest=field("digest", str, needed=False),
        sha256=field("sha256", str),
        size=field("size", int),
        made=field("made", datetime),
        runtime=field("runtime", str, needed=False),
    )
    wrong = (
        "digest" if image.digest is not None and not is_digest(image.digest)
        else "sha256" if not _SHA256.fullmatch(image.sha256)
        else "size" if image.size < 0
        else "made" if image.made.tzinfo is None
        else None
    )  # fmt: skip
    if wrong is not None:
        raise ValueError(f"image {number} ({image.reference}): {wrong} is {table[wrong]!r}")
    return image


def as_toml(image: LockedImage) -> str:
    """Give one image as lock files have it."""
    lines = [
        "",
        "[[image]]",
        f"reference = {_quoted(image.reference)}",
        *([f"digest = {_quoted(image.digest)}"] if image.digest is not None else []),
        f"sha256 = {_quoted(image.sha256)}",
        f"size = {image.size}",
        f"made = {image.made.astimezone(UTC).isoformat(timespec='seconds').removesuffix('+00:00')}Z",
        *([f"runtime = {_quoted(image.runtime)}"] if image.runtime is not None else []),
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Write a TOML string: as JSON does, but for the one character that TOML does not take as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def write_text(path: Path, text: str, mode: int | None) -> None:
    """Write a file under a temporary name and rename; permissions are the umask's unless given."""
    file, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o666 & ~_umask() if mode is None else mode)
        os.replace(name, path)  # noqa: PTH105
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
