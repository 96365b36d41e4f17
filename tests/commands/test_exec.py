"""``pbs-singularity exec``: a command in a container as a PBS job, with its streams and its exit code here."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from local.conftest import LocalPbs, pbs

from tools.registry import Registry

__all__ = ["pbs"]

ALPHA = "deep_learning/alpha"
EXEC = [str(Path(sys.executable).with_name("pbs-singularity")), "exec"]
Done = subprocess.CompletedProcess[str]


class Site:
    """A folder to work in, from which jobs go to a local PBS."""

    def __init__(self, pbs: LocalPbs, environment: dict[str, str], library: Path) -> None:
        self.pbs = pbs
        self.folder = pbs.cwd / "work"
        self.folder.mkdir()
        self.environment = {
            **environment,
            "PATH": f"{pbs.bin}{os.pathsep}{environment['PATH']}",
            "PBS_SINGULARITY_LOCAL_HOME": str(pbs.home),
            "SNAKEMAKE_PBS_SINGULARITY_LIBRARY": str(library),
        }
        self.environment.pop("PBS_JOBID", None)

    def exec(self, *words: str, given: str = "", **variables: str) -> Done:
        """Run it to its end."""
        return subprocess.run(
            [*EXEC, *words],
            cwd=self.folder,
            env=self.environment | variables,
            input=given,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start it."""
        return subprocess.Popen(
            [*EXEC, *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def jobs(self) -> list[str]:
        """Give the ids of the jobs that are not over."""
        return self.pbs.out("qselect").split()

    def last_job(self) -> str:
        return self.pbs.out("qselect -x").split()[-1]

    def until(self, condition: Callable[[], object]) -> None:
        self.pbs.wait_until(condition, "it never happens")

    def is_left_clean(self) -> bool:
        return not self.jobs() and list(self.folder.iterdir()) == []


@pytest.fixture
def site(pbs: LocalPbs, container_environment: dict[str, str], library: Path) -> Iterator[Site]:
    pbs.set(ncpus=4, mem_mb=8000, ngpus=1, kill_grace=1)
    return Site(pbs, container_environment, library)


# Output and exit code


def test_stdout_and_stderr_and_the_exit_code_are_the_commands(site: Site) -> None:
    done = site.exec(ALPHA, "--", "sh", "-c", "grep PRETTY /etc/os-release; pwd; echo oh >&2; exit 7")
    assert done.returncode == 7
    assert done.stdout == f'PRETTY_NAME="test image alpha"\n{site.folder}\n'
    said = done.stderr.splitlines()
    assert said[0].startswith("pbs-singularity: Job ")
    assert said[1:] == ["oh"]
    assert site.is_left_clean()


def test_words_stay_what_they_are(site: Site) -> None:
    words = ["$HOME", "a  b", "it's", 'say "x"', "new\nline", "*", "--help", "é"]
    done = site.exec(ALPHA, "--", "printf", "<%s>", *words)
    assert done.stdout == "".join(f"<{word}>" for word in words)


def test_output_comes_while_the_command_runs(site: Site) -> None:
    process = site.start(ALPHA, "--", "sh", "-c", "echo begun; until [ -e go ]; do sleep 0.1; done; echo done")
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    (site.folder / "go").touch()
    out, _ = process.communicate(timeout=60)
    assert (out, process.returncode) == ("done\n", 0)


def test_all_of_much_output_comes(site: Site) -> None:
    done = site.exec(ALPHA, "--", "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x")
    assert len(done.stdout) == 3_000_000


def test_a_signal_that_ends_the_command_is_seen(site: Site) -> None:
    done = site.exec(ALPHA, "--", "sh", "-c", "kill -9 $$")
    assert done.returncode == 137
    assert "killed (signal 9)" in done.stderr
    assert "`--mem=" in done.stderr


def test_a_command_that_is_not_in_the_image_is_127(site: Site) -> None:
    done = site.exec(ALPHA, "--", "no-such-command")
    assert done.returncode == 127
    assert "not found" in done.stderr


def test_the_last_words_of_a_job_come_that_ends_while_pbs_is_asked(site: Site, tmp_path: Path) -> None:
    front = tmp_path / "front"
    front.mkdir()
    (front / "qstat").write_text(
        f"""#!/bin/sh
case " $* " in *" -x "*)
    : >'{site.folder}/go'
    until grep -q words '{site.folder}'/.pbs-singularity-*/out; do sleep 0.1; done
    '{site.pbs.bin}/qdel' $('{site.pbs.bin}/qselect')
    while [ -n "$('{site.pbs.bin}/qselect')" ]; do sleep 0.1; done
esac
exec '{site.pbs.bin}/qstat' "$@"
"""
    )
    (front / "qstat").chmod(0o755)
    for name in ("qsub", "qdel", "qselect"):
        (front / name).symlink_to(site.pbs.bin / name)
    command = "until [ -e go ]; do sleep 0.1; done; rm go; echo last words; sleep 60"
    done = site.exec(ALPHA, "--", "sh", "-c", command, PATH=f"{front}{os.pathsep}{site.environment['PATH']}")
    assert (done.returncode, done.stdout) == (143, "last words\n"), done.stderr


def test_a_deleted_job_is_told_in_words(site: Site) -> None:
    process = site.start(ALPHA, "--", "sh", "-c", "echo begun; sleep 60")
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    site.pbs.out(f"qdel {site.last_job()}")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "It was deleted while it ran" in said
    assert site.is_left_clean()


def test_on_a_torque_it_is_the_same(site: Site) -> None:
    site.pbs.set(face="torque")
    done = site.exec(
        "--threads", "2", "--mem", "500", ALPHA, "--", "sh", "-c", "cat /etc/os-release; echo oh >&2; exit 7"
    )
    assert done.returncode == 7
    assert "test image alpha" in done.stdout
    assert done.stderr.splitlines()[1:] == ["oh"]
    assert list(site.folder.iterdir()) == []


# Input


def test_stdin_is_passed_if_asked_for(site: Site) -> None:
    assert site.exec("-i", ALPHA, "--", "cat", given="one\ntwo\n").stdout == "one\ntwo\n"
    assert site.exec(ALPHA, "--", "cat", given="one\n").stdout == ""


def test_a_stdin_that_is_closed_is_refused_in_words(site: Site) -> None:
    done = subprocess.run(
        ["bash", "-c", f"exec {EXEC[0]} exec -i {ALPHA} -- cat <&-"],
        cwd=site.folder,
        env=site.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "stdin is closed" in done.stderr


# What is asked for


def test_pbs_is_asked_for_what_the_options_say(site: Site) -> None:
    done = site.exec("--threads", "2", "--mem", "500", "--runtime", "5", "--gpu", "1", "--name", "fit", ALPHA, "true")
    assert done.returncode == 0, done.stderr
    job = site.last_job()
    asked = {name: site.pbs.attribute(job, f"Resource_List.{name}") for name in ("ncpus", "mem", "ngpus", "walltime")}
    assert asked == {"ncpus": "2", "mem": "500mb", "ngpus": "1", "walltime": "00:05:00"}
    assert (site.pbs.attribute(job, "Job_Name") or "").startswith("fit-")


def test_the_threads_are_those_of_the_command(site: Site) -> None:
    assert site.exec("--threads", "3", ALPHA, "--", "sh", "-c", "echo $OMP_NUM_THREADS").stdout == "3\n"


def test_more_can_be_bound(site: Site, tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / "file").write_text("here\n")
    assert site.exec("--bind", f"{more}:/more", ALPHA, "--", "cat", "/more/file").stdout == "here\n"


def test_the_profile_of_the_folder_counts(site: Site) -> None:
    profile = site.folder / "profiles/default/config.yaml"
    profile.parent.mkdir(parents=True)
    profile.write_text("pbs-singularity-queue: nowhere\n")
    done = site.exec(ALPHA, "true")
    assert done.returncode == 1
    assert "nowhere" in done.stderr
    assert site.pbs.out("qselect -x") == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([ALPHA, "--mem", "5", "true"], "Options go before IMAGE"),
        (["no/such", "--", "true"], "no/such"),
        (["--bind", "/no/such", ALPHA, "true"], "'/no/such', which does not exist here. Correct the path.\n"),
        (["--extra=-q short", ALPHA, "true"], "use instead --queue"),
        (["--extra=-m 'e", ALPHA, "true"], "--extra: cannot split"),
        (["--here", ALPHA, "true"], "PBS_JOBID"),
        (["--queue", "nowhere", ALPHA, "true"], "nowhere"),
        (["--mem", "lots", ALPHA, "true"], "Invalid value for '--mem': 'lots' is no amount of memory"),
    ],
)
def test_what_cannot_be_is_refused_at_once(words: list[str], said: str, site: Site) -> None:
    done = site.exec(*words)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert site.pbs.out("qselect -x") == ""
    assert site.is_left_clean()


TIGHT = {"workq": {"max_walltime": 60}}


def test_what_no_queue_takes_is_refused_and_leave_queues_is_named(site: Site) -> None:
    site.pbs.set(queues=TIGHT)
    done = site.exec("--runtime", "5", ALPHA, "true")
    assert done.returncode == 1
    assert "takes at most 1 minute of runtime (5 asked for)" in done.stderr
    assert "SNAKEMAKE_PBS_SINGULARITY_LEAVE_QUEUES=true" in done.stderr
    assert site.pbs.out("qselect -x") == ""


@pytest.mark.parametrize("where", ["environment", "profile"])
def test_queues_are_left_to_pbs_where_that_is_set(where: str, site: Site) -> None:
    site.pbs.set(queues=TIGHT)
    variables = {}
    if where == "environment":
        variables["SNAKEMAKE_PBS_SINGULARITY_LEAVE_QUEUES"] = "true"
    else:
        profile = site.folder / "profiles/default/config.yaml"
        profile.parent.mkdir(parents=True)
        profile.write_text("pbs-singularity-leave-queues: true\n")
    done = site.exec("--runtime", "5", ALPHA, "true", **variables)
    assert done.returncode == 1
    assert "Job violates queue and/or server resource limits" in done.stderr
    assert "Lower --runtime, --mem or --threads" in done.stderr


def test_a_job_that_takes_too_long_is_told_which_option_gives_more(site: Site) -> None:
    site.pbs.set(queues={"workq": {"resources_default": {"walltime": "00:00:01"}}})
    done = site.exec(ALPHA, "--", "sleep", "30")
    assert done.returncode == 143
    assert "Killed by PBS: it ran" in done.stderr
    assert "Raise --runtime (now 1 minute), for example `--runtime=2`." in done.stderr


def test_a_missing_image_is_pulled_first(site: Site, registry: Registry, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    image = f"docker://{registry.address}/test/delta:1"
    done = site.exec("--store", str(store), image, "--", "grep", "PRETTY", "/etc/os-release")
    assert done.stdout == 'PRETTY_NAME="test image delta 1"\n', done.stderr
    assert "Pulled" in done.stderr
    assert site.is_left_clean()


def test_a_store_that_cannot_be_made_is_told(site: Site) -> None:
    (site.folder / ".snakemake").touch()
    done = site.exec("docker://127.0.0.1:9/no/such:1", "true")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: The image store ")
    assert "--store" in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_a_folder_that_singularity_2_refuses_is_refused_before(site: Site) -> None:
    os.chown(site.folder, 1, 1)
    done = site.exec(ALPHA, "true", SNAKEMAKE_PBS_SINGULARITY_CONTAINER_VERSION="2.6.1")
    assert done.returncode == 1
    assert f"refuses the working directory {site.folder}: it belongs to another user" in done.stderr
    assert "--directory" not in done.stderr


def test_a_folder_with_a_colon_is_refused(site: Site) -> None:
    site.folder = site.folder / "a:b"
    site.folder.mkdir()
    done = site.exec(ALPHA, "true")
    assert done.returncode == 1
    assert "Rename the folder, or start in another." in done.stderr


def test_a_folder_that_cannot_hold_the_scripts_is_told(site: Site) -> None:
    site.pbs.out("qstat")  # the server starts without the limit
    command = ["bash", "-c", f'ulimit -f 0; exec "$@" {ALPHA} true', "bash", *EXEC]
    done = subprocess.run(
        command, cwd=site.folder, env=site.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "Nothing was started" in done.stderr
    assert "File too large" in done.stderr
    assert site.is_left_clean()


def test_mpi_starts_the_containers(site: Site, tmp_path: Path) -> None:
    mpiexec = tmp_path / "mpiexec"
    mpiexec.write_text('#!/bin/sh\n[ "$1" = -n ] || exit 9\nn=$2\nshift 2\nfor _ in $(seq "$n"); do "$@"; done\n')
    mpiexec.chmod(0o755)
    done = site.exec("--tasks", "2", "--mpi", str(mpiexec), ALPHA, "--", "echo", "one of them")
    assert done.stdout == "one of them\n" * 2
    assert site.pbs.attribute(site.last_job(), "Resource_List.mpiprocs") == "2"


def test_the_folder_may_be_called_anything(site: Site) -> None:
    site.folder = site.folder / 'it\'s a "new" $HOME & more'
    site.folder.mkdir()
    done = site.exec(ALPHA, "--", "pwd")
    assert done.stdout == f"{site.folder}\n", done.stderr
    assert site.is_left_clean()


# Its end


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_deletes_the_job(number: int, code: int, site: Site) -> None:
    process = site.start(ALPHA, "--", "sh", "-c", "echo begun; sleep 60")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == code
    assert site.is_left_clean()


def test_ctrl_c_while_the_job_waits_deletes_it(site: Site) -> None:
    process = site.start("--extra=-h", ALPHA, "true")
    assert process.stderr is not None
    job = process.stderr.readline().split()[-1].rstrip(".")
    assert "It is held" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "It is held" not in said
    assert site.pbs.state(job) == "F"
    assert site.is_left_clean()


def test_a_second_ctrl_c_leaves_at_once_and_names_the_job(site: Site) -> None:
    site.pbs.set(kill_grace=15)
    process = site.start(ALPHA, "--", "sh", "-c", "trap '' TERM; echo begun; sleep 5; sleep 5; sleep 5")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    while "Deleted job" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=10)
    assert process.returncode == 130
    assert f"Left at once. PBS may still have job {site.last_job()}" in said


def test_nobody_taking_the_output_ends_the_job(site: Site) -> None:
    command = f"{EXEC[0]} exec {ALPHA} -- sh -c 'while echo x; do sleep 0.1; done' | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=site.folder, env=site.environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "x\n141\n"
    assert site.is_left_clean()


def test_a_disk_that_is_full_ends_the_job_and_is_told(site: Site) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*EXEC, ALPHA, "--", "echo", "x"],
            cwd=site.folder,
            env=site.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 141
    assert "No space left on device" in done.stderr
    assert site.is_left_clean()


def test_a_server_that_is_away_for_a_while_is_no_failure(site: Site) -> None:
    site.pbs.out("qstat")
    process = site.start(ALPHA, "--", "sh", "-c", "echo begun; until [ -e go ]; do sleep 0.1; done; exit 4")
    assert process.stdout is not None
    process.stdout.readline()
    site.pbs.stop_server()
    time.sleep(1)
    (site.folder / "go").touch()
    process.communicate(timeout=60)
    assert process.returncode == 4
    assert not site.jobs()


# Within a job


def test_here_within_a_job_no_other_is_submitted(site: Site) -> None:
    done = site.exec(
        "--here", ALPHA, "--", "sh", "-c", "grep PRETTY /etc/os-release; cat; exit 3", given="in\n", PBS_JOBID="1.vm"
    )
    assert (done.returncode, done.stdout) == (3, 'PRETTY_NAME="test image alpha"\nin\n')
    assert site.pbs.out("qselect -x") == ""
    assert site.is_left_clean()


def test_here_no_command_of_pbs_is_needed(site: Site) -> None:
    """As on nodes of a TORQUE that have none."""
    parts = site.environment["PATH"].split(os.pathsep)
    path = os.pathsep.join(part for part in parts if shutil.which("qsub", path=part) is None)
    done = site.exec("--here", ALPHA, "--", "echo", "in there", PBS_JOBID="1.vm", PATH=path)
    assert (done.returncode, done.stdout) == (0, "in there\n"), done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_here_a_signal_is_the_commands(number: int, code: int, site: Site) -> None:
    site.environment["PBS_JOBID"] = "1.vm"
    process = site.start("--here", ALPHA, "--", "sh", "-c", "echo $$; exec sleep 60")
    assert process.stdout is not None
    command = Path("/proc", process.stdout.readline().strip())
    assert command.exists()
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == code
    site.until(lambda: not command.exists())
    assert site.is_left_clean()


def test_here_the_commands_answer_to_a_signal_is_the_exit_code(site: Site) -> None:
    site.environment["PBS_JOBID"] = "1.vm"
    command = "trap 'echo bye; exit 9' TERM; echo on; while :; do sleep 0.1; done"
    process = site.start("--here", ALPHA, "--", "sh", "-c", command)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert (out, process.returncode) == ("bye\n", 9)
