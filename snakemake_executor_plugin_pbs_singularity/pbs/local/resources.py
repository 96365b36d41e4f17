"""What a job asks for: ``-l select=…``, ``-l walltime=…`` and the older ``-l ncpus=…``. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .refusal import Reason, RefusalError

_UNITS_KB = {"": 1 / 1024, "k": 1, "m": 1024, "g": 1024**2, "t": 1024**3, "p": 1024**4}
_SIZE = re.compile(r"(\d+)([kmgtp]?)([bw]?)", re.IGNORECASE)
_TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+)(?:\.\d+)?")
_NUMBER = re.compile(r"\d+")

SIZES = frozenset({"mem", "vmem", "pmem", "pvmem", "file"})
TIMES = frozenset({"walltime", "cput", "pcput", "min_walltime", "max_walltime", "soft_walltime"})
_NUMBERS = frozenset({"ncpus", "ngpus", "mpiprocs", "ompthreads", "nice", "nodect"})
_TEXTS = frozenset({"select", "place", "nodes", "host", "vnode", "arch", "software"})
_IN_CHUNKS = frozenset({"ncpus", "mem", "vmem", "ngpus", "mpiprocs", "ompthreads", "host", "vnode", "arch"})
_PLACES = re.compile(r"(free|pack|scatter|vscatter)?(:?(excl|shared|exclhost))?(:?group=\w+)?")
_SUMMED = ("mem", "ncpus", "ngpus", "vmem")


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk of a select: what one vnode has to give it."""

    ncpus: int
    mem_kb: int
    ngpus: int
    mpiprocs: int
    ompthreads: int
    asked: tuple[str, ...]
    """What exec_vnode shows: ``ncpus=1``, ``mem=51200kb``."""


@dataclass(frozen=True, slots=True)
class Resources:
    """All that a job asks for."""

    listed: tuple[tuple[str, str], ...]
    """Resource_List, in qstat's order."""
    chunks: tuple[Chunk, ...]
    walltime: int | None
    """Seconds, None without limit."""

    @property
    def ncpus(self) -> int:
        """CPUs of all chunks."""
        return sum(chunk.ncpus for chunk in self.chunks)

    @property
    def mem_kb(self) -> int:
        """Memory of all chunks, KiB."""
        return sum(chunk.mem_kb for chunk in self.chunks)

    @property
    def ngpus(self) -> int:
        """GPUs of all chunks."""
        return sum(chunk.ngpus for chunk in self.chunks)

    def value(self, name: str) -> str | None:
        """Give one resource as Resource_List has it."""
        return dict(self.listed).get(name)

    @property
    def needs_more_hosts(self) -> bool:
        """Whether the chunks must lie on hosts of their own: more than a PBS of one machine has."""
        return len(self.chunks) > 1 and (self.value("place") or "").startswith("scatter")


