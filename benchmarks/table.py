"""The tables of a session: Markdown for the documentation, and the same for the screen."""

from collections.abc import Sequence

from rich.table import Table

from .figures import Row, rows
from .goals import goals
from .results import Session
from .spread import Spread

_HEADER = (
    "way",
    "jobs",
    "runs",
    "seconds",
    "/ hand-written",
    "PBS commands per job",
    "CPU s beyond Snakemake",
    "MiB beyond Snakemake",
    "s to report: median job",
    "95 of 100",
)
_ON_SCREEN = ("way", "jobs", "runs", "seconds", "/ hand-written", "commands/job")
"""The first columns, which fit into a terminal."""


def markdown(session: Session) -> str:
    """Give the goals and a table for each kind of jobs."""
    lines = ["Goals, on container jobs:", "", *_markdown(("goal", "wanted", "measured", ""), goal_lines(session))]
    for kind in session.plan.kinds:
        lines += ["", f"{kind.capitalize()} jobs; median (lowest–highest):", ""]
        lines += _markdown(_HEADER, [line(row) for row in rows(session) if row.case.kind is kind])
    if session.node:
        lines += ["", "CPU of a container task on the node beyond `singularity exec`; median (quartiles):", ""]
        node = [(way.words, _shown(figure, 1)) for way, figure in session.node.items()]
        lines += _markdown(("way", "ms per task"), node)
    return "\n".join([*lines, "", _on(session)]) + "\n"


def screen(session: Session) -> list[Table]:
    """Give the tables for the screen, with fewer columns."""
    tables = []
    for kind in session.plan.kinds:
        table = Table(*_ON_SCREEN, title=f"{kind} jobs: median (lowest–highest)")
        for row in rows(session):
            if row.case.kind is kind:
                table.add_row(*line(row)[: len(_ON_SCREEN)])
        tables.append(table)
    goal_table = Table("goal", "wanted", "measured", "", title="Goals, on container jobs")
    for cells in goal_lines(session):
        goal_table.add_row(*cells)
    return [*tables, goal_table]


def goal_lines(session: Session) -> list[tuple[str, ...]]:
    """Give the cells of the table of goals."""
    return [(goal.what, goal.wanted, _shown(goal.figure), goal.verdict) for goal in goals(session)]


def line(row: Row) -> tuple[str, ...]:
    """Give the cells of a row."""
    first = (row.case.way.words, f"{row.case.size:,}")
    if row.left_out is not None:
        return (*first, str(row.runs), row.left_out.why, *[""] * (len(_HEADER) - 4))
    return (
        *first,
        str(row.runs),
        _shown(row.seconds, 1),
        _shown(row.ratio),
        _shown(row.calls, 3),
        _shown(row.cpu, 1),
        _shown(row.memory, 0),
        _shown(row.delay, 1),
        _shown(row.delay_most, 1),
    )


def _shown(figure: Spread | None, digits: int = 2) -> str:
    return "" if figure is None else figure.shown(digits)


def _markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *lines)]


def _on(session: Session) -> str:
    machine = session.machine
    pbs = machine["pbs"]
    which = "the local PBS" if pbs["which"] == "local" else f"OpenPBS {pbs['version']}"
    return (
        f"On {which} with {pbs['ncpus']} CPUs to give, a machine with {machine['cpus']} CPUs and"
        f" {machine['memory_mib'] // 1024} GiB; {machine['runtime']}, Snakemake {machine['packages']['snakemake']},"
        f" Python {machine['python']}, commit {machine['commit']}."
    )
