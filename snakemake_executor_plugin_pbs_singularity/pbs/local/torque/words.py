"""TORQUE's words and exit codes for what the server refuses (transcripts torque/08 and 09-arrays-misc)."""

from __future__ import annotations

from ..refusal import Reason, RefusalError

_WORDS = {
    Reason.UNKNOWN_QUEUE: (172, "Unknown queue MSG=requested queue not found"),
    Reason.QUEUE_DISABLED: (175, "Queue is not enabled MSG=queue is disabled: user {owner}, queue {queue}"),
    Reason.NOT_ALLOWED: (176, "Access to queue is denied MSG=user not in the access list: user {owner}, queue {queue}"),
    Reason.OVER_LIMIT: (190, "Job exceeds queue resource limits MSG=cannot satisfy queue {limit} requirement"),
    Reason.TOO_MANY: (228, "Maximum number of jobs already in queue for user MSG=total number of current user's jobs "
                           "exceeds the queue limit: user {owner}, queue {queue}"),
    Reason.ARRAY_TOO_LARGE: (235, "Bad Job Array Request MSG=Requested array size too large"),
    Reason.BAD_VALUE: (168, "Illegal attribute or resource value for{about}"),
    Reason.UNKNOWN_RESOURCE: (189, "Unknown resource type {about}"),
}  # fmt: skip


class TorqueError(Exception):
    """A refusal that OpenPBS does not know; ``code`` is the exit code of qsub."""

    def __init__(self, words: str, code: int) -> None:
        super().__init__(words)
        self.code = code


def refusal(error: RefusalError | TorqueError, owner: str, queue: str) -> tuple[str, int]:
    """Give what qsub prints, and its exit code."""
    if isinstance(error, TorqueError):
        return f"qsub: submit error ({error})\n", error.code
    code, words = _WORDS.get(error.reason, (error.reason.code, error.reason.words))
    about = str(error).removeprefix(error.reason.words)
    return f"qsub: submit error ({words.format(owner=owner, queue=queue, about=about, limit=error.limit)})\n", code
