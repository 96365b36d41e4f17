"""Tables and figures for people."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from ..text import one_line

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()) -> None:
    """Print a table, with ``numbers`` naming the columns to align to the right. In a pipe no line is folded."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    if sys.stdout is not None:  # closed
        Console(width=None if sys.stdout.isatty() else 10_000, highlight=False).print(table)


def size_in_words(size: int | None) -> str:
    """Give a number of bytes with three digits, as in ``1.24 GB``; a dash for None."""
    if size is None:
        return "-"
    value = float(size)
    for unit in _UNITS:
        if value < 999.5 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 99.95 else f"{value:.3g} {unit}"


def age_in_words(moment: datetime) -> str:
    """Give how long ago a moment was, in its largest unit, as in ``3 months``."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for unit, length in (("year", 31_557_600), ("month", 2_629_800), ("day", 86_400), ("hour", 3600), ("minute", 60)):
        count = int(seconds // length)
        if count >= 1:
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "now"
