"""Whether the PBS server answers. It may be away for a while: that is said once, as is that it is back."""

from collections.abc import Callable
from threading import Lock

from .pbs import PbsError


class Contact:
    """What the threads of a run know of the server together."""

    def __init__(self, say: Callable[[str], None], warn: Callable[[str], None]) -> None:
        self._say = say
        self._warn = warn
        self._lock = Lock()
        self._is_lost = False

    def lose(self, error: PbsError) -> None:
        """Take note that PBS did not answer."""
        with self._lock:
            if not self._is_lost:
                self._is_lost = True
                self._warn(f"PBS does not answer: its jobs count as running, new ones wait until it does. {error}")

    def regain(self) -> None:
        """Take note that PBS has answered."""
        with self._lock:
            if self._is_lost:
                self._is_lost = False
                self._say("PBS answers again.")
