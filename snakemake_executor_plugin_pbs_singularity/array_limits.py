"""How many subjobs an array may have: what the user, the server, the queue and PBS itself allow."""

from .contact import Contact
from .pbs import Pbs, PbsError, max_array_size
from .pbs.request import Request

LARGEST = 10_000
"""Subjobs of an array where PBS says nothing: its own default."""


class ArrayLimits:
    """Remembers for each queue what PBS says, which is asked when the first array is about to be formed."""

    def __init__(self, pbs: Pbs, wanted: int | None, contact: Contact) -> None:
        self._pbs = pbs
        self._wanted = wanted
        self._contact = contact
        self._by_queue: dict[str | None, int] = {}

    def most(self, request: Request) -> int:
        """Give how many subjobs an array with this request may have; 1 if it has to be single jobs."""
        if self._wanted == 1 or not request.allows_arrays:
            return 1
        if request.queue not in self._by_queue:
            try:
                self._by_queue[request.queue] = max_array_size(self._pbs, request.queue) or LARGEST
            except PbsError as error:
                self._contact.lose(error)
                return self._wanted or LARGEST
        allowed = self._by_queue[request.queue]
        return min(self._wanted or allowed, allowed)

    def allow_none(self, queue: str | None) -> None:
        """Take note that a queue refuses arrays."""
        self._by_queue[queue] = 1
