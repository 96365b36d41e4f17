"""``pbs-singularity images resolve``: what a name means, and why."""

import json

import click

from ..images import Found
from .found import describe, words_of
from .place import find_place, in_words, json_option, library_option, store_option
from .table import print_table


@click.command()
@click.argument("name")
@library_option
@store_option
@json_option
def resolve(name: str, library: str | None, store: str | None, as_json: bool) -> None:
    """Show which image NAME means as a container: value, why, and which others it could have meant.

    NAME is a name in the image library, a path or a URI.
    """
    from ..images import explain

    place = find_place(library, store)
    with in_words():
        explanation = explain(
            name,
            libraries=place.libraries,
            store=place.store,
            workdir=place.workdir,
            runtime=place.runtime_of_store if "://" in name else None,
        )
    meaning = explanation.meaning
    path = meaning.path if isinstance(meaning, Found) else meaning.destination
    image = describe(path) if isinstance(meaning, Found) else None
    if as_json:
        answer = {
            "name": name,
            "path": str(path),
            "image": image.as_json() if image is not None else None,
            "why": explanation.why,
            "not_chosen": [{"path": str(other), "why": why} for other, why in explanation.not_chosen],
        }
        click.echo(json.dumps(answer, indent=2))
        return
    print_table(
        ["NAME", name],
        [
            ["what", words_of(image) if image is not None else "not pulled yet"],
            ["where", str(path)],
            ["why", explanation.why],
        ],
    )
    if explanation.not_chosen:
        print_table(["NOT CHOSEN", "WHY IT WOULD FIT"], [[str(other), why] for other, why in explanation.not_chosen])
