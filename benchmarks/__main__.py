"""``python -m benchmarks``: run the cases, show the tables, write JSON, Markdown and a plot."""

import dataclasses
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.console import Console

from tools.cache import ToolError

from .cases import Kind, Plan, Way
from .figures import rows
from .goals import goals
from .measuring import Measuring, measure
from .plot import plot
from .results import Session, write
from .site import describe, find_site
from .table import markdown, screen

NAME = "benchmark"
"""Of the files with the results."""
_PATH = click.Path(path_type=Path)


def _several(convert: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, str], tuple[Any, ...]]:
    """Give what reads the value of an option: several things, with commas between them."""

    def read(_context: click.Context, _option: click.Parameter, text: str) -> tuple[Any, ...]:
        try:
            return tuple(dict.fromkeys(convert(word) for word in text.split(",")))
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return read


def _size(word: str) -> int:
    if int(word) < 2:
        raise ValueError("PBS takes no array of less than 2 jobs.")
    return int(word)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--sizes", default="100,1000,10000", callback=_several(_size), help="Numbers of jobs.")
@click.option("--kinds", default=",".join(Kind), callback=_several(Kind), help="Kinds of jobs.")
@click.option("--ways", default=",".join(Way), callback=_several(Way), help="Ways of running them.")
@click.option("--repeats", default=3, type=click.IntRange(1), help="How often each is run.")
@click.option("--longest", default=20.0, help="Minutes for the repeats of one way, kind and size.")
@click.option("--snakemake", default="", help="More options for all that is run with Snakemake.")
@click.option("--image", type=_PATH, help="A container image that has bash. [default: a small one is built]")
@click.option("--results", type=_PATH, default="benchmark-results", help="Where all takes place; nodes must see it.")
def main(
    sizes: tuple[int, ...],
    kinds: tuple[Kind, ...],
    ways: tuple[Way, ...],
    repeats: int,
    longest: float,
    snakemake: str,
    image: Path | None,
    results: Path,
) -> None:
    """Compare ways of running many tiny jobs: by hand, with this plugin, with others.

    The PBS is a local one, or with PBS=path in the environment the one that is on PATH. Ctrl-C ends it, deletes its
    jobs and keeps what was measured so far.

    Larger numbers of jobs are repeated as often as fits into --longest, by how long fewer jobs took, or left out.
    """
    plan = Plan(tuple(sorted(sizes)), kinds, ways, repeats, tuple(shlex.split(snakemake)))
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)  # in the background it would be ignored
    results.mkdir(parents=True, exist_ok=True)
    (results / ".gitignore").write_text("*\n")
    console = Console(stderr=True)
    try:
        with find_site(image) as site:
            session = Session(plan, describe(site))
            file = results / f"{NAME}.json"

            def save() -> None:
                write(session, file, derived(session))

            try:
                measure(Measuring(session, site, results.absolute(), longest * 60, console, save))
            finally:
                if session.results:
                    conclude(session, results, console)
    except ToolError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        console.print(f"Interrupted. What was measured so far is in {results}.")
        sys.exit(130)
    sys.exit(1 if any(left_out.estimate is None for left_out in session.left_out) else 0)


def derived(session: Session) -> dict[str, object]:
    """Give what follows from a session's runs, for JSON."""
    return {
        "rows": [dataclasses.asdict(row) for row in rows(session)],
        "goals": [{**dataclasses.asdict(goal), "is_met": goal.is_met} for goal in goals(session)],
    }


def conclude(session: Session, folder: Path, console: Console) -> None:
    """Show the tables; write them and the plot."""
    for table in screen(session):
        console.print(table)
    path = folder / f"{NAME}.md"
    path.write_text(markdown(session))
    files = [folder / f"{NAME}.json", path]
    try:
        files += plot(session, folder / NAME)
    except ImportError:
        console.print("No plot: matplotlib is not installed; it comes with the extra `bench`.")
    console.print(f"Results: {', '.join(map(str, files))}", soft_wrap=True)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
