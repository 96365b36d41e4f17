"""``pbs-singularity doctor``."""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path

import click

from ..ending import Ending
from ..place import find_settings, json_option, library_option, profile_in, store_option
from .findings import has_problem
from .show import print_findings, print_json

_PROFILE = "profiles/default"


_HELP = """Tell whether workflows will run on this site, and what to do if not.

Looks at this machine, at PBS and its queues, and, through a small job that is gone when this ends, at a compute
node: its container runtime, its folders, its clock. Start it in the folder where you would start snakemake, as the
user who would: the settings are those of a run there (options, SNAKEMAKE_PBS_SINGULARITY_... variables, profile).

Ends with 0 if workflows will run, with 1 if there is a problem.

    \b
    pbs-singularity doctor
    pbs-singularity doctor --queue short --wait 60
    pbs-singularity doctor --write-profile
"""


@click.command(help=_HELP)
@click.option("--queue", metavar="QUEUE", help="The queue that the probe job, and jobs whose rule names none, go to.")
@library_option
@store_option
@click.option(
    "--image",
    type=click.Path(exists=True, path_type=Path),
    help="The image that a node is to run. Default: the smallest in the library and the store.",
)
@click.option("--no-probe", is_flag=True, help="Submit no job: look at this machine and at PBS only.")
@click.option(
    "--wait",
    metavar="MINUTES",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="How long the probe job may wait for a node.",
)
@click.option(
    "--write-profile",
    metavar="[FOLDER]",
    is_flag=False,
    flag_value=_PROFILE,
    help=f"Write a Snakemake profile for this site, FOLDER/config.yaml, with comments.  [FOLDER: {_PROFILE}]",
)
@click.option("--force", is_flag=True, help="Let it take the place of a profile that is there.")
@json_option
def doctor(
    queue: str | None,
    library: str | None,
    store: str | None,
    image: Path | None,
    no_probe: bool,
    wait: float,
    write_profile: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """See _HELP."""
    from .examination import examine
    from .profile import profile_text
    from .profile import write_profile as write

    folder = Path(write_profile) if write_profile is not None else None
    file = (profile_in(folder) or folder / "config.yaml") if folder is not None else None
    if file is not None and file.exists() and not force:
        raise click.ClickException(f"{file} is there already. Name another folder, or use --force to replace it.")
    settings = find_settings({"queue": queue, "library": library, "store": store})
    say = partial(click.echo, err=True)
    with Ending() as ending:
        examination = examine(settings, Path.cwd(), os.environ, image, wait * 60 if not no_probe else None, ending, say)
    if ending.signal is not None:
        click.echo(examination.farewell, err=True)
        sys.exit(ending.exit_code)
    (print_json if as_json else print_findings)(examination.findings)
    if file is not None:
        try:
            write(file, profile_text(examination.site_values(time.strftime("%Y-%m-%d"))))
        except OSError as error:
            raise click.ClickException(f"{file} cannot be written: {error.strerror}. Name another folder.") from error
        click.echo(f"Wrote {file}.", err=True)
    sys.exit(1 if has_problem(examination.findings) else 0)
