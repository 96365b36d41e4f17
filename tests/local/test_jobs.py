"""What jobs go through: environment, output, limits, holds, dependencies, deletion."""

import json
import os
import signal
import time
from pathlib import Path

from snakemake_executor_plugin_pbs_singularity.pbs.local.machine import current_user

from .conftest import LocalPbs


def running_processes(marker: str) -> list[int]:
    """Give the processes whose command line has a word in it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker in path.read_text(errors="replace"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_a_job_sees_the_environment_of_a_pbs_job_and_nothing_of_the_submitter(pbs: LocalPbs) -> None:
    pbs.environment["SECRET"] = "x"
    script = "env -0 > env; cat $PBS_NODEFILE > nodes; ls -d $TMPDIR; umask; pwd"

    job = pbs.submit(f"cd $PBS_O_WORKDIR; {script}", "-N env -l select=1:ncpus=3:mpiprocs=2")

    pbs.wait(job)
    lines = (pbs.cwd / "env").read_text().split("\0")
    seen = dict(line.split("=", 1) for line in lines if line)
    user = current_user()
    assert "SECRET" not in seen
    assert seen["PATH"] == "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
    expected = {
        "HOME": user.home,
        "LOGNAME": user.name,
        "USER": user.name,
        "PBS_ENVIRONMENT": "PBS_BATCH",
        "PBS_JOBID": job,
        "PBS_JOBNAME": "env",
        "PBS_QUEUE": "workq",
        "PBS_O_QUEUE": "workq",
        "PBS_O_WORKDIR": str(pbs.cwd),
        "PBS_O_HOME": str(pbs.cwd),
        "PBS_O_HOST": pbs.host,
        "PBS_JOBDIR": user.home,
        "NCPUS": "3",
        "OMP_NUM_THREADS": "3",
    }
    assert {name: seen.get(name) for name in expected} == expected
    assert (pbs.cwd / "nodes").read_text() == f"{pbs.host}\n" * 2
    assert (pbs.cwd / "env.o1").read_text().splitlines()[1] == "0077"


def test_a_job_begins_in_the_home_folder(pbs: LocalPbs) -> None:
    pbs.wait(pbs.submit("pwd", "-N where"))

    assert (pbs.cwd / "where.o1").read_text() == f"{os.path.realpath(current_user().home)}\n"


def test_the_folder_for_temporary_files_is_gone_after_the_job(pbs: LocalPbs) -> None:
    pbs.wait(pbs.submit("touch $TMPDIR/file; echo $TMPDIR", "-N tmp"))

    assert not Path((pbs.cwd / "tmp.o1").read_text().strip()).exists()
    assert list((pbs.home / "jobs").iterdir()) == []


def test_a_login_shell_reads_the_profile_if_the_settings_say_so(pbs: LocalPbs) -> None:
    pbs.set(login_shell=True)
    script = "tr '\\0' '\\n' < /proc/$PPID/cmdline"
    (pbs.cwd / "job.sh").write_text(script)

    job = pbs.out("qsub -S /bin/sh -N shell job.sh").strip()

    pbs.wait(job)
    assert (pbs.cwd / "shell.o1").read_text() == "-sh\n"


def test_directives_in_the_script_count_unless_the_command_line_says_otherwise(pbs: LocalPbs) -> None:
    script = "\n".join(
        [
            "#!/bin/bash",
            "# a comment",
            "#PBS -N 'directive' -j oe",
            "#PBS -l walltime=10:00 -l select=1:ncpus=2",
            "#PBS -v ONE=1,TWO=2",
            "echo $ONE $TWO",
            "#PBS -N too_late",
        ]
    )

    job = pbs.submit(script, "-N line -l walltime=20:00")

    assert pbs.attribute(job, "Job_Name") == "line"
    assert pbs.attribute(job, "Join_Path") == "oe"
    assert pbs.attribute(job, "Resource_List.walltime") == "00:20:00"
    assert pbs.attribute(job, "Resource_List.ncpus") == "2"
    pbs.wait(job)
    assert (pbs.cwd / "line.o1").read_text() == "1 2\n"


def test_a_script_with_an_interpreter_line_is_run_by_it(pbs: LocalPbs) -> None:
    pbs.wait(pbs.submit("#!/usr/bin/awk -f\nBEGIN { print 6 * 7 }", "-N awk"))

    assert (pbs.cwd / "awk.o1").read_text() == "42\n"


def test_output_goes_where_it_is_told(pbs: LocalPbs) -> None:
    (pbs.cwd / "folder").mkdir()
    script = "echo out; echo err >&2"
    jobs = [
        pbs.submit(script, "-N a -o out.txt -e /dev/null"),
        pbs.submit(script, f"-N b -o folder -e {pbs.host}:{pbs.cwd}/folder/err.txt"),
        pbs.submit(script, "-N c -j oe"),
        pbs.submit(script, "-N d -j eo"),
    ]

    pbs.wait(*jobs)
    files = {str(path.relative_to(pbs.cwd)): path.read_text() for path in pbs.cwd.rglob("*") if path.is_file()}
    assert files == {
        "out.txt": "out\n",
        "folder/b.o2": "out\n",
        "folder/err.txt": "err\n",
        "c.o3": "out\nerr\n",
        "d.e4": "out\nerr\n",
    }


def test_output_that_cannot_be_delivered_is_kept(pbs: LocalPbs) -> None:
    job = pbs.submit("echo kept", f"-o {pbs.cwd}/no/such/folder/x -e /dev/null")

    pbs.wait(job)
    assert (pbs.home / "undelivered" / f"{job}.OU").read_text() == "kept\n"
    assert pbs.attribute(job, "Stageout_status") == "0"
    assert pbs.exit_status(job) == "0"


def test_everything_a_job_started_ends_with_it(pbs: LocalPbs) -> None:
    marker = f"3{os.getpid()}{time.monotonic_ns()}"[:15]
    job = pbs.submit(f"setsid sleep {marker} & sleep {marker} & (sleep {marker} &) ; echo up; wait")
    pbs.wait_until(lambda: len(running_processes(marker)) >= 3, "the job never starts its processes")

    pbs.out(f"qdel {job}")

    pbs.wait(job)
    assert running_processes(marker) == []


def test_what_a_job_leaves_behind_is_killed(pbs: LocalPbs) -> None:
    marker = f"4{os.getpid()}{time.monotonic_ns()}"[:15]

    pbs.wait(pbs.submit(f"nohup setsid sleep {marker} > /dev/null 2>&1 & sleep 0.2"))

    assert running_processes(marker) == []


def test_a_job_over_its_walltime_is_killed_and_says_so(pbs: LocalPbs) -> None:
    pbs.set(kill_grace=0.2)

    job = pbs.submit("trap '' TERM; sleep 60; sleep 60", "-N slow -l walltime=1")

    pbs.wait(job)
    assert pbs.exit_status(job) == "-29"
    assert (pbs.cwd / "slow.e1").read_text() == "=>> PBS: job killed: walltime 2 exceeded limit 1\n"


def test_the_walltime_holds_while_the_server_is_down(pbs: LocalPbs) -> None:
    job = pbs.submit("sleep 60", "-N slow -l walltime=1")
    pbs.stop_server()

    pbs.wait_until(lambda: (pbs.cwd / "slow.e1").exists(), "the job is never ended")

    assert pbs.exit_status(job) == "-29"


def test_jobs_wait_for_cpus_memory_and_gpus(pbs: LocalPbs) -> None:
    pbs.set(ncpus=4, mem_mb=1024, ngpus=2)
    first = pbs.submit("sleep 60", "-l select=1:ncpus=2:mem=600mb:ngpus=1")
    cpus = pbs.submit("true", "-l select=1:ncpus=3")
    memory = pbs.submit("true", "-l select=1:ncpus=1:mem=500mb")
    gpus = pbs.submit("true", "-l select=1:ncpus=1:ngpus=2")
    small = pbs.submit("true", "-l select=1:ncpus=1:mem=100mb")

    pbs.wait(small)  # it fits, so it overtakes
    assert [pbs.state(job) for job in (first, cpus, memory, gpus)] == ["R", "Q", "Q", "Q"]
    assert pbs.attribute(cpus, "comment") == ("Not Running: Insufficient amount of resource: ncpus (R: 3 A: 2 T: 4)")
    assert pbs.attribute(memory, "comment") == (
        "Not Running: Insufficient amount of resource: mem (R: 500mb A: 434176kb T: 1048576kb)"
    )
    pbs.out(f"qdel {first}")
    pbs.wait(cpus, memory, gpus)


def test_gpus_are_an_unknown_resource_where_there_are_none(pbs: LocalPbs) -> None:
    refused = pbs.run("echo true | qsub -l select=1:ngpus=1")

    assert (refused.returncode, refused.stderr) == (187, "qsub: Unknown resource: ngpus\n")


def test_an_impossible_job_can_start_once_the_machine_is_larger(pbs: LocalPbs) -> None:
    job = pbs.submit("true", "-l ncpus=100")
    assert pbs.state(job) == "Q"

    pbs.set(ncpus=100)

    pbs.wait(job)


def test_higher_priority_goes_first(pbs: LocalPbs) -> None:
    pbs.set(ncpus=1)
    pbs.submit('while [ ! -e "$PBS_O_WORKDIR/go" ]; do sleep 0.05; done')
    low = pbs.submit("date +%s%N", "-N low -p -5")
    high = pbs.submit("date +%s%N", "-N high -p 5")
    (pbs.cwd / "go").touch()

    pbs.wait(low, high)
    assert int((pbs.cwd / "high.o3").read_text()) < int((pbs.cwd / "low.o2").read_text())


def test_a_held_job_starts_when_it_is_released(pbs: LocalPbs) -> None:
    job = pbs.submit("true")
    pbs.wait(job)
    held = pbs.submit("true", "-h")
    assert pbs.state(held) == "H"

    pbs.out(f"qrls {held}")

    pbs.wait(held)


def test_a_queued_job_can_be_held(pbs: LocalPbs) -> None:
    pbs.set(ncpus=0)
    job = pbs.submit("true")
    pbs.out(f"qhold {job}")

    pbs.set(ncpus=1)

    assert pbs.state(job) == "H"
    assert pbs.attribute(job, "Hold_Types") == "u"


def test_a_job_with_an_execution_time_waits_for_it(pbs: LocalPbs) -> None:
    soon = time.time() + 2
    job = pbs.submit("true", f"-a {time.strftime('%Y%m%d%H%M.%S', time.localtime(soon))}")
    assert pbs.state(job) == "W"

    pbs.wait(job)
    assert time.time() >= int(soon)


def test_afterok_starts_a_job_when_the_other_ended_well(pbs: LocalPbs) -> None:
    first = pbs.submit("sleep 0.3")
    second = pbs.submit("true", f"-W depend=afterok:{first}")
    assert pbs.state(second) == "H"

    pbs.wait(second)
    assert pbs.exit_status(second) == "0"


def test_afterok_deletes_a_job_when_the_other_failed(pbs: LocalPbs) -> None:
    first = pbs.submit("sleep 0.3; exit 1")
    second = pbs.submit("true", f"-W depend=afterok:{first}")
    third = pbs.submit("true", f"-W depend=afterany:{first}")

    pbs.wait(second, third)
    assert pbs.exit_status(second) is None
    assert pbs.exit_status(third) == "0"


def test_block_waits_for_the_job_and_gives_its_exit_code(pbs: LocalPbs) -> None:
    done = pbs.run("echo 'sleep 0.2; exit 7' | qsub -W block=true")

    assert (done.stdout, done.returncode) == (f"1.{pbs.host}\n", 7)


def test_a_finished_job_can_be_forgotten(pbs: LocalPbs) -> None:
    job = pbs.submit("true")
    pbs.wait(job)

    pbs.out(f"qdel -x {job}")

    assert pbs.run(f"qstat -x {job}").returncode == 153


def test_a_running_job_shows_what_it_uses(pbs: LocalPbs) -> None:
    job = pbs.submit("sleep 2.5", "-l select=1:ncpus=1")

    pbs.wait_until(lambda: pbs.attribute(job, "resources_used.walltime") not in (None, "00:00:00"), "none")

    used = json.loads(pbs.out(f"qstat -f -F json {job}"))["Jobs"][job]["resources_used"]
    assert list(used) == ["cpupercent", "cput", "mem", "vmem", "walltime"]


def test_a_finished_job_shows_what_it_used_in_openpbs_order(pbs: LocalPbs) -> None:
    job = pbs.submit("true")
    pbs.wait(job)

    used = json.loads(pbs.out(f"qstat -x -f -F json {job}"))["Jobs"][job]["resources_used"]

    assert list(used) == ["cpupercent", "cput", "mem", "ncpus", "vmem", "walltime"]


def test_wide_output_keeps_each_attribute_on_one_line(pbs: LocalPbs) -> None:
    value = "word " * 60 + "end"
    job = pbs.out(f"echo true | qsub -h -v 'LONG={value},TWO=a\nb'").strip()

    (line,) = (line for line in pbs.out(f"qstat -f -w {job}").splitlines() if "Variable_List" in line)
    assert f"LONG={value},TWO=a\\nb" in line


def test_output_that_is_to_be_removed_is_kept_if_the_job_fails(pbs: LocalPbs) -> None:
    good, bad = (pbs.submit(f"echo x; exit {code}", f"-j oe -R oe -o out.{code}") for code in (0, 3))

    pbs.wait(good, bad)
    assert [path.name for path in pbs.cwd.glob("out.*")] == ["out.3"]
    assert [pbs.attribute(job, "Stageout_status") for job in (good, bad)] == [None, "1"]
    assert pbs.attribute(good, "Remove_Files") == "oe"


def test_a_job_whose_keeper_was_killed_is_over_and_gone(pbs: LocalPbs) -> None:
    marker = f"5{os.getpid()}{time.monotonic_ns()}"[:15]
    job = pbs.submit(f"sleep {marker}")
    pbs.wait_until(lambda: bool(running_processes(marker)), "the job never starts")

    os.kill(int((pbs.home / "jobs" / job / "pid").read_text()), signal.SIGKILL)

    pbs.wait(job)
    assert pbs.exit_status(job) == "-4"
    pbs.wait_until(lambda: not running_processes(marker), "the job runs on")


def test_a_command_can_be_submitted_without_a_script(pbs: LocalPbs) -> None:
    job = pbs.out("qsub -j oe -- /bin/echo 'two  spaces'").strip()

    pbs.wait(job)
    assert (pbs.cwd / "STDIN.o1").read_text() == "two  spaces\n"


def test_selection_by_name_state_and_queue(pbs: LocalPbs) -> None:
    pbs.set(queues={"workq": {}, "gpu": {}})
    one = pbs.submit("true", "-h -N one")
    two = pbs.submit("true", "-h -N two -q gpu")
    done = pbs.submit("true", "-N one")
    pbs.wait(done)

    assert pbs.out("qselect -N one").split() == [one]
    assert pbs.out("qselect -x -N one").split() == [one, done]
    assert pbs.out("qselect -q gpu").split() == [two]
    assert pbs.out("qselect -s H").split() == [one, two]
    assert pbs.out(f"qselect -u {current_user().name}").split() == [one, two]
    assert pbs.out("qselect -u nobody-else") == ""


def test_a_job_whose_shell_is_missing_says_so(pbs: LocalPbs) -> None:
    done = pbs.run("qsub -S /no/such/shell < /dev/null")
    job = done.stdout.strip()

    pbs.wait(job)
    assert pbs.exit_status(job) == "254"
    assert "could not be started" in (pbs.cwd / "STDIN.e1").read_text()
