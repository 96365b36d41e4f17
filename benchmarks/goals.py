"""The goals, and whether they are met. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from .cases import Case, Kind, Way
from .figures import memory_beyond, ratio
from .results import Result, Session, of
from .spread import Spread, spread


@dataclass(frozen=True)
class Goal:
    """Something that is wanted of the plugin, and what was measured."""

    what: str
    limit: float
    unit: str
    is_ceiling: bool
    """Whether the figure is to stay below the limit, or above it."""
    figure: Spread | None
    """None if it was not measured."""

    @property
    def wanted(self) -> str:
        """Give the limit in words."""
        return f"at {'most' if self.is_ceiling else 'least'} {self.limit:g}{self.unit and ' ' + self.unit}"

    @property
    def is_met(self) -> bool | None:
        """Tell whether the median is within the limit; None if it was not measured."""
        if self.figure is None:
            return None
        return self.figure.median <= self.limit if self.is_ceiling else self.figure.median >= self.limit

    @property
    def verdict(self) -> str:
        """Give that in words."""
        return {True: "met", False: "**not met**", None: "not measured"}[self.is_met]


def goals(session: Session) -> list[Goal]:
    """Give all goals; all are about container jobs, those of 10,000 about plain ones where these alone were run."""
    results = session.results
    thousand, many = 1000, 10_000
    plugin = _case(Way.PLUGIN, thousand)
    array = _case(Way.ARRAY, thousand)
    generic = _case(Way.CLUSTER_GENERIC, thousand)
    kind = Kind.CONTAINER if of(results, _case(Way.PLUGIN, many)) else Kind.PLAIN
    plugin_many, plugin_fewer = (Case(Way.PLUGIN, kind, size) for size in (many, thousand))
    growth = ratio(results, plugin_many, plugin_fewer)
    mine = of(results, plugin)
    on_node = session.node.get(Way.PLUGIN)
    return [
        Goal("1,000 container jobs, plugin / hand-written array", 1.3, "", True, ratio(results, plugin, array)),
        Goal("the same with bundles of 10", 0.3, "", True, ratio(results, _case(Way.BUNDLES, thousand), array)),
        Goal("the same, cluster-generic / plugin", 6, "", False, ratio(results, generic, plugin)),
        Goal("PBS commands per job", 0.05, "", True, spread([result.calls_per_job for result in mine])),
        Goal("CPU of a direct task on the node beyond `singularity exec`", 30, "ms", True, on_node),
        Goal(f"10,000 {kind} jobs against 1,000, time per job", 1.1, "", True, growth),
        Goal("from a job's end to its report, 95 of 100 jobs", 2, "s", True, _delay(mine)),
        Goal("memory for 10,000 jobs beyond Snakemake's own", 100, "MiB", True, memory_beyond(results, plugin_many)),
    ]


def _case(way: Way, size: int) -> Case:
    return Case(way, Kind.CONTAINER, size)


def _delay(results: Sequence[Result]) -> Spread | None:
    return spread([result.delays.most for result in results if result.delays is not None])
