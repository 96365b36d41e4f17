"""What a person reads of a failed task."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from images.made import as_somebody

from snakemake_executor_plugin_pbs_singularity.pbs import Cause, JobStatus, State, Usage, Verdict
from snakemake_executor_plugin_pbs_singularity.reporting.failure import (
    TAIL_LINES,
    explain,
    failure_message,
    last_lines,
)
from snakemake_executor_plugin_pbs_singularity.tracking.witness import ExitRecord, Over


def said(exit_status: int | None, status: JobStatus | None, **facts: object) -> str:
    record = None if exit_status is None else ExitRecord(exit_status, "node1")
    return str(explain(Over(record, status), grace=5, **facts))  # type: ignore[arg-type]


def finished(exit_status: int | None, **facts: object) -> JobStatus:
    return JobStatus(State.FINISHED, exit_status, **facts)  # type: ignore[arg-type]


LOST = "Its exit record did not appear within 5 seconds"


# Verdicts


@pytest.mark.parametrize(
    "status", [None, JobStatus(State.UNKNOWN), JobStatus(State.RUNNING), JobStatus(State.MOVED), finished(127)]
)
def test_the_records_exit_code_is_explained_whatever_pbs_knows(status: JobStatus | None) -> None:
    text = said(127, status)
    assert text.startswith("Exit code 127: a command was not found on the node.")


def test_what_the_job_used_is_told_if_pbs_knows_it() -> None:
    assert "used 900 MiB of memory (asked for 500 MiB)" in said(
        137, finished(137, used=Usage(walltime=3, mem=900), asked=Usage(mem=500))
    )


@pytest.mark.parametrize("record", [None, 0, 1, 143])
def test_a_limit_of_pbs_is_the_reason_whatever_the_record_says(record: int | None) -> None:
    text = said(record, finished(-29, cause=Cause.WALLTIME, used=Usage(walltime=61), asked=Usage(walltime=60)))
    assert text.startswith("Killed by PBS: it ran 61 s, more than its walltime of 60 s.")
    assert LOST not in text


@pytest.mark.parametrize(
    "status",
    [finished(code, cause=Cause.DELETED) for code in (271, 0, 143)] + [finished(None, cause=Cause.DELETED_WAITING)],
)
def test_a_deleted_job_was_deleted_and_its_record_is_not_missed(status: JobStatus) -> None:
    text = said(None, status)
    assert text.startswith("It was deleted")
    assert LOST not in text


def test_a_job_that_ended_by_itself_without_a_record_is_told_as_that() -> None:
    assert said(None, finished(0)).startswith(f"PBS says that it ended well. {LOST}")
    assert "disk is not full" in said(None, finished(0))
    assert said(None, finished(2)).startswith("Exit code 2.")
    assert LOST in said(None, finished(2))


def test_a_job_that_pbs_does_not_know_any_more_is_told_as_that() -> None:
    text = said(None, JobStatus(State.UNKNOWN))
    assert text.startswith("PBS no longer knows this job")
    assert LOST in text


statuses = st.none() | st.builds(
    JobStatus,
    state=st.sampled_from([State.FINISHED, State.UNKNOWN, State.RUNNING]),
    exit_status=st.none() | st.integers(-30, 300),
    cause=st.none() | st.sampled_from(Cause),
)


@given(record=st.none() | st.builds(ExitRecord, st.integers(0, 255), st.just("node1")), status=statuses)
def test_every_failure_has_words(record: ExitRecord | None, status: JobStatus | None) -> None:
    verdict = explain(Over(record, status), grace=5)
    assert verdict.problem.endswith(".")
    assert verdict.problem[0].isupper()


def test_what_the_container_runtime_wrote_into_the_log_is_the_reason(tmp_path: Path) -> None:
    image, log = tmp_path / "image.sif", tmp_path / "log"
    image.write_text("no image")
    log.write_text(f"FATAL:   could not open image {image}: image format not recognized\n")
    for record, status in ((255, None), (None, finished(255))):
        text = said(record, status, image=image, log=log)
        assert f"the container of the image {image} could not start" in text
        assert "image format not recognized" in text


def test_of_a_job_that_was_given_up_it_is_told_why_and_not_that_it_was_deleted() -> None:
    why = Verdict("It can never run.", "Ask for less.")
    assert said(None, finished(None), refused=why) == "It can never run. Ask for less."
    assert said(3, finished(3), refused=why).startswith("Exit code 3.")


@given(code=st.integers(1, 255), status=statuses)
def test_a_code_that_is_known_is_never_said_to_be_unknown(code: int, status: JobStatus | None) -> None:
    assert "not known" not in said(code, status)


# Logs


def test_the_message_shows_the_last_lines_of_every_log(tmp_path: Path) -> None:
    first, empty, second = (tmp_path / name for name in ("first", "empty", "second"))
    first.write_text("one\ntwo\n")
    empty.touch()
    second.write_text("three")
    message = failure_message(Verdict("It failed.", "Mend it."), [first, empty, tmp_path / "missing", second])
    assert message == (
        f"It failed. Mend it.\nLast lines of {first}:\n    one\n    two\nLast lines of {second}:\n    three"
    )


def test_only_the_last_lines_are_shown(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(10_000)))
    assert last_lines(log) == [f"line {number}" for number in range(10_000 - TAIL_LINES, 10_000)]
    assert last_lines(log, most=1) == ["line 9999"]


def test_of_one_endless_line_its_end_is_shown(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("x" * 100_000 + " the end")
    (line,) = last_lines(log)
    assert line.endswith(" the end")
    assert len(line) < 20_000


def test_a_progress_bar_is_many_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("\r".join(f"{percent}%" for percent in range(101)))
    assert last_lines(log)[-2:] == ["99%", "100%"]


@given(content=st.binary(max_size=200))
def test_no_log_upsets_a_terminal(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    log = tmp_path_factory.getbasetemp() / "binary.log"
    log.write_bytes(content)
    assert not any((ord(c) < 32 and c != "\t") or 0x7F <= ord(c) < 0xA0 for line in last_lines(log) for c in line)


@given(text=st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=100))
def test_the_text_of_any_language_is_shown_as_it_is(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    log = tmp_path_factory.getbasetemp() / "text.log"
    log.write_text(text)
    assert "".join(last_lines(log)) == text


def test_of_a_runtime_that_crashes_for_lack_of_memory_the_cause_is_shown_and_explained(
    library: Path, container_environment: dict[str, str], is_version_2: bool, tmp_path: Path
) -> None:
    if is_version_2:
        pytest.skip("Singularity 2 needs hardly any memory")
    log = tmp_path / "log"
    command = 'ulimit -d 51200; exec apptainer exec "$0" true'  # KiB, as TORQUE does it
    with log.open("w") as output:
        output.write("before\n")
        output.flush()
        done = subprocess.run(
            ["sh", "-c", command, library / "tools/beta.sif"],
            env=container_environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=60,
        )
    assert len(log.read_text().splitlines()) > TAIL_LINES
    first, cause = last_lines(log)
    assert first == "before"
    assert "out of memory" in cause
    assert "it was given no more memory" in said(done.returncode, None, image=library / "tools/beta.sif", log=log)


def test_a_thread_that_cannot_be_had_is_a_lack_of_memory(tmp_path: Path) -> None:
    """What Apptainer 1.4.5 prints within a TORQUE's mem=100mb."""
    log = tmp_path / "log"
    said_by_go = "runtime/cgo: pthread_create failed: Resource temporarily unavailable\nSIGABRT: abort\n"
    registers = "".join(f"r{number}     0x0\n" for number in range(16))
    log.write_text(
        f"{said_by_go}PC=0x7ff526ec9d0c m=0 sigcode=18446744073709551610\n\ngoroutine 0 [idle]:\n{registers}"
    )
    assert last_lines(log) == said_by_go.splitlines()
    assert "it was given no more memory" in said(2, None, log=log)


