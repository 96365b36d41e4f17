"""The plot of a session: how much longer than a hand-written array each way takes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .cases import Way
from .figures import Row, rows
from .results import Session

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot(session: Session, path: Path) -> list[Path]:
    """Draw the ratios to the hand-written array by way and number of jobs; give the PNG and SVG files.

    Raises ImportError without matplotlib, which comes with the extra ``bench``.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    mpl.rcParams["svg.hashsalt"] = "benchmarks"  # the same figures make the same file
    kinds = session.plan.kinds
    figure = Figure(figsize=(5.5 * len(kinds), 4.2), layout="constrained")
    axes = figure.subplots(1, len(kinds), squeeze=False, sharey=True)[0]
    drawn = rows(session)
    for axis, kind in zip(axes, kinds, strict=True):
        for way in session.plan.ways:
            mine = [row for row in drawn if row.case.kind is kind and row.case.way is way]
            if way is not Way.ARRAY and any(row.ratio for row in mine):
                _line(axis, mine, way)
        axis.axhline(1, color="black", linewidth=1, label=Way.ARRAY.words)
        axis.set(xscale="log", yscale="log", xlabel="jobs", title=f"{kind} jobs")
        axis.set_xticks(session.plan.sizes, [f"{size:,}" for size in session.plan.sizes])
        axis.minorticks_off()
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.grid(visible=True, alpha=0.3)
    axes[0].set_ylabel("time / hand-written array")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
    files = [path.with_suffix(".png"), path.with_suffix(".svg")]
    for file in files:
        figure.savefig(file, dpi=150, metadata={"Date": None} if file.suffix == ".svg" else None)
    return files


def _line(axis: "Axes", mine: Sequence[Row], way: Way) -> None:
    """Draw the medians of a way, with bars from the lowest to the highest ratio."""
    points = [(row.case.size, row.ratio) for row in mine if row.ratio is not None]
    medians = [ratio.median for _, ratio in points]
    below = [ratio.median - ratio.low for _, ratio in points]
    above = [ratio.high - ratio.median for _, ratio in points]
    colour = f"C{list(Way).index(way)}"
    axis.errorbar(
        [size for size, _ in points], medians, yerr=[below, above], label=way.words, marker="o", capsize=3, color=colour
    )
