"""Memory and time as people write them on a command line. Pure."""

from __future__ import annotations

import re

import click

_MEBIBYTES = {"": 1, "m": 1, "g": 1024, "t": 1024**2}
_MINUTES = {"": 1, "m": 1, "h": 60, "d": 24 * 60}


def mebibytes(text: str) -> int:
    """Give `4000`, `4000mb` or `4gb` in MiB, as PBS's own units are. Raises BadParameter."""
    match = re.fullmatch(r"(\d{1,12})(?:([mgt])i?b?)?", text, re.ASCII | re.IGNORECASE)
    if match is None or int(match[1]) == 0:
        raise click.BadParameter(f"{text!r} is no amount of memory. Write MiB, or a unit: 4000, 4gb.")
    return int(match[1]) * _MEBIBYTES[(match[2] or "").lower()]


def minutes(text: str) -> int:
    """Give `90`, `90m`, `2h`, `1d`, or PBS's `01:30:00`, in minutes, rounded up. Raises BadParameter."""
    match = re.fullmatch(r"(\d{1,9})([mhd]?)", text, re.ASCII | re.IGNORECASE)
    of_pbs = re.fullmatch(r"(\d{1,6}):(\d{1,2}):(\d{1,2})", text, re.ASCII)
    found = 0
    if match is not None:
        found = int(match[1]) * _MINUTES[match[2].lower()]
    elif of_pbs is not None:
        hours, minutes, seconds = map(int, of_pbs.groups())
        found = 60 * hours + minutes + -(-seconds // 60)
    if found == 0:
        raise click.BadParameter(
            f"{text!r} is no time. Write minutes, a unit, or hours:minutes:seconds: 90, 2h, 01:30:00."
        )
    return found
