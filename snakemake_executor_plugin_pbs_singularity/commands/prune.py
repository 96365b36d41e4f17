"""``pbs-singularity images prune``: make room in the store, and nowhere else."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from ..images.record import record_path
from .found import FoundImage, describe
from .list_images import used_by
from .place import Place, find_place, find_wanted, library_option, snakefile_option, store_option
from .table import age_in_words, print_table, size_in_words

_STORED = re.compile(r"[^.].*-[0-9a-f]{8}\.(?:sif|simg)")
"""What ``stored_path`` calls files: nobody else's are touched, whatever folder is named as the store."""


@click.command()
@library_option
@store_option
@snakefile_option("Keep what the jobs of this workflow use; without FILE, the workflow that snakemake would run.")
@click.option("--older-than", metavar="DAYS", type=click.FloatRange(min=0), help="Only what was pulled before that.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def prune(library: str | None, store: str | None, snakefile: str | None, older_than: float | None, yes: bool) -> None:
    """Remove pulled images from the store, after asking. What is removed is pulled again when it is needed.

    Nothing in a library is ever removed. Jobs that use a removed image, running or waiting, would fail.
    """
    wanted = find_wanted(snakefile, library, store) if snakefile is not None else None
    place = wanted.place if wanted is not None else find_place(library, store)
    _refuse_libraries(place)
    kept = used_by(wanted) if wanted is not None else {}
    limit = datetime.now(UTC) - timedelta(days=older_than) if older_than is not None else None
    chosen = [
        image
        for image in _pulled_images(place.store)
        if image.path.resolve() not in kept
        and (limit is None or (image.modified is not None and image.modified < limit))
    ]
    if not chosen:
        click.echo(f"Nothing to remove in {place.store}.")
        return
    rows = [
        [
            image.pulled_from or str(image.path.relative_to(place.store)),
            size_in_words(image.size),
            age_in_words(image.modified) if image.modified is not None else "-",
        ]
        for image in chosen
    ]
    print_table(["IMAGE", "SIZE", "AGE"], rows, numbers=["SIZE", "AGE"])
    total = size_in_words(sum(image.size or 0 for image in chosen))
    count = f"{len(chosen)} image{'' if len(chosen) == 1 else 's'}"
    if not yes:
        click.confirm(f"Remove {count}, {total}, from {place.store}?", abort=True, err=True)
    for image in chosen:
        try:
            record_path(image.path).unlink(missing_ok=True)
            image.path.unlink(missing_ok=True)
        except OSError as error:
            raise click.ClickException(f"{image.path} cannot be removed: {error.strerror}.") from error
    click.echo(f"Removed {count}, {total}.")


def _pulled_images(store: Path) -> list[FoundImage]:
    paths = [path for path in store.glob("*/*") if _STORED.fullmatch(path.name) and path.is_file()]
    return [describe(path) for path in sorted(paths) if not path.is_symlink() and not path.parent.is_symlink()]


def _refuse_libraries(place: Place) -> None:
    """Raise ClickException if store and library are one folder, or one is in the other."""
    store = place.store.resolve()
    for library in place.libraries:
        real = library.resolve()
        if real.is_relative_to(store) or store.is_relative_to(real):
            raise click.ClickException(
                f"The store {place.store} and the library {library} are not apart. Images of a library"
                " are never removed: name another store, or remove files by hand."
            )