def test_where_a_program_fails_by_itself_its_stack_is_shown(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("panic: no input\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:3 +0x1d\nexit status 2\n")
    assert last_lines(log) == log.read_text().splitlines()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user reaches, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_that_nothing_was_written_is_told_with_where_it_would_be(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.touch()
    assert failure_message(Verdict("It failed."), [first, second]) == (
        f"It failed.\nNothing was written to {first} or {second}."
    )
    second.write_text("killed")
    assert failure_message(Verdict("It failed."), [first, second]) == (
        f"It failed.\nNothing was written to {first}.\nLast lines of {second}:\n    killed"
    )
    assert "Nothing" not in failure_message(Verdict("It failed."), [second, first])


@pytest.mark.parametrize("kind", ["missing", "a folder", "closed", "below a file"])
def test_a_log_that_cannot_be_read_does_not_hide_the_reason(kind: str, open_folder: Path) -> None:
    log = open_folder / "log"
    if kind == "a folder":
        log.mkdir()
    elif kind == "closed":
        log.write_text("secret")
        log.chmod(0)
    elif kind == "below a file":
        log.write_text("")
        log = log / "log"
    with as_somebody():
        assert failure_message(Verdict("It failed."), [log]) == f"It failed.\nNothing was written to {log}."


def test_colours_of_a_log_are_left_out(tmp_path: Path) -> None:
    """Singularity 2.6.1 writes its errors so (transcript singularity-2.6.1/04)."""
    log = tmp_path / "log"
    log.write_text("\x1b[91mERROR  : Image path /a doesn't exist\n\x1b[0m\x1b[31mABORT  : Retval = 255\n\x1b(B\x1b[m")
    assert last_lines(log) == ["ERROR  : Image path /a doesn't exist", "ABORT  : Retval = 255"]
