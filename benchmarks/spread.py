"""The middle and the ends of several measurements. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """The median of what was measured, and its ends."""

    median: float
    low: float
    high: float

    def shown(self, digits: int = 2) -> str:
        """Give the median, with the ends in parentheses if they differ."""
        middle = f"{self.median:.{digits}f}"
        return middle if self.low == self.high else f"{middle} ({self.low:.{digits}f}–{self.high:.{digits}f})"


def spread(values: Sequence[float]) -> Spread | None:
    """Give the median with the lowest and the highest value, None of none."""
    return Spread(statistics.median(values), min(values), max(values)) if values else None


def quartiles(values: Sequence[float]) -> Spread:
    """Give the median of at least two values, and between what the middle half of them lies."""
    low, median, high = statistics.quantiles(values, method="inclusive")
    return Spread(median, low, high)
