"""``pbs-singularity images list``: what there is in the libraries and in the store."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from ..images import Found, ImageError
from .found import FoundImage, describe
from .place import Wanted, find_place, find_wanted, json_option, library_option, snakefile_option, store_option
from .table import age_in_words, print_table, size_in_words

_AT_ONCE = 16
"""Images are looked at by so many threads, as the file systems of clusters answer slowly."""


@click.command("list")
@library_option
@store_option
@snakefile_option("Show which rules use them in this workflow; without FILE, the one that snakemake would run.")
@json_option
def list_images(library: str | None, store: str | None, snakefile: str | None, as_json: bool) -> None:
    """Show the images in the library and in the store."""
    wanted = find_wanted(snakefile, library, store) if snakefile is not None else None
    place = wanted.place if wanted is not None else find_place(library, store)
    users = used_by(wanted) if wanted is not None else {}
    shown = [
        (folder, name, image, users.get(image.path.resolve(), []))
        for folder in (*place.libraries, place.store)
        for name, image in images_in(folder)
    ]
    if as_json:
        answer = [
            {
                "name": name,
                "folder": str(folder),
                "in": "store" if folder == place.store else "library",
                **image.as_json(),
                "used_by": rules if wanted is not None else None,
            }
            for folder, name, image, rules in shown
        ]
        click.echo(json.dumps(answer, indent=2))
        return
    for folder in (*place.libraries, place.store):
        what = "store" if folder == place.store else "library"
        images = [(name, image, rules) for where, name, image, rules in shown if where == folder]
        click.echo(f"{what.capitalize()} {folder}: {len(images)} image{'' if len(images) == 1 else 's'}")
        if images:
            columns = ["NAME", "KIND", "SIZE", "AGE", *(["USED BY"] if wanted is not None else [])]
            rows = [
                [*_cells(name, image), *([", ".join(rules)] if wanted is not None else [])]
                for name, image, rules in images
            ]
            print_table(columns, rows, numbers=["SIZE", "AGE"])
    for image in (image for _, _, image, _ in shown if image.problem is not None):
        click.echo(f"Warning: {image.problem}", err=True)


def images_in(folder: Path) -> list[tuple[str, FoundImage]]:
    """Give the images below a folder with their names; of files without an ending those that are images."""
    from ..images.index import index_of

    if not folder.is_dir():
        return []
    walk = index_of(folder).walk
    for closed in walk.closed:
        click.echo(f"Warning: the folder {folder / closed} cannot be read.", err=True)
    names = sorted(walk.names)
    with ThreadPoolExecutor(_AT_ONCE) as looking:
        images = looking.map(lambda name: describe(folder / name), names)
        return [
            (name, image)
            for name, image in zip(names, images, strict=True)
            if walk.is_called_image(name) or image.problem is None
        ]


def used_by(wanted: Wanted) -> dict[Path, list[str]]:
    """Give the rules that use an image, by its real path; says on stderr which images are not there."""
    users: dict[Path, list[str]] = {}
    for value, rules in wanted.containers.items():
        words = f"rule{'s' if len(rules) > 1 else ''} {', '.join(rules)}"
        try:
            meaning = wanted.place.resolve_for_run(value, wanted.lock)
        except ImageError as error:
            click.echo(f"Warning: {words}: {error}", err=True)
            continue
        if isinstance(meaning, Found):
            users.setdefault(meaning.path.resolve(), []).extend(rules)
        else:
            click.echo(f"Note: {value} ({words}) is not pulled yet.", err=True)
    return users


def _cells(name: str, image: FoundImage) -> list[str]:
    return [
        f"{image.pulled_from} ({name})" if image.pulled_from is not None else name,
        image.kind or "damaged",
        size_in_words(image.size),
        age_in_words(image.modified) if image.modified is not None else "-",
    ]
