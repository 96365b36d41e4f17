"""The summary: one table, twice, with the best run marked."""

import json

import pytest

from .helpers import load_script

summarise = load_script("summarise")

HISTORY = "step,epoch,loss,learning_rate,minibatch_error,validation_error,test_error,checked_images,seconds\n"


@pytest.fixture
def write_run(tmp_path):
    def write(name, wrong, images=200, seconds=12.34):
        evaluation, history = tmp_path / f"{name}.json", tmp_path / f"{name}.csv"
        error = 100 * wrong / images
        content = {"images": images, "test_error": error, "accuracy": 100 - error, "wrong": [{}] * wrong}
        evaluation.write_text(json.dumps(content))
        history.write_text(f"{HISTORY}0,0.01,9,0.01,90,90,,10,1\n99,10,3,0.006,0,1,,10,{seconds}\n")
        return str(evaluation), str(history)

    return write


@pytest.fixture
def summary(tmp_path, write_run):
    """Return the two texts of a summary of runs given as name and number of wrong digits."""

    def write(runs, pictures=()):
        evaluations, histories = zip(*[write_run(name, wrong) for name, wrong in runs.items()], strict=True)
        tsv, markdown = tmp_path / "results" / "summary.tsv", tmp_path / "results" / "summary.md"
        tsv.parent.mkdir()
        arguments = ["--runs", *runs, "--evaluations", *evaluations, "--histories", *histories]
        arguments += ["--pictures", *[str(tmp_path / picture) for picture in pictures]]
        summarise.main([*arguments, "--tsv", str(tsv), "--markdown", str(markdown)])
        return tsv.read_text(), markdown.read_text()

    return write


def test_every_run_has_a_line_of_tab_separated_values(summary):
    tsv, _ = summary({"lr0.01_seed1": 3, "lr1e-05_seed12": 2})
    assert [line.split("\t") for line in tsv.splitlines()] == [
        summarise.COLUMNS,
        ["lr0.01_seed1", "0.01", "1", "10", "98.5", "1.5", "3", "12.3", ""],
        ["lr1e-05_seed12", "1e-05", "12", "10", "99.0", "1.0", "2", "12.3", "best"],
    ]


def test_the_page_names_the_best_run_and_marks_it_in_the_table(summary):
    _, page = summary({"lr0.01_seed1": 3, "lr0.02_seed7": 2})
    assert "Best: learning rate 0.02, seed 7: accuracy 99.00 %, that is a test error of 1.00 %." in page
    marked = [line for line in page.splitlines() if "**best**" in line]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in marked]
    assert cells == [["**best**", "0.02", "7", "10", "99.00 %", "1.00 %", "2", "12.3"]]


def test_of_equal_runs_the_first_is_best(summary):
    tsv, _ = summary({"lr0.01_seed1": 2, "lr0.01_seed2": 2})
    assert [line.split("\t")[-1] for line in tsv.splitlines()[1:]] == ["best", ""]


def test_the_columns_of_the_page_are_aligned(summary):
    _, page = summary({"lr0.01_seed1": 3, "lr0.02_seed7": 120})
    assert len({len(line) for line in page.splitlines() if line.startswith("|")}) == 1


def test_pictures_are_linked_from_where_the_page_is(summary):
    _, page = summary({"lr0.01_seed1": 3}, ["results/plots/comparison.png"])
    assert "- [plots/comparison.png](plots/comparison.png)" in page


def test_one_run_is_no_plural(summary):
    assert summary({"lr0.01_seed1": 3})[1].startswith("# MNIST: 1 run\n")


def test_lists_of_different_length_are_refused(tmp_path, write_run, capsys):
    evaluation, history = write_run("lr0.01_seed1", 3)
    arguments = ["--runs", "lr0.01_seed1", "lr0.02_seed1", "--evaluations", evaluation]
    arguments += ["--histories", history, "--tsv", "a", "--markdown", "b"]
    with pytest.raises(SystemExit):
        summarise.parse_arguments(arguments)
    assert "the same number" in capsys.readouterr().err
