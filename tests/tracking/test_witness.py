"""Law 3: not knowing is not failing, and unknown is never success."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from images.made import as_somebody

from snakemake_executor_plugin_pbs_singularity.pbs import Cause, JobStatus, State
from snakemake_executor_plugin_pbs_singularity.tracking.witness import (
    LATEST,
    ExitRecord,
    Over,
    judge,
    parse_record,
    patience,
    put_away,
    read_record,
    read_records,
    was_untouched,
)

WELL = ExitRecord(0, "node1", "7.server")
BADLY = ExitRecord(3, "node1", "7.server")
GRACE = 5.0

RUNNING = JobStatus(State.RUNNING)
DONE = JobStatus(State.FINISHED, 0)
FAILED = JobStatus(State.FINISHED, 3)
OVERDUE = JobStatus(State.FINISHED, -29, Cause.WALLTIME)
"""Killed for its walltime (transcript openpbs/09b)."""
DELETED = JobStatus(State.FINISHED, 271, Cause.DELETED)
"""Deleted while it ran (transcript openpbs/08c)."""
DELETED_EARLY = JobStatus(State.FINISHED, 0, Cause.DELETED)
DELETED_IN_QUEUE = JobStatus(State.FINISHED, None, Cause.DELETED_WAITING)
DELETED_SUBJOB = JobStatus(State.FINISHED, 143, Cause.DELETED)
"""A subjob has the status of its shell (transcript openpbs/08n)."""
BY_FORCE = JobStatus(State.FINISHED, 265, Cause.KILLED)
UNKNOWN = JobStatus(State.UNKNOWN)
BY_PBS = [OVERDUE, DELETED, DELETED_EARLY, DELETED_IN_QUEUE]

records = st.none() | st.builds(ExitRecord, st.integers(0, 255), st.just("node1"))
statuses = st.none() | st.builds(
    JobStatus,
    state=st.sampled_from(State),
    exit_status=st.none() | st.integers(-30, 300),
    cause=st.none() | st.sampled_from(Cause),
    run_count=st.integers(0, 2),
    is_array=st.booleans(),
)
seconds = st.floats(0, 1e6)


def outcome(record: ExitRecord | None, status: JobStatus | None, seconds_over: float) -> Over | None:
    """Decide as the executor does: by the record if there is one."""
    return judge(status, seconds_over, GRACE) if record is None else Over(record, status)


@pytest.mark.parametrize(
    ("record", "status", "seconds_over", "expected"),
    [
        # Nobody knows yet.
        (None, None, 0, "goes on"),
        (None, None, 1e6, "goes on"),
        (None, RUNNING, 1e6, "goes on"),
        (None, JobStatus(State.HELD), 1e6, "goes on"),
        (None, JobStatus(State.MOVED), 1e6, "goes on"),
        (None, JobStatus(State.OVER_ELSEWHERE), 29, "goes on"),
        (None, JobStatus(State.OVER_ELSEWHERE), 30, "failed"),
        # The record is late, or never comes.
        (None, DONE, LATEST - 0.1, "goes on"),
        (None, DONE, LATEST, "failed"),
        (None, FAILED, 4.9, "goes on"),
        (None, FAILED, 5, "failed"),
        (None, UNKNOWN, LATEST - 0.1, "goes on"),
        (None, UNKNOWN, LATEST, "failed"),
        # Whom PBS ended writes none.
        *((None, status, 0, "failed") for status in BY_PBS),
        # The record is there.
        (WELL, None, 0, "succeeded"),
        (WELL, RUNNING, 0, "succeeded"),
        (WELL, DONE, 0, "succeeded"),
        (WELL, UNKNOWN, 0, "succeeded"),
        (BADLY, None, 0, "failed"),
        (BADLY, RUNNING, 0, "failed"),
        (BADLY, FAILED, 0, "failed"),
        # PBS killed what says that it ended well.
        *((WELL, status, 0, "failed") for status in BY_PBS),
    ],
)
def test_two_witnesses_and_a_grace_time_make_one_outcome(
    record: ExitRecord | None, status: JobStatus | None, seconds_over: float, expected: str
) -> None:
    over = outcome(record, status, seconds_over)
    assert ("goes on" if over is None else "succeeded" if over.succeeded else "failed") == expected


@given(status=statuses, seconds_over=seconds, grace=seconds, bundled=st.booleans())
def test_without_a_record_nothing_ever_succeeds(
    status: JobStatus | None, seconds_over: float, grace: float, bundled: bool
) -> None:
    over = judge(status, seconds_over, grace, bundled=bundled)
    assert over is None or not over.succeeded


@given(status=statuses, seconds_over=seconds, grace=seconds, bundled=st.booleans())
def test_without_a_record_only_what_pbs_says_is_over_can_fail(
    status: JobStatus | None, seconds_over: float, grace: float, bundled: bool
) -> None:
    over = judge(status, seconds_over, grace, bundled=bundled)
    assert over is None or (status is not None and status.is_over)


@given(status=statuses, seconds_over=seconds, grace=seconds)
def test_the_grace_time_is_kept_unless_pbs_ended_the_job(
    status: JobStatus | None, seconds_over: float, grace: float
) -> None:
    if judge(status, seconds_over, grace) is not None:
        assert status is not None
        assert status.ended_by_pbs or seconds_over >= grace


@given(record=records, status=statuses)
def test_success_needs_a_record_of_zero_and_no_word_of_pbs_against_it(
    record: ExitRecord | None, status: JobStatus | None
) -> None:
    well = record is not None and record.exit_status == 0 and not (status is not None and status.ended_by_pbs)
    assert Over(record, status).succeeded is well


@given(status=statuses, earlier=seconds, later=seconds, bundled=st.booleans())
def test_what_is_over_stays_over(status: JobStatus | None, earlier: float, later: float, bundled: bool) -> None:
    earlier, later = sorted((earlier, later))
    if judge(status, earlier, GRACE, bundled=bundled) is not None:
        assert judge(status, later, GRACE, bundled=bundled) is not None


@given(status=statuses.filter(lambda status: status is not None), grace=seconds)
def test_a_record_has_the_grace_time_at_least_and_longer_where_nothing_else_speaks_of_failure(
    status: JobStatus, grace: float
) -> None:
    well = status.succeeded or status.state in (State.UNKNOWN, State.OVER_ELSEWHERE)
    assert patience(status, grace) == (max(grace, LATEST) if well else grace)


# Bundles


@pytest.mark.parametrize("status", [*BY_PBS, DONE, FAILED, UNKNOWN])
def test_a_bundle_that_pbs_ended_has_a_while_for_its_records_too(status: JobStatus) -> None:
    awaited = patience(status, GRACE)
    assert judge(status, awaited - 0.1, GRACE, bundled=True) is None
    assert judge(status, awaited, GRACE, bundled=True) == Over(None, status)


@given(status=statuses, seconds_over=seconds, grace=seconds)
def test_the_grace_time_is_always_kept_for_a_bundle(
    status: JobStatus | None, seconds_over: float, grace: float
) -> None:
    """A record of a task that ended before PBS killed the bundle may be late."""
    over = judge(status, seconds_over, grace, bundled=True)
    if status is not None and status.is_over and seconds_over >= patience(status, grace):
        assert over == Over(None, status)
    else:
        assert over is None


@pytest.mark.parametrize("cause", [Cause.WALLTIME, Cause.MEMORY, Cause.CORES, Cause.FAULT])
def test_of_a_bundle_that_pbs_ended_the_first_without_a_record_was_running_and_the_others_untouched(
    cause: Cause,
) -> None:
    over = Over(None, JobStatus(State.FINISHED, -1, cause))
    assert [was_untouched(over, token, ["b", "c", "d"]) for token in ("b", "c", "d")] == [False, True, True]


@pytest.mark.parametrize("status", [DELETED, DELETED_IN_QUEUE, DELETED_EARLY, DELETED_SUBJOB, BY_FORCE])
def test_what_somebody_deleted_is_not_submitted_again(status: JobStatus) -> None:
    assert not was_untouched(Over(None, status), "c", ["b", "c"])


@pytest.mark.parametrize("status", [DONE, FAILED, UNKNOWN, None])
def test_where_pbs_did_not_end_a_bundle_nobody_knows_what_ran(status: JobStatus | None) -> None:
    assert not was_untouched(Over(None, status), "c", ["b", "c"])


@given(record=st.builds(ExitRecord, st.integers(0, 255), st.just("node1")), status=statuses)
def test_what_has_a_record_is_never_submitted_again(record: ExitRecord, status: JobStatus | None) -> None:
    assert not was_untouched(Over(record, status), "c", ["b", "c"])


@given(
    status=statuses,
    unended=st.lists(st.sampled_from("abcdef"), min_size=1, unique=True),
)
def test_each_time_that_a_bundle_is_ended_at_least_one_of_its_tasks_is_reported(
    status: JobStatus | None, unended: list[str]
) -> None:
    """So that what kills its node is not submitted again for ever."""
    over = Over(None, status)
    assert not all(was_untouched(over, token, unended) for token in unended)


# Records


def all_records(folder: Path) -> dict[str, ExitRecord]:
    return dict(read_records(folder, lambda token: True))


def write_record(folder: Path, token: str, exit_status: int = 0) -> Path:
    path = folder / token
    path.write_text(f"exit_status={exit_status}\nstarted=1\nended=2\nhost=node1\npbs_jobid=7.server\n")
    return path


def test_records_are_given_by_token_and_stay(tmp_path: Path) -> None:
    write_record(tmp_path, "a", 0)
    write_record(tmp_path, "b", 3)
    for _ in range(2):
        assert all_records(tmp_path) == {"a": WELL, "b": BADLY}


def test_only_what_is_wanted_is_given(tmp_path: Path) -> None:
    write_record(tmp_path, "a")
    write_record(tmp_path, "b")
    assert dict(read_records(tmp_path, ["b", "c"].__contains__)) == {"b": WELL}


def test_records_that_are_put_away_are_looked_at_no_more_and_are_whole_elsewhere(tmp_path: Path) -> None:
    records, ended = tmp_path / "records", tmp_path / "ended"
    for folder in (records, ended):
        folder.mkdir()
    for token in "abc":
        write_record(records, token)
    put_away(["a", "vanished", "c"], records, ended)
    assert all_records(records) == {"b": WELL}
    assert all_records(ended) == {"a": WELL, "c": WELL}


def test_a_record_that_cannot_be_put_away_now_stays(tmp_path: Path) -> None:
    write_record(tmp_path, "a")
    put_away(["a"], tmp_path, tmp_path / "away")
    assert all_records(tmp_path) == {"a": WELL}


def test_a_record_can_be_asked_for_by_its_name(tmp_path: Path) -> None:
    """A network file system may list a folder as it was a while ago."""
    assert read_record(write_record(tmp_path, "a", 3)) == BADLY
    assert read_record(tmp_path / "b") is None
    assert read_record(tmp_path) is None


def test_what_is_being_written_is_left_alone(tmp_path: Path) -> None:
    part = write_record(tmp_path, "a.part")
    assert all_records(tmp_path) == {}
    assert part.exists()


@pytest.mark.parametrize(
    "text",
    [b"", b"\0\xff", b"exit_status=0\n", b"exit_status=\nhost=node1\n", b"host=node1\n", b"exit_status=x\nhost=n\n"],
)
def test_garbage_is_no_record(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(text)
    write_record(tmp_path, "good")
    assert all_records(tmp_path) == {"good": WELL}


def test_a_record_that_vanishes_keeps_nobody_from_reading_the_others(tmp_path: Path) -> None:
    for name in ("a", "z"):
        (tmp_path / name).symlink_to("vanished")
    write_record(tmp_path, "good")
    assert all_records(tmp_path) == {"good": WELL}


def test_a_record_that_cannot_be_read_is_read_when_it_can() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        late = write_record(folder, "late")
        late.chmod(0o000)
        with as_somebody():
            assert all_records(folder) == {}
        late.chmod(0o600)
        assert all_records(folder) == {"late": WELL}


def test_a_folder_among_the_records_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    write_record(tmp_path, "good")
    assert all_records(tmp_path) == {"good": WELL}


def test_records_that_are_out_of_reach_say_nothing_of_any_job(tmp_path: Path) -> None:
    assert all_records(tmp_path / "away") == {}


@given(st.text())
def test_any_text_is_a_record_or_is_not(text: str) -> None:
    assert parse_record(text) is None or "exit_status" in text


@given(exit_status=st.integers(0, 255), host=st.text(st.characters(categories=["L", "N", "P"]), min_size=1))
def test_a_whole_record_is_read(exit_status: int, host: str) -> None:
    text = f"exit_status={exit_status}\nstarted=1\nended=2\nhost={host}\npbs_jobid=\n"
    assert parse_record(text) == ExitRecord(exit_status, host)


@given(st.integers(0, 30))
def test_a_record_cut_short_never_says_more_than_the_whole(length: int) -> None:
    whole = "exit_status=127\nstarted=1\nended=2\nhost=node1\n"
    record = parse_record(whole[: len(whole) - length])
    assert record is None or record.exit_status == 127
