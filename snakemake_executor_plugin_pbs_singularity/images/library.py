"""Find an image by its name in the site's libraries: folders that administrators fill and users read.

The rule, the same for every ``container:`` value, the helpers and the command line. A name is looked for

1. as it is written, then with each of ENDINGS in their order: ``tools/bwa-0.7`` is the unpacked image or file of
   that name, else ``tools/bwa-0.7.sif``, else ``tools/bwa-0.7.simg``, and so on;
2. there, with its tag written otherwise: in the last part of a name ``:``, ``_`` and ``-`` are the same, and a tag
   may be a file in a folder, so ``tools/bwa:0.7`` is also ``tools/bwa_0.7.sif`` and ``tools/bwa/0.7.sif``;
3. in all folders below: ``bwa-0.7`` is also ``biology/tools/bwa-0.7.sif``;
4. in all folders below, with its tag written otherwise.

Each step goes through the libraries in the order in which they are configured, then through the store, before the
next step begins: an exact name in the last library counts more than a similar one in the first. If a step finds
several images in a library, nothing is guessed: that is an error that lists them. Files that differ only in
their endings are one image, of which the earlier ending counts; so are links to one file. From the second step
on, a file without an ending counts if it is an image. Hidden files are found by their very name only.
"""

import difflib
import heapq
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from pathlib import Path, PurePosixPath

from .check import check_image
from .errors import ImageError
from .index import ENDINGS, index_of, is_candidate, spelling, stem

__all__ = ["ENDINGS", "Fit", "Match", "find_in_libraries", "is_candidate", "matches", "nearest"]


class Fit(Enum):
    """How well an image fits a name, best first; the values are words for people."""

    HERE = "a path relative to the working directory"
    EXACT = "the very name"
    ENDING = "the name with an ending"
    TAG = "the name with its tag written otherwise"
    BELOW = "the name, in a folder below"
    TAG_BELOW = "the name with its tag written otherwise, in a folder below"


@dataclass(frozen=True)
class Match:
    """What one step of the rule found in one folder."""

    folder: Path
    """The library, or the store."""
    fit: Fit
    paths: tuple[Path, ...]
    """More than one if the name does not say which of them is meant."""


def find_in_libraries(name: str, libraries: Sequence[Path], store: Path | None = None) -> Path:
    """Give the image file, or unpacked image, that ``name`` means; its contents are not looked at.

    A library that is missing or unreadable is an ImageError even when another one has the image: a
    configured folder that is not there is a mistake or a file system that is not mounted, and going on
    would silently give another image. The store may be missing, it appears with the first pull. An image
    that is not found is an ImageError with the nearest names that there are, and so is a name that could
    mean several.
    """
    folders = image_folders(libraries, store)
    match = next(matches(name, folders), None)
    if match is None:
        raise _not_found(name, folders)
    return only(name, match)


def image_folders(libraries: Sequence[Path], store: Path | None) -> list[Path]:
    """Give the folders to search, in their order; raises ImageError for a library that is missing or unreadable."""
    for library in libraries:
        _check_library(library)
    return [*libraries, *([store] if store is not None and store.is_dir() else [])]


def matches(name: str, folders: Sequence[Path]) -> Iterator[Match]:
    """Give all that a name can mean, the best first. Nothing is looked for before it is asked for."""
    seen: set[Path] = set()
    for folder in folders:
        for path in index_of(folder).named(name):
            seen.add(path)
            yield Match(folder, Fit.EXACT if path == folder / name else Fit.ENDING, (path,))
    for fit, fits in _loose_fits(name):
        for folder in folders:
            found = [path for known in _alike(name, folder) if fits(known) and (path := folder / known) not in seen]
            seen.update(found)
            yield from _as_matches(folder, fit, found)


def only(name: str, match: Match) -> Path:
    """Give the image of a match, or raise ImageError if there are several."""
    distinct = {path.resolve(): path for path in reversed(match.paths)}
    if len(distinct) > 1:
        some = "\n".join(f"  {path}" for path in match.paths)
        raise ImageError(
            f"The name {name!r} could mean {len(match.paths)} images:\n{some}\n",
            "Write the name of one as it is below its library.",
        )
    return match.paths[0]


def _as_matches(folder: Path, fit: Fit, found: Sequence[Path]) -> Iterator[Match]:
    """Give what a step found in a folder: one after the other if they differ in their endings only, else together."""
    by_stem: dict[str, list[Path]] = {}
    for path in found:
        by_stem.setdefault(stem(str(path)), []).append(path)
    if len(by_stem) > 1:
        yield Match(folder, fit, tuple(paths[0] for paths in by_stem.values()))
    else:
        yield from (Match(folder, fit, (path,)) for path in found)


