"""What the probe script prints, in several shells, and what is read of it."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.commands.doctor import probe
from snakemake_executor_plugin_pbs_singularity.commands.doctor.facts import Folder, NodeFacts, parse_facts, parse_time
from snakemake_executor_plugin_pbs_singularity.commands.doctor.latency import Round, measure
from snakemake_executor_plugin_pbs_singularity.commands.doctor.meeting import Meeting, make_meeting
from snakemake_executor_plugin_pbs_singularity.commands.doctor.node_findings import (
    judge_latency,
    judge_memory,
    latency_wait,
)
from snakemake_executor_plugin_pbs_singularity.commands.doctor.probe import Questions
from snakemake_executor_plugin_pbs_singularity.commands.doctor.runtime_findings import judge_container

SHELLS = [
    words
    for words in (["dash"], ["bash", "--posix"], ["busybox", "sh"], ["ksh"], ["mksh"])
    if shutil.which(words[0]) is not None
]


def run_script(
    shell: list[str], meeting: Meeting, questions: Questions, *, answer: bool = True, path: str = "/usr/bin:/bin"
) -> NodeFacts:
    """Run the job script as a node would that has this PATH, with this process answering it."""
    meeting.script.write_text(probe._script(questions, meeting), errors="surrogateescape")
    with meeting.output.open("w") as output:
        process = subprocess.Popen(
            [*shell, str(meeting.script)],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={"PATH": path, "PBS_JOBID": "1.vm", "SHELL": "/bin/tcsh"},
            cwd="/",
        )
        while process.poll() is None:
            if answer:
                meeting.look()
            time.sleep(0.02)
    return meeting.facts()


def fake_runtime(folder: Path, says: str, *, runs: bool = True) -> Path:
    """Make a command that stands for a runtime: what counts here is how the script asks it."""
    command = folder / "singularity"
    command.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo "{says}" && exit\n{"echo container-runs" if runs else "exit 255"}\n'
    )
    command.chmod(0o755)
    return command


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_every_posix_shell_tells_the_same(shell: list[str], tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library/a.sif").touch()
    image = tmp_path / "it's $HOME.sif"
    image.touch()
    command = fake_runtime(tmp_path, "2.6.1-dist")
    workdir = tmp_path / 'a `b` "c"\nd'
    workdir.mkdir()
    with make_meeting(workdir) as meeting:
        questions = Questions(
            workdir=workdir,
            environment={"PATH": f"{tmp_path}:/usr/bin:/bin", "LANG": "it's"},
            setup="export SEEN=yes; echo noise",
            commands=("/nowhere/apptainer", "singularity"),
            folders={"library1": tmp_path / "library", "store": tmp_path / "gone"},
            image=image,
            container='container_runtime exec "$SEEN"',
            python=Path("/bin/sh"),
        )
        facts = run_script(shell, meeting, questions)
        rounds = meeting.rounds(facts)
    assert facts.ended
    assert facts.host
    assert (facts.workdir_there, facts.folder_seen, facts.written) == (True, True, True)
    assert facts.folders == (Folder("library1", "there"), Folder("store", "missing"))
    assert (facts.image_there, facts.python_there) == (True, True)
    assert (facts.jobid, facts.shell, facts.nodefile) == ("1.vm", "/bin/tcsh", False)
    assert (facts.runtime, facts.runtime_status, facts.runtime_said) == (str(command), 0, "2.6.1-dist")
    assert (facts.setup_status, facts.container_status, facts.container_said) == (0, 0, "container-runs")
    assert facts.ncpus
    assert facts.memory
    assert len(rounds) == 3
    assert not list(workdir.iterdir())  # nothing is left


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_setup_that_ends_the_shell_ends_nothing_else(shell: list[str], tmp_path: Path) -> None:
    with make_meeting(tmp_path) as meeting:
        questions = Questions(tmp_path, {}, setup="echo first; . /nowhere; true", commands=("apptainer-is-not-here",))
        facts = run_script(shell, meeting, questions)
    assert facts.ended
    assert facts.setup_status
    assert "/nowhere" in facts.setup_said
    assert facts.runtime == ""


def test_a_runtime_on_the_path_of_the_node_is_found_as_by_tasks(tmp_path: Path) -> None:
    command = fake_runtime(tmp_path, "2.6.1-dist")
    with make_meeting(tmp_path) as meeting:
        environment = {"PATH": "/usr/bin:/bin"}
        questions = Questions(tmp_path, environment, None, ("singularity",), container="container_runtime")
        facts = run_script(["dash"], meeting, questions, path=f"{tmp_path}:/usr/bin:/bin")
    assert facts.runtime == str(command)
    assert facts.container_said == "container-runs"


def test_setup_has_module_as_tasks_do(tmp_path: Path) -> None:
    init = tmp_path / "init"
    init.mkdir()
    (init / "sh").write_text("module() { PATH=/loaded; export PATH; }\n")
    with make_meeting(tmp_path) as meeting:
        environment = {"MODULESHOME": str(tmp_path)}
        questions = Questions(tmp_path, environment, "module load singularity && [ $PATH = /loaded ]", ("apptainer",))
        assert run_script(["dash"], meeting, questions).setup_status == 0


def test_where_the_folder_is_not_there_all_is_printed(tmp_path: Path) -> None:
    with make_meeting(tmp_path) as meeting:
        questions = Questions(tmp_path / "elsewhere", {}, None, ("apptainer",))
        meeting.token = "another"  # what the node sees is not what was written here
        facts = run_script(["dash"], meeting, questions)
    assert facts.ended
    assert facts.host
    assert (facts.workdir_there, facts.folder_seen, facts.written) == (False, False, False)


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    assert isinstance(parse_facts(text), NodeFacts)


@given(st.text(alphabet=st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp")), max_size=40))
def test_what_a_node_says_is_read_as_it_was_said(value: str) -> None:
    assert parse_facts(f"login banner\nhost={value}\nended=1\n").host == value.strip()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1764068516.25", 1764068516.25), ("1764068516.N", 1764068516.0), ("1764068516.%N", 1764068516.0), ("", None)],
)
def test_the_times_of_old_date_commands_are_read(text: str, seconds: float | None) -> None:
    assert parse_time(text) == seconds


_WAY = st.floats(0.01, 60)


@given(st.floats(-1e4, 1e4), st.lists(st.tuples(_WAY, _WAY), min_size=1, max_size=4))
def test_the_difference_of_the_clocks_is_within_what_is_told(ahead: float, ways: list[tuple[float, float]]) -> None:
    rounds = []
    now = 1_700_000_000.123
    for to_here, to_node in ways:
        seen = now + to_here
        rounds.append(Round(now + ahead, seen, seen + 0.001, seen + 0.001 + to_node + ahead))
        now = seen + to_node + 1.0
    latency = measure(rounds)
    assert latency is not None
    assert abs(latency.ahead - ahead) <= latency.error + 1e-3
    assert latency.to_here >= 0 <= latency.to_node


def test_without_a_difference_of_clocks_both_ways_are_told_apart() -> None:
    latency = measure([Round(100.1, 100.3, 100.3, 105.3)])
    assert latency is not None
    assert not latency.clocks_differ
    assert latency.to_here == pytest.approx(0.2)
    assert latency.to_node == pytest.approx(5.0)
    assert latency_wait(latency) == 50


def test_a_clock_that_is_wrong_is_warned_of() -> None:
    latency = measure([Round(400.1, 100.2, 100.2, 400.3)])
    findings = judge_latency(latency, NodeFacts(written=True))
    assert [finding.level.value for finding in findings] == ["ok", "warning"]
    assert "300.00 s ahead of this machine's" in findings[1].said


def test_files_that_are_never_seen_on_the_node_are_warned_of() -> None:
    (finding,) = judge_latency(None, NodeFacts(written=True))
    assert finding.level.value == "warning"
    assert latency_wait(None) == 120


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (NodeFacts(memory=64_000_000, cgroup_memory=1000 * 1024**2), "kept to 1,000 MiB by its cgroup"),
        (NodeFacts(memory=64_000_000, limit_d=1_024_000), "kept to 1,000 MiB by ulimit"),
        (NodeFacts(memory=64_000_000, cgroup_memory=2**60), "is not known"),
    ],
)
def test_what_keeps_a_job_to_its_memory_is_told(facts: NodeFacts, words: str) -> None:
    assert words in judge_memory(facts, 1000).said


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (NodeFacts(container_status=0, container_said="container-runs"), "ok", "runs there"),
        (
            NodeFacts(
                container_status=0, container_said="INFO: Converting SIF file to temporary sandbox... container-runs"
            ),
            "warning",
            "unpacked for it each time",
        ),
        (NodeFacts(container_status=255, container_said="FATAL: no"), "problem", "exit status 255, FATAL: no"),
        (NodeFacts(user_namespaces=0), "problem", "user namespaces off"),
        (NodeFacts(user_namespaces=0, setuid=True), "warning", "with a setuid starter"),
        (NodeFacts(image_there=False), "problem", "is not seen from the node"),
    ],
)
def test_what_speaks_for_containers_and_against_is_told(facts: NodeFacts, level: str, words: str) -> None:
    finding = judge_container(facts, Path("/a.sif"), "there is none")
    assert finding.level.value == level
    assert words in finding.said.replace("With a", "with a")
