"""Images under ``images.lock``: found, compared with it, written into it."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

from .asking import digest_if_known
from .check import check_image
from .checksum import checksum_cache, sha256_of, size_in_bytes
from .errors import ImageError
from .lock import check_against_lock, check_locked, check_undamaged, lock_key, locked_uri, moved_words
from .lockfile import LockedImage, read_lock
from .pulls import AT_A_TIME
from .record import read_record
from .reference import UriReference, parse_reference
from .registry import digest_of
from .registry_name import fixed_digest, registry_name
from .resolution import Found, Missing, Resolved
from .runtime import Runtime
from .store import stored_path

_ASKED_AT_ONCE = 8
"""Registries are asked about so many images at a time."""


@dataclass(frozen=True)
class Lock:
    """The lock file of a run, and what of it was seen to hold."""

    path: Path
    images: Mapping[str, LockedImage]
    frozen: bool
    """Whether only what is in it may be used, and only as it was."""
    _verified: set[Path] = field(default_factory=set)

    def resolve(
        self, value: str, found: Resolved, store: Path, runtime: Runtime | None, environment: Mapping[str, str]
    ) -> Resolved:
        """Give the image of a ``container:`` value that the lock means; ``found`` is what it means without.

        A URI that is locked by digest means that digest, wherever its tag has moved. Everything else stays as found. It
        raises ImageError for an entry that does not fit its URI, in frozen mode also for a value that is not locked and
        for a file that is not the locked one; each file is looked at once.
        """
        locked = self.images.get(lock_key(value))
        if locked is None and not self.frozen:
            return found
        locked = check_locked(value, locked, self.path)
        reference = parse_reference(value)
        if locked.digest is not None and isinstance(reference, UriReference):
            found = locked_image(reference, locked.digest, store, runtime)
        if self.frozen and isinstance(found, Found) and found.path not in self._verified:
            verify_image(found.path, locked, self.path, environment, afresh=False)
            self._verified.add(found.path)
        return found

    def check_pulled(self, uri: str, image: Path, environment: Mapping[str, str]) -> None:
        """Raise ImageError in frozen mode if what a server without digests gave for a URI is not what is locked."""
        locked = self.images.get(lock_key(uri))
        if self.frozen and locked is not None and locked.digest is None:
            verify_image(image, locked, self.path, environment, afresh=False)


def find_lock(path: Path, *, frozen: bool) -> Lock | None:
    """Give the lock of a run; None if there is none and none is needed. Raises ImageError as read_lock does."""
    return Lock(path, read_lock(path), frozen) if frozen or path.exists() else None


def locked_image(reference: UriReference, digest: str, store: Path, runtime: Runtime | None) -> Resolved:
    """Find the image of a URI that has a digest: pulled by it, or by the tag when that meant it."""
    uri = locked_uri(reference, digest)
    by_digest = _stored(uri, store, runtime)
    for path in (by_digest, _stored(reference.uri, store, runtime)):
        record = read_record(path)
        if path == by_digest or (record is not None and record.digest == digest):
            try:
                return Found(path, check_image(path))
            except ImageError:  # missing or cut off: pulling makes it good
                continue
    return Missing(uri, by_digest)


def verify_image(image: Path, locked: LockedImage, lock: Path, environment: Mapping[str, str], *, afresh: bool) -> None:
    """Raise ImageError if a file is not the locked image; reads the whole file if it is new, or ``afresh``."""
    checksum = sha256_of(image, checksum_cache(environment), afresh=afresh)
    check_against_lock(image, checksum, locked, read_record(image), lock)


def lock_image(
    value: str,
    resolve: Callable[[str], Resolved],
    pull: Callable[[str], Path],
    store: Path,
    runtime: Runtime | None,
    environment: Mapping[str, str],
) -> LockedImage:
    """Give what to lock for a ``container:`` value: for a tag, what it means now.

    ``resolve`` gives what a value means without a lock, ``pull`` gets a missing image. Raises ImageError if it cannot
    be had, is damaged, or its registry does not answer.
    """
    reference = parse_reference(value)
    digest = None
    if isinstance(reference, UriReference) and registry_name(reference) is not None:
        digest = digest_of(reference, environment)
        found = locked_image(reference, digest, store, runtime)
    else:
        found = resolve(value)
    image = found.path if isinstance(found, Found) else pull(found.uri)
    entry = LockedImage(
        reference=lock_key(value),
        digest=digest,
        sha256=sha256_of(image, checksum_cache(environment)),
        size=size_in_bytes(image),
        made=datetime.fromtimestamp(int(image.stat().st_mtime), UTC),
        runtime=None,
    )
    record = read_record(image)
    if record is None or not isinstance(reference, UriReference):
        return entry
    check_undamaged(image, entry.sha256, record)
    return replace(entry, made=record.made, runtime=record.runtime)


def lock_images(
    values: Iterable[str], lock: Callable[[str], LockedImage], before: Mapping[str, LockedImage], stop: Event
) -> list[LockedImage]:
    """Lock all images of a workflow, several at a time. Raises ImageError with all that went wrong.

    What was locked ``before`` and has the digest that it had stays as it was, whoever pulled it with other bytes.
    ``stop`` is set when this is interrupted: pulls under way are to end then.
    """
    problems: dict[str, None] = {}
    entries: list[LockedImage] = []
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        futures = [pool.submit(lock, value) for value in dict.fromkeys(values)]
        for future in futures:
            try:
                entry = future.result()
            except ImageError as error:
                problems[str(error)] = None
                continue
            except BaseException:
                stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            old = before.get(entry.reference)
            entries.append(old if old is not None and old.digest == entry.digest is not None else entry)
    if problems:
        raise ImageError("\n".join(problems))
    return entries


def moved_tags(values: Iterable[str], store: Path, runtime: Runtime, environment: Mapping[str, str]) -> list[str]:
    """Say which tags mean another image than when they were pulled. Registries that do not answer are passed over."""

    def ask(value: str) -> str | None:
        reference = parse_reference(value)
        if not isinstance(reference, UriReference) or fixed_digest(reference) is not None:
            return None
        record = read_record(_stored(reference.uri, store, runtime))
        digest = digest_if_known(reference, environment) if record is not None and record.digest is not None else None
        return moved_words(reference, record, digest) if record is not None and digest is not None else None

    with ThreadPoolExecutor(_ASKED_AT_ONCE) as asking:
        return [words for words in asking.map(ask, dict.fromkeys(values)) if words is not None]


def _stored(uri: str, store: Path, runtime: Runtime | None) -> Path:
    reference = parse_reference(uri)
    if not isinstance(reference, UriReference):
        raise ImageError(f"{uri!r} is no URI.")
    return stored_path(reference, store, runtime).absolute()
