"""``pbs-singularity doctor`` on sites that work and on sites that do not, with the local PBS."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from local.conftest import LocalPbs

from snakemake_executor_plugin_pbs_singularity.commands.place import find_settings

from .called import call

_DOCTOR = Path(sys.executable).with_name("pbs-singularity")

_READS_HERE = """#!{python}
import subprocess, sys
with open(sys.argv[-1]) as script:
    sys.exit(subprocess.call(["{qsub}", *sys.argv[1:-1]], stdin=script))
"""
"""A qsub that reads the script itself, as OpenPBS's does; the local one has its server read it."""


class Site:
    """A working directory, a local PBS and a container runtime."""

    def __init__(self, folder: Path, path: str, library: Path) -> None:
        self.local = LocalPbs(folder)
        self.local.set(ncpus=4, mem_mb=8000, ngpus=0, kill_grace=0.2)
        self.workdir = self.local.cwd
        self.library = library
        self.environment = {
            **self.local.environment,
            "PATH": f"{self.local.bin}{os.pathsep}{path}",
            "SNAKEMAKE_PBS_SINGULARITY_LIBRARY": str(library),
        }

    def doctor(self, *arguments: str | Path, fails: bool = False, **variables: str) -> dict[str, tuple[str, str, str]]:
        """Call the doctor; give level, words and remedy of each finding, the last of a name."""
        done = self.call("--json", *arguments, fails=fails, **variables)
        return {one["what"]: (one["level"], one["said"], one["remedy"]) for one in json.loads(done.stdout)}

    def call(self, *arguments: str | Path, fails: bool = False, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**self.environment, **variables}
        return call(*arguments, folder=self.workdir, environment=environment, fails=fails, command="doctor")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the doctor and go on when its job is submitted."""
        process = subprocess.Popen(
            [_DOCTOR, "doctor", *arguments],
            cwd=self.workdir,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        assert "Submitted the probe job" in process.stderr.readline()
        return process

    def jobs(self, *options: str) -> list[str]:
        return self.local.out(" ".join(["qselect", *options])).split()

    def is_left_alone(self) -> bool:
        """Tell whether neither a job nor a file of the doctor is left."""
        return self.jobs() == [] and list(self.workdir.iterdir()) == []

    def put_in_front(self, name: str, script: str) -> str:
        """Give a PATH with a shell script before a command of PBS, which it may call as ``$real``."""
        front = self.local.cwd.parent / "front"
        front.mkdir()
        for command in ("qsub", "qstat", "qdel", "qselect"):
            (front / command).symlink_to(self.local.bin / command)
        (front / name).unlink()
        (front / name).write_text(f"#!/bin/sh\nreal='{self.local.bin / name}'\n{script}\n")
        (front / name).chmod(0o755)
        return f"{front}{os.pathsep}{self.environment['PATH']}"

    def hide(self, *folders: Path) -> None:
        """Start the PBS where these folders are empty: its jobs see them so, this machine sees what is in them."""
        mounts = " && ".join(f"mount -t tmpfs none '{folder}'" for folder in folders)
        words = ["unshare", "--mount" if os.getuid() == 0 else "-rm", "sh", "-c", f"{mounts} && qstat"]
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            pytest.skip(f"no mount namespaces here: {done.stderr}")


@pytest.fixture
def site(tmp_path: Path, apptainer: str, library: Path) -> Iterator[Site]:
    made = Site(tmp_path, apptainer, library)
    yield made
    made.local.close()


# The sites of the issue


def test_a_good_site_has_no_problem(site: Site) -> None:
    found = site.doctor()
    assert {what for what, (level, *_) in found.items() if level != "ok"} <= {"user"}  # root is warned
    assert found["jobs go to"][1] == "workq, the default queue."
    assert f"began on {site.local.host}" in found["probe job"][1]
    assert found["node: runtime"][1].endswith("as here.")
    assert "runs there" in found["node: container"][1]
    assert str(site.library) in found["node: library"][1]
    assert site.is_left_alone()


def test_a_good_site_with_torque_has_no_problem_either(site: Site) -> None:
    site.local.set(face="torque", keep_completed=300)
    found = site.doctor()
    assert {what for what, (level, *_) in found.items() if level != "ok"} <= {"user"}
    assert found["PBS"][1].startswith("TORQUE ")
    assert found["history"][1] == "Jobs that are over stay known for 5 min (keep_completed)."
    assert "began on" in found["probe job"][1]
    assert list(site.workdir.iterdir()) == []


def test_a_torque_that_forgets_jobs_at_once_is_warned(site: Site) -> None:
    site.local.set(face="torque", keep_completed=0)
    level, _, remedy = site.doctor()["history"]
    assert level == "warning"
    assert "keep_completed=300" in remedy


def test_a_site_without_history_is_warned_and_works(site: Site) -> None:
    site.local.set(history_hours=0)
    level, said, remedy = site.doctor()["history"]
    assert level == "warning"
    assert "forgets jobs as soon as they are over" in said
    assert "job_history_enable=True" in remedy
    assert site.is_left_alone()


def test_an_array_cap_of_10_is_told_with_what_it_means(site: Site) -> None:
    site.local.set(max_array_size=10)
    level, said, remedy = site.doctor("--no-probe")["arrays"]
    assert (level, said) == ("warning", "A job array may have 10 subjobs. 1,000 jobs are then 100 qsubs.")
    assert "--pbs-singularity-bundle 10" in remedy


def test_a_node_without_runtime_is_a_problem(site: Site) -> None:
    found = site.doctor(fails=True, SNAKEMAKE_PBS_SINGULARITY_NODE_SETUP="PATH=/usr/bin:/bin")
    level, said, remedy = found["node: runtime"]
    assert level == "problem"
    assert "None on the node" in said
    assert "module load singularity" in remedy
    assert found["container runtime"][0] == "ok"
    assert site.is_left_alone()


def test_a_library_that_nodes_have_not_mounted_is_a_problem(site: Site) -> None:
    site.hide(site.library)
    level, said, remedy = site.doctor(fails=True)["node: library"]
    assert level == "problem"
    assert f"{site.library} is empty on the node, and is not here" in said
    assert "mount it on the compute nodes" in remedy


def test_a_server_that_is_away_is_a_problem_and_nothing_is_submitted(site: Site) -> None:
    site.local.set(server="away")
    found = site.doctor(fails=True)
    level, said, remedy = found["server"]
    assert level == "problem"
    assert "cannot connect to server" in said
    assert "qstat -B" in remedy
    assert "probe job" not in found
    assert found["locks"][0] == "ok"
    site.local.set(server="up")
    assert site.jobs("-x") == []


# PBS


def test_without_pbs_the_remedy_is_to_load_it(site: Site, apptainer: str) -> None:
    level, said, remedy = site.doctor(fails=True, PATH=apptainer)["PBS"]
    assert level == "problem"
    assert "cannot be found on PATH" in said
    assert "module load pbs" in remedy


@pytest.mark.parametrize("face", ["openpbs", "torque"])
def test_a_scheduler_that_is_switched_off_is_warned_of(face: str, site: Site) -> None:
    site.local.set(face=face)
    path = site.put_in_front("qstat", '"$real" "$@" | sed "s/scheduling = True/scheduling = False/"')
    level, said, remedy = site.doctor("--no-probe", PATH=path)["server"]
    assert level == "warning"
    assert "its scheduler is switched off (scheduling = False)" in said
    assert "administrators" in remedy


@pytest.mark.parametrize(
    ("queues", "said"),
    [
        ({"workq": {"enabled": False}}, "takes no jobs"),
        ({"workq": {"started": False}}, "is stopped: jobs wait there"),
    ],
)
def test_a_default_queue_that_takes_or_begins_no_jobs_is_a_problem(
    queues: dict[str, object], said: str, site: Site
) -> None:
    site.local.set(queues=queues)
    found = site.doctor("--no-probe", fails=True)
    level, words, _ = found["jobs go to"]
    assert level == "problem"
    assert said in words or "not enabled" in words
    assert "workq" in words


def test_a_queue_that_is_not_there_is_a_problem_with_those_that_are(site: Site) -> None:
    level, said, remedy = site.doctor("--no-probe", "--queue", "gone", fails=True)["jobs go to"]
    assert level == "problem"
    assert "gone" in said
    assert "workq" in remedy


def test_queues_are_left_to_pbs_where_that_is_set(site: Site) -> None:
    site.local.set(queues={"workq": {"max_walltime": 60}})
    assert site.doctor("--no-probe", fails=True)["jobs go to"][0] == "problem"
    found = site.doctor("--no-probe", SNAKEMAKE_PBS_SINGULARITY_LEAVE_QUEUES="true")
    assert found["jobs go to"][:2] == ("ok", "workq, the default queue.")


def test_what_no_node_can_run_is_no_problem_where_nodes_may_come(site: Site) -> None:
    site.local.set(mem_mb=500)
    assert "This can never run" in site.doctor("--no-probe", fails=True)["jobs go to"][1]
    assert site.doctor("--no-probe", SNAKEMAKE_PBS_SINGULARITY_NEVER_RUN_MINUTES="0")["jobs go to"][0] == "ok"


def test_a_queue_of_another_server_is_told_as_such(site: Site) -> None:
    level, said, _ = site.doctor("--no-probe", "--queue", "workq@elsewhere")["jobs go to"]
    assert (level, said) == ("ok", "workq@elsewhere, a queue of another server.")


def test_each_queue_is_told_with_its_limits(site: Site) -> None:
    site.local.set(queues={"workq": {}, "short": {"max_walltime": 7200}, "old": {"enabled": False}})
    found = site.doctor("--no-probe")
    assert found["queue short"][1] == "At most walltime 2 h."
    assert "takes no jobs now" in found["queue old"][1].lower()


# The probe job


def test_a_job_that_does_not_begin_in_time_is_deleted_and_told(site: Site) -> None:
    site.local.submit("sleep 100", "-l select=1:ncpus=4")
    level, said, remedy = site.doctor("--wait", "0.05", fails=True)["probe job"]
    assert level == "problem"
    assert "did not begin within 0.05 minutes" in said
    assert "--wait MINUTES" in remedy
    assert len(site.jobs()) == 1
    assert list(site.workdir.iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_doctor_when_its_job_is_gone(number: int, code: int, site: Site) -> None:
    site.local.submit("sleep 100", "-l select=1:ncpus=4")
    process = site.start()
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert "is gone" in said
    assert len(site.jobs()) == 1
    assert list(site.workdir.iterdir()) == []


def test_a_job_whose_id_was_lost_is_found_by_its_name_and_gone(site: Site, tmp_path: Path) -> None:
    front = tmp_path / "front"
    front.mkdir()
    (front / "qsub").write_text(
        f'#!/bin/sh\n{site.local.bin}/qsub "$@" >/dev/null\necho "qsub: End of File" >&2\nexit 1\n'
    )
    lost = f"[ -e {front}/asked.2 ] || {{ [ -e {front}/asked.1 ] && : >{front}/asked.2; : >{front}/asked.1; exit 1; }}"
    (front / "qselect").write_text(f'#!/bin/sh\n{lost}\nexec {site.local.bin}/qselect "$@"\n')
    for name in ("qstat", "qdel"):
        (front / name).symlink_to(site.local.bin / name)
    for name in ("qsub", "qselect"):
        (front / name).chmod(0o755)
    found = site.doctor(PATH=f"{front}{os.pathsep}{site.environment['PATH']}")
    assert found["probe job"][0] == "ok"
    assert site.is_left_alone()


def test_the_file_systems_are_asked_for_that_jobs_must_ask_for(site: Site) -> None:
    seen = site.workdir.parent / "seen"
    path = site.put_in_front("qsub", f'printf "%s\\n" "$@" >\'{seen}\'; echo "qsub: Unknown resource" >&2; exit 187')
    storage = f"{site.workdir}=work,{site.library}=images,/elsewhere=not"
    site.doctor(fails=True, PATH=path, SNAKEMAKE_PBS_SINGULARITY_STORAGE=storage)
    assert "storage=images+work" in seen.read_text().splitlines()


def test_file_systems_that_make_no_sense_are_a_problem(site: Site) -> None:
    level, said, remedy = site.doctor("--no-probe", fails=True, SNAKEMAKE_PBS_SINGULARITY_STORAGE="nonsense")["storage"]
    assert level == "problem"
    assert "'nonsense' does not say which folder has which name" in said
    assert "FOLDER=NAME" in remedy


def test_it_says_what_keeps_the_job_waiting(site: Site) -> None:
    site.local.submit("sleep 100", "-l select=1:ncpus=4")
    done = site.call("--wait", "0.05", fails=True)
    assert "waits." in done.stderr


def test_a_working_directory_that_nodes_do_not_see_is_a_problem(site: Site, tmp_path: Path) -> None:
    site.hide(site.workdir)
    front = tmp_path / "front"
    front.mkdir()
    (front / "qsub").write_text(_READS_HERE.format(python=sys.executable, qsub=site.local.bin / "qsub"))
    (front / "qsub").chmod(0o755)
    for name in ("qstat", "qdel", "qselect"):
        (front / name).symlink_to(site.local.bin / name)
    inner = site.workdir / "inner"
    inner.mkdir()
    environment = {**site.environment, "PATH": f"{front}{os.pathsep}{site.environment['PATH']}"}
    done = call("--json", folder=inner, environment=environment, fails=True, command="doctor")
    found = {one["what"]: one for one in json.loads(done.stdout)}
    level, said, remedy = (found["probe job"][name] for name in ("level", "said", "remedy"))
    assert level == "problem"
    assert "ran with exit status 1, but nothing that it wrote was seen here" in said
    assert "shared file system" in remedy


def test_names_of_any_kind_are_no_trouble(site: Site) -> None:
    odd = site.workdir / 'it\'s a "folder" $HOME `x` \\ ü'
    odd.mkdir()
    library = odd / "lib\nrary"
    library.mkdir()
    shutil.copy(site.library / "tools/bare.sif", library / "a b.sif")
    environment = {**site.environment, "SNAKEMAKE_PBS_SINGULARITY_LIBRARY": str(library)}
    done = call("--json", folder=odd, environment=environment, command="doctor")
    found = {one["what"]: one for one in json.loads(done.stdout)}
    assert found["node: library"]["level"] == "ok"
    assert found["node: working directory"]["level"] == "ok"


# The container runtime


def test_a_command_that_is_only_here_is_a_problem_with_the_one_of_the_node(site: Site) -> None:
    found = site.doctor(fails=True, SNAKEMAKE_PBS_SINGULARITY_CONTAINER_COMMAND="/nowhere/singularity")
    level, said, remedy = found["node: runtime"]
    assert level == "problem"
    assert "/nowhere/singularity is not there on the node" in said
    assert "pbs-singularity-container-version" in remedy


def test_another_version_than_the_settings_say_is_warned_of(site: Site) -> None:
    found = site.doctor(SNAKEMAKE_PBS_SINGULARITY_CONTAINER_VERSION="apptainer 1.0.0")
    level, said, _ = found["node: runtime"]
    assert level == "warning"
    assert "Apptainer 1.0.0 is counted on" in said


def test_setup_that_fails_is_a_problem_with_its_words(site: Site) -> None:
    found = site.doctor(fails=True, SNAKEMAKE_PBS_SINGULARITY_NODE_SETUP=". /nowhere/modules.sh")
    level, said, _ = found["node: setup"]
    assert level == "problem"
    assert "/nowhere/modules.sh" in said


def test_an_image_that_does_not_run_is_a_problem(site: Site, tmp_path: Path) -> None:
    (tmp_path / "bad.sif").write_text("no image")
    level, said, _ = site.doctor("--image", tmp_path / "bad.sif", fails=True)["node: container"]
    assert level == "problem"
    assert "does not run there: exit status 255" in said


def test_without_any_image_none_is_run_and_that_is_said(site: Site, tmp_path: Path) -> None:
    level, said, remedy = site.doctor("--library", tmp_path / "home")["node: container"]
    assert level == "warning"
    assert "None was run" in said
    assert "--image" in remedy


# What is printed and written


def test_the_table_has_the_remedies_below_it(site: Site) -> None:
    site.local.set(max_array_size=10)
    said = site.call("--no-probe").stdout
    assert said.split()[:3] == ["CHECK", "RESULT", "SEEN"]
    assert "WARNING arrays: Arrays are cut to that by themselves." in said
    assert said.rstrip().splitlines()[-1].startswith("Workflows will run here; there are ")


def test_the_profile_is_read_by_snakemake_and_used(site: Site) -> None:
    site.local.set(queues={"workq": {}, "short": {"max_walltime": 1800}}, max_array_size=10)
    assert "Wrote profiles/default/config.yaml" in site.call("--queue", "short", "--write-profile").stderr
    text = (site.workdir / "profiles/default/config.yaml").read_text()
    assert 'pbs-singularity-queue: "short"' in text
    assert "runtime: 30" in text
    assert "latency-wait: 30 # seconds that a file may be late; seen were " in text
    rule = 'rule a:\n output: "a.txt"\n container: "tools/beta"\n shell: "echo yes > {output}"\n'
    (site.workdir / "Snakefile").write_text(rule)
    snakemake = [sys.executable, "-m", "snakemake"]
    environment = {name: value for name, value in site.environment.items() if not name.startswith("SNAKEMAKE_")}
    for options in (["--profile", "profiles/default", "--dry-run"], []):
        done = subprocess.run(
            [*snakemake, *options],
            cwd=site.workdir,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert (site.workdir / "a.txt").read_text() == "yes\n"
    assert site.local.attribute(site.jobs("-x")[-1], "queue") == "short"


def test_the_profile_has_all_that_was_set(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "account": "chem",
        "bind": str(site.library),
        "bundle": "3",
        "container_args": "--cleanenv --env 'A=b c'",
        "container_command": "apptainer",
        "container_version": "Apptainer 1.0.0",
        "frozen": "yes",
        "gpu_model_resource": "gputype",
        "leave_queues": "true",
        "library": str(site.library),
        "login_containers": "true",
        "max_array_size": "7",
        "max_running": "2",
        "never_run_minutes": "1.5",
        "node_setup": "true; : 'quoted' \"twice\" # x",
        "project": "p-1",
        "queue": "workq",
        "storage": "/nowhere/*=x/*",
        "storage_resource": "filesystems:",
        "store": str(site.workdir.parent / "store"),
    }
    variables = {f"SNAKEMAKE_PBS_SINGULARITY_{name.upper()}": value for name, value in values.items()}
    site.call("--no-probe", "--write-profile", **variables)
    monkeypatch.chdir(site.workdir)
    of_profile = find_settings({})
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (site.workdir / "profiles").rename(site.workdir.parent / "away")
    assert of_profile == find_settings({})
    assert {field.name for field in fields(of_profile)} - {*values} == {"pbs"}


def test_a_profile_that_is_there_stays_unless_forced(site: Site) -> None:
    file = site.workdir / "mine/config.yaml"
    file.parent.mkdir()
    file.write_text("jobs: 1\n")
    assert "is there already" in site.call("--no-probe", "--write-profile", "mine", fails=True).stderr
    assert file.read_text() == "jobs: 1\n"
    site.call("--no-probe", "--write-profile", "mine", "--force")
    assert "executor: pbs-singularity" in file.read_text()


def test_the_profile_takes_the_place_of_the_one_that_snakemake_reads(site: Site) -> None:
    folder = site.workdir / "profiles/default"
    folder.mkdir(parents=True)
    (folder / "profile.v9+.yaml").write_text("jobs: 1\n")
    assert "profile.v9+.yaml is there already" in site.call("--no-probe", "--write-profile", fails=True).stderr
    site.call("--no-probe", "--write-profile", "--force")
    assert [file.name for file in folder.iterdir()] == ["profile.v9+.yaml"]
    assert "executor: pbs-singularity" in (folder / "profile.v9+.yaml").read_text()


def test_help_says_what_it_does(site: Site) -> None:
    said = site.call("--help").stdout
    for words in ("--no-probe", "--write-profile", "--wait", "Ends with 0 if workflows will run"):
        assert words in said


def test_it_ends_in_a_moment_on_a_quick_site(site: Site) -> None:
    site.doctor("--no-probe")
    begun = time.monotonic()
    site.doctor()
    assert time.monotonic() - begun < 30
