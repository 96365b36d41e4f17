"""Draw which digits were taken for which."""

import argparse
import json

import numpy as np

import plotstyle
from plotstyle import plt


def parse_arguments(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluation", required=True, help="the .json file that evaluate.py wrote")
    parser.add_argument("--output", required=True, help="the picture to write")
    return parser.parse_args(arguments)


def draw(axes, matrix):
    """Draw the mistakes in colour, as a share of the digit; the right answers only as numbers."""
    mistakes = matrix.astype(float) * 100 / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(mistakes, np.nan)
    colours = plt.get_cmap("OrRd")
    top = max(np.nanmax(mistakes), 0.1)
    picture = axes.imshow(mistakes, cmap=colours, vmin=0, vmax=top)
    for (row, column), count in np.ndenumerate(matrix):
        right = row == column
        dark = not right and mistakes[row, column] > 0.6 * top
        if count or right:
            axes.text(
                column,
                row,
                count,
                ha="center",
                va="center",
                fontsize=9,
                color="white" if dark else "#0072B2" if right else "#333333",
            )
    axes.grid(False)
    axes.set_xticks(range(len(matrix)))
    axes.set_yticks(range(len(matrix)))
    axes.tick_params(length=0)
    axes.set_xlabel("digit given by the network")
    axes.set_ylabel("digit written")
    for spine in axes.spines.values():
        spine.set_visible(False)
    return picture


def main(arguments=None):
    """Draw the picture."""
    options = parse_arguments(arguments)
    with open(options.evaluation) as stream:
        matrix = np.array(json.load(stream)["confusion"])
    figure, axes = plt.subplots(figsize=(6.6, 5.6))
    bar = figure.colorbar(draw(axes, matrix), ax=axes, shrink=0.85)
    bar.set_label("mistakes (% of the digit written)")
    bar.outline.set_visible(False)
    plotstyle.save(figure, options.output)


if __name__ == "__main__":
    main()
