"""``pbs-singularity images``: the group. Each subcommand has a module of its own beside this one."""

import click

from .lazily import Lazily

_SUBCOMMANDS = {
    "list": "list_images:list_images",
    "resolve": "resolve:resolve",
    "pull": "pull:pull",
    "lock": "lock:lock",
    "verify": "lock:verify",
    "prune": "prune:prune",
}


class _Images(Lazily):
    lazily = _SUBCOMMANDS


@click.group(cls=_Images)
def images() -> None:
    """See, find, pull, lock and remove container images.

    The folders are those of a run started here: --library and --store, else SNAKEMAKE_PBS_SINGULARITY_LIBRARY and
    _STORE, else the profile that snakemake would use, else its defaults.
    """
