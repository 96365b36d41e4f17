"""Law 3, not knowing is not failing: the server goes away, commands fail, hang or answer nonsense, records are late.

With ``FAULTS=full`` in the environment outages last 60 seconds and records are 30 seconds late; by default all is
quicker, and so are the runs, as ``hasten`` says.
"""

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from . import harness
from .faults import (
    AGAIN,
    AT_ONCE,
    FULL,
    FaultyPbs,
    crash_server,
    deliver,
    fill,
    hasten,
    hidden_records,
    local_home,
    misbehave,
    once,
    own_pbs,
    small_disk,
    starts,
    wholes,
    workflow,
)
from .harness import Running, wait_until, write

OUTAGE = 60 if FULL else 15
"""Seconds."""
SHORT_OUTAGE = 60 if FULL else 5
OPTIONS = ["--executor=pbs-singularity", "--jobs=200", "--latency-wait=3", "--seconds-between-status-checks=1", *AGAIN]
LOCAL_FIRST = """
localrules: first

rule first:
    output: touch("first")
    shell: "touch begun; until test -e go; do sleep 0.1; done"
"""
WAYS = ("shuffled", "duplicated", "truncated", "not UTF-8")
SINGLE = "--pbs-singularity-max-array-size=1"


@pytest.fixture(scope="module")
def site(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with a PBS that runs 120 jobs at a time."""
    folder = tmp_path_factory.mktemp("site")
    own = own_pbs(environment, folder / "pbs")
    return own if FULL else hasten(own, folder / "hasten")


@pytest.fixture
def pbs(site: dict[str, str], tmp_path: Path) -> Iterator[FaultyPbs]:
    faulty = misbehave(tmp_path / "bin", site)
    yield faulty
    faulty.delete_all()


@contextmanager
def started(
    folder: Path, pbs: FaultyPbs, *options: str, environment: Mapping[str, str] | None = None
) -> Iterator[Running]:
    with harness.start(folder, [*OPTIONS, *options], environment or pbs.environment) as running:
        yield running


def ends_well(running: Running, folder: Path, count: int) -> None:
    """Wait for the end of a run, and check that all is there."""
    assert running.process.wait(harness.TIME_LIMIT) == 0, running.said
    assert wholes(folder) == {"whole\n": count}, running.said


def has_ended(running: Running) -> bool:
    return running.process.poll() is not None


def says_once_that_it_is_away_and_back(said: str) -> None:
    assert len(re.findall("PBS does not answer", said)) == 1, said
    assert len(re.findall("PBS answers again", said)) == 1, said


@contextmanager
def disk_of_state(folder: Path) -> Iterator[Path]:
    """Have ledger, scripts and records on a small disk of their own."""
    (folder / ".snakemake").mkdir()
    with small_disk(folder / ".snakemake" / "pbs-singularity", mib=2) as disk:
        yield disk


# The server is away


def test_an_outage_while_a_hundred_jobs_run_fails_none_and_repeats_none(tmp_path: Path, pbs: FaultyPbs) -> None:
    folder = write(tmp_path / "flow", {"Snakefile": workflow(AT_ONCE, wait="go")})
    with started(folder, pbs) as running:
        wait_until(lambda: len(starts(folder)) == AT_ONCE, "all run")
        pbs.change(away=True)
        outage_until = time.monotonic() + OUTAGE
        wait_until(lambda: "PBS does not answer" in running.said, "it is said that the server is away")
        time.sleep(outage_until - time.monotonic())
        pbs.change()
        wait_until(lambda: "PBS answers again" in running.said, "it is said that the server is back")
        (folder / "go").touch()
        ends_well(running, folder, AT_ONCE)
    says_once_that_it_is_away_and_back(running.said)
    pbs.check_that_all_is_over(folder, once(AT_ONCE))


def test_an_outage_that_begins_before_the_first_job_delays_all(tmp_path: Path, pbs: FaultyPbs) -> None:
    folder = write(tmp_path / "flow", {"Snakefile": workflow(3)})
    pbs.change(away=True)
    with started(folder, pbs) as running:
        wait_until(lambda: "PBS does not answer" in running.said, "it is said that the server is away")
        time.sleep(SHORT_OUTAGE)
        pbs.change()
        ends_well(running, folder, 3)
    says_once_that_it_is_away_and_back(running.said)
    pbs.check_that_all_is_over(folder, once(3))


def test_an_outage_in_the_middle_of_submitting_delays_the_rest(tmp_path: Path, pbs: FaultyPbs) -> None:
    folder = write(tmp_path / "flow", {"Snakefile": workflow(6)})
    pbs.change(away_after=3)
    with started(folder, pbs, SINGLE) as running:
        wait_until(lambda: "PBS does not answer" in running.said, "it is said that the server is away")
        time.sleep(SHORT_OUTAGE)
        assert running.process.poll() is None, running.said
        pbs.change()
        ends_well(running, folder, 6)
    says_once_that_it_is_away_and_back(running.said)
    pbs.check_that_all_is_over(folder, once(6))


def test_jobs_that_end_while_the_server_is_away_count(tmp_path: Path, pbs: FaultyPbs) -> None:
    folder = write(tmp_path / "flow", {"Snakefile": workflow(5, wait="go")})
    with started(folder, pbs) as running:
        wait_until(lambda: len(starts(folder)) == 5, "all run")
        pbs.change(away=True)
        (folder / "go").touch()
        ends_well(running, folder, 5)
    pbs.change()
    pbs.check_that_all_is_over(folder, once(5))


def test_a_server_that_crashes_and_restarts_loses_and_repeats_nothing(tmp_path: Path, pbs: FaultyPbs) -> None:
    home = local_home(pbs.real)
    folder = write(tmp_path / "flow", {"Snakefile": workflow(12, seconds=1)})
    with started(folder, pbs, "--jobs=4", SINGLE) as running:
        for count in range(2, 12, 2):
            wait_until(lambda count=count: len(starts(folder)) >= count or has_ended(running), "some jobs have begun")
            crash_server(home)
        ends_well(running, folder, 12)
    pbs.check_that_all_is_over(folder, once(12))


# Commands fail, hang, or are cut off


def test_commands_that_fail_one_time_in_three_fail_no_job(tmp_path: Path, pbs: FaultyPbs) -> None:
    folder = write(tmp_path / "flow", {"Snakefile": workflow(8, seconds=1)})
    pbs.change(fails=1 / 3)
    with started(folder, pbs, SINGLE) as running:
        ends_well(running, folder, 8)
    assert pbs.calls(fault="away")
    pbs.check_that_all_is_over(folder, once(8))


def test_commands_that_take_seconds_fail_no_job(tmp_path: Path, pbs: FaultyPbs) -> None:
    folder = write(tmp_path / "flow", {"Snakefile": workflow(3, seconds=1)})
    pbs.change(hangs=1)
    with started(folder, pbs) as running:
        ends_well(running, folder, 3)
    assert pbs.calls(fault="hangs")
    pbs.check_that_all_is_over(folder, once(3))


def test_commands_that_run_out_of_time_fail_no_job(tmp_path: Path, pbs: FaultyPbs) -> None:
    """The server does what they ask for, and does not answer in time."""
    folder = write(tmp_path / "flow", {"Snakefile": workflow(3, wait="go")})
    impatient = hasten(pbs.environment, tmp_path / "hasten", time_limit=2)
    pbs.change(commands=("qsub", "qstat"), late=30)
    with started(folder, pbs, environment=impatient) as running:
        wait_until(lambda: len(starts(folder)) == 3 and "PBS does not answer" in running.said, "all run")
        pbs.change()
        wait_until(lambda: "PBS answers again" in running.said, "it is said that the server is back")
        (folder / "go").touch()
        ends_well(running, folder, 3)
    assert "gave no answer in 2 seconds" in running.said
    pbs.check_that_all_is_over(folder, once(3))


def test_submissions_whose_answers_are_lost_are_not_repeated(tmp_path: Path, pbs: FaultyPbs) -> None:
    folder = write(tmp_path / "flow", {"Snakefile": workflow(6, seconds=1)})
    pbs.change(loses=1)
    with started(folder, pbs, SINGLE) as running:
        ends_well(running, folder, 6)
    assert len(pbs.calls("qsub", "lost")) == 6
    pbs.check_that_all_is_over(folder, once(6))


def test_a_qsub_that_outlives_its_run_submits_nothing_twice(tmp_path: Path, pbs: FaultyPbs) -> None:
    """The run is killed while qsub hangs, and is started again before that has submitted."""
    folder = write(tmp_path / "flow", {"Snakefile": workflow(3, seconds=1)})
    pbs.change(commands=("qsub",), hangs=5)
    with started(folder, pbs) as first:
        wait_until(lambda: bool(pbs.calls("qsub")), "qsub is called")
        first.process.kill()
        first.process.wait()
    with started(folder, pbs) as second:
        pbs.change()
        ends_well(second, folder, 3)
    pbs.check_that_all_is_over(folder, once(3))


# Answers make no sense


@pytest.mark.parametrize("ways", [WAYS] if not FULL else [(way,) for way in WAYS], ids=", ".join)
def test_answers_that_are_spoilt_fail_no_job(ways: tuple[str, ...], tmp_path: Path, pbs: FaultyPbs) -> None:
    folder = write(tmp_path / "flow", {"Snakefile": workflow(5, wait="go")})
    pbs.change(garbles=ways)
    with started(folder, pbs, SINGLE) as running:
        wait_until(lambda: len(pbs.calls("qstat")) >= 4, "the jobs are asked for")
        assert "Error in rule" not in running.said
        (folder / "go").touch()
        ends_well(running, folder, 5)
    pbs.check_that_all_is_over(folder, once(5))


def test_answers_that_are_spoilt_fail_no_array(tmp_path: Path, pbs: FaultyPbs) -> None:
    folder = write(tmp_path / "flow", {"Snakefile": workflow(8, wait="go")})
    pbs.change(garbles=WAYS, loses=1, hides_records=True)
    with started(folder, pbs) as running:
        wait_until(lambda: len(starts(folder)) == 8, "all run")
        (folder / "go").touch()
        wait_until(lambda: len(hidden_records(folder)) == 8, "all have ended")
        deliver(folder)
        ends_well(running, folder, 8)
    pbs.check_that_all_is_over(folder, once(8))


# Records are late, the disk is full


def test_records_that_come_late_count(tmp_path: Path, pbs: FaultyPbs) -> None:
    late = 30 if FULL else 4
    folder = write(tmp_path / "flow", {"Snakefile": workflow(5)})
    pbs.change(hides_records=True)
    with started(folder, pbs, f"--latency-wait={late + 10}") as running:
        wait_until(lambda: len(hidden_records(folder)) == 5, "all have ended")
        time.sleep(late)
        assert running.process.poll() is None, running.said
        deliver(folder)
        ends_well(running, folder, 5)
    pbs.check_that_all_is_over(folder, once(5))


def test_without_history_a_record_that_comes_late_counts_while_its_array_goes_on(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """A server without history says nothing of a subjob that is over, but shows attributes of its array for it."""
    if os.environ.get("PBS") == "path":
        pytest.skip("the history of a PBS that is not the tests' own is not to be switched off")
    site = own_pbs(environment, tmp_path / "pbs", history_hours=0, keep_completed=0)
    pbs = misbehave(tmp_path / "bin", hasten(site, tmp_path / "hasten"))
    pbs.change(hides_records=True)
    folder = write(tmp_path / "flow", {"Snakefile": workflow(3, wait="go-{wildcards.i}")})
    with started(folder, pbs) as running:
        wait_until(lambda: len(starts(folder)) == 3, "all run")
        for index in range(2):
            (folder / f"go-{index}").touch()
        wait_until(lambda: len(hidden_records(folder)) == 2, "two have ended")
        asked = len(pbs.calls("qstat"))
        wait_until(lambda: len(pbs.calls("qstat")) >= asked + 3, "the array and its subjobs are asked for")
        deliver(folder)
        (folder / "go-2").touch()
        wait_until(lambda: len(hidden_records(folder)) == 1, "the last has ended")
        deliver(folder)
        ends_well(running, folder, 3)
    assert "Error in rule" not in running.said


def test_records_that_never_come_fail_their_jobs_in_words(tmp_path: Path, pbs: FaultyPbs) -> None:
    folder = write(tmp_path / "flow", {"Snakefile": workflow(3)})
    pbs.change(hides_records=True)
    with started(folder, pbs, "--keep-going") as running:
        assert running.process.wait(60) == 1, running.said
    assert running.said.count("Error in rule one") == 3
    assert "exit record" in running.said
    assert "Traceback" not in running.said
    pbs.check_that_all_is_over(folder, once(3))


def test_a_disk_that_is_full_when_tasks_end_loses_nothing(tmp_path: Path, pbs: FaultyPbs) -> None:
    folder = write(tmp_path / "flow", {"Snakefile": workflow(8, wait="go")})
    with disk_of_state(folder) as disk, started(folder, pbs, SINGLE) as running:
        wait_until(lambda: len(starts(folder)) == 8, "all run")
        filler = fill(disk)
        (folder / "go").touch()
        wait_until(lambda: wholes(folder) == {"whole\n": 8}, "the tasks have ended")
        filler.unlink()
        ends_well(running, folder, 8)
    assert "Traceback" not in running.said
    pbs.check_that_all_is_over(folder, once(8))


def test_a_disk_that_is_full_when_jobs_are_to_be_submitted_fails_them_in_words(tmp_path: Path, pbs: FaultyPbs) -> None:
    snakefile = workflow(3).replace("output:", 'input: "first"\n    output:', 1) + LOCAL_FIRST
    folder = write(tmp_path / "flow", {"Snakefile": snakefile})
    with disk_of_state(folder) as disk:
        with started(folder, pbs) as running:
            wait_until(lambda: (folder / "begun").exists(), "the local job runs")
            filler = fill(disk)
            (folder / "go").touch()
            assert running.process.wait(harness.TIME_LIMIT) == 1, running.said
        assert "Is the disk full" in running.said
        assert "Traceback" not in running.said
        filler.unlink()
        with started(folder, pbs) as running:
            ends_well(running, folder, 3)
    pbs.check_that_all_is_over(folder, once(3))