def parse_size(text: str) -> int | None:
    """Give a PBS size (``50mb``, ``1gb``, bytes without unit) in KiB, rounded up; None if it is none."""
    match = _SIZE.fullmatch(text)
    if match is None:
        return None
    number, unit, word = match.groups()
    kilobytes = int(number) * _UNITS_KB[unit.lower()] * (8 if word.lower() == "w" else 1)
    return int(-(-kilobytes // 1))


def parse_time(text: str) -> int | None:
    """Give a PBS time (``[[hours:]minutes:]seconds``) in seconds; None if it is none."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def format_time(seconds: float) -> str:
    """Give seconds as ``HH:MM:SS``."""
    whole = int(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def resources(asked: Iterable[tuple[str, str]], *, has_gpus: bool) -> Resources:
    """Make out what ``-l`` asks for; a resource named twice counts as said last.

    Raises RefusalError as the server does: transcripts openpbs/05b, 05e, 05f, 05g and 05p.
    """
    wanted = dict(asked)
    for name, value in wanted.items():
        if not _known(name, has_gpus=has_gpus) or name in ("mpiprocs", "ompthreads", "host", "vnode"):
            raise RefusalError(Reason.UNKNOWN_RESOURCE, f" Resource_List.{name}")
        if not _fits(name, value):
            raise RefusalError(Reason.BAD_VALUE, f" Resource_List.{name}")
    _check_mixture(wanted)
    old_style = "select" not in wanted
    select = _old_style_select(wanted) if old_style else wanted["select"]
    counted = _parse_select(select, has_gpus=has_gpus)
    chunks = tuple(_chunk(dict(pairs)) for count, pairs in counted for _ in range(count))
    listed = {name: _shown(name, value) for name, value in wanted.items()}
    listed.update(_totals(counted, chunks))
    listed["nodect"] = str(len(chunks))
    listed["select"] = "+".join(
        f"{count}:" + ":".join(f"{name}={value}" for name, value in pairs) for count, pairs in counted
    )
    default_place = "scatter" if "nodes" in wanted else "pack" if old_style else "free"
    listed["place"] = wanted.get("place", default_place)
    walltime = wanted.get("walltime")
    return Resources(
        listed=tuple(sorted(listed.items())),
        chunks=chunks,
        walltime=None if walltime is None else parse_time(walltime),
    )


def _known(name: str, *, has_gpus: bool) -> bool:
    if name == "ngpus":
        return has_gpus
    return name in SIZES or name in TIMES or name in _NUMBERS or name in _TEXTS


def _fits(name: str, value: str) -> bool:
    if name in SIZES:
        return parse_size(value) is not None
    if name in TIMES:
        return parse_time(value) is not None
    if name in _NUMBERS:
        return _NUMBER.fullmatch(value) is not None
    if name == "place":
        return bool(value) and _PLACES.fullmatch(value) is not None
    return bool(value)


def _shown(name: str, value: str) -> str:
    if name in TIMES:
        return format_time(parse_time(value) or 0)
    if name in SIZES:
        return value.lower() if value[-1:].lower() in "bw" else f"{value.lower()}b"
    return value


def _check_mixture(wanted: dict[str, str]) -> None:
    if "nodes" in wanted and ("select" in wanted or "place" in wanted):
        raise RefusalError(Reason.NODES_AND_SELECT)
    if "select" not in wanted:
        if "place" in wanted:
            raise RefusalError(Reason.PLACE_ALONE)
        return
    for name in wanted:
        if name in _IN_CHUNKS:
            raise RefusalError(Reason.MIXED_SYNTAX, f": {name}")


def _old_style_select(wanted: dict[str, str]) -> str:
    """Say with select what ``-l ncpus=2,mem=1gb`` or ``-l nodes=1:ppn=4`` asks for."""
    if "nodes" in wanted:
        count, _, rest = wanted["nodes"].partition(":")
        per_node = 1
        for part in filter(None, rest.split(":")):
            name, _, value = part.partition("=")
            if name not in ("ppn", "ncpus") or not value.isdigit():
                raise RefusalError(Reason.BAD_VALUE, " Resource_List.nodes")
            per_node = int(value)
        if not count.isdigit() or int(count) == 0:
            raise RefusalError(Reason.BAD_VALUE, " Resource_List.nodes")
        select = f"{count}:ncpus={per_node}:mpiprocs={per_node}"
    else:
        select = f"1:ncpus={wanted.get('ncpus', '1')}"
    return select + "".join(f":{name}={wanted[name]}" for name in ("mem", "vmem", "ngpus") if name in wanted)


def _parse_select(select: str, *, has_gpus: bool) -> list[tuple[int, list[tuple[str, str]]]]:
    counted = []
    for part in select.split("+"):
        words = part.split(":")
        count = 1
        if words[0].isdigit():
            count = int(words.pop(0))
        pairs = []
        for word in words:
            name, equals, value = word.partition("=")
            if not equals or not count:
                raise RefusalError(Reason.BAD_VALUE, " Resource_List.select")
            if name not in _IN_CHUNKS or not _known(name, has_gpus=has_gpus):
                raise RefusalError(Reason.UNKNOWN_RESOURCE, f": {name}")
            if not _fits(name, value):
                raise RefusalError(Reason.BAD_VALUE, " Resource_List.select")
            pairs.append((name, value))
        if not any(name == "ncpus" for name, _ in pairs):
            pairs.append(("ncpus", "1"))
        counted.append((count, pairs))
    return counted


def _chunk(pairs: dict[str, str]) -> Chunk:
    ncpus = int(pairs["ncpus"])
    shown = []
    for name in ("ncpus", "mem", "ngpus"):
        if name in pairs:
            shown.append(f"mem={parse_size(pairs[name])}kb" if name == "mem" else f"{name}={pairs[name]}")
    return Chunk(
        ncpus=ncpus,
        mem_kb=parse_size(pairs.get("mem", "0")) or 0,
        ngpus=int(pairs.get("ngpus", "0")),
        mpiprocs=int(pairs.get("mpiprocs", "1")),
        ompthreads=int(pairs.get("ompthreads", ncpus)),
        asked=tuple(shown),
    )


def _totals(counted: list[tuple[int, list[tuple[str, str]]]], chunks: tuple[Chunk, ...]) -> dict[str, str]:
    """Give the job-wide amounts that a select adds up to."""
    totals = {}
    for name in _SUMMED:
        given = [(count, value) for count, pairs in counted for key, value in pairs if key == name]
        if not given:
            continue
        if len(given) == 1 and given[0][0] == 1:
            totals[name] = _shown(name, given[0][1])
        elif name in SIZES:
            totals[name] = f"{sum(count * (parse_size(value) or 0) for count, value in given)}kb"
        else:
            totals[name] = str(sum(count * int(value) for count, value in given))
    if any(key == "mpiprocs" for _, pairs in counted for key, _ in pairs):
        totals["mpiprocs"] = str(sum(chunk.mpiprocs for chunk in chunks))
    return totals
