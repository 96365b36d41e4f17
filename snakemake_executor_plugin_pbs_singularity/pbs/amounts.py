"""Amounts of PBS's resources: limits, defaults, what nodes have. Pure."""

import re
from collections.abc import Mapping

from .answers import parse_bytes, parse_duration

Amounts = Mapping[str, int | str]
"""Resources by the names that PBS has for them: times in seconds, sizes in MiB, counts; text of any other.

All sizes are cut off to whole MiB, what is asked for too: what is too much in these is too much in bytes.
"""

_TIMES = frozenset({"cput", "max_walltime", "min_walltime", "pcput", "soft_walltime", "walltime"})
_SIZES = frozenset({"file", "hbmem", "mem", "pmem", "pvmem", "vmem"})
_COUNTS = frozenset({"gpus", "mpiprocs", "naccelerators", "ncpus", "ngpus", "nodect", "ompthreads", "procct", "procs"})


def parse_amount(name: str, text: str) -> int | str:
    """Give an amount of a resource as Amounts has it."""
    amount: int | None = None
    if name in _TIMES:
        amount = parse_duration(text)
    elif name in _SIZES:
        size = parse_bytes(text)
        amount = None if size is None else size // 1024**2
    elif name in _COUNTS and re.fullmatch(r"\d{1,18}", text, re.ASCII):
        amount = int(text)
    elif name == "nodes" and (match := re.match(r"\d{1,9}(?=$|[:+])", text, re.ASCII)):  # TORQUE compares no more of it
        amount = int(match[0])
    return text if amount is None else amount


def parse_amounts(attributes: Mapping[str, str], prefix: str) -> Amounts:
    """Give what attributes such as ``resources_max.mem = 4gb`` say, for the prefix ``resources_max``."""
    start = f"{prefix}."
    names = {name: name.removeprefix(start) for name in attributes if name.startswith(start)}
    return {short: parse_amount(short, attributes[name].strip()) for name, short in names.items()}


def number(amounts: Amounts, *names: str) -> int | None:
    """Give the first of these resources that there is a number of."""
    return next((amount for name in names if isinstance(amount := amounts.get(name), int)), None)
