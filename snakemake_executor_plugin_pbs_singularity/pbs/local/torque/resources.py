"""What a job asks TORQUE for: ``-l nodes=1:ppn=4:gpus=1,mem=2gb,walltime=1:00:00``. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from ..backlog import Room
from ..refusal import Reason, RefusalError
from ..resources import Chunk, Resources, format_time, parse_size, parse_time
from .words import TorqueError

_SIZES = frozenset({"mem", "vmem", "pmem", "pvmem", "file"})
_TIMES = frozenset({"walltime", "cput", "pcput"})
_NUMBERS = frozenset({"ncpus", "procs", "nice", "size"})
_TEXTS = frozenset(
    "nodes neednodes select place host arch opsys other software gres naccesspolicy qos".split()  # noqa: SIM905
)
_INFEASIBLE = (
    "Job exceeds queue resource limits MSG=cannot locate feasible nodes (nodes file is empty, all systems are busy, or "
    "no nodes have the requested feature)"
)


def resources(asked: Iterable[tuple[str, str]], total: Room, host: str) -> Resources:
    """Make out what ``-l`` asks for. Raises RefusalError, or TorqueError for nodes that are not there.

    Only ``nodes`` takes slots: ``ncpus`` and ``select`` are taken in and give one (transcript torque/22).
    """
    listed: dict[str, str] = {}
    chunk = Chunk(1, 0, 0, 1, 1, ())
    walltime = None
    for name, value in asked:
        if name not in _SIZES | _TIMES | _NUMBERS | _TEXTS:
            raise RefusalError(Reason.UNKNOWN_RESOURCE, f" Resource_List.{name}")
        if name in _SIZES and parse_size(value) is not None:
            value = value.lower()
        elif name in _TIMES and (seconds := parse_time(value)) is not None:
            value = format_time(seconds)
            walltime = seconds if name == "walltime" else walltime
        elif name not in _TEXTS and not (name in _NUMBERS and value.lstrip("-").isdigit()):
            raise RefusalError(Reason.BAD_VALUE, f" Resource_List.{name}")
        listed[name] = value
        if name == "nodes":
            chunk = _chunk(value, total, host)
            listed["nodect"] = "1"
    return Resources(tuple(listed.items()), (chunk,), walltime)


def _chunk(nodes: str, total: Room, host: str) -> Chunk:
    first, *words = nodes.split(":")
    ppn = gpus = 1 if first in ("1", host) else 0
    gpus = 0
    for word in words:
        name, _, value = word.partition("=")
        if name == "ppn" and value.isdigit():
            ppn *= int(value)
        elif name == "gpus" and value.isdigit():
            gpus = int(value)
        elif name not in (host, "shared", "exclusive_process", "default"):
            ppn = 0
    if not ppn or ppn > total.ncpus or gpus > total.ngpus:
        raise TorqueError(_INFEASIBLE, 190)
    return Chunk(ppn, 0, gpus, ppn, ppn, (f"ncpus={ppn}",))
