"""What a request comes to in numbers, whichever words it is written in. Pure."""

import re
from dataclasses import dataclass, replace

from .amounts import parse_amount
from .request import Request


@dataclass(frozen=True)
class Part:
    """Chunks that are alike; None is what the request does not say."""

    count: int
    ncpus: int | None = None
    """Cores on each."""
    mem: int | None = None
    """MiB on each, cut off."""
    ngpus: int | None = None
    mpiprocs: int | None = None
    gpu_model: str | None = None


@dataclass(frozen=True)
class Demand:
    """What a request asks for."""

    parts: tuple[Part, ...] | None
    """None if it is written in words that only PBS understands."""
    walltime: int | None
    """Seconds."""
    place: str = ""
    """As in ``scatter:excl``."""

    @property
    def chunks(self) -> int:
        """Give the number of all chunks."""
        return sum(part.count for part in self.parts or ())


def demand_of(request: Request, *, torque: bool, tasks: int = 1) -> Demand:
    """Give what a request asks for, for so many tasks one after the other."""
    walltime = request.walltime and request.walltime * tasks
    if torque and request.nodes:
        parts = parse_nodes(request.nodes)
        mem = max((chunk.mem_mb for chunk in request.chunks), default=0) or None  # it is no part of `nodes`
        return Demand(parts and tuple(replace(part, mem=mem) for part in parts), walltime)
    if not torque and request.select:
        return Demand(parse_select(request.select, request.gpu_model_resource), walltime, request.placing or "")
    parts = tuple(
        Part(
            chunk.count,
            chunk.ncpus,
            chunk.mem_mb or None,
            chunk.ngpus or None,
            chunk.mpiprocs or None,
            request.gpu_model if chunk.ngpus else None,
        )
        for chunk in request.chunks
    )
    return Demand(parts, walltime, request.placing or "")


def parse_select(text: str, gpu_model_resource: str = "gpu_model") -> tuple[Part, ...] | None:
    """Read OpenPBS's ``select``, such as ``2:ncpus=4:mem=1gb+1:ncpus=1``; None for what cannot be read for sure."""
    parts = []
    for chunk in text.split("+"):
        words = chunk.split(":")
        count = int(words.pop(0)) if re.fullmatch(r"\d{1,9}", words[0], re.ASCII) else 1
        pairs = [re.fullmatch(r"([A-Za-z]\w*)=([^\s\"'=]+)", word, re.ASCII) for word in words]
        if not count or not all(pairs):
            return None
        values = {pair[1]: pair[2] for pair in pairs if pair}
        numbers = {name: parse_amount(name, text) for name, text in values.items()}
        known = {name: numbers.get(name) for name in ("ncpus", "mem", "ngpus", "mpiprocs")}
        if len(values) != len(pairs) or any(isinstance(amount, str) for amount in known.values()):
            return None
        given = {name: amount for name, amount in known.items() if isinstance(amount, int)}
        parts.append(Part(count, gpu_model=values.get(gpu_model_resource), **given))
    return tuple(parts)


def parse_nodes(text: str) -> tuple[Part, ...] | None:
    """Read TORQUE's ``nodes``, such as ``2:ppn=4:gpus=1+host7:ppn=1``; properties are passed over."""
    parts = []
    for spec in text.partition("#")[0].split("+"):
        words = spec.split(":")
        count = int(words.pop(0)) if re.fullmatch(r"\d{1,9}", words[0], re.ASCII) else 1
        values = dict(word.partition("=")[::2] for word in words if "=" in word)
        amounts = {name: parse_amount("ncpus", values.get(name, "1")) for name in ("ppn", "gpus")}
        ncpus, gpus = amounts["ppn"], amounts["gpus"]
        if not count or not all(words) or not isinstance(ncpus, int) or not isinstance(gpus, int):
            return None
        parts.append(Part(count, ncpus, ngpus=gpus if "gpus" in values else None))
    return tuple(parts)
