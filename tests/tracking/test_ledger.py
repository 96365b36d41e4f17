"""The ledger: what was entered is there, whatever happened to the process that wrote it."""

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.tracking.ledger import (
    KEPT_DAYS,
    Ledger,
    LedgerBatch,
    LedgerTask,
    open_ledger,
    read_ledger,
)


def batch(token: str, *tasks: str, at: float | None = None) -> LedgerBatch:
    """Give a batch of tasks, each a subjob of its own."""
    entered = {
        name: LedgerTask(name, index, f"job {name}", "work", "request", f"rule {name}", f"/logs/{name}")
        for index, name in enumerate(tasks)
    }
    return LedgerBatch(token, f"name-{token}", "run", time.time() if at is None else at, len(tasks), entered)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return open_ledger(tmp_path / "ledger", tmp_path)


def test_what_was_entered_is_read_by_the_next_run(ledger: Ledger, tmp_path: Path) -> None:
    ledger.intend(batch("one", "a", "b", "c"))
    ledger.submitted("one", "12[].server")
    ledger.ended({"a": 0, "b": None})
    ledger.deleted(["c"])
    for found in (open_ledger(tmp_path / "ledger", tmp_path).before["one"], ledger.read()["one"]):
        assert found.id == "12[].server"
        assert found.ended == {"a": 0, "b": None}
        assert found.deleted == {"c"}
        assert [task.label for task in found.live] == ["rule c"]


def test_a_batch_whose_id_was_not_entered_is_known_by_its_name(ledger: Ledger) -> None:
    ledger.intend(batch("one", "a"))
    assert (ledger.read()["one"].id, ledger.read()["one"].name) == (None, "name-one")


def test_what_pbs_never_got_is_forgotten(ledger: Ledger) -> None:
    ledger.intend(batch("one", "a"))
    ledger.withdrawn("one")
    assert ledger.read() == {}


def test_a_line_that_was_cut_off_spoils_no_other(ledger: Ledger, tmp_path: Path) -> None:
    ledger.intend(batch("one", "a"))
    with (tmp_path / "ledger").open("a") as file:
        file.write('{"batch": "one", "id": "12.ser')
    ledger.intend(batch("two", "b"))
    assert {token: found.id for token, found in ledger.read().items()} == {"one": None, "two": None}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cut=st.integers(min_value=0))
def test_a_ledger_that_ends_anywhere_says_what_had_been_entered_by_then(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "whole"
    path.unlink(missing_ok=True)
    whole = open_ledger(path, tmp_path)
    lengths = [path.stat().st_size]
    for enter in (
        lambda: whole.intend(batch("one", "a", "b")),
        lambda: whole.submitted("one", "12[].server"),
        lambda: whole.ended({"a": 0}),
        lambda: whole.ended({"b": 3}),
    ):
        enter()
        lengths.append(path.stat().st_size)
    cut %= lengths[-1] + 1
    part = tmp_path / "part"
    part.write_bytes(path.read_bytes()[:cut])
    entered = sum(length - 1 <= cut for length in lengths[1:])  # the newline is not needed
    found = read_ledger(part).get("one")
    assert (found is not None) == (entered >= 1)
    if found is not None:
        assert found.id == ("12[].server" if entered >= 2 else None)
        assert found.ended == dict([("a", 0), ("b", 3)][: max(0, entered - 2)])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(junk=st.binary(max_size=200))
def test_no_junk_keeps_a_ledger_from_being_read(junk: bytes, tmp_path: Path) -> None:
    path = tmp_path / "junk"
    path.write_bytes(junk)
    read_ledger(path)


def test_the_ledger_of_a_directory_that_was_copied_is_put_aside(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    open_ledger(here / "ledger", here).intend(batch("one", "a"))
    (there / "ledger").write_bytes((here / "ledger").read_bytes())
    assert open_ledger(there / "ledger", there).before == {}
    assert "one" in read_ledger(there / "ledger.of-another-directory")
    assert "one" in open_ledger(here / "ledger", here).before


def test_what_ended_long_ago_is_left_out_and_what_has_not_ended_never(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    ledger = open_ledger(path, tmp_path)
    long_ago = time.time() - (KEPT_DAYS + 1) * 86400
    for token, at in (("old", long_ago), ("old-but-live", long_ago), ("new", time.time())):
        ledger.intend(batch(token, f"task of {token}", at=at))
        if token != "old-but-live":
            ledger.ended({f"task of {token}": 0})
    assert set(open_ledger(path, tmp_path).before) == {"old-but-live", "new"}
    assert set(read_ledger(path)) == {"old-but-live", "new"}


def test_there_need_be_no_ledger(tmp_path: Path) -> None:
    assert read_ledger(tmp_path / "ledger") == {}


def test_only_the_user_can_read_it(ledger: Ledger, tmp_path: Path) -> None:
    ledger.intend(batch("one", "a"))
    assert (tmp_path / "ledger").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="space"):
        Ledger(Path("/dev/full"), {}).submitted("one", "12.server")


entries = st.lists(
    st.one_of(
        st.tuples(st.just("intend"), st.integers(0, 3)),
        st.tuples(st.just("submitted"), st.integers(0, 3)),
        st.tuples(st.just("withdrawn"), st.integers(0, 3)),
        st.tuples(st.just("ended"), st.integers(0, 8), st.sampled_from([0, 3, None])),
        st.tuples(st.just("deleted"), st.integers(0, 8)),
        st.tuples(st.just("a new run")),
        st.tuples(st.just("a torn line")),
    )
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(entered=entries)
def test_whatever_is_entered_in_whatever_order_the_ledger_says_it(
    entered: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    """Two tasks for each batch; entries on what is not there say nothing."""
    path = tmp_path / "any"
    path.unlink(missing_ok=True)
    ledger = open_ledger(path, tmp_path)
    expected: dict[str, LedgerBatch] = {}
    for what, *about in entered:
        token = f"batch {about[0] // 2 if what in ('ended', 'deleted') else about[0]}" if about else ""
        task = f"task {about[0]}" if about else ""
        if what == "intend":
            if token not in expected:
                new = batch(token, f"task {2 * about[0]}", f"task {2 * about[0] + 1}", at=round(time.time(), 3))
                ledger.intend(new)
                expected[token] = new
        elif what == "submitted":
            ledger.submitted(token, f"{about[0]}.server")
            if token in expected:
                expected[token].id = f"{about[0]}.server"
        elif what == "withdrawn":
            ledger.withdrawn(token)
            expected.pop(token, None)
        elif what == "ended":
            ledger.ended({task: about[1]})
            if token in expected:
                expected[token].ended[task] = about[1]
        elif what == "deleted":
            ledger.deleted([task])
            if token in expected:
                expected[token].deleted.add(task)
        elif what == "a new run":
            ledger = open_ledger(path, tmp_path)
            assert ledger.before == expected
        else:
            with path.open("a") as file:
                file.write('{"ended": {"task 0": ')
        assert ledger.read() == expected
