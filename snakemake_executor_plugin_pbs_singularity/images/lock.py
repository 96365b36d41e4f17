"""What ``images.lock`` means for an image: which one a reference stands for, and whether a file is that one. Pure.

An image in a registry is what its digest says. Its file is not: Apptainer gives each file that it converts other
bytes, so a colleague who pulls the locked digest gets another SHA-256. Therefore a file counts as the locked one if it
has the locked SHA-256, or if it was pulled here by the locked digest and still has the SHA-256 that it had then.
Of images without a digest (of a library, by path, from the web) only the SHA-256 counts.
"""

from pathlib import Path

from .errors import ImageError
from .lockfile import LockedImage
from .reference import UriReference, parse_reference
from .registry_name import registry_name

WRITE_AGAIN = "If that is meant to be, write it again with `pbs-singularity images lock`."


def lock_key(value: str) -> str:
    """Give the reference under which a ``container:`` value is locked: a URI without its secrets, else the value.

    Raises ImageError for a value that means nothing.
    """
    reference = parse_reference(value)
    return reference.shown if isinstance(reference, UriReference) else value


def locked_uri(reference: UriReference, digest: str | None) -> str:
    """Give what to pull: ``docker://HOST/NAME@sha256:…``, or the URI itself for images without a digest."""
    name = registry_name(reference)
    return reference.uri if name is None or digest is None else name.at(digest).uri


def check_name(value: str) -> None:
    """Raise ImageError for a URI of a registry that can be no name in one."""
    reference = parse_reference(value)
    if isinstance(reference, UriReference):
        registry_name(reference)


def check_locked(value: str, locked: LockedImage | None, lock: Path) -> LockedImage:
    """Give the locked image of a ``container:`` value; raises ImageError if there is none, or only another digest's."""
    if locked is None:
        raise ImageError(
            f"The image {lock_key(value)!r} is not in {lock}, and --pbs-singularity-frozen allows only what is.",
            "Add it with `pbs-singularity images lock`.",
        )
    reference = parse_reference(value)
    name = registry_name(reference) if isinstance(reference, UriReference) else None
    if name is not None and (locked.digest is None or name.digest not in (None, locked.digest)):
        raise ImageError(f"{lock} has no digest for {value!r}, or another one than its own.", WRITE_AGAIN)
    return locked


def check_against_lock(image: Path, checksum: str, locked: LockedImage, record: LockedImage | None, lock: Path) -> None:
    """Raise ImageError if a file is not the locked image.

    ``checksum`` is the file's, ``record`` what was noted down when it was pulled, if it was.
    """
    if checksum == locked.sha256:
        return
    pulled_by_digest = record is not None and locked.digest is not None and record.digest == locked.digest
    if record is not None and pulled_by_digest:
        check_undamaged(image, checksum, record)
        return
    raise ImageError(
        f"{image} is not the image that {lock} has for {locked.reference!r}: its SHA-256 is {checksum}, locked is"
        f" {locked.sha256}.",
        "Remove it; the next run pulls it again." if locked.digest is not None else
        f"It was changed or damaged; get it back, for example from a backup. {WRITE_AGAIN}",
    )  # fmt: skip


def check_undamaged(image: Path, checksum: str, record: LockedImage) -> None:
    """Raise ImageError if a file of the store is not what it was when it was pulled."""
    if checksum != record.sha256:
        raise ImageError(
            f"{image} is damaged: its SHA-256 is {checksum}, and was {record.sha256} when it was pulled.",
            "Remove it; the next run pulls it again.",
        )


def unfixed_words(reference: UriReference) -> str | None:
    """Say that a URI has no tag, or ``latest``, which often moves; None if it has another tag or a digest."""
    name = registry_name(reference)
    if name is None or name.digest is not None or name.tag not in (None, "latest"):
        return None
    return (
        f"{reference.shown} means another image whenever its makers publish one. Name a version; or keep what you have"
        " with `pbs-singularity images lock`."
    )


def moved_words(reference: UriReference, record: LockedImage, digest: str) -> str | None:
    """Say that a tag means another image than when it was pulled; None if it does not, or that is not known."""
    if record.digest is None or record.digest == digest:
        return None
    return (
        f"{reference.shown} has moved: since it was pulled on {record.made:%Y-%m-%d} ({record.digest}) the registry has"
        f" another image under this name ({digest}). The one that was pulled is used; `pbs-singularity images lock`"
        " takes the new one."
    )
