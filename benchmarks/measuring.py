"""Runs all that is wanted, in order, with its progress on the screen."""

import shutil
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from . import node
from .cases import Case, Kind, estimate
from .results import LeftOut, Session, of
from .running import RunError, TooLongError, run
from .site import Site
from .workflow import LOGS

PAIRS = 10
"""How often scripts are run on their own for each repeat; a nested one takes seconds."""


@dataclass(frozen=True)
class Measuring:
    """What measuring a session needs."""

    session: Session
    """What was measured is put into it."""
    site: Site
    folder: Path
    """Where the runs take place, in a folder that is removed; what failed ones said stays."""
    longest: float
    """Seconds that the repeats of a case may take together."""
    console: Console
    save: Callable[[], None]
    """Called after each run."""


def measure(measuring: Measuring) -> None:
    """Run all that the session's plan wants. What fails, or is expected to take too long, is left out from then on."""
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with (
        tempfile.TemporaryDirectory(prefix="runs-", dir=measuring.folder, ignore_cleanup_errors=True) as work,
        Progress(*columns, console=measuring.console, transient=True) as progress,
    ):
        _measure_on_node(measuring, Path(work), progress)
        _measure_cases(measuring, Path(work), progress)


def _measure_on_node(measuring: Measuring, work: Path, progress: Progress) -> None:
    plan = measuring.session.plan
    for way in node.WAYS:
        if way not in plan.ways or Kind.CONTAINER not in plan.kinds:
            continue
        what = f"CPU on the node, {way.words}"
        task = progress.add_task(what)
        try:
            figure = node.cpu_beyond_container(measuring.site, way, PAIRS * plan.repeats, work / f"node-{way}")
        except RunError as error:
            measuring.console.print(f"{what}: {error}", soft_wrap=True)
        else:
            measuring.session.node[way] = figure
            measuring.console.print(f"{what}: {figure.shown(1)} ms per task beyond the container", soft_wrap=True)
        progress.remove_task(task)


def _measure_cases(measuring: Measuring, work: Path, progress: Progress) -> None:
    session = measuring.session
    plan = session.plan
    total = len(plan.sizes) * len(plan.cases(0)) * plan.repeats
    number = 0
    for size in plan.sizes:
        wanted = {case: repeats(session, case, measuring.longest) for case in plan.cases(size)}
        total -= sum(plan.repeats - count for count in wanted.values())
        for repeat, case in plan.runs(size):
            if repeat > wanted[case]:
                continue
            number += 1
            what = f"Run {number} of {total}: {case}"
            task = progress.add_task(what)
            is_good, said = _run(measuring, case, repeat, work / str(number))
            progress.remove_task(task)
            measuring.save()
            measuring.console.print(f"{what}: {said}", soft_wrap=True)
            if not is_good:
                total -= wanted[case] - repeat
                wanted[case] = 0


def _run(measuring: Measuring, case: Case, repeat: int, place: Path) -> tuple[bool, str]:
    """Run a case in a folder, which is removed; tell whether that went well, and give a word about it."""
    session = measuring.session
    try:
        result = run(measuring.site, case, repeat, place, measuring.longest, session.plan.snakemake)
    except RunError as error:
        said = measuring.folder / f"failed-{case.way}-{case.kind}-{case.size}.txt"
        said.write_bytes(b"".join(path.read_bytes() for path in _words(place)))
        if isinstance(error, TooLongError):
            left_out = LeftOut(case, measuring.longest, f"more than {measuring.longest / 60:g} min")
        else:
            left_out = LeftOut(case, None, "failed")
        session.left_out.append(left_out)
        return False, f"{error}; what it said is in {said}"
    finally:
        shutil.rmtree(place, ignore_errors=True)  # jobs that are being deleted may still write
    session.results.append(result)
    return True, f"{result.seconds:.1f} s"


def _words(place: Path) -> list[Path]:
    """Give the files that may say why a run failed: what was printed, and one job's log."""
    return [place / "said", *sorted((place / LOGS).iterdir())[:1]]


def repeats(session: Session, case: Case, longest: float) -> int:
    """Give how often to run a case: as often as fits into ``longest`` seconds, by the next smaller number of jobs.

    If it is not to be run at all, that goes into the session.
    """
    smaller = max((size for size in session.plan.sizes if size < case.size), default=None)
    if smaller is None:
        return session.plan.repeats
    before = replace(case, size=smaller)
    left_out = next((left_out for left_out in session.left_out if left_out.case == before), None)
    if left_out is None:
        seconds = statistics.median(result.seconds for result in of(session.results, before))
    elif left_out.estimate is not None:
        seconds = left_out.estimate
    else:
        session.left_out.append(LeftOut(case, None, "left out as it failed with fewer jobs"))
        return 0
    expected = estimate(seconds, smaller, case.size)
    if expected > longest:
        session.left_out.append(LeftOut(case, expected, f"left out: about {expected / 60:.0f} min"))
    return min(session.plan.repeats, int(longest // expected))
