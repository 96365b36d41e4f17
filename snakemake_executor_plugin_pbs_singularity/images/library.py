"""Find an image by its name in the site's libraries: folders that administrators fill and users read.

The order is fixed and written down here, so that the same name means the same image everywhere: the libraries
in the order in which they are configured, then the store; in each of them the very name first, then the name
with each of ENDINGS in turn.
"""

import difflib
import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from .check import looks_like_root
from .errors import ImageError

ENDINGS = (".sif", ".simg", ".img", ".sqsh", ".sqfs", ".squashfs")
"""What image files are called, in the order in which they are tried: the newest format first."""

_MOST_NAMES = 20_000
"""Where looking for names to suggest stops, so that a library set to ``/`` does not take hours."""


def find_in_libraries(name: str, libraries: Sequence[Path], store: Path | None = None) -> Path:
    """Give the image file, or unpacked image, that ``name`` means; its contents are not looked at.

    A library that is missing or unreadable is an ImageError even when another one has the image: a
    configured folder that is not there is a mistake or a file system that is not mounted, and going on
    would silently give another image. The store may be missing, it appears with the first pull. An image
    that is not found is an ImageError with the nearest names that there are.
    """
    for library in libraries:
        _check_library(library)
    folders = [*libraries, *([store] if store is not None and store.is_dir() else [])]
    for folder in folders:
        found = find_in_folder(name, folder)
        if found is not None:
            return found
    raise _not_found(name, folders)


def find_in_folder(name: str, folder: Path) -> Path | None:
    """Give the image that ``name`` means in one folder: the very name, else the first ending that exists."""
    return next((path for path in _candidates(name, folder) if is_candidate(path)), None)


def is_candidate(path: Path) -> bool:
    """Tell whether a path could be meant as an image: a file, or a folder with an unpacked image in it."""
    try:
        return path.is_file() or (path.is_dir() and looks_like_root(path))
    except OSError:  # there, but closed to us: check_image says so better than "not found"
        return True


def _candidates(name: str, folder: Path) -> Iterator[Path]:
    yield folder / name
    for ending in ENDINGS:
        yield folder / f"{name}{ending}"


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
    where = ", ".join(map(str, folders))
    names = [known for folder in folders for known in _names_in(folder)]
    inside = [known for known in names if known.startswith(f"{name}/")]
    if inside:
        some = ", ".join(inside[:5]) + (", …" if len(inside) > 5 else "")
        return ImageError(f"{name!r} is a folder of the image library in {where}.", f"The images in it are {some}.")
    return ImageError(
        f"There is no image {name!r} in the working directory or in the image library in {where}.",
        _hint(name, nearest(name, names)),
    )


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
        path = PurePosixPath(known)
        bare = path.with_suffix("") if path.suffix in ENDINGS else path
        for spelling in {known, str(bare), path.name, bare.name}:
            spellings.setdefault(spelling.lower(), []).append(known)
    alike: dict[str, None] = {}
    for wanted in (name.lower(), PurePosixPath(name).name.lower()):
        for spelling in difflib.get_close_matches(wanted, spellings, n=most, cutoff=0.7):
            alike.update(dict.fromkeys(spellings[spelling]))
    return list(alike)[:most]


@functools.cache
def _names_in(folder: Path) -> tuple[str, ...]:
    """Give the names of the images below a folder; one walk for each folder and process."""
    names: list[str] = []
    for parent, folders, files in os.walk(folder):
        here = Path(parent)
        unpacked = [name for name in folders if looks_like_root(here / name)]
        # Unpacked images are names themselves; what is in them is not. Hidden folders are pulls under way.
        folders[:] = sorted(name for name in folders if name not in unpacked and not name.startswith("."))
        images = [name for name in files if name.endswith(ENDINGS) and not name.startswith(".")]
        names += [str((here / name).relative_to(folder)) for name in sorted([*images, *unpacked])]
        if len(names) >= _MOST_NAMES:
            break
    return tuple(names)
