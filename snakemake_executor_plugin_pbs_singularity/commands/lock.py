"""``pbs-singularity images lock`` and ``verify``: write ``images.lock``, and compare images with it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..images import Resolved, Runtime
    from ..images.lockfile import LockedImage
    from ..images.verify import Verified

_FILE = click.Path(path_type=Path)


@dataclass(frozen=True)
class _Places:
    """Where images are, as a run in the same folder finds them."""

    libraries: tuple[Path, ...]
    store: Path
    workdir: Path
    lock: Path
    environment: Mapping[str, str]

    def resolve(self, value: str, runtime: Runtime | None) -> Resolved:
        from ..images import resolve

        return resolve(value, libraries=self.libraries, store=self.store, workdir=self.workdir, runtime=runtime)


def _with_places(command: Callable[..., Any]) -> Callable[..., Any]:
    options = (
        click.option("-s", "--snakefile", type=_FILE, help="The workflow; found as snakemake does if not given."),
        click.option("-d", "--directory", type=_FILE, help="The working directory of the workflow."),
        click.option(
            "--library",
            envvar="SNAKEMAKE_PBS_SINGULARITY_LIBRARY",
            metavar="FOLDER[:FOLDER...]",
            help="As --pbs-singularity-library.",
        ),
        click.option(
            "--store", envvar="SNAKEMAKE_PBS_SINGULARITY_STORE", type=_FILE, help="As --pbs-singularity-store."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@_with_places
@click.option("--configfile", type=_FILE, multiple=True, help="As for snakemake.")
def lock(
    snakefile: Path | None,
    directory: Path | None,
    library: str | None,
    store: Path | None,
    configfile: tuple[Path, ...],
) -> None:
    """Write images.lock beside the Snakefile: what every image of the workflow is.

    Tags are looked up in their registries and images that are not there are pulled. Keep the file with the workflow: a
    run that finds it uses the images in it, wherever tags have moved, and with --pbs-singularity-frozen no others.
    """
    from ..images import ImageError, ensure_pulled, find_runtime
    from ..images.locked import digest_if_known, lock_image, lock_images
    from ..images.lockfile import NewerLockError, read_lock, write_lock
    from .workflow import container_values

    places = _find_places(snakefile, directory, library, store)
    values = container_values(snakefile, directory, configfile)
    stop = threading.Event()
    try:
        before: Mapping[str, LockedImage] = {}
        try:
            before = read_lock(places.lock) if places.lock.exists() else {}
        except NewerLockError:
            raise
        except ImageError as error:
            click.echo(f"Writing anew: {error.problem}", err=True)
        runtime = find_runtime(places.environment)

        def pull(uri: str) -> Path:
            if store is None:
                places.store.mkdir(parents=True, exist_ok=True)
            return ensure_pulled(
                uri,
                places.store,
                runtime,
                partial(click.echo, err=True),
                environment=places.environment,
                stop=stop,
                ask_digest=partial(digest_if_known, environment=places.environment),
            )

        def lock_one(value: str) -> LockedImage:
            try:
                return lock_image(
                    value, lambda value: places.resolve(value, runtime), pull, places.store, runtime, places.environment
                )
            except ImageError as error:
                raise ImageError(f"Rule {', '.join(values[value])}: {error.problem}", error.remedy) from error

        entries = lock_images(values, lock_one, before, stop)
        write_lock(places.lock, entries)
    except ImageError as error:
        raise click.ClickException(str(error)) from error
    for line in _changes(before, {entry.reference: entry for entry in entries}):
        click.echo(line)
    click.echo(f"{len(entries)} image{'' if len(entries) == 1 else 's'} locked in {places.lock}.")


@click.command()
@_with_places
@click.option("--json", "as_json", is_flag=True, help="Write a list of objects for programs.")
def verify(
    snakefile: Path | None, directory: Path | None, library: str | None, store: Path | None, as_json: bool
) -> None:
    """Read the images of images.lock and of the store, whole, and compare them with what they were.

    It ends with exit status 1 if one is damaged, was changed or is missing.
    """
    from ..images import ImageError, find_runtime
    from ..images.locked import find_lock
    from ..images.verify import verify_locked, verify_store

    places = _find_places(snakefile, directory, library, store, needed=False)
    seen: list[Verified] = []
    try:
        runtime = None
        try:
            runtime = find_runtime(places.environment)
        except ImageError:  # it only tells how the images of the store end
            click.echo("There is no container runtime here; images of the store are taken to end in .sif.", err=True)
        locked = find_lock(places.lock, frozen=False)
        if locked is not None:
            resolve = partial(places.resolve, runtime=runtime)
            for one in verify_locked(locked, resolve, places.store, runtime, places.environment):
                seen.append(one)
                _show(one, as_json)
        paths = {one.path for one in seen}
        for one in verify_store(places.store, places.environment):
            if one.path not in paths:
                seen.append(one)
                _show(one, as_json)
    except ImageError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps([_as_object(one) for one in seen], indent=2))
    elif not seen:
        click.echo(f"Nothing to verify: there is no {places.lock}, and no image in {places.store}.")
    if any(one.problem is not None for one in seen):
        raise SystemExit(1)


def _find_places(
    snakefile: Path | None, directory: Path | None, library: str | None, store: Path | None, *, needed: bool = True
) -> _Places:
    """Find what a run would find; raises ClickException."""
    from snakemake.api import resolve_snakefile
    from snakemake_interface_common.exceptions import ApiError, WorkflowError

    from ..images.lockfile import LOCK_NAME
    from ..settings import ExecutorSettings, library_folders

    workdir = (directory or Path.cwd()).absolute()
    try:
        found = resolve_snakefile(snakefile, allow_missing=not needed) or Path("Snakefile")
        libraries = library_folders(ExecutorSettings(library=library))
    except (ApiError, WorkflowError) as error:
        raise click.ClickException(str(error)) from error
    return _Places(
        libraries=libraries,
        store=store.expanduser().absolute() if store is not None else workdir / ".snakemake/pbs-singularity/images",
        workdir=workdir,
        lock=Path(found).absolute().parent / LOCK_NAME,
        environment=os.environ,
    )


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
    else:
        click.echo(
            f"{'good      ' if one.path else 'not pulled'}  {one.reference}{f'  {one.path}' if one.path else ''}"
        )


def _as_object(one: Verified) -> dict[str, str | bool | None]:
    return {
        "reference": one.reference,
        "path": str(one.path) if one.path is not None else None,
        "good": one.problem is None if one.path is not None or one.problem is not None else None,
        "problem": one.problem,
    }
