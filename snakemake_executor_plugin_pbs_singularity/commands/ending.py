"""Signals that are to end a command which has a job in PBS: noted first, so that the job can be deleted."""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STEP = 0.1
"""Seconds in which a signal is heeded."""


class Ending:
    """While it is entered, the first of SIGINT, SIGTERM and SIGHUP is noted; Ctrl-C after that is KeyboardInterrupt."""

    def __init__(self) -> None:
        self.signal: int | None = None
        """The signal that is to end the command."""
        self._before: dict[signal.Signals, object] = {}

    @property
    def exit_code(self) -> int:
        """Give the exit code of a command that a signal ended, as a shell has it."""
        return 128 + (self.signal or 0)

    def sleep(self, seconds: float) -> None:
        """Sleep for so many seconds, but not on when a signal has come."""
        until = time.monotonic() + seconds
        while self.signal is None and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _STEP))

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal gave

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is None:
            self.signal = number
