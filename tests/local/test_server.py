"""The server: started on demand, gone when idle, back after a crash; and its knobs."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from snakemake_executor_plugin_pbs_singularity.pbs.local import provide
from snakemake_executor_plugin_pbs_singularity.pbs.local.address import is_running
from snakemake_executor_plugin_pbs_singularity.pbs.local.asking import ask

from .conftest import LocalPbs

UNTIL_LET_GO = 'while [ ! -e "$PBS_O_WORKDIR/go" ]; do sleep 0.05; done'


def test_the_first_command_starts_the_server(pbs: LocalPbs) -> None:
    assert not is_running(str(pbs.home))

    pbs.out("qstat")

    assert is_running(str(pbs.home))


def test_the_server_ends_when_nobody_needs_it(pbs: LocalPbs) -> None:
    pbs.set(idle=0.3)
    job = pbs.submit(UNTIL_LET_GO)
    held = pbs.submit("true", "-h")

    time.sleep(0.6)
    assert is_running(str(pbs.home)), "it ended although a job runs"
    (pbs.cwd / "go").touch()
    pbs.wait_until(lambda: not is_running(str(pbs.home)), "it does not end")
    assert not (pbs.home / "socket").exists()
    assert pbs.exit_status(job) == "0"
    assert pbs.state(held) == "H"


def test_a_server_that_ends_leaves_one_alone_that_came_to_the_same_path(pbs: LocalPbs) -> None:
    moved = pbs.home.with_name("moved")
    pbs.out("qstat")
    pbs.home.rename(moved)
    provide({"PBS_SINGULARITY_LOCAL_HOME": str(pbs.home)})
    pbs.out("qstat")

    list(ask(str(moved), "stop", []))

    pbs.wait_until(lambda: not is_running(str(moved)), "it does not end")
    assert is_running(str(pbs.home))


def test_requests_that_come_as_it_ends_are_answered(pbs: LocalPbs) -> None:
    pbs.set(idle=0.01)

    for _ in range(20):
        pbs.out("qstat")


def test_many_commands_at_once_start_one_server(pbs: LocalPbs) -> None:
    with ThreadPoolExecutor(16) as threads:
        ids = list(threads.map(lambda _: pbs.out("echo true | qsub -h").strip(), range(32)))

    assert sorted(int(job.partition(".")[0]) for job in ids) == list(range(1, 33))
    assert sorted(pbs.out("qselect").split()) == sorted(ids)


def test_a_crash_loses_no_job(pbs: LocalPbs) -> None:
    pbs.set(ncpus=2)
    done = pbs.submit("exit 3")
    pbs.wait(done)
    ends_meanwhile = pbs.submit("sleep 0.3; exit 4")
    runs_on = pbs.submit(f"{UNTIL_LET_GO}; exit 5")
    queued = pbs.submit("exit 6")
    held = pbs.submit("true", "-h")
    array = pbs.submit("exit $PBS_ARRAY_INDEX", "-J 0-3")

    pbs.stop_server()

    pbs.wait_until(lambda: (pbs.cwd / "STDIN.o2").exists(), "job 2 does not end")
    assert [pbs.state(job) for job in (done, runs_on, held)] == ["F", "R", "H"]
    (pbs.cwd / "go").touch()
    pbs.wait(ends_meanwhile, runs_on, queued, array)
    assert [pbs.exit_status(job) for job in (done, ends_meanwhile, runs_on, queued)] == ["3", "4", "5", "6"]
    assert [pbs.exit_status(array.replace("[]", f"[{index}]")) for index in range(4)] == ["0", "1", "2", "3"]


def test_a_crash_between_noting_a_start_and_starting_runs_the_job_once(pbs: LocalPbs) -> None:
    pbs.set(ncpus=0)
    job = pbs.submit("echo ran >> $PBS_O_WORKDIR/ran")
    pbs.stop_server()
    pbs.set(ncpus=1)
    with contextlib.closing(sqlite3.connect(pbs.home / "state.sqlite")) as database, database:
        database.execute(
            "UPDATE jobs SET state = 'R', run = json_set(run, '$.state', 'R', '$.slot', 0, '$.comment', 'x')"
        )

    pbs.wait(job)

    assert (pbs.cwd / "ran").read_text() == "ran\n"
    assert pbs.exit_status(job) == "0"


def test_crashes_at_any_moment_run_each_job_once(pbs: LocalPbs) -> None:
    pbs.set(ncpus=4)
    array = pbs.submit("echo x >> $PBS_O_WORKDIR/ran.$PBS_ARRAY_INDEX; sleep 0.05", "-J 0-29 -o /dev/null -e /dev/null")
    for pause in (0.0, 0.05, 0.1, 0.15, 0.2):
        time.sleep(pause)
        process = pbs.server_process()
        assert process is not None
        os.kill(process, signal.SIGKILL)
        pbs.out("qstat")

    pbs.wait(array)
    assert [(pbs.cwd / f"ran.{index}").read_text() for index in range(30)] == ["x\n"] * 30


def test_a_server_that_is_away_says_so_and_its_jobs_run_on(pbs: LocalPbs) -> None:
    job = pbs.submit("sleep 0.3; exit 9")
    pbs.set(server="away")

    assert pbs.run("qstat").returncode == 255
    pbs.wait_until(lambda: (pbs.cwd / "STDIN.o1").exists(), "the job does not end")
    pbs.set(server="up")
    assert pbs.exit_status(job) == "9"


def test_a_hung_server_answers_nobody_and_does_later_what_it_was_asked(pbs: LocalPbs) -> None:
    (pbs.cwd / "job.sh").write_text("true\n")
    pbs.out("qstat")
    pbs.set(server="hung")

    for command in ("qstat", "qsub job.sh"):
        with pytest.raises(subprocess.TimeoutExpired):
            subprocess.run([pbs.bin / command.split()[0], *command.split()[1:]], cwd=pbs.cwd, timeout=0.7, check=False)

    pbs.set(server="up")
    assert pbs.out("qselect -x").split() == [f"1.{pbs.host}"]


def test_answers_can_be_late(pbs: LocalPbs) -> None:
    pbs.out("qstat")
    pbs.set(answer_delay=0.5)

    before = time.monotonic()
    pbs.out("qstat")
    assert time.monotonic() - before >= 0.5


def test_without_history_a_finished_job_is_unknown(pbs: LocalPbs) -> None:
    pbs.set(history_hours=0)
    job = pbs.submit("sleep 0.2")

    pbs.wait_until(lambda: pbs.run(f"qstat {job}").returncode == 153, "the job stays known")

    told = pbs.run(f"qstat -x {job}")
    assert (told.returncode, told.stderr) == (0, "qstat: PBS is not configured to maintain job history\n")


def test_without_history_a_subjob_that_is_over_shows_what_its_array_is(pbs: LocalPbs) -> None:
    """As seen on a real OpenPBS 23.06.06."""
    pbs.set(history_hours=0)
    array = pbs.submit("[ $PBS_ARRAY_INDEX = 1 ] || sleep 60; exit 3", "-J 0-1")
    first = array.replace("[]", "[1]")

    pbs.wait_until(lambda: "job_state = X" in pbs.out(f"qstat -f '{first}'"), "it does not end")

    told = pbs.out(f"qstat -f '{first}'")
    assert "substate = 70" in told
    assert "comment = Subjob finished" in told
    assert "Exit_status = 3" in told
    assert "run_count" not in told
    assert "resources_used" not in told


def test_old_history_is_dropped(pbs: LocalPbs) -> None:
    job = pbs.submit("true")
    pbs.wait(job)
    pbs.stop_server()

    pbs.set(history_hours=1e-9)

    assert pbs.run(f"qstat -x {job}").returncode == 153


def test_a_lost_job_vanishes_without_a_record(pbs: LocalPbs) -> None:
    job = pbs.submit("sleep 60; touch $PBS_O_WORKDIR/end")

    pbs.set(lost=[job])

    assert pbs.run(f"qstat -x {job}").returncode == 153
    assert pbs.out("qselect -x") == ""


def test_queues_come_from_the_settings(pbs: LocalPbs) -> None:
    pbs.set(queues={"short": {"max_walltime": 60}, "gpu": {}})

    assert pbs.attribute(pbs.submit("true", "-h"), "queue") == "short"
    assert pbs.run("echo true | qsub -q workq").returncode == 170
    assert [line.split()[0] for line in pbs.out("qstat -Q").splitlines()[2:]] == ["short", "gpu"]
    assert "enabled = True" in pbs.out("qstat -Qf gpu")
    unknown = pbs.run("qstat -Qf nosuch")
    assert (unknown.returncode, unknown.stderr) == (170, "qstat: Unknown queue nosuch\n")


def test_nonsense_in_the_settings_is_logged_and_changes_nothing(pbs: LocalPbs) -> None:
    pbs.out("qstat")

    (pbs.home / "settings.json").write_text('{"ncpus": "many"}')

    assert "resources_available.ncpus = 64" in pbs.out("pbsnodes -a")
    assert "ncpus cannot be 'many'" in (pbs.home / "server.log").read_text()


def test_a_server_in_a_folder_with_a_long_and_odd_name(pbs: LocalPbs, tmp_path) -> None:
    folder = tmp_path / ('it\'s "long" $HOME ' + "x" * 100)
    folder.mkdir()
    other = LocalPbs(folder)
    try:
        job = other.submit("echo fine", "-N odd")
        other.wait(job)
        assert (other.cwd / "odd.o1").read_text() == "fine\n"
    finally:
        other.close()


def test_a_thousand_jobs_are_scheduled_without_delay(pbs: LocalPbs) -> None:
    pbs.set(ncpus=0)
    (pbs.cwd / "job.sh").write_text("true\n")
    pbs.out("for i in $(seq 100); do qsub -S /bin/sh -o /dev/null -e /dev/null job.sh; done")
    pbs.set(ncpus=8)

    began = time.monotonic()
    pbs.wait_until(lambda: pbs.out("qselect") == "", "the jobs do not end")

    assert time.monotonic() - began < 10
