"""Several pulls at a time: each image once, none waiting for another's."""

import threading
from collections.abc import Iterator

import pytest

from snakemake_executor_plugin_pbs_singularity.images import ImageError, Pulls


class Registry:
    """Images that come when they are let go, or fail."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.ready = {name: threading.Event() for name in "abcd"}
        self.broken: set[str] = set()

    def pull(self, uri: str, stop: threading.Event) -> None:
        self.asked.append(uri)
        while not self.ready[uri].wait(0.01):
            if stop.is_set():
                raise ImageError("interrupted")
        if uri in self.broken:
            raise ImageError(f"{uri} is broken")


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def pulls(registry: Registry) -> Iterator[Pulls]:
    pulls = Pulls(registry.pull)
    yield pulls
    pulls.stop()


def wait_until_done(pulls: Pulls, *uris: str) -> None:
    for uri in uris:
        pulls._futures[uri].exception(timeout=10)


def test_an_image_that_several_ask_for_is_pulled_once(pulls: Pulls, registry: Registry) -> None:
    pulls.start(["a"])
    pulls.start(["a"])
    registry.ready["a"].set()
    wait_until_done(pulls, "a")
    pulls.start(["a"])
    assert pulls.are_done(["a"])
    assert registry.asked == ["a"]


def test_an_image_does_not_wait_for_another(pulls: Pulls, registry: Registry) -> None:
    pulls.start(["a", "b"])
    registry.ready["b"].set()
    wait_until_done(pulls, "b")
    assert pulls.are_done(["b"])
    assert not pulls.are_done(["a", "b"])


def test_a_pull_that_failed_says_why_and_is_tried_again_when_it_is_asked_for_again(
    pulls: Pulls, registry: Registry
) -> None:
    registry.broken.add("a")
    registry.ready["a"].set()
    pulls.start(["a"])
    wait_until_done(pulls, "a")
    assert str(pulls.error_of(["a"])) == "a is broken"
    registry.broken.clear()
    pulls.start(["a"])
    wait_until_done(pulls, "a")
    assert pulls.error_of(["a"]) is None


def test_what_is_stopped_counts_as_failed_whether_it_had_begun_or_not(pulls: Pulls, registry: Registry) -> None:
    pulls.start("abcd")
    pulls.stop()
    wait_until_done(pulls, *registry.asked)
    assert [str(pulls.error_of([uri])) for uri in "ad"] == ["interrupted", "Pulling d was interrupted."]
