"""Compare the learning rates: the errors during the training and the test error of every run."""

import argparse
import json

import numpy as np

import plotstyle
from plotstyle import COLOURS, plt
from summarise import parse_run


def parse_arguments(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", nargs="+", required=True, help="names, in the order of the next two")
    parser.add_argument("--evaluations", nargs="+", required=True, help="files of evaluate.py")
    parser.add_argument("--histories", nargs="+", required=True, help="files of train.py")
    parser.add_argument("--output", required=True, help="the picture to write")
    options = parser.parse_args(arguments)
    if not len(options.runs) == len(options.evaluations) == len(options.histories):
        parser.error("--runs, --evaluations and --histories need the same number of values")
    return options


def group_runs(names, histories, test_errors):
    """Return the runs of every learning rate, from the smallest rate to the largest."""
    groups = {}
    for name, history, test_error in zip(names, histories, test_errors):
        groups.setdefault(parse_run(name)[0], []).append((history, test_error))
    return sorted(groups.items(), key=lambda group: float(group[0]))


def draw_courses(axes, groups):
    """Draw the error of held out images, one line for each run, one colour for each learning rate."""
    highest = 0
    for colour, (rate, runs) in zip(COLOURS * len(groups), groups):
        for number, (history, _) in enumerate(runs):
            name, errors = plotstyle.held_out_error(history)
            label = "learning rate " + rate if number == 0 else None
            axes.plot(history["epoch"], errors, color=colour, linewidth=1.2, alpha=0.8, label=label)
            highest = max(highest, max(errors[len(errors) // 10 :]))
    axes.set_xlim(0, None)
    axes.set_ylim(0, min(100, 1.5 * highest))
    axes.set_xlabel("epoch")
    axes.set_ylabel(name + " error (%), a sample")
    axes.legend(loc="best")


def draw_results(axes, groups):
    """Draw the test error of every run and the mean of every learning rate."""
    for position, (colour, (_, runs)) in enumerate(zip(COLOURS * len(groups), groups)):
        errors = [test_error for _, test_error in runs]
        spread = np.linspace(-0.12, 0.12, len(errors)) if len(errors) > 1 else [0]
        axes.plot(position + np.array(spread), errors, "o", color=colour, markersize=7, alpha=0.85)
        mean = np.mean(errors)
        axes.hlines(mean, position - 0.25, position + 0.25, color=colour, linewidth=1.5)
        axes.text(position + 0.29, mean, "{:.2f}".format(mean), va="center", color=colour)
    axes.set_xticks(range(len(groups)))
    axes.set_xticklabels([rate for rate, _ in groups])
    axes.set_xlim(-0.6, len(groups) - 0.2)
    axes.set_ylim(0, 1.25 * max(error for _, runs in groups for _, error in runs) + 0.01)
    axes.grid(False, axis="x")
    axes.set_xlabel("learning rate (dots: seeds, line: mean)")
    axes.set_ylabel("test error (%)")


def main(arguments=None):
    """Draw the picture."""
    options = parse_arguments(arguments)
    histories = [plotstyle.read_history(path) for path in options.histories]
    test_errors = []
    for path in options.evaluations:
        with open(path) as stream:
            test_errors.append(json.load(stream)["test_error"])
    groups = group_runs(options.runs, histories, test_errors)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8))
    draw_courses(left, groups)
    draw_results(right, groups)
    figure.subplots_adjust(wspace=0.25)
    plotstyle.save(figure, options.output)


if __name__ == "__main__":
    main()
