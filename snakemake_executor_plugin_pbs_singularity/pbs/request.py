"""What a job asks PBS for, in words that all kinds of PBS share; each dialect turns it into arguments of ``qsub``."""

import re
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Chunk:
    """Nodes, or parts of nodes, that are alike."""

    count: int
    ncpus: int
    """Cores on each."""
    mpiprocs: int = 0
    """Processes that MPI is to start on each; 0 leaves that to PBS."""
    mem_mb: int = 0
    """MiB on each; 0 asks for nothing."""
    ngpus: int = 0


@dataclass(frozen=True)
class Request:
    """One job's request: jobs with equal requests may share a submission."""

    chunks: tuple[Chunk, ...]
    """What it asks nodes for."""
    select: str | None = None
    """The same in OpenPBS's own words (``-l select=``), instead of the chunks."""
    nodes: str | None = None
    """The same in TORQUE's own words (``-l nodes=``), instead of the chunks but for their memory."""
    gpu_model: str | None = None
    gpu_model_resource: str = "gpu_model"
    """What an OpenPBS site calls the resource of nodes that says which GPUs they have."""
    walltime: int | None = None
    """Seconds."""
    place: str | None = None
    """How the chunks are placed, in OpenPBS's words, such as ``free`` or ``excl``; on nodes of their own if it is None
    and they are several."""
    queue: str | None = None
    account: str | None = None
    project: str | None = None
    site: tuple[tuple[str, str], ...] = ()
    """What only this site knows, as names and values of ``-l``."""
    extra: tuple[str, ...] = ()
    """More arguments of ``qsub``."""

    @property
    def gpus(self) -> int:
        """Give the GPUs on each chunk, the most of any."""
        named = re.findall(r":n?gpus=(\d{1,9})", f"{self.select} {self.nodes}", re.ASCII)
        return max([*(chunk.ngpus for chunk in self.chunks), *map(int, named)], default=0)

    @property
    def placing(self) -> str | None:
        """Give how OpenPBS is asked to place it; None leaves that to PBS."""
        several = not self.select and sum(chunk.count for chunk in self.chunks) > 1
        return self.place or ("scatter" if several else None)

    @property
    def allows_arrays(self) -> bool:
        """Tell whether it may be an array's: OpenPBS refuses those that must not be run again (`qsub -r n`)."""
        return ("-r", "n") not in pairwise(self.extra)
