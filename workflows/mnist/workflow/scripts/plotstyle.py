"""How all pictures look, and how they are written without a display."""

import atexit
import csv
import os
import shutil
import tempfile

if "MPLCONFIGDIR" not in os.environ:
    # In a container the home folder may be read-only or the working directory: keep fonts out of there.
    os.environ["MPLCONFIGDIR"] = tempfile.mkdtemp(prefix="matplotlib-")
    atexit.register(shutil.rmtree, os.environ["MPLCONFIGDIR"], ignore_errors=True)

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

#: Colours that differ for colour-blind eyes too (Okabe and Ito).
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
GREY = "#8A8A8A"

plt.rcParams.update(
    {
        "font.size": 11,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": "#444444",
        "axes.axisbelow": True,
        "axes.grid": True,
        "grid.color": "#E4E4E4",
        "legend.frameon": True,
        "legend.framealpha": 0.85,
        "legend.edgecolor": "white",
        "savefig.dpi": 150,
        "savefig.bbox": "tight",
    }
)


def read_history(path):
    """Return the columns of a history; what was not measured is NaN."""
    with open(path, newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {name: [float(row[name] or "nan") for row in rows] for name in rows[0]}


def held_out_error(history):
    """Return the name and the values of the error that was watched during the training."""
    name = "test" if any(value == value for value in history["test_error"]) else "validation"
    return name, history[name + "_error"]


def at_epoch_ends(history, values):
    """Return epochs and values where all held out images were looked at: at the end of an epoch."""
    return zip(
        *[
            (epoch, value)
            for epoch, value in zip(history["epoch"], values)
            if abs(epoch - round(epoch)) < 1e-9 and epoch
        ]
    )


def save(figure, path):
    """Write a picture."""
    figure.savefig(path)
    plt.close(figure)
