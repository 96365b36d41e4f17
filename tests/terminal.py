"""A terminal of a command's own, for tests of what is interactive."""

import fcntl
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PATIENCE = 40


class Terminal:
    """A command on a terminal of its own, of 33 lines and 111 columns."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.seen = ""
        self._waited_for = 0
        self.process, self.descriptor = pty.fork()
        if self.process == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", 33, 111, 0, 0))
            os.chdir(folder)
            os.execvpe(command[0], list(command), {**environment, "TERM": "vt220"})

    def look(self) -> bool:
        """Take what there is to be seen; False if it has ended."""
        if not select.select([self.descriptor], [], [], 0.1)[0]:
            return True
        try:
            text = os.read(self.descriptor, 65536)
        except OSError:
            return False
        self.seen += text.decode().replace("\r\n", "\n")
        return bool(text)

    def wait_for(self, text: str) -> None:
        """Wait until something is seen after what was waited for last."""
        until = time.monotonic() + PATIENCE
        while (at := self.seen.find(text, self._waited_for)) < 0:
            assert time.monotonic() < until, f"{text!r} is never seen: {self.seen}"
            self.look()
        self._waited_for = at + len(text)

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def end(self) -> int:
        """Wait for the command's end and give its exit code; a negative one is a signal."""
        until = time.monotonic() + PATIENCE
        while self.look():
            assert time.monotonic() < until, f"it does not end: {self.seen}"
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
