"""``pbs-singularity images lock`` and ``verify``: write ``images.lock``, and compare images with it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .place import find_place, in_words, json_option, library_option, store_option

if TYPE_CHECKING:
    from ..images.lockfile import LockedImage
    from ..images.verify import Verified

_FILE = click.Path(path_type=Path)


def _workflow_options(command: Callable[..., Any]) -> Callable[..., Any]:
    snakefile = click.option(
        "-s", "--snakefile", type=_FILE, metavar="FILE", help="The workflow; without it found as snakemake does."
    )
    directory = click.option(
        "-d", "--directory", type=_FILE, metavar="FOLDER", help="The working directory of the workflow."
    )
    return snakefile(directory(command))


@click.command()
@_workflow_options
@click.option("--configfile", type=_FILE, metavar="FILE", multiple=True, help="As for snakemake.")
@library_option
@store_option
def lock(
    snakefile: Path | None, directory: Path | None, configfile: tuple[Path, ...], library: str | None, store: str | None
) -> None:
    """Write images.lock beside the Snakefile: what every image of the workflow is.

    Tags are looked up in their registries and images that are not there are pulled. Keep the file with the workflow: a
    run that finds it uses the images in it, wherever tags have moved, and with --pbs-singularity-frozen no others.
    """
    from ..images import ImageError
    from ..images.locked import lock_image, lock_images
    from ..images.lockfile import LOCK_NAME, write_lock
    from .workflow import read_workflow

    wanted = read_workflow(snakefile, directory, configfile, library)
    place = find_place(library, store, wanted.workdir)
    path = wanted.sources.absolute() / LOCK_NAME
    stop = threading.Event()

    def pull(uri: str) -> Path:
        return place.pull(uri, partial(click.echo, err=True), stop)

    def lock_one(value: str) -> LockedImage:
        try:
            return lock_image(value, place.resolve, pull, place.store, place.runtime_of_store, place.environment)
        except ImageError as error:
            raise ImageError(f"Rule {', '.join(wanted.containers[value])}: {error.problem}", error.remedy) from error

    with in_words():
        before = _locked_before(path)
        entries = lock_images(wanted.containers, lock_one, before, stop)
        write_lock(path, entries)
    for line in _changes(before, {entry.reference: entry for entry in entries}):
        click.echo(line)
    click.echo(f"{len(entries)} image{'' if len(entries) == 1 else 's'} locked in {path}.")


@click.command()
@_workflow_options
@library_option
@store_option
@json_option
def verify(
    snakefile: Path | None, directory: Path | None, library: str | None, store: str | None, as_json: bool
) -> None:
    """Read the images of images.lock and of the store, whole, and compare them with what they were.

    It ends with exit status 1 if one is damaged, was changed or is missing.
    """
    from snakemake.api import resolve_snakefile

    from ..images.locked import find_lock
    from ..images.lockfile import LOCK_NAME
    from ..images.verify import verify_locked, verify_store

    place = find_place(library, store, directory.absolute() if directory is not None else None)
    path = Path(resolve_snakefile(snakefile, allow_missing=True) or "Snakefile").absolute().parent / LOCK_NAME
    seen: list[Verified] = []
    with in_words():
        lock = find_lock(path, frozen=False)
        if lock is not None:
            for one in verify_locked(lock, place.resolve, place.store, place.runtime_of_store, place.environment):
                seen.append(one)
                _show(one, as_json)
        of_lock = {one.path for one in seen}
        for one in verify_store(place.store, place.environment):
            if one.path not in of_lock:
                seen.append(one)
                _show(one, as_json)
    if as_json:
        click.echo(json.dumps([_as_object(one) for one in seen], indent=2))
    elif not seen:
        click.echo(f"Nothing to verify: there is no {path}, and no image in {place.store}.")
    if any(one.problem is not None for one in seen):
        raise SystemExit(1)


def _locked_before(path: Path) -> Mapping[str, LockedImage]:
    """Read the lock that will be written over; one that is damaged is lost, one of a newer version an ImageError."""
    from ..images import ImageError
    from ..images.lockfile import NewerLockError, read_lock

    try:
        return read_lock(path) if path.exists() else {}
    except NewerLockError:
        raise
    except ImageError as error:
        click.echo(f"Writing anew: {error.problem}", err=True)
        return {}


def _changes(before: Mapping[str, LockedImage], after: Mapping[str, LockedImage]) -> list[str]:
    """Give a line for each image that is new, other than before, or gone."""
    lines = []
    for reference in sorted({*before, *after}):
        old, new = before.get(reference), after.get(reference)
        if old is None:
            lines.append(f"new      {reference}")
        elif new is None:
            lines.append(f"gone     {reference}")
        elif (old.digest, old.sha256) != (new.digest, new.sha256):
            lines.append(f"changed  {reference}: {old.digest or old.sha256} is now {new.digest or new.sha256}")
    return lines


def _show(one: Verified, as_json: bool) -> None:
    if as_json:
        return
    if one.problem is not None:
        click.echo(f"WRONG       {one.reference}: {one.problem}")
    elif one.path is not None:
        click.echo(f"good        {one.reference}  {one.path}")
    else:
        click.echo(f"not pulled  {one.reference}")


def _as_object(one: Verified) -> dict[str, str | bool | None]:
    return {
        "reference": one.reference,
        "path": str(one.path) if one.path is not None else None,
        "good": one.problem is None if one.path is not None or one.problem is not None else None,
        "problem": one.problem,
    }
