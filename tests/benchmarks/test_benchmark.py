"""The whole command, with as few jobs as there can be, on the local PBS."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.site import ROOT
from snakemake_executor_plugin_pbs_singularity.pbs.local import provide
from snakemake_executor_plugin_pbs_singularity.pbs.local.settings import change


def benchmark(environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """Run it as `make bench` does."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *options],
        cwd=ROOT,
        env={**environment, "PBS": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(container_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a run."""
    results = tmp_path_factory.mktemp("benchmark") / "results"
    options = "--sizes=3", "--kinds=container", "--ways=array,plugin,null", "--repeats=1"
    answer = benchmark(container_environment, *options, f"--results={results}")
    assert answer.returncode == 0, answer.stderr
    return results


def test_every_way_is_measured(folder: Path) -> None:
    session = json.loads((folder / "benchmark.json").read_text())
    by_way = {result["case"]["way"]: result for result in session["results"]}
    assert list(by_way) == ["array", "plugin", "null"]
    assert all(result["seconds"] > 0 for result in by_way.values())
    assert by_way["array"]["calls"] == {"qsub": 1}
    assert by_way["plugin"]["calls"]["qsub"] >= 1
    assert by_way["null"]["calls"] == {}
    assert by_way["plugin"]["delays"]["longest"] > 0
    assert session["left_out"] == []


def test_the_machine_is_described(folder: Path) -> None:
    machine = json.loads((folder / "benchmark.json").read_text())["machine"]
    assert machine["pbs"]["which"] == "local"
    assert machine["pbs"]["ncpus"] == machine["cpus"]
    assert machine["packages"]["snakemake"]


def test_the_tables_are_written(folder: Path) -> None:
    text = (folder / "benchmark.md").read_text()
    assert "| hand-written array | 3 |" in text
    assert "| 1,000 container jobs, plugin / hand-written array | at most 1.3 |  | not measured |" in text


def test_the_plot_is_drawn(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    assert (folder / "benchmark.png").read_bytes().startswith(b"\x89PNG")
    assert "</svg>" in (folder / "benchmark.svg").read_text()


def test_nothing_else_is_left(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} - {"benchmark.png", "benchmark.svg"} == {
        ".gitignore",
        "benchmark.json",
        "benchmark.md",
    }


@pytest.mark.parametrize(
    ("option", "words"),
    [("--ways=array,nonsense", "'nonsense' is not a valid Way"), ("--sizes=1", "no array of less than 2 jobs")],
)
def test_options_that_make_no_sense_are_refused(
    container_environment: dict[str, str], tmp_path: Path, option: str, words: str
) -> None:
    answer = benchmark(container_environment, option, f"--results={tmp_path}")
    assert answer.returncode == 2
    assert words in answer.stderr


def test_ctrl_c_leaves_no_job_and_keeps_what_was_measured(
    container_environment: dict[str, str], tmp_path: Path
) -> None:
    home = tmp_path / "pbs"
    environment = {**container_environment, "PBS": "path", "PBS_SINGULARITY_LOCAL_HOME": str(home)}
    environment["PATH"] = f"{provide(environment)}{os.pathsep}{environment['PATH']}"
    change(home, idle=20)

    def jobs() -> str:
        return subprocess.run(["qselect"], env=environment, capture_output=True, text=True, timeout=60).stdout

    results = tmp_path / "results"
    command = [sys.executable, "-m", "benchmarks", "--sizes=2,500", "--repeats=1", "--ways=array", "--kinds=container"]
    process = subprocess.Popen(
        [*command, f"--results={results}"], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not ((results / "benchmark.json").exists() and jobs()) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "What was measured so far is in" in said
    assert jobs() == ""
    assert len(json.loads((results / "benchmark.json").read_text())["results"]) >= 1
    assert [path.name for path in results.glob("runs-*")] == []
