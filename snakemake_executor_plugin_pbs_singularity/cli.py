"""The ``pbs-singularity`` command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path

import click

from .commands.images import images
from .commands.jobs import jobs
from .commands.lazily import Lazily

_DISTRIBUTION = "snakemake-executor-plugin-pbs-singularity"
_STOP_PATIENCE = 20  # seconds

_LOCAL_HELP = """Run COMMAND with a PBS of this machine: its qsub, qstat, qdel, qhold, qrls, qselect and
pbsnodes come first on PATH.

This PBS is small and plain, made for trying things out and for tests. It needs no root and nothing to set up.
Its first command starts it; it ends by itself when nothing has run or been asked for a minute. It runs the
jobs of one user on one machine, first come first served, keeps to the CPUs, memory and GPUs that there are,
ends jobs that exceed their walltime, and answers as OpenPBS does. It is no batch system for a group.

    \b
    pbs-singularity local -- qsub job.sh
    pbs-singularity local -- snakemake --executor pbs-singularity --jobs 4
    pbs-singularity local -- bash

State, job scripts and settings are kept in a private folder under /var/tmp; the environment variable
PBS_SINGULARITY_LOCAL_HOME names another one.
"""


class _Main(Lazily):
    lazily = {  # noqa: RUF012 - it is only read
        "doctor": "doctor.command:doctor",
        "exec": "exec:exec_",
        "shell": "shell:shell",
        "script": "script:script",
    }


@click.group(cls=_Main, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version(_DISTRIBUTION), message="%(prog)s %(version)s")
def main() -> None:
    """Helpers of the Snakemake executor plugin pbs-singularity."""


main.add_command(images)
main.add_command(jobs)


@main.command(help=_LOCAL_HELP, context_settings={"ignore_unknown_options": True})
@click.option("--status", is_flag=True, help="Show whether the server runs, its folder, settings and jobs.")
@click.option("--stop", is_flag=True, help="Delete all jobs and end the server.")
@click.option(
    "--set",
    "assignments",
    metavar="NAME=VALUE",
    multiple=True,
    help="Change a setting, for good; VALUE is JSON and may be empty for the default. The settings: ncpus, "
    "mem_mb, ngpus, queues, max_array_size, history_hours, enforce_mem, login_shell, kill_grace, idle, "
    "face (openpbs or torque: whose commands it has), keep_completed, and for tests "
    "server, answer_delay and lost. Example: --set ncpus=8 --set ngpus=2",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def local(status: bool, stop: bool, assignments: tuple[str, ...], command: tuple[str, ...]) -> None:
    """See _LOCAL_HELP."""
    from .pbs.local.home import HomeError, install_commands, prepare_home
    from .pbs.local.settings import SettingsError

    if not (status or stop or assignments or command):
        raise click.UsageError("Give a command after --, as in: pbs-singularity local -- qstat")
    try:
        home = prepare_home(os.environ)
        folder = install_commands(home)
        if assignments:
            _change_settings(home, assignments)
        if stop:
            _stop(home)
        if status:
            _show_status(home, folder)
    except (HomeError, SettingsError) as error:
        raise click.ClickException(str(error)) from error
    if command:
        sys.exit(_run(folder, command, os.environ))


def _change_settings(home: Path, assignments: tuple[str, ...]) -> None:
    from .pbs.local.settings import change

    changes: dict[str, object] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise click.UsageError(f"--set {assignment}: write NAME=VALUE.")
        try:
            changes[name] = json.loads(text) if text else None
        except ValueError:
            changes[name] = text  # a plain word needs no quotes
    change(home, **changes)


def _stop(home: Path) -> None:
    from .pbs.local.address import is_running
    from .pbs.local.asking import ask

    if not is_running(str(home)):
        return
    for _ in ask(str(home), "stop", []):
        pass
    until = time.monotonic() + _STOP_PATIENCE
    while is_running(str(home)):
        if time.monotonic() > until:
            raise click.ClickException("The server still waits for its jobs to end; see --status.")
        time.sleep(0.05)


def _show_status(home: Path, folder: Path) -> None:
    from .pbs.local.address import is_running
    from .pbs.local.settings import load

    running = is_running(str(home))
    click.echo(f"server:   {'running' if running else 'not running; its first command starts it'}")
    click.echo(f"folder:   {home}")
    click.echo(f"commands: {folder}")
    for name, value in vars(load(home)).items():
        click.echo(f"{name} = {'(as the machine has it)' if value is None else json.dumps(value, default=_plain)}")
    if running:
        subprocess.run([folder / "qstat"], check=False, timeout=60, env=dict(os.environ))


def _plain(value: object) -> dict[str, object]:
    """Give a mapping or a queue as JSON has it."""
    given = value if isinstance(value, Mapping) else vars(value)
    return {name: one for name, one in given.items() if one is not None}


def _run(folder: Path, command: tuple[str, ...], environment: Mapping[str, str]) -> int:
    """Run a command with the folder first on PATH; give its exit code as a shell would."""
    path = f"{folder}{os.pathsep}{environment.get('PATH', os.defpath)}"
    with_path = {**environment, "PATH": path}
    interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command has it from the terminal itself
    try:
        process = subprocess.Popen(  # no timeout: it is the user's own command
            command,
            env=with_path,
            restore_signals=True,
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )
        code = process.wait()
    except FileNotFoundError as error:
        click.echo(f"pbs-singularity: there is no command {error.filename!r}.", err=True)
        return 127
    except PermissionError as error:
        click.echo(f"pbs-singularity: the command {error.filename!r} is not executable.", err=True)
        return 126
    finally:
        signal.signal(signal.SIGINT, interrupted)
    return 128 - code if code < 0 else code
