"""What there is to say about an image file."""

import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..images import ImageError, check_image
from ..images.record import read_record
from .table import age_in_words, size_in_words


@dataclass(frozen=True)
class FoundImage:
    """An image, or what is called one."""

    path: Path
    kind: str | None
    """Such as ``SIF``; None if it is damaged."""
    size: int | None
    """Bytes; None for an unpacked image, which would have to be walked through, and for what is closed to us."""
    modified: datetime | None
    pulled_from: str | None
    """Its URI, where a pull noted it down."""
    problem: str | None
    """What is wrong with it, in words."""

    def as_json(self) -> dict[str, object]:
        """Give it as plain data: size in bytes, time as ISO 8601."""
        return {
            "path": str(self.path),
            "kind": self.kind,
            "size": self.size,
            "modified": self.modified.isoformat() if self.modified is not None else None,
            "pulled_from": self.pulled_from,
            "problem": self.problem,
        }


def describe(path: Path) -> FoundImage:
    """Look at an image: one look at the file, one at its first bytes."""
    kind = problem = size = modified = None
    try:
        status = path.stat()
        size = status.st_size if stat.S_ISREG(status.st_mode) else None
        modified = datetime.fromtimestamp(int(status.st_mtime), UTC)
        kind = check_image(path).value
    except OSError as error:
        problem = f"The image {path} cannot be read: {error.strerror}."
    except ImageError as error:
        problem = error.problem
    record = read_record(path)
    return FoundImage(path, kind, size, modified, record.reference if record is not None else None, problem)


def words_of(image: FoundImage) -> str:
    """Give kind, size and age on a line."""
    words = [
        f"{image.kind} image" if image.kind else "damaged",
        *([size_in_words(image.size)] if image.size is not None else []),
        *([f"{age_in_words(image.modified)} old"] if image.modified is not None else []),
    ]
    return ", ".join(words).replace("now old", "new")
