"""Draw the digits that the network got wrong, its surest mistakes first."""

import argparse
import json

import numpy as np

import plotstyle
from plotstyle import COLOURS, GREY, plt


def parse_arguments(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="the .npz file that prepare.py wrote")
    parser.add_argument("--evaluation", required=True, help="the .json file that evaluate.py wrote")
    parser.add_argument("--rows", type=int, default=5)
    parser.add_argument("--columns", type=int, default=10)
    parser.add_argument("--output", required=True, help="the picture to write")
    return parser.parse_args(arguments)


def draw_digit(axes, image, mistake):
    """Draw one digit; below it what it is and what the network took it for, how sure it was."""
    axes.imshow(image, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
    below = {"transform": axes.transAxes, "va": "top", "fontsize": 8.5}
    axes.text(0.0, -0.06, str(mistake["label"]), color=COLOURS[0], fontweight="bold", **below)
    axes.text(0.16, -0.06, "as {}".format(mistake["predicted"]), color=COLOURS[1], **below)
    percent = "{:.0f}%".format(100 * mistake["probability"])
    axes.text(1.06, -0.06, percent, color=GREY, ha="right", **below)


def draw_all(figure, grid, images, mistakes):
    """Fill the grid from its start and leave the rest empty."""
    for axes in grid.flat:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.grid(False)
        for spine in axes.spines.values():
            spine.set_visible(False)
    for axes, mistake in zip(grid.flat, mistakes):
        draw_digit(axes, images[mistake["image"]], mistake)


def main(arguments=None):
    """Draw the picture."""
    options = parse_arguments(arguments)
    with open(options.evaluation) as stream:
        result = json.load(stream)
    with np.load(options.data) as data:
        images = data["test_images"]
    mistakes = result["wrong"]
    rows = max(1, min(options.rows, -(-len(mistakes) // options.columns)))
    figure, grid = plt.subplots(rows, options.columns, squeeze=False, figsize=(1.2 * options.columns, 1.3 * rows))
    draw_all(figure, grid, images, mistakes)
    shown = min(len(mistakes), rows * options.columns)
    caption = "{} of {} wrong digits of {} images: what it is, what the network took it for, how sure it was"
    figure.text(0.5, 0.0, caption.format(shown, len(mistakes), result["images"]), ha="center", va="bottom")
    figure.subplots_adjust(wspace=0.3, hspace=0.3, bottom=0.16 / rows + 0.05)
    plotstyle.save(figure, options.output)


if __name__ == "__main__":
    main()
