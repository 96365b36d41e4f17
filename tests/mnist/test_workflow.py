"""The workflow: what it plans for each configuration, and which configurations it refuses."""

import subprocess
import sys

import pytest
import yaml

from .helpers import WORKFLOW


@pytest.fixture
def snakemake(tmp_path):
    """Return a function that calls Snakemake in an empty folder."""

    def call(*options):
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(WORKFLOW / "workflow" / "Snakefile")]
        command += ["--workflow-profile", "none", "--directory", str(tmp_path), *options]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    return call


@pytest.fixture
def plan(snakemake):
    """Return a function that gives the number of jobs of every rule in a dry run."""

    def call(name):
        answer = snakemake("--dry-run", "--cores", "2", "--configfile", str(WORKFLOW / "config" / name))
        assert answer.returncode == 0, answer.stderr + answer.stdout
        lines = (answer.stdout + answer.stderr).split("\nJob stats:")[1].splitlines()
        table = [line.split() for line in lines[3:]]
        return {row[0]: int(row[1]) for row in table[: table.index([])]}

    return call


def jobs(runs):
    every_run = ["train", "evaluate", "plot_learning", "plot_confusion", "plot_wrong"]
    once = ["fetch", "prepare", "plot_comparison", "summarise", "all"]
    return {**dict.fromkeys(every_run, runs), **dict.fromkeys(once, 1), "total": 5 * runs + 5}


@pytest.mark.parametrize(("name", "runs"), [("config.yaml", 9), ("demo.yaml", 2), ("smoke.yaml", 2)])
def test_every_learning_rate_is_trained_with_every_seed(plan, name, runs):
    assert plan(name) == jobs(runs)


def test_the_demo_trains_one_epoch_with_all_images():
    demo = yaml.safe_load((WORKFLOW / "config" / "demo.yaml").read_text())
    assert demo["training"]["epochs"] == 1
    assert demo["data"]["validation_size"] == 0
    assert "train_limit" not in demo["data"]


def test_only_fetching_and_the_table_stay_on_the_login_node():
    rules = (WORKFLOW / "workflow" / "rules").glob("*.smk")
    blocks = [block for path in rules for block in path.read_text().split("\nrule ")[1:]]
    local = {block.split(":")[0] for block in blocks if "localrule: True" in block}
    in_container = {block.split(":")[0] for block in blocks if "    container:\n" in block}
    assert local == {"fetch", "summarise"}
    assert len(local) + len(in_container) == len(blocks)
    assert not local & in_container


def test_commands_name_scripts_threads_and_logs(snakemake):
    configuration = WORKFLOW / "config" / "smoke.yaml"
    options = ["--dry-run", "--printshellcmds", "--cores", "2", "--configfile", configuration]
    answer = snakemake(*options, "--until", "train")
    output = answer.stdout + answer.stderr
    assert "scripts/train.py --data results/data/mnist.npz --learning-rate 0.01 --seed 1 --epochs 2" in output
    assert "> logs/train/lr0.01_seed1.log 2>&1" in output


def test_the_workflow_passes_the_linter(snakemake):
    answer = snakemake("--lint")
    assert answer.returncode == 0, answer.stderr
    assert "good condition" in answer.stdout + answer.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"training": {"learning_rates": []}}, "learning_rates"),
        ({"training": {"epochs": 0}}, "epochs"),
        ({"training": {"learnin_rate": 1}}, "learnin_rate"),
        ({"data": {"sources": ["ftp://example.org/"]}}, "ftp://example.org/"),
        ({"resources": {"train": {"mem_mb": "2GB"}}}, "2GB"),
    ],
    ids=["no learning rate", "no epoch", "misspelt key", "unknown source", "memory with a unit"],
)
def test_a_wrong_configuration_is_refused_at_the_start(snakemake, tmp_path, change, words):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(yaml.safe_dump(change))
    answer = snakemake("--dry-run", "--cores", "1", "--configfile", str(wrong))
    assert answer.returncode != 0
    assert words in answer.stdout + answer.stderr


def test_the_profile_is_valid_and_asks_for_the_plugin():
    profile = yaml.safe_load((WORKFLOW / "profiles" / "default" / "config.yaml").read_text())
    assert profile["executor"] == "pbs-singularity"
    assert profile["jobs"] > 1
