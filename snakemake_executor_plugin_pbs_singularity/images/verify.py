"""Images compared, byte for byte, with what was noted down of them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .checksum import checksum_cache, sha256_of
from .errors import ImageError
from .library import ENDINGS
from .lock import check_undamaged
from .locked import Lock, locked_image, verify_image
from .lockfile import LockedImage
from .record import read_record
from .reference import UriReference, parse_reference
from .resolution import Found, Resolved
from .runtime import Runtime


@dataclass(frozen=True)
class Verified:
    """What came of looking at one image."""

    reference: str
    path: Path | None
    """Its file or folder; None if it is not there."""
    problem: str | None
    """What is wrong, and what to do; None if nothing is."""


def verify_locked(
    lock: Lock, resolve: Callable[[str], Resolved], store: Path, runtime: Runtime | None, environment: Mapping[str, str]
) -> Iterator[Verified]:
    """Read all images of a lock. One of a registry that is not pulled yet is no problem; one of a library is."""
    for reference, locked in lock.images.items():
        path = None
        try:
            path = _path(reference, locked, resolve, store, runtime)
            if path is not None:
                verify_image(path, locked, lock.path, environment, afresh=True)
        except ImageError as error:
            yield Verified(reference, path, str(error))
        else:
            yield Verified(reference, path, None)


def verify_store(store: Path, environment: Mapping[str, str]) -> Iterator[Verified]:
    """Read all images of a store of which is known what they were when they were pulled."""
    for path in sorted(store.glob("*/*")):
        record = read_record(path) if path.suffix in ENDINGS else None
        if record is None:
            continue
        try:
            check_undamaged(path, sha256_of(path, checksum_cache(environment), afresh=True), record)
        except ImageError as error:
            yield Verified(record.reference, path, str(error))
        else:
            yield Verified(record.reference, path, None)


def _path(
    reference: str, locked: LockedImage, resolve: Callable[[str], Resolved], store: Path, runtime: Runtime | None
) -> Path | None:
    parsed = parse_reference(reference)
    if isinstance(parsed, UriReference) and locked.digest is not None:
        found = locked_image(parsed, locked.digest, store, runtime)
    else:
        found = resolve(reference)
    return found.path if isinstance(found, Found) else None
