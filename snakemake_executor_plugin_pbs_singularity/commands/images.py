"""``pbs-singularity images``: the group. Each subcommand has a module of its own beside this one."""

import importlib

import click

_SUBCOMMANDS = {
    "list": "list_images:list_images",
    "resolve": "resolve:resolve",
    "pull": "pull:pull",
    "lock": "lock:lock",
    "verify": "lock:verify",
    "prune": "prune:prune",
}
"""Imported when they are called, so that the other commands of ``pbs-singularity`` start quickly."""


class _Lazily(click.Group):
    """A group that imports a subcommand when it is asked for it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _SUBCOMMANDS:
            return None
        module, name = _SUBCOMMANDS[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(f".{module}", __package__), name)
        return command


@click.group(cls=_Lazily)
def images() -> None:
    """See, find, pull, lock and remove container images.

    The folders are those of a run started here: --library and --store, else SNAKEMAKE_PBS_SINGULARITY_LIBRARY and
    _STORE, else the profile that snakemake would use, else its defaults.
    """
