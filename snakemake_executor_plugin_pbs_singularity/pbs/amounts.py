"""Amounts of PBS's resources: limits, defaults, what nodes have. Pure."""

import re
from collections.abc import Mapping

from .answers import parse_duration

Amounts = Mapping[str, int | str]
"""Resources by the names that PBS has for them: times in seconds, sizes in MiB, counts; text of any other."""

_TIMES = frozenset({"cput", "max_walltime", "min_walltime", "pcput", "soft_walltime", "walltime"})
_SIZES = frozenset({"file", "hbmem", "mem", "pmem", "pvmem", "vmem"})
_COUNTS = frozenset({"gpus", "mpiprocs", "naccelerators", "ncpus", "ngpus", "nodect", "ompthreads", "procct", "procs"})


def parse_amount(name: str, text: str, *, round_up: bool = False) -> int | str:
    """Give an amount of a resource as Amounts has it; a size in whole MiB, cut off or rounded up; else the text."""
    amount: int | None = None
    if name in _TIMES:
        amount = parse_duration(text)
    elif name in _SIZES:
        size = parse_bytes(text)
        amount = None if size is None else size // 1024**2 if not round_up else -(-size // 1024**2)
    elif name in _COUNTS and re.fullmatch(r"\d{1,18}", text, re.ASCII):
        amount = int(text)
    elif name == "nodes" and (match := re.match(r"\d{1,9}(?=$|[:+])", text, re.ASCII)):  # TORQUE compares no more of it
        amount = int(match[0])
    return text if amount is None else amount


def parse_amounts(attributes: Mapping[str, str], prefix: str, *, round_up: bool = False) -> Amounts:
    """Give what attributes such as ``resources_max.mem = 4gb`` say, for the prefix ``resources_max``."""
    start = f"{prefix}."
    names = {name: name.removeprefix(start) for name in attributes if name.startswith(start)}
    return {short: parse_amount(short, attributes[name].strip(), round_up=round_up) for name, short in names.items()}


def number(amounts: Amounts, *names: str) -> int | None:
    """Give the first of these resources that there is a number of."""
    return next((amount for name in names if isinstance(amount := amounts.get(name), int)), None)


def parse_bytes(text: str) -> int | None:
    """Give the bytes of a size such as ``6248kb``, ``2gb``, ``1mw`` (words of 8 bytes) or ``100``; None if it is none.

    Sizes of ``qsub`` and of nodes' ``status`` are alike (pbs_resources(7B)).
    """
    match = re.fullmatch(r"(\d{1,18})([kmgtp]?)([bw]?)", text.lower(), re.ASCII)
    if match is None:
        return None
    amount, scale, unit = match.groups()
    return (int(amount) << 10 * " kmgtp".index(scale or " ")) * (8 if unit == "w" else 1)
