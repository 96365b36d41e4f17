"""Ctrl-C, SIGTERM and a lost session end the doctor only when its job is gone."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Stopping:
    """Whether somebody wants it to end."""

    signal: int | None = None
    """The number of the first signal that came; None while none has."""


@contextmanager
def heeding_signals() -> Iterator[Stopping]:
    """Note the first signal; a second one raises KeyboardInterrupt. Whoever runs this looks at what was noted.

    A submission is so never cut off between what PBS did and the answer that says which job it is.
    """
    stopping = Stopping()

    def note(number: int, frame: FrameType | None) -> None:
        if stopping.signal is not None:
            raise KeyboardInterrupt
        stopping.signal = number

    before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
