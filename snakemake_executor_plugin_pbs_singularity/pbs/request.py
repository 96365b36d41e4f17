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
    """What it asks nodes for; empty where ``select`` says that."""
    select: str | None = None
    """The same in PBS's own words: OpenPBS's ``-l select=``, TORQUE's ``-l nodes=``."""
    gpu_model: str | None = None
    gpu_model_resource: str = "gpu_model"
    """What an OpenPBS site calls the resource of nodes that says which GPUs they have."""
    walltime: int | None = None
    """Seconds."""
    place: str | None = None
    """How the chunks are placed, in OpenPBS's words: ``scatter``, ``excl`` …"""
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
        named = re.findall(r":n?gpus=(\d{1,9})", self.select or "", re.ASCII)
        return max([*(chunk.ngpus for chunk in self.chunks), *map(int, named)], default=0)

    @property
    def allows_arrays(self) -> bool:
        """Tell whether it may be an array's: OpenPBS refuses those that must not be run again (`qsub -r n`)."""
        return ("-r", "n") not in pairwise(self.extra)
