"""What the server says when it refuses a request."""

from __future__ import annotations

from enum import Enum


class Reason(Enum):
    """Exit code of the command and PBS's own words; the codes are OpenPBS's error numbers modulo 256."""

    FINISHED = (35, "Job has finished")
    NO_HISTORY = (36, "PBS is not configured to maintain job history")
    UNKNOWN_JOB = (153, "Unknown Job Id")
    BAD_VALUE = (166, "Illegal attribute or resource value")
    BAD_STATE = (168, "Request invalid for state of job")
    UNKNOWN_QUEUE = (170, "Unknown queue")
    QUEUE_DISABLED = (173, "Queue is not enabled")
    NOT_ALLOWED = (159, "Unauthorized Request ")
    UNKNOWN_RESOURCE = (187, "Unknown resource")
    OVER_LIMIT = (188, "Job violates queue and/or server resource limits")
    TOO_MANY = (38, "would exceed queue generic's per-user limit")
    ARRAY_TOO_LARGE = (3, "Array job exceeds server or queue size limit")
    MIXED_SYNTAX = (5, '"-lresource=" cannot be used with "select" or "place", resource is')
    NODES_AND_SELECT = (6, "Cannot be used with select or place")
    PLACE_ALONE = (7, 'Cannot have "place" without "select"')
    NAME_TOO_LONG = (2, "Job name is too long ")

    @property
    def code(self) -> int:
        """Exit code of the command."""
        return self.value[0]

    @property
    def words(self) -> str:
        """PBS's own words."""
        return self.value[1]


class RefusalError(Exception):
    """A request that is refused. ``str()`` gives PBS's words with what they are about."""

    def __init__(self, reason: Reason, about: str = "", *, limit: str = "max walltime") -> None:
        super().__init__(f"{reason.words}{about}")
        self.reason = reason
        self.limit = limit
        """Which limit of the queue an OVER_LIMIT is about; only TORQUE says it."""
