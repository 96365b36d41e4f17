"""Which folders a container has to see beside the working directory, so that a job finds its files.

Snakemake binds the working directory and its source cache only; an input given by an absolute path, or through
a link out of the working directory, would be missing in the container.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from snakemake_interface_common.exceptions import WorkflowError

MOST_ROOTS = 12
"""Binds beyond which neighbours are bound by the folder above them: each is a mount, and arguments are limited."""
_OF_IMAGES = frozenset(["home", "media", "mnt", "opt", "root", "srv", "var"])
"""Folders that images have too: what is in them is bound, not they themselves."""
_SYSTEM = frozenset(
    ["bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "run", "sbin", "sys", "usr"]
)
"""Folders whose contents an image has itself: files in them are bound one by one."""
_SEEN_ANYWAY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108
_MOST_LINKS = 40
"""Links in one path after which Linux takes them for a circle."""
_ON_NODES_ONLY = (
    "If only the compute nodes have it, or their shell is to fill it in, bind it for all rules with --apptainer-args, "
    "which is not looked at here."
)
_SEPARATORS = frozenset(":,")
"""What ``--bind`` takes for its own, so that no path with them can be bound."""


def bind_roots(paths: Iterable[str], workdir: Path, seen: Sequence[Path] = ()) -> list[Path]:
    """Give the few folders and files to bind so that a container sees all of `paths`, links followed.

    `paths` may be relative to `workdir` and need not exist yet; what lies below `workdir`, `seen` or a
    folder that runtimes mount anyway is left out.
    """
    covered = (workdir, Path(os.path.realpath(workdir)), *seen, *_SEEN_ANYWAY)
    roots: set[Path] = set()
    for path in paths:
        absolute = Path(os.path.abspath(workdir / path))  # noqa: PTH100 - resolve() would follow links
        for place in followed(absolute):
            root = _root_of(place)
            if root is not None and not any(root.is_relative_to(folder) for folder in covered):
                roots.add(root)
    return sorted(_outermost(_few(_outermost(roots))))


def bind_sources(options: Sequence[str]) -> list[str]:
    """Give the sources of the binds among options of `singularity exec`: `-B X`, `--bind X:Y`, `--bind=X`."""
    return [source for source, _ in _binds(options)]


def bound_in_place(options: Sequence[str]) -> list[Path]:
    """Give what these options let a container see under its own path: not what they bind to another one."""
    return [Path(source) for source, destination in _binds(options) if destination in ("", source)]


def _binds(options: Sequence[str]) -> list[tuple[str, str]]:
    """Give source and destination of each bind; the destination is empty if none is named."""
    values = [following for option, following in pairwise(options) if option in ("-B", "--bind")]
    values += [option.partition("=")[2] for option in options if option.startswith(("--bind=", "-B="))]
    parts = [bind.split(":") for value in values for bind in value.split(",") if bind]
    return [(part[0], part[1] if len(part) > 1 else "") for part in parts]


def check_bindable(rule: str, workdir: Path) -> None:
    """Raise WorkflowError for a working directory that no container can have as its home (seen with 1.4.5)."""
    if ":" in str(workdir):
        raise WorkflowError(
            f"Rule {rule}: the working directory {str(workdir)!r} has a colon in its path, which Singularity and "
            "Apptainer take for a separator. Rename the folder, or name another with --directory."
        )


def check_sources(rule: str, options: Sequence[str], way_out: str = _ON_NODES_ONLY) -> None:
    """Raise WorkflowError for a bind whose source is not there: the container would hardly start.

    `way_out` is what to do if only compute nodes have it.
    """
    for source in bind_sources(options):
        if not Path(source).exists():
            problem = f"Rule {rule}: container_args binds {source!r}, which does not exist here. Correct the path."
            raise WorkflowError(f"{problem} {way_out}".rstrip())


def followed(path: Path) -> Iterator[Path]:
    """Give an absolute path, and what becomes of it with each link that it goes through: a container needs them all."""
    yield path
    done, left, links = path.root, list(path.parts[1:]), 0
    while left:
        place = os.path.normpath(os.path.join(done, left.pop(0)))  # noqa: PTH118 - many of them
        try:
            target = os.readlink(place)  # noqa: PTH115
        except OSError:  # no link
            done = place
            continue
        links += 1
        if links > _MOST_LINKS:
            return
        left[:0] = Path(target).parts
        yield Path(os.path.normpath(os.path.join(done, *left)))  # noqa: PTH118


def _root_of(path: Path) -> Path | None:
    """Give what to bind for one path: the folder that it is in; None if nothing can be bound."""
    if path.parts[1:2] and path.parts[1] in _SYSTEM:
        return path if path.exists() and not _SEPARATORS & set(str(path)) else None
    folder = path.parent
    while not folder.is_dir() or _SEPARATORS & set(str(folder)):
        folder = folder.parent
    if len(folder.parts) > 2 or (len(folder.parts) == 2 and folder.name not in _OF_IMAGES):
        return folder
    return path if len(path.parts) > 2 and path.exists() and not _SEPARATORS & set(str(path)) else None


def _outermost(roots: Iterable[Path]) -> set[Path]:
    """Leave out what is below another."""
    kept: set[Path] = set()
    for root in sorted(roots, key=lambda root: len(root.parts)):
        if not kept.intersection(root.parents):
            kept.add(root)
    return kept


def _few(roots: set[Path]) -> set[Path]:
    """Bind the folder above instead, the deepest first, until there are few enough."""
    while len(roots) > MOST_ROOTS:
        deepest = max(len(root.parts) for root in roots)
        if deepest <= 3:
            break
        roots = _outermost(
            root.parent if len(root.parts) == deepest and root.parts[1] not in _SYSTEM else root for root in roots
        )
        if max(len(root.parts) for root in roots) == deepest:
            break  # only files of the system's folders are left at this depth
    return roots
