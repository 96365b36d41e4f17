"""``pbs-singularity images``: the group. Each larger subcommand has a module of its own beside this one."""

import click

from .lock import lock, verify


@click.group()
def images() -> None:
    """See, find, pull and remove container images."""


@images.command("list")
def list_images() -> None:
    """Show the images of the library and the store."""


images.add_command(lock)
images.add_command(verify)
