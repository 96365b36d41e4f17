"""A group whose subcommands are imported when they are called, so that the others start quickly."""

import errno
import importlib
from typing import Any

import click


class Lazily(click.Group):
    """A group that imports a subcommand when it is asked for it."""

    lazily: dict[str, str]
    """By name, the module beside this one and the command in it: ``module:command``."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a subcommand; a full disk, such as that of a file that its output goes to, is said in words."""
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            where = f" for {error.filename}" if error.filename is not None else ""
            raise click.ClickException(f"{error.strerror}: make room{where}.") from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names of all subcommands."""
        return [*super().list_commands(ctx), *self.lazily]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Give a subcommand."""
        if cmd_name not in self.lazily:
            return super().get_command(ctx, cmd_name)
        module, name = self.lazily[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(f".{module}", __package__), name)
        return command
