"""What a registry is asked about an image that is pulled: good to have, but the pull goes on without an answer."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from threading import Event

from .errors import ImageError
from .pull import ensure_pulled
from .reference import UriReference
from .registry import digest_of, size_of
from .registry_name import registry_name
from .runtime import Runtime

_PATIENCE = 5.0
"""Seconds for an answer."""


def digest_if_known(reference: UriReference, environment: Mapping[str, str]) -> str | None:
    """Give the digest of a URI; None if it has none or the registry does not say: it may still be pulled then."""
    try:
        return digest_of(reference, environment, _PATIENCE) if registry_name(reference) is not None else None
    except ImageError:
        return None


def pull_and_note(
    uri: str,
    store: Path,
    runtime: Runtime,
    report: Callable[[str], None],
    environment: Mapping[str, str],
    stop: Event,
    nodes: Runtime | None = None,
) -> Path:
    """Give the image of a URI as ensure_pulled does, having asked its registry for its size and its digest."""
    return ensure_pulled(
        uri,
        store,
        runtime,
        report,
        environment=environment,
        stop=stop,
        nodes=nodes,
        ask_digest=partial(digest_if_known, environment=environment),
        ask_size=partial(size_if_known, environment=environment),
    )


def size_if_known(reference: UriReference, environment: Mapping[str, str]) -> int | None:
    """Give how many bytes will be downloaded for a URI; None if that is not known."""
    try:
        return size_of(reference, environment, _PATIENCE) if registry_name(reference) is not None else None
    except ImageError:
        return None
