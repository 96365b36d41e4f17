"""What is read: Snakemake's lines, the outputs of jobs, the calls of PBS commands."""

import subprocess
import time
from pathlib import Path

import pytest

from benchmarks.commands import Counting, install
from benchmarks.output import Reports, end_times

SAID = """\
[Wed Nov 25 03:02:04 2026]
rule one:
    output: out/2
    jobid: 3
    reason: Missing output files: out/2
    wildcards: i=2
    resources: tmpdir=<TBD>, runtime=10, mem_mb=500

[Wed Nov 25 03:02:04 2026]
rule one:
    output: out/0
    jobid: 1
    reason: Missing output files: out/0
    wildcards: i=0
[Wed Nov 25 03:02:06 2026]
Finished jobid: 3 (Rule: one)
1 of 4 steps (25%) done
Finished jobid: 0 (Rule: all)
"""
"""As Snakemake 9.27 printed it, shortened."""


def test_reports_are_noted_down_by_the_index_of_the_job() -> None:
    reports = Reports()
    before = time.time()
    for line in SAID.encode().splitlines(keepends=True):
        reports.read(line)
    assert list(reports.times) == [2]
    assert before <= reports.times[2] <= time.time()


def test_a_job_tells_when_it_ended_in_any_locale() -> None:
    assert end_times({0: "1795575600.25\n", 1: "1795575600,5\n", 2: "\n"}) == {0: 1795575600.25, 1: 1795575600.5}


@pytest.fixture
def counting(tmp_path: Path) -> Counting:
    """Commands like those of a PBS, counted."""
    real = tmp_path / "it's real"
    real.mkdir()
    for name, text in {
        "qsub": 'read -r line; echo "$#:$1:$line.vm"; echo warning >&2; exit 3',
        "qstat": 'echo "$2"',
    }.items():
        (real / name).write_text(f"#!/bin/sh\n{text}\n")
        (real / name).chmod(0o755)
    return install(tmp_path / "counting", real)


def call(counting: Counting, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [str(counting.folder / words[0]), *words[1:]]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=10, check=False)


def test_a_counted_command_does_what_the_real_one_does(counting: Counting) -> None:
    answer = call(counting, "qsub", "a b", "c", stdin="12\n")
    assert (answer.returncode, answer.stdout, answer.stderr) == (3, "2:a b:12.vm\n", "warning\n")
    assert call(counting, "qstat", "-f", "$HOME").stdout == "$HOME\n"


def test_calls_are_counted_by_command(counting: Counting) -> None:
    assert counting.calls == {}
    for words in (["qsub"], ["qstat", "a", "b"], ["qstat", "a", "b"]):
        call(counting, *words)
    assert counting.calls == {"qsub": 1, "qstat": 2}


def test_the_ids_of_what_was_submitted_are_kept(counting: Counting) -> None:
    call(counting, "qsub", stdin="1\n")
    call(counting, "qsub", stdin="2[]\n")
    assert counting.ids == {"0::1.vm", "0::2[].vm"}


def test_a_command_that_pbs_has_not_is_not_there(counting: Counting) -> None:
    assert not (counting.folder / "qdel").exists()
