"""How many subjobs an array may have: what the user, the server, the queue and PBS itself allow."""

from .contact import Contact
from .pbs import PbsError, Survey
from .pbs.request import Request

LARGEST = 10_000
"""Subjobs of an array where PBS says nothing: its own default."""


class ArrayLimits:
    """Gives what PBS says, and remembers the queues that have refused an array."""

    def __init__(self, survey: Survey, wanted: int | None, contact: Contact) -> None:
        self._survey = survey
        self._wanted = wanted
        self._contact = contact
        self._refusing: set[str | None] = set()

    def most(self, request: Request) -> int:
        """Give how many subjobs an array with this request may have; 1 if it has to be single jobs."""
        if self._wanted == 1 or not request.allows_arrays or request.queue in self._refusing:
            return 1
        try:
            allowed = self._survey.max_array_size(request) or LARGEST
        except PbsError as error:
            self._contact.lose(error)
            self._survey.ask_again()
            return self._wanted or LARGEST
        return min(self._wanted or allowed, allowed)

    def allow_none(self, queue: str | None) -> None:
        """Take note that a queue refuses arrays."""
        self._refusing.add(queue)
