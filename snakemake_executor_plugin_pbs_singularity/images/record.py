"""What is known of an image in the store: noted down beside it when it is pulled, in the form of a lock file."""

import contextlib
from datetime import UTC, datetime
from pathlib import Path

from .errors import ImageError
from .lockfile import VERSION, LockedImage, as_toml, read_lock, write_text


def record_path(image: Path) -> Path:
    """Give the hidden file beside an image of the store that says what it is. Whoever removes one removes both."""
    return image.with_name(f".{image.name}.toml")


def read_record(image: Path) -> LockedImage | None:
    """Give what is known of an image in the store; None if nothing is, or what is there is damaged."""
    with contextlib.suppress(ImageError, ValueError):
        (record,) = read_lock(record_path(image)).values()
        return record
    return None


def write_record(image: Path, record: LockedImage, mode: int) -> None:
    """Note down what an image is, with these permissions. Raises OSError if that cannot be written."""
    write_text(
        record_path(image), f"# What the image beside this file is.\nversion = {VERSION}\n{as_toml(record)}", mode
    )


def now() -> datetime:
    """Give the time as lock files have it."""
    return datetime.now(UTC).replace(microsecond=0)