def _alike(name: str, folder: Path) -> list[str]:
    """Give the names in a folder that could be meant by this one: those with the same last part, or with its tag."""
    index = index_of(folder)
    _, tag = _tag_in_folder(name)
    known = [*index.alike(name), *(index.alike(tag) if tag else [])]
    return [other for other in known if index.walk.is_called_image(other) or _is_image(folder / other)]


def _is_image(path: Path) -> bool:
    try:
        check_image(path)
    except ImageError:
        return False
    return True


def _loose_fits(name: str) -> list[tuple[Fit, Callable[[str], bool]]]:
    """Give the steps after the exact names, each with the question whether it has a name that is known."""
    has_ending = stem(name) != name
    folder, tag = _tag_in_folder(name)
    forms = {_spelled(form) for form in (name, f"{folder}/{tag}" if tag else name)}
    below = tuple(f"/{form}" for form in forms)

    def comparable(known: str) -> str:
        return known if has_ending else stem(known)

    return [
        (Fit.TAG, lambda known: _spelled(comparable(known)) in forms),
        (Fit.BELOW, lambda known: comparable(known).endswith(f"/{name}")),
        (Fit.TAG_BELOW, lambda known: _spelled(comparable(known)).endswith(below)),
    ]


def _tag_in_folder(name: str) -> tuple[str, str]:
    """Give ``tools/bwa`` and ``0.7`` for ``tools/bwa:0.7``; no tag if there is none."""
    head, _, tag = name.rpartition(":")
    return (head, tag) if head and tag and "/" not in tag else ("", "")


def _spelled(name: str) -> str:
    """Give a name with its last part as ``spelling`` has it."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{spelling(last)}"


def _check_library(library: Path) -> None:
    remedy = "Correct the setting of the image libraries, or ask whether the file system is mounted here."
    try:
        if not library.is_dir():
            raise ImageError(f"The image library {library} is not a folder on this machine.", remedy)
        readable = os.access(library, os.R_OK | os.X_OK, effective_ids=True)
    except OSError as error:
        raise ImageError(f"The image library {library} cannot be read: {error.strerror}.", remedy) from error
    if not readable:
        raise ImageError(f"The image library {library} cannot be read: permission denied.", remedy)


def _not_found(name: str, folders: Sequence[Path]) -> ImageError:
    if not folders:
        return ImageError(
            f"There is no image {name!r} in the working directory, and no image library is configured.",
            _hint(name, []),
        )
    for path in (folder / f"{name}{ending}" for folder in folders for ending in ("", *ENDINGS)):
        if path.is_symlink() and not path.exists():
            return ImageError(
                f"The image {path} is a link to {path.readlink()}, which is not there.",
                "Ask whether the file system that it leads to is mounted here.",
            )
    where = ", ".join(map(str, folders))
    walks = [index_of(folder).walk for folder in folders]
    names = [known for walk in walks for known in walk.images()]
    closed = [str(folder / part) for folder, walk in zip(folders, walks, strict=True) for part in walk.closed]
    unseen = f" Folders that cannot be read: {_some(closed)}." if closed else ""
    inside = [known for known in names if known.startswith(f"{name}/")]
    if inside:
        problem = f"{name!r} is a folder of the image library in {where}."
        return ImageError(problem + unseen, f"The images in it are {_some(inside)}.")
    return ImageError(
        f"There is no image {name!r} in the working directory or in the image library in {where}.{unseen}",
        _hint(name, nearest(name, names)),
    )


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _hint(name: str, near: Sequence[str]) -> str:
    if near:
        return f"Did you mean {' or '.join(near)}?"
    if ":" in name:
        return f"For an image from Docker Hub write docker://{name}."
    return (
        "Write the name of an image in the library, a path such as /path/to/image.sif, or a URI such as"
        " docker://ubuntu:22.04."
    )


def nearest(name: str, names: Iterable[str], most: int = 3) -> list[str]:
    """Give the names most like ``name``, best first; the folder and the ending may be wrong or missing."""
    spellings: dict[str, list[str]] = {}
    for known in names:
        bare = stem(known)
        for written in {known, bare, PurePosixPath(known).name, PurePosixPath(bare).name}:
            spellings.setdefault(written.lower(), []).append(known)
    alike: dict[str, None] = {}
    for wanted in (name.lower(), PurePosixPath(name).name.lower()):
        for written in difflib.get_close_matches(wanted, _roughly(wanted, spellings), n=most, cutoff=0.7):
            alike.update(dict.fromkeys(spellings[written]))
    return list(alike)[:most]


def _roughly(wanted: str, names: Iterable[str], most: int = 100) -> list[str]:
    """Give the names with most pairs of characters in common: difflib needs a second for 10,000 names."""
    pairs = set(pairwise(wanted))
    return heapq.nlargest(most, names, key=lambda name: len(pairs.intersection(pairwise(name))) - len(name) / 100)
