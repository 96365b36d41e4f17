"""The names of the images in a folder, from one walk through it.

On a cluster's file system a question about one file costs about as much as the listing of a whole folder. So a
name that is there as it is written is asked for by itself, and a walk is made only for one that is not, or when
so many are asked for that it pays. It is made once for each folder and process; what is added to a library
meanwhile may only be seen by the next one.
"""

import functools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from .check import looks_like_root

ENDINGS = (".sif", ".simg", ".img", ".sqsh", ".sqfs", ".squashfs")
"""What image files are called, in the order in which they are tried: the newest format first."""

FEW = 20
"""Names that are asked for one by one before a walk is made for all that follow."""
MOST = 1_000_000
"""Files and folders after which a walk ends, so that a library set to ``/`` does not take hours."""


@dataclass
class Walk:
    """What a walk through a folder found; names are relative to the folder."""

    names: set[str] = field(default_factory=set)
    """All files that are not hidden, and all unpacked images."""
    unpacked: set[str] = field(default_factory=set)
    """The unpacked images among the names."""
    alike: dict[str, list[str]] = field(default_factory=dict)
    """The names by the ``spelling`` of their last part, less its ending."""
    closed: list[str] = field(default_factory=list)
    """Folders that may not be read."""
    aliases: bool = False
    """Whether there are links to folders that have another name too, under which they were walked."""
    partial: bool = False
    """Whether it ended at MOST."""

    @property
    def is_blind(self) -> bool:
        """Tell whether there can be names that the walk did not see."""
        return self.aliases or self.partial or bool(self.closed)

    def is_called_image(self, name: str) -> bool:
        """Tell whether a name is that of an unpacked image, or has an ending of image files."""
        return name in self.unpacked or name.endswith(ENDINGS)

    def images(self) -> list[str]:
        """Give the names that ``is_called_image`` is true of, sorted."""
        return sorted(filter(self.is_called_image, self.names))


class Index:
    """The images in one folder and in the folders below it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._asked = 0

    @functools.cached_property
    def walk(self) -> Walk:
        """What is in the folder; the first use walks through it."""
        return _walk(self.folder)

    def named(self, name: str) -> Iterator[Path]:
        """Give the image with this very name, then those with the name and an ending, in the order of ENDINGS."""
        self._asked += 1
        known = self._asked > FEW and not self.walk.is_blind and not _is_hidden(name)
        for full_name in (name, *(f"{name}{ending}" for ending in ENDINGS)):
            path = self.folder / full_name
            if full_name in self.walk.names if known else is_candidate(path):
                yield path

    def alike(self, name: str) -> list[str]:
        """Give the names whose last part is spelled like that of this name, sorted; an ending does not count."""
        return self.walk.alike.get(spelling(stem(PurePosixPath(name).name)), [])


@functools.cache
def index_of(folder: Path) -> Index:
    """Give the index of a folder: the same one for all calls in a process."""
    return Index(folder)


def spelling(name: str) -> str:
    """Give what all ways of writing a name have in common: ``bwa:0.7``, ``bwa_0.7`` and ``bwa-0.7`` are ``bwa-0.7``."""
    return name.replace(":", "-").replace("_", "-")


def stem(name: str) -> str:
    """Give a name without its ending, if that is one of ENDINGS."""
    return next((name.removesuffix(ending) for ending in ENDINGS if name.endswith(ending)), name)


def is_candidate(path: Path) -> bool:
    """Tell whether a path could be meant as an image: a file, or a folder with an unpacked image in it."""
    try:
        return path.is_file() or (path.is_dir() and looks_like_root(path))
    except OSError:  # there, but closed to us: check_image says so better than "not found"
        return True


def _walk(folder: Path) -> Walk:
    """Walk through a folder, asking the file system about folders and links, not about each file.

    Hidden files and folders are passed over: pulls under way are such. What is in an unpacked image is none of
    ours. Links to folders are followed after everything else, if what they lead to was not seen by then.
    """
    found = Walk()
    seen: set[tuple[int, int]] = set()
    folders, links = deque([""]), deque[str]()
    entries = 0
    while (folders or links) and not found.partial:
        here = (folders or links).popleft()
        try:
            status = (folder / here).stat()
            if (status.st_dev, status.st_ino) in seen:
                found.aliases = True
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder / here) as listing:
                content = list(listing)
        except OSError:  # closed to us, or removed a moment ago
            found.closed.append(here)
            continue
        if here and _is_unpacked_image(folder / here, content):
            found.names.add(here)
            found.unpacked.add(here)
            continue
        for entry in content:
            name = f"{here}/{entry.name}" if here else entry.name
            if entry.name.startswith("."):
                continue
            if _is(entry.is_dir):
                (links if entry.is_symlink() else folders).append(name)
            elif _is(entry.is_file):
                found.names.add(name)
        entries += len(content)
        found.partial = entries > MOST
    for name in sorted(found.names, key=_order):
        found.alike.setdefault(spelling(stem(PurePosixPath(name).name)), []).append(name)
    return found


def _is_unpacked_image(folder: Path, content: Iterable[os.DirEntry[str]]) -> bool:
    names = {entry.name for entry in content}
    return not names.isdisjoint((".singularity.d", "etc")) and looks_like_root(folder)


def _is(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except OSError:  # a link into what is closed to us
        return False


def _order(name: str) -> tuple[str, int]:
    bare = stem(name)
    ending = name.removeprefix(bare)
    return bare, ENDINGS.index(ending) if ending else -1


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts)
