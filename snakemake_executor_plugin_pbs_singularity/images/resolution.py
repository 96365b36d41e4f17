"""From the text behind ``container:`` to an image file, or to the knowledge that one has to be pulled."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .check import ImageKind, check_image
from .errors import ImageError
from .library import Fit, Match, find_in_libraries, image_folders, is_candidate, matches, only
from .reference import LibraryReference, PathReference, parse_reference
from .runtime import Runtime
from .store import stored_path


@dataclass(frozen=True)
class Found:
    """An image that is there and passed its check."""

    path: Path
    """Absolute; links in it are left as they are."""
    kind: ImageKind


@dataclass(frozen=True)
class Missing:
    """An image that has to be pulled before a job can use it."""

    uri: str
    destination: Path


Resolved = Found | Missing


@dataclass(frozen=True)
class Explanation:
    """What a ``container:`` value means, why, and what else it could have meant."""

    meaning: Resolved
    why: str
    not_chosen: tuple[tuple[Path, str], ...]
    """Further images that the value fits, with how."""


def resolve(
    value: str,
    *,
    libraries: Sequence[Path],
    store: Path,
    workdir: Path,
    runtime: Runtime | None = None,
) -> Resolved:
    """Find the image that a ``container:`` value means. Reads headers, changes nothing, needs no network.

    A name is first what Snakemake takes it for, a path relative to the working directory, then a name in
    the libraries and in the store, by the rule of ``library.py``. A URI that was pulled before is Found. A file in
    the store that fails its check counts as missing: pulling replaces it. The runtime, where known, is
    asked for the ending of what it pulls.

    Raises ImageError for a value that means nothing and for an image that is missing or bad.
    """
    reference = parse_reference(value)
    if isinstance(reference, PathReference):
        return _found(workdir / _expand(reference.path))
    if isinstance(reference, LibraryReference):
        here = workdir / reference.name
        return _found(here if is_candidate(here) else find_in_libraries(reference.name, libraries, store))
    destination = stored_path(reference, store, runtime).absolute()
    try:
        return _found(destination)
    except ImageError:
        return Missing(reference.uri, destination)


def explain(
    value: str,
    *,
    libraries: Sequence[Path],
    store: Path,
    workdir: Path,
    runtime: Runtime | None = None,
) -> Explanation:
    """Give what ``resolve`` gives and why. Walks through the libraries to find what was not chosen.

    Raises ImageError as ``resolve`` does.
    """
    reference = parse_reference(value)
    if isinstance(reference, LibraryReference):
        found = list(_meanings(reference.name, libraries, store, workdir))
        if found:
            chosen = only(reference.name, found[0])
            others = {path: match.fit.value for match in reversed(found) for path in match.paths if path != chosen}
            return Explanation(_found(chosen), found[0].fit.value, tuple(reversed(others.items())))
    meaning = resolve(value, libraries=libraries, store=store, workdir=workdir, runtime=runtime)
    if isinstance(reference, PathReference):
        return Explanation(meaning, "a path", ())
    if isinstance(meaning, Found):
        return Explanation(meaning, "a URI that was pulled before", ())
    damaged = " again: what is in the store is damaged" if meaning.destination.exists() else ""
    return Explanation(meaning, f"a URI that has to be pulled{damaged}", ())


def _meanings(name: str, libraries: Sequence[Path], store: Path, workdir: Path) -> Iterator[Match]:
    if is_candidate(workdir / name):
        yield Match(workdir, Fit.HERE, (workdir / name,))
    yield from matches(name, image_folders(libraries, store))


def _found(path: Path) -> Found:
    return Found(path.absolute(), check_image(path))


def _expand(path: Path) -> Path:
    """Replace a leading ``~`` by the home directory, as Snakemake does."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ImageError(f"The home directory in {str(path)!r} is unknown.", "Write the path without '~'.") from error
