"""From runs to figures: medians, spreads, and ratios of runs of the same repeat. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from .cases import Case, Way
from .results import LeftOut, Result, Session, of
from .spread import Spread, spread


@dataclass(frozen=True)
class Row:
    """What the table says of a case."""

    case: Case
    runs: int
    seconds: Spread | None
    """None if it was left out."""
    ratio: Spread | None
    """To the hand-written array of the same repeat."""
    calls: Spread | None
    """PBS commands per job."""
    cpu: Spread | None
    """Seconds of CPU of the controlling process beyond Snakemake's own."""
    memory: Spread | None
    """MiB beyond Snakemake's own."""
    delay: Spread | None
    """Seconds from the end of a job to its report: the median job of each run."""
    delay_most: Spread | None
    """The same, what 95 of 100 jobs do not exceed."""
    left_out: LeftOut | None


def compare(
    results: Sequence[Result], case: Case, other: Case, compared: Callable[[Result, Result], float]
) -> Spread | None:
    """Compare two cases repeat by repeat; None if they have no repeat in common."""
    others = {result.repeat: result for result in of(results, other)}
    pairs = [(result, others[result.repeat]) for result in of(results, case) if result.repeat in others]
    return spread([compared(result, its_other) for result, its_other in pairs])


def ratio(results: Sequence[Result], case: Case, other: Case) -> Spread | None:
    """Give how many times as long a case takes per job as another one."""
    return compare(results, case, other, lambda one, two: _seconds_per_job(one) / _seconds_per_job(two))


def beyond_snakemake(results: Sequence[Result], case: Case, figure: Callable[[Result], float]) -> Spread | None:
    """Give a figure of a case less what Snakemake alone has for the same jobs; None for what is by hand."""
    if case.way.is_by_hand:
        return None
    return compare(results, case, replace(case, way=Way.NULL), lambda one, two: figure(one) - figure(two))


def cpu_beyond(results: Sequence[Result], case: Case) -> Spread | None:
    """Give the seconds of CPU of the controlling process beyond Snakemake's own."""
    return beyond_snakemake(results, case, lambda result: result.cpu_seconds)


def memory_beyond(results: Sequence[Result], case: Case) -> Spread | None:
    """Give the MiB of the controlling process beyond Snakemake's own."""
    return beyond_snakemake(results, case, lambda result: result.peak_mib)


def row(session: Session, case: Case) -> Row:
    """Give the row of a case."""
    mine = of(session.results, case)
    delays = [result.delays for result in mine if result.delays is not None]
    return Row(
        case,
        runs=len(mine),
        seconds=spread([result.seconds for result in mine]),
        ratio=ratio(session.results, case, replace(case, way=Way.ARRAY)),
        calls=spread([result.calls_per_job for result in mine]),
        cpu=cpu_beyond(session.results, case),
        memory=memory_beyond(session.results, case),
        delay=spread([delay.median for delay in delays]),
        delay_most=spread([delay.most for delay in delays]),
        left_out=next((left_out for left_out in session.left_out if left_out.case == case), None),
    )


def rows(session: Session) -> list[Row]:
    """Give the rows of what was run or left out: a kind after the other, in it the sizes, in them the ways."""
    cases = [case for size in session.plan.sizes for case in session.plan.cases(size)]
    cases.sort(key=lambda case: session.plan.kinds.index(case.kind))
    return [one for case in cases if (one := row(session, case)).seconds or one.left_out]


def _seconds_per_job(result: Result) -> float:
    return result.seconds / result.case.size
