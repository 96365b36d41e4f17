"""Write one table of all runs, as tab-separated values and to read; Python's standard library only."""

import argparse
import csv
import json
import os

COLUMNS = [
    "run",
    "learning_rate",
    "seed",
    "epochs",
    "accuracy",
    "test_error",
    "wrong_digits",
    "train_seconds",
    "best",
]


def parse_arguments(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", nargs="+", required=True, help="names, in the order of the next two")
    parser.add_argument("--evaluations", nargs="+", required=True, help="files of evaluate.py")
    parser.add_argument("--histories", nargs="+", required=True, help="files of train.py")
    parser.add_argument("--pictures", nargs="*", default=[], help="files to name below the table")
    parser.add_argument("--tsv", required=True, help="write the table to this file")
    parser.add_argument("--markdown", required=True, help="write the table to this file, to read")
    options = parser.parse_args(arguments)
    if not len(options.runs) == len(options.evaluations) == len(options.histories):
        parser.error("--runs, --evaluations and --histories need the same number of values")
    return options


def parse_run(name):
    """Return learning rate and seed of a run's name: lr0.01_seed1."""
    learning_rate, seed = name[len("lr") :].split("_seed")
    return learning_rate, int(seed)


def read_run(name, evaluation_path, history_path):
    """Return a row of the table."""
    with open(evaluation_path) as stream:
        evaluation = json.load(stream)
    with open(history_path, newline="") as stream:
        last = list(csv.DictReader(stream))[-1]
    learning_rate, seed = parse_run(name)
    return {
        "run": name,
        "learning_rate": learning_rate,
        "seed": seed,
        "epochs": "{:g}".format(float(last["epoch"])),
        "accuracy": evaluation["accuracy"],
        "test_error": evaluation["test_error"],
        "wrong_digits": len(evaluation["wrong"]),
        "train_seconds": round(float(last["seconds"]), 1),
        "best": "",
    }


def mark_best(rows):
    """Mark the run with the lowest test error; of equal ones the first."""
    min(rows, key=lambda row: row["test_error"])["best"] = "best"
    return rows


def write_tsv(path, rows):
    """Write the table for programs."""
    with open(path, "w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def format_table(rows):
    """Return the table in Markdown, its columns aligned so that it also reads well as it is."""
    header = ["", "learning rate", "seed", "epochs", "accuracy", "test error", "wrong digits", "seconds"]
    table = [header] + [
        [
            "**best**" if row["best"] else "",
            row["learning_rate"],
            str(row["seed"]),
            row["epochs"],
            "{:.2f} %".format(row["accuracy"]),
            "{:.2f} %".format(row["test_error"]),
            str(row["wrong_digits"]),
            "{:.1f}".format(row["train_seconds"]),
        ]
        for row in rows
    ]
    widths = [max(len(line[column]) for line in table) for column in range(len(header))]
    lines = ["| " + " | ".join(cell.rjust(width) for cell, width in zip(line, widths)) + " |" for line in table]
    lines.insert(1, "|" + "|".join("-" * (width + 1) + ":" for width in widths) + "|")
    return "\n".join(lines)


def format_pictures(pictures, folder):
    """Return a list of pictures as links that work from a folder."""
    links = [os.path.relpath(picture, folder) for picture in pictures]
    return "\n".join("- [{0}]({0})".format(link) for link in links)


def format_summary(rows, pictures, folder):
    """Return the page to read."""
    best = next(row for row in rows if row["best"])
    parts = [
        "# MNIST: {} run{}".format(len(rows), "" if len(rows) == 1 else "s"),
        "Best: learning rate {}, seed {}: accuracy {:.2f} %, that is a test error of {:.2f} %.".format(
            best["learning_rate"], best["seed"], best["accuracy"], best["test_error"]
        ),
        format_table(rows),
    ]
    if pictures:
        parts += ["Pictures:", format_pictures(pictures, folder)]
    return "\n\n".join(parts) + "\n"


def main(arguments=None):
    """Read all runs and write the two tables."""
    options = parse_arguments(arguments)
    runs = zip(options.runs, options.evaluations, options.histories)
    rows = mark_best([read_run(*run) for run in runs])
    write_tsv(options.tsv, rows)
    summary = format_summary(rows, options.pictures, os.path.dirname(options.markdown) or ".")
    with open(options.markdown, "w") as stream:
        stream.write(summary)
    print(summary)


if __name__ == "__main__":
    main()
