"""Several pulls at a time, each image once, while the caller goes on."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

from .errors import ImageError

AT_A_TIME = 3
"""Pulls at a time: each unpacks and packs, which takes a core of the login node."""


class Pulls:
    """The pulls of one run. `pull(uri, stop)` gets one image, raises ImageError, and ends soon after `stop` is set."""

    def __init__(self, pull: Callable[[str, Event], None]) -> None:
        self._pull = pull
        self._stop = Event()
        self._pool = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="pull")
        self._futures: dict[str, Future[None]] = {}

    def start(self, uris: Iterable[str]) -> None:
        """Pull images, unless that is under way or done. One that failed before is tried again."""
        for uri in uris:
            future = self._futures.get(uri)
            if future is None or (future.done() and future.exception() is not None):
                self._futures[uri] = self._pool.submit(self._pull, uri, self._stop)

    def are_done(self, uris: Iterable[str]) -> bool:
        """Tell whether all these images are there."""
        return all(self._futures[uri].done() for uri in uris)

    def error_of(self, uris: Iterable[str]) -> ImageError | None:
        """Give the error of the first of these pulls that failed; what is no ImageError is raised."""
        for uri in uris:
            future = self._futures[uri]
            if future.cancelled():
                return ImageError(f"Pulling {uri} was interrupted.")
            error = future.exception() if future.done() else None
            if isinstance(error, ImageError):
                return error
            if error is not None:
                raise error
        return None

    def stop(self) -> None:
        """End all pulls; what is not pulled yet will not be."""
        self._stop.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
