"""What the exit code of a command usually means, to a person who has never seen PBS or a container."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.pbs import JobStatus, State, Usage, Verdict
from snakemake_executor_plugin_pbs_singularity.reporting.exit_codes import explain_code


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "alpha.sif"
    path.touch()
    return path


def verdict(code: int, status: JobStatus | None = None, image: Path | None = None, *log: str) -> Verdict:
    said = explain_code(code, status, image, log)
    assert said is not None
    return said


def used(code: int, used: Usage, asked: Usage, exec_host: str | None = None, run_count: int = 1) -> JobStatus:
    return JobStatus(State.FINISHED, code, used=used, asked=asked, exec_host=exec_host, run_count=run_count)


def test_0_needs_no_words() -> None:
    assert explain_code(0) is None


@pytest.mark.parametrize(
    ("code", "problem", "remedy"),
    [
        (1, "Exit code 1.", "look in the log"),
        (126, "Exit code 126: a command was found on the node, but could not be executed.", "chmod +x"),
        (127, "Exit code 127: a command was not found on the node.", "PATH"),
        (132, "Exit code 132: it used an instruction that the node's processor does not have", "pbs_select"),
        (134, "Exit code 134: it was ended by signal 6 (SIGABRT).", ""),
        (137, "Exit code 137: it was killed (signal 9), most often because memory ran out.", "mem_mb"),
        (139, "Exit code 139: it crashed (signal 11, segmentation fault).", "fault of the program"),
        (141, "Exit code 141: it wrote to a program that had ended already", "pipefail"),
        (143, "Exit code 143: it was asked to end (signal 15)", "log"),
        (152, "Exit code 152: it used more processor time than it may", "cput"),
        (153, "Exit code 153: it wrote a file larger than it may", "ulimit -f"),
        (255, "Exit code 255: what ssh and many programs say", "log"),
    ],
)
def test_usual_codes_are_explained_with_what_to_do(code: int, problem: str, remedy: str) -> None:
    said = verdict(code)
    assert said.problem.startswith(problem)
    assert remedy in said.remedy


# In a container


@pytest.mark.parametrize("code", [126, 127])
def test_a_command_that_cannot_be_run_in_a_container_is_told_with_the_image(code: int, image: Path) -> None:
    assert f"in the image {image}" in verdict(code, None, image).problem
    assert "PATH" not in verdict(code, None, image).remedy


def test_a_command_that_the_image_lacks_is_not_to_be_had_from_the_node(image: Path) -> None:
    said = verdict(127, None, image, "/usr/bin/bash: line 1: bwa: command not found")
    assert "Check its spelling, or choose an image that has it" in said.remedy


SAID = "The container command /opt/bin/apptainer is not on the node n1."


@pytest.mark.parametrize("code", [1, 127])
def test_a_node_that_could_not_be_made_ready_is_told_as_that(code: int, image: Path) -> None:
    line = "The commands of --pbs-singularity-node-setup failed with exit status 1 on the node n1: module load a"
    said = verdict(code, None, image, line)
    assert "the commands that make the node ready failed" in said.problem
    assert "--pbs-singularity-node-setup" in said.remedy


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (127, "/.singularity.d/actions/exec: 9: exec: bash: not found"),
        (127, "/.singularity.d/actions/exec: exec: line 17: bash: not found"),
        (255, "ERROR  : Failed to execvp() bash: No such file or directory"),
        (255, 'FATAL:   "bash": executable file not found in $PATH'),
    ],
)
def test_an_image_without_the_shell_is_told_as_that_by_every_runtime(code: int, line: str, image: Path) -> None:
    assert f"the image {image} lacks the shell" in verdict(code, None, image, line).problem


@pytest.mark.parametrize(
    "line", ["sh: 1: /opt/bin/apptainer: not found", "x: line 3: /opt/bin/apptainer: No such file", SAID]
)
def test_a_node_without_the_container_runtime_is_told_as_that(line: str, image: Path) -> None:
    assert "the node has no /opt/bin/apptainer" in verdict(127, None, image, line).problem


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (
            "FATAL:   While checking container encryption: could not open image /a.sif: image format not recognized",
            "image format not recognized.",
        ),
        ("ERROR  : Could not open image /a.simg: Permission denied", "Permission denied."),
        ("ERROR  : Unknown image format/type: /a.simg", "Unknown image format/type: /a.simg."),
    ],
)
def test_an_image_that_cannot_be_read_is_told_in_the_words_of_the_runtime(line: str, why: str, image: Path) -> None:
    said = verdict(255, None, image, "a line before", line, "ABORT  : Retval = 255")
    assert said.problem.startswith(f"Exit code 255: the container of the image {image} could not start: ")
    assert said.problem.endswith(why)
    assert "you may read it on the compute nodes" in said.remedy


def test_a_bind_of_what_the_node_does_not_have_is_told_as_that(image: Path) -> None:
    """In the words of Apptainer 1.4.5."""
    line = (
        "FATAL:   container creation failed: mount hook function failure: mount /no/such->/x error: while mounting "
        "/no/such: mount source /no/such doesn't exist"
    )
    said = verdict(255, None, image, line)
    assert said.problem.endswith("the node has no /no/such, which it is to see.")
    assert "--pbs-singularity-bind" in said.remedy


def test_an_image_that_is_gone_is_told_as_that(tmp_path: Path) -> None:
    said = verdict(255, None, tmp_path / "gone.sif", "FATAL:   could not open image: no such file or directory")
    assert f"its image {tmp_path / 'gone.sif'} is not there any more" in said.problem
    assert "Put it back" in said.remedy


def test_an_image_without_the_rules_shell_is_told_as_that(image: Path) -> None:
    said = verdict(255, None, image, 'FATAL:   "bash": executable file not found in $PATH')
    assert f'the image {image} lacks the shell that the rule\'s command runs in: "bash"' in said.problem
    assert 'shell_exec="sh"' in said.remedy


@pytest.mark.parametrize("line", ["ERROR: no such sample", "FATAL: 3 errors", ""])
def test_a_program_that_ends_with_255_is_not_taken_for_a_container_that_did_not_start(line: str, image: Path) -> None:
    assert "or a program in it ended with this code" in verdict(255, None, image, line).problem


# With what it used


def test_a_killed_job_is_told_with_what_it_used_and_where() -> None:
    status = used(137, Usage(walltime=5400, mem=3990), Usage(walltime=7200, mem=4000), "n1/0*4+n1/1*4+n2/0*4")
    said = verdict(137, status)
    assert said.problem.endswith(
        "It ran 1 h 30 min (of 2 h) and used 3990 MiB of memory (asked for 4000 MiB) on n1, n2."
    )
    assert said.remedy.endswith("`resources: mem_mb=8000`.")


def test_where_nothing_is_known_of_its_memory_no_value_is_made_up_from_it() -> None:
    assert verdict(137).remedy.endswith("`resources: mem_mb=4000`, or twice what it has now.")


def test_a_job_that_pbs_started_again_is_told_so() -> None:
    assert verdict(1, used(1, Usage(), Usage(), run_count=3)).problem == "Exit code 1. PBS started it 3 times."


@given(code=st.integers(1, 600), has_image=st.booleans(), log=st.lists(st.text(), max_size=5))
def test_every_code_but_0_is_explained_in_sentences(code: int, has_image: bool, log: list[str]) -> None:
    said = verdict(code, None, Path("/image.sif") if has_image else None, *log)
    assert said.problem.startswith(f"Exit code {code}")
    assert str(said).endswith(".")


@pytest.mark.parametrize("line", ["MemoryError", "sort: Cannot allocate memory", "what():  std::bad_alloc"])
def test_a_program_that_was_given_no_more_memory_is_told_what_to_ask_for(line: str) -> None:
    """TORQUE makes mem= a limit of each process (transcript torque/21-limits)."""
    said = verdict(1, used(1, Usage(), Usage(mem=100)), None, "Traceback (most recent call last):", line)
    assert said.problem.startswith("Exit code 1: its log says that it was given no more memory.")
    assert "mem_mb=200" in said.remedy


class Closed(type(Path())):  # type: ignore[misc]
    """A file in a folder that the user may not enter."""

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_an_image_that_cannot_be_looked_at_is_not_said_to_be_gone(tmp_path: Path) -> None:
    verdict = explain_code(255, image=Closed(tmp_path / "a.sif"))
    assert verdict is not None
    assert "could not start" in verdict.problem
    assert "not there any more" not in verdict.problem
