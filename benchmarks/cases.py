"""What is run: ways of running N jobs, kinds of jobs, and the order of it all. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import product


class Kind(StrEnum):
    """What a job is. Either writes a line into its output and ends."""

    CONTAINER = "container"
    PLAIN = "plain"


class Way(StrEnum):
    """How N jobs are run."""

    ARRAY = "array"
    """One ``qsub -J`` of a script written by hand: what all others are compared with."""
    ARRAY_R = "array-R"
    """The same with ``qsub -R oe``, which few who write by hand know: PBS then does not copy the output of jobs."""
    SINGLES = "singles"
    """N ``qsub`` of a script written by hand."""
    PLUGIN = "plugin"
    """This plugin as it comes: arrays."""
    BUNDLES = "bundles"
    """This plugin, ten jobs in each subjob."""
    PLUGIN_SINGLES = "plugin-singles"
    """This plugin where arrays are not to be had: a ``qsub`` for each job."""
    NESTED = "nested"
    """This plugin, and a rule that needs Snakemake on the node."""
    CLUSTER_GENERIC = "cluster-generic"
    """Snakemake's plugin for any batch system."""
    NULL = "null"
    """Snakemake with an executor that runs nothing: the floor of all ways with Snakemake."""

    @property
    def words(self) -> str:
        """Give what tables and plots call it."""
        return _WORDS[self]

    @property
    def is_by_hand(self) -> bool:
        """Tell whether no Snakemake takes part."""
        return self in (Way.ARRAY, Way.ARRAY_R, Way.SINGLES)


_WORDS = {
    Way.ARRAY: "hand-written array",
    Way.ARRAY_R: "hand-written array with -R oe",
    Way.SINGLES: "single qsubs by hand",
    Way.PLUGIN: "plugin, arrays",
    Way.BUNDLES: "plugin, bundles of 10",
    Way.PLUGIN_SINGLES: "plugin, single jobs",
    Way.NESTED: "plugin, nested",
    Way.CLUSTER_GENERIC: "cluster-generic",
    Way.NULL: "Snakemake alone (null)",
}


@dataclass(frozen=True)
class Case:
    """N jobs of a kind, run in a way: what has a row of its own in the table."""

    way: Way
    kind: Kind
    size: int
    """Jobs."""

    def __str__(self) -> str:
        return f"{self.way.words}, {self.size} {self.kind} jobs"


@dataclass(frozen=True)
class Plan:
    """What the user wants to be run."""

    sizes: tuple[int, ...]
    """Ascending."""
    kinds: tuple[Kind, ...]
    ways: tuple[Way, ...]
    repeats: int
    snakemake: tuple[str, ...] = ()
    """More options for all ways with Snakemake."""

    def cases(self, size: int) -> list[Case]:
        """Give the cases of one size, in the order of a repeat."""
        return [Case(way, kind, size) for kind, way in product(self.kinds, self.ways)]

    def runs(self, size: int) -> Iterator[tuple[int, Case]]:
        """Give repeats with their numbers from 1: each runs all cases, so that a drift of the machine hits all."""
        return product(range(1, self.repeats + 1), self.cases(size))


def estimate(seconds: float, smaller: int, size: int) -> float:
    """Give the seconds that ``size`` jobs would take where ``smaller`` jobs took so many, each as long."""
    return seconds * size / smaller
