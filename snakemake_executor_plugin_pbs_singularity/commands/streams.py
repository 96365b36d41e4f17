"""Files that grow, copied to stdout and stderr as they do."""

from __future__ import annotations

import os
from pathlib import Path

_PIECE = 1 << 16
"""Bytes copied at a time."""


class Follower:
    """Copies what is written to a file to a file descriptor of this process."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._position = 0

    def copy(self) -> bool:
        """Copy what has come since; tell whether anything has. Raises BrokenPipeError if nobody takes it any more.

        The file is opened anew each time: only then does a network file system ask how long it is by now. One that
        cannot be read now is read the next time.
        """
        try:
            file = os.open(self._path, os.O_RDONLY)
        except OSError:
            return False
        begun = self._position
        try:
            while piece := self._read(file):
                self._write(piece)
        finally:
            os.close(file)
        return self._position > begun

    def _read(self, file: int) -> bytes:
        try:
            return os.pread(file, _PIECE, self._position)
        except OSError:
            return b""

    def _write(self, piece: bytes) -> None:
        view = memoryview(piece)
        while view:
            written = os.write(self._descriptor, view)
            self._position += written
            view = view[written:]
