"""Which image the doctor has a node run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from ...images import ImageError, Runtime, check_image, check_runnable
from ...images.index import index_of

_MOST = 300
"""Images of which the sizes are asked for, in each folder."""
_TRIED = 5
"""Images that are looked into, the smallest first."""


def smallest_image(folders: Iterable[Path], runtime: Runtime | None) -> Path | None:
    """Give the smallest image file of some folders that a runtime can run, else an unpacked one; None if none is."""
    files: list[tuple[int, Path]] = []
    unpacked: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            continue
        walk = index_of(folder).walk
        for name in islice(walk.images(), _MOST):
            path = folder / name
            if name in walk.unpacked:
                unpacked.append(path)
            else:
                try:
                    files.append((path.stat().st_size, path))
                except OSError:  # a link that leads nowhere
                    continue
    by_size = [path for _, path in sorted(files)]
    return next((path for path in _some(by_size, unpacked) if _runs(path, runtime)), None)


def _some(files: Sequence[Path], unpacked: Sequence[Path]) -> list[Path]:
    return [*files[:_TRIED], *unpacked[:_TRIED], *files[_TRIED:_MOST]]


def _runs(path: Path, runtime: Runtime | None) -> bool:
    try:
        kind = check_image(path)
        if runtime is not None:
            check_runnable(runtime, path, kind)
    except ImageError:
        return False
    return True
