"""Draw the course of one training: loss and errors over the epochs."""

import argparse

import plotstyle
from plotstyle import COLOURS, GREY, plt


def parse_arguments(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--history", required=True, help="the .csv file that train.py wrote")
    parser.add_argument("--output", required=True, help="the picture to write")
    return parser.parse_args(arguments)


def draw_loss(axes, history):
    """Draw the loss of the minibatches."""
    axes.plot(history["epoch"], history["loss"], color=COLOURS[0], linewidth=1.5)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(plt.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(plt.FormatStrFormatter("%g"))
    axes.yaxis.set_minor_formatter(plt.NullFormatter())
    axes.set_xlabel("epoch")
    axes.set_ylabel("minibatch loss")


def draw_errors(axes, history):
    """Draw the errors of the minibatches and of images held out."""
    name, errors = plotstyle.held_out_error(history)
    axes.plot(history["epoch"], history["minibatch_error"], color=GREY, linewidth=0.8, alpha=0.7, label="minibatch")
    axes.plot(history["epoch"], errors, color=COLOURS[1], linewidth=1.2, alpha=0.6, label=name + ", a sample")
    axes.plot(
        *plotstyle.at_epoch_ends(history, errors),
        color=COLOURS[1],
        linestyle="",
        marker="o",
        label=name + ", all images",
    )
    axes.set_ylim(0, min(100, 3 * max(errors[len(errors) // 10 :]) + 0.5))
    axes.set_xlabel("epoch")
    axes.set_ylabel("error (%)")
    axes.legend(loc="best")


def main(arguments=None):
    """Draw the picture."""
    options = parse_arguments(arguments)
    history = plotstyle.read_history(options.history)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8))
    draw_loss(left, history)
    draw_errors(right, history)
    for axes in (left, right):
        axes.set_xlim(0, history["epoch"][-1] * 1.02)
    figure.subplots_adjust(wspace=0.25)
    plotstyle.save(figure, options.output)


if __name__ == "__main__":
    main()
