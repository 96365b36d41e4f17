"""``pbs-singularity images pull``: get images before a run, so that the run needs no network."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

import click

from ..images import Found, ImageError, Missing, Pulls, Resolved, UriReference, parse_reference
from ..images.locked import Lock
from .place import Place, find_place, find_wanted, in_words, json_option, library_option, snakefile_option, store_option

_POLL = 0.1


@dataclass(frozen=True)
class _Outcome:
    """What became of one ``container:`` value."""

    value: str
    path: Path | None
    problem: str | None


@click.command()
@click.argument("uris", metavar="[URI]...", nargs=-1)
@library_option
@store_option
@snakefile_option("Pull all that the jobs of this workflow need; without FILE, the one that snakemake would run.")
@json_option
def pull(uris: tuple[str, ...], library: str | None, store: str | None, snakefile: str | None, as_json: bool) -> None:
    """Pull images into the store: those of a workflow, or those named by URIs such as docker://ubuntu:22.04.

    A workflow whose images were pulled runs on a machine without network. Its images in the library are checked. Where
    an images.lock is beside the Snakefile, the images in it are pulled, wherever their tags have moved.
    """
    if not uris and snakefile is None:
        raise click.UsageError("Give URIs, or --snakefile.")
    wanted: dict[str, tuple[str, ...]] = {}
    with in_words():
        for uri in uris:
            if not isinstance(parse_reference(uri), UriReference):
                raise ImageError(f"{uri!r} is no URI, so it cannot be pulled.", f"Did you mean docker://{uri}?")
            wanted[uri] = ()
        if snakefile is not None:
            workflow = find_wanted(snakefile, library, store)
            wanted.update(workflow.containers)
            place, lock = workflow.place, workflow.lock
        else:
            place, lock = find_place(library, store), None
    outcomes = _pull_all(wanted, place, lock)
    if as_json:
        answer = [
            {
                "container": outcome.value,
                "rules": wanted[outcome.value],
                "path": str(outcome.path) if outcome.path is not None else None,
                "problem": outcome.problem,
            }
            for outcome in outcomes
        ]
        click.echo(json.dumps(answer, indent=2))
    else:
        for outcome in outcomes:
            if outcome.problem is None:
                click.echo(f"{outcome.value} is {outcome.path}")
    failed = [outcome for outcome in outcomes if outcome.problem is not None]
    for outcome in failed:
        rules = ", ".join(wanted[outcome.value])
        click.echo(f"Error: {f'Rule {rules}: ' if rules else ''}{outcome.problem}", err=True)
    if failed:
        raise SystemExit(1)


def _pull_all(values: Iterable[str], place: Place, lock: Lock | None) -> list[_Outcome]:
    """Find each image, pull those that are missing, several at a time; one that fails keeps no other from coming."""
    found: dict[str, Resolved | ImageError] = {value: _find(value, place, lock) for value in values}
    missing = {value: image.uri for value, image in found.items() if isinstance(image, Missing)}

    def pull_one(uri: str, stop: Event) -> None:
        place.pull(uri, partial(click.echo, err=True), stop)

    pulls = Pulls(pull_one)
    pause = Event()
    try:
        pulls.start(missing.values())
        while not pulls.are_done(missing.values()):
            pause.wait(_POLL)
    finally:
        pulls.stop()
    return [_outcome(value, image, pulls) for value, image in found.items()]


def _find(value: str, place: Place, lock: Lock | None) -> Resolved | ImageError:
    try:
        return place.resolve_for_run(value, lock)
    except ImageError as error:
        return error


def _outcome(value: str, image: Resolved | ImageError, pulls: Pulls) -> _Outcome:
    if isinstance(image, ImageError):
        return _Outcome(value, None, str(image))
    if isinstance(image, Found):
        return _Outcome(value, image.path, None)
    error = pulls.error_of([image.uri])
    return _Outcome(value, None, str(error)) if error is not None else _Outcome(value, image.destination, None)
