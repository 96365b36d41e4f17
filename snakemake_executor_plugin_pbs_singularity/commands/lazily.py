"""A group whose subcommands are imported when they are called, so that the others start quickly."""

import importlib

import click


class Lazily(click.Group):
    """A group that imports a subcommand when it is asked for it."""

    lazily: dict[str, str]
    """By name, the module beside this one and the command in it: ``module:command``."""

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
