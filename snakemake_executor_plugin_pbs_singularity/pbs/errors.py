"""The one error of this package: what PBS could not or would not do, and what to do about it."""

from enum import Enum


class ErrorKind(Enum):
    """Whose fault it is, which decides what a caller does next."""

    ABSENT = "absent"
    """There is no PBS command to be run."""
    UNREACHABLE = "unreachable"
    """The server is away, hung, or cannot be connected to: nothing is known, ask again later."""
    REFUSED = "refused"
    """PBS understood the request and said no: the same request will be refused again."""
    UNKNOWN_JOB = "unknown job"
    """PBS does not know a job of that id."""
    OTHER = "other"
    """Anything else, such as an answer that cannot be read: nothing is known either."""


class PbsError(Exception):
    """PBS could not be asked, or did not do what it was asked.

    The text does not name the rule or the Snakemake job; whoever knows it puts it in front.
    """

    def __init__(self, kind: ErrorKind, problem: str, remedy: str = "", *, uncertain: bool = False) -> None:
        super().__init__(kind, problem, remedy)
        self.kind = kind
        self.problem = problem
        """What is wrong, in whole sentences, with PBS's own words."""
        self.remedy = remedy
        """What to do, in whole sentences; empty if nothing is known."""
        self.uncertain = uncertain
        """True if the request may have been carried out all the same: a job may have been submitted.

        Look for it by its name (``find_by_name``) before submitting anything again.
        """

    def __str__(self) -> str:
        return f"{self.problem} {self.remedy}".rstrip()


class LimitError(PbsError):
    """REFUSED, as the limits of queues or the nodes that PBS shows tell: PBS itself was not asked."""
