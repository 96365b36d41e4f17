"""Tasks that become ready together are submitted together, by a thread of its own."""

from collections.abc import Iterator
from queue import SimpleQueue
from threading import Event, Thread, current_thread, main_thread

import pytest
from tasks.made import task

from snakemake_executor_plugin_pbs_singularity import collecting
from snakemake_executor_plugin_pbs_singularity.collecting import Collector
from snakemake_executor_plugin_pbs_singularity.task import Task

SOON = 30
"""Seconds after which a thread that was to do something is taken to do nothing."""


class Server:
    """Submissions as they come; each waits until it may go on."""

    def __init__(self) -> None:
        self.begun: SimpleQueue[list[str]] = SimpleQueue()
        self.go_on = Event()
        self.ended = Event()
        self.errors: SimpleQueue[Exception] = SimpleQueue()
        self.collector = Collector(self._submit, self.errors.put)

    def _submit(self, tasks: list[Task]) -> None:
        assert current_thread() is not main_thread()
        self.begun.put([task.rule for task in tasks])
        if not self.go_on.wait(SOON):
            raise TimeoutError
        self.ended.set()

    def put(self, *rules: str) -> None:
        """Let a task of each rule be ready."""
        self.collector.put([task(rule) for rule in rules])

    def submission(self) -> list[str]:
        """Wait for the next submission and give the rules of its tasks."""
        return self.begun.get(timeout=SOON)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.go_on.set()
    server.collector.stop()
    assert server.errors.empty()


def test_what_is_ready_together_is_submitted_together_in_its_order(server: Server) -> None:
    server.put("a", "b", "c")
    assert server.submission() == ["a", "b", "c"]


def test_whoever_has_something_ready_does_not_wait_for_the_server(server: Server) -> None:
    server.put("a")
    assert server.submission() == ["a"]
    server.put("b")  # comes back, though the first submission hangs
    assert not server.ended.is_set()


def test_what_comes_during_a_submission_is_the_next_batch(server: Server) -> None:
    server.put("a")
    assert server.submission() == ["a"]
    server.put("b", "c")
    server.put("d")
    server.put("e")
    server.go_on.set()
    assert server.submission() == ["b", "c", "d", "e"]


def test_what_comes_moments_later_still_comes_along(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "QUIET", SOON)
    monkeypatch.setattr(collecting, "LONGEST", 0.5)
    server.put("a")
    server.put("b")
    assert server.submission() == ["a", "b"]


def test_who_has_waited_long_enough_waits_for_no_others(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "LONGEST", 0)
    server.put("a")
    assert server.submission() == ["a"]
    server.put("b")
    server.put("c")
    server.go_on.set()
    assert [server.submission(), server.submission()] == [["b"], ["c"]]


def test_nothing_is_not_submitted(server: Server) -> None:
    server.put()
    server.put("a")
    assert server.submission() == ["a"]


def test_a_stop_waits_for_the_submission_that_is_under_way_and_lets_none_follow(server: Server) -> None:
    server.put("a")
    assert server.submission() == ["a"]
    server.put("b")
    stopping = Thread(target=server.collector.stop)
    stopping.start()
    assert server.collector.stopped.wait(SOON)
    assert not server.ended.is_set()
    assert stopping.is_alive()
    server.go_on.set()
    stopping.join(SOON)
    assert not stopping.is_alive()
    assert server.ended.is_set()
    assert server.begun.empty()


def test_a_stop_does_not_wait_for_what_is_being_collected(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "QUIET", 10 * SOON)
    monkeypatch.setattr(collecting, "LONGEST", 10 * SOON)
    server.put("a")
    stopping = Thread(target=server.collector.stop)
    stopping.start()
    stopping.join(SOON)
    assert not stopping.is_alive()
    assert server.begun.empty()


def test_after_a_stop_nothing_is_submitted_and_another_stop_is_no_harm(server: Server) -> None:
    server.collector.stop()
    server.put("a")
    server.collector.stop()
    assert server.begun.empty()


def test_what_goes_wrong_is_reported_as_nobody_would_hear_of_it() -> None:
    errors: SimpleQueue[Exception] = SimpleQueue()

    def fail(tasks: list[Task]) -> None:
        raise ValueError(tasks[0].rule)

    collector = Collector(fail, errors.put)
    collector.put([task("a")])
    error = errors.get(timeout=SOON)
    assert isinstance(error, ValueError)
    assert str(error) == "a"
    collector.stop()
