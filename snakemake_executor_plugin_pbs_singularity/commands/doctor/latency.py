"""How long files take from one machine to the other, and how their clocks differ. Pure.

The node writes a file and waits for an answer; this machine writes the answer when it sees the file. That gives four
times, two of each clock, from which follows what NTP makes of the like: the way there and back is certain, and the
clocks differ by what is left, give or take half of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Round:
    """There and back, in seconds since the epoch."""

    sent: float
    """Written on the node, by its clock."""
    seen: float
    """Seen here, by ours."""
    answered: float
    """Answered here, by ours."""
    noticed: float
    """The answer seen on the node, by its clock."""

    @property
    def ways(self) -> float:
        """Give how long both ways took together."""
        return max(0.0, (self.noticed - self.sent) - (self.answered - self.seen))

    @property
    def ahead(self) -> float:
        """Give how far the node's clock seems to be ahead of ours, give or take half of both ways."""
        return ((self.sent - self.seen) + (self.noticed - self.answered)) / 2


@dataclass(frozen=True)
class Latency:
    """What several rounds tell, in seconds."""

    to_here: float
    """The longest that a file written on the node took to be seen here."""
    to_node: float
    """The longest that a file written here took to be seen on the node."""
    ahead: float
    """How far the node's clock is ahead of ours."""
    error: float
    """How far that may be wrong."""

    @property
    def worst(self) -> float:
        """Give the longest of all."""
        return max(self.to_here, self.to_node)

    @property
    def clocks_differ(self) -> bool:
        """Tell whether the clocks certainly differ."""
        return abs(self.ahead) > self.error


def measure(rounds: Sequence[Round]) -> Latency | None:
    """Make the most of some rounds; None if there are none.

    The quickest tells most of the clocks. If they may be the same they are taken to be, else to be apart as it says.
    The first round is left out where there are more: PBS may have been asked meanwhile, which keeps from looking.
    """
    if not rounds:
        return None
    quickest = min(rounds, key=lambda one: one.ways)
    # A clock of whole seconds tells no more than that
    coarse = any(moment % 1 == 0 for one in rounds for moment in (one.sent, one.noticed))
    error = quickest.ways / 2 + (1.0 if coarse else 0.0)
    ahead = quickest.ahead if abs(quickest.ahead) > error else 0.0
    counted = rounds[1:] or rounds
    return Latency(
        to_here=max(max(0.0, one.seen - one.sent + ahead) for one in counted),
        to_node=max(max(0.0, one.noticed - one.answered - ahead) for one in counted),
        ahead=ahead if ahead else quickest.ahead,
        error=error,
    )
