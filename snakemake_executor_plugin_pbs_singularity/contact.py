"""Whether the PBS server answers. It may be away for a while: that is said once, as is that it is back."""

from collections.abc import Callable
from threading import Lock

from .pbs import ErrorKind, PbsError


class Contact:
    """What the threads of a run know of the server together."""

    def __init__(self, say: Callable[[str], None], warn: Callable[[str], None]) -> None:
        self._say = say
        self._warn = warn
        self._lock = Lock()
        self._failures = 0

    def lose(self, error: PbsError) -> None:
        """Take note that PBS did not answer. It is said when it happens twice in a row: once is nothing."""
        with self._lock:
            self._failures += 1
            if self._failures == 2:
                what = "does not answer" if error.kind is ErrorKind.UNREACHABLE else "gives no answer that helps"
                self._warn(f"PBS {what}: its jobs count as running, new ones wait until it does. {error}")

    def regain(self) -> None:
        """Take note that PBS has answered."""
        with self._lock:
            if self._failures > 1:
                self._say("PBS answers again.")
            self._failures = 0
