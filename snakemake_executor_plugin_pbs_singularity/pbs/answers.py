"""Texts and numbers that the commands of all kinds of PBS print alike, read. Pure."""

import re
from collections.abc import Iterator, Mapping
from itertools import chain, pairwise

from .outcome import Usage


def parse_blocks(text: str, kind: str = "Job Id") -> Iterator[tuple[str, dict[str, str]]]:
    """Give name and attributes of each block of ``qstat -f`` that is whole.

    A block begins with ``Job Id: 12.server`` (or ``Queue: name``) and ends with an empty line. One that is cut
    off, or has an attribute twice (a value whose newlines make it look like attributes), is passed over:
    nothing is better than half of it.
    """
    starts = (match.end() for match in re.finditer(rf"\n\n(?={kind}: )", text))
    for start, end in pairwise(chain([0], starts, [len(text)])):
        chunk = text[start:end]
        head, newline, rest = chunk.partition("\n")
        if not head.startswith(f"{kind}: ") or not newline or not chunk.endswith("\n\n"):
            continue
        attributes = _parse_attributes(rest)
        if attributes is not None:
            yield head.removeprefix(f"{kind}: ").strip(), attributes


_ATTRIBUTE = re.compile(r"^ {4}([A-Za-z_][\w.-]*) = ", re.MULTILINE)


def _parse_attributes(text: str) -> dict[str, str] | None:
    _, *parts = _ATTRIBUTE.split(text)
    attributes: dict[str, str] = {}
    for name, value in zip(parts[::2], parts[1::2], strict=True):
        if name in attributes:
            return None
        # A line goes on after newline and tab; any other newline is one of the value
        attributes[name] = value.replace("\n\t", "").rstrip("\n")
    return attributes


def parse_duration(text: str) -> int | None:
    """Give the seconds of ``HH:MM:SS``, ``MM:SS`` or ``SS`` (fractions are cut off); None for anything else."""
    match = re.fullmatch(r"(?:(?:(\d{1,9}):)?(\d{1,9}):)?(\d{1,9})(?:\.\d*)?", text, re.ASCII)
    if match is None:
        return None
    hours, minutes, seconds = (int(number or 0) for number in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def parse_bytes(text: str) -> int | None:
    """Give the bytes of a size such as ``6248kb``, ``2gb``, ``1mw`` or ``100`` (bytes); None for anything else.

    A ``w`` counts words, of 8 bytes as on every 64-bit node (pbs_resources(7B)).
    """
    match = re.fullmatch(r"(\d{1,18})([kmgtp]?)([bw]?)", text.lower(), re.ASCII)
    if match is None:
        return None
    number, scale, unit = match.groups()
    return (int(number) << 10 * " kmgtp".index(scale or " ")) * (8 if unit == "w" else 1)


def parse_size(text: str) -> int | None:
    """Give the MiB, rounded up, of a size; None for anything else."""
    size = parse_bytes(text)
    return None if size is None else -(-size // 1024**2)


def parse_integer(text: str) -> int | None:
    """Give a whole number; None for anything else."""
    return int(text) if re.fullmatch(r"-?\d{1,18}", text, re.ASCII) else None


def parse_usage(attributes: Mapping[str, str], prefix: str) -> Usage:
    """Give what a job used (``resources_used``) or asked for (``Resource_List``), from its attributes."""

    def value(name: str) -> str:
        return attributes.get(f"{prefix}.{name}", "")

    return Usage(
        walltime=parse_duration(value("walltime")),
        cput=parse_duration(value("cput")),
        mem=parse_size(value("mem")),
        ncpus=parse_integer(value("ncpus")),
    )


def telling_lines(stderr: str) -> list[str]:
    """Give the lines of a complaint without the usage that some are followed by, and none twice."""
    words = re.split(r"^usage:", stderr, maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line.strip().rstrip(".") for line in words.splitlines()]
    return list(dict.fromkeys(line for line in lines if line))[:5]
