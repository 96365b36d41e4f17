"""``pbs-singularity shell``: a shell in a container, in an interactive PBS job."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import termios
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import click

from ..contact import Contact
from ..pbs import Pbs, PbsError, State, explain_exit, find_by_name, job_name
from ..tracking.run_folder import new_token, write_private
from ..tracking.witness import read_record
from .by_hand import Asked, job_options, make_ready, private_folder, run_here, say, writing
from .ending import Ending
from .one_job import Looks, delete_and_see_gone, wait_until_gone
from .wording import in_options

_STEP = 0.1
"""Seconds in which the end of qsub, or a signal, is noticed."""
_FIRST_LOOK = 3.0
"""Seconds before PBS is asked what keeps the job waiting."""
_LONGEST_END = 15.0
"""Seconds that PBS may take to end a job whose shell has ended, before it is deleted."""
_ENDED_BY_PBS = 128 + signal.SIGTERM
_WAITING = (State.QUEUED, State.HELD, State.WAITING, State.TRANSIT)
_SHELL = "HISTFILE=/dev/null; export HISTFILE; command -v bash >/dev/null 2>&1 && exec bash; exec sh"
"""The home is the working directory, where a history would be left behind."""

_HELP = """Give a shell in a container, in an interactive PBS job on a compute node.

    IMAGE is what a rule's container: is: a name in the image library, a path, or a URI, which is pulled first. The
    shell is the image's bash, else its sh; it begins in this folder, which is its home too, as in a rule.

    \b
    pbs-singularity shell tools/samtools
    pbs-singularity shell --gpu 1 --mem 16000 --runtime 120 deep_learning/tensorflow-1.10.0-py3.simg

    Ctrl-C while the job waits deletes it; in the shell it is the shell's. The exit code is the shell's; where PBS ends
    the job, as for its runtime, the reason is said and it is 143. PBS tells the job how large the window is once, at
    the start: after a change, set it with `stty rows 50 cols 120`.

    It needs a terminal; for scripts there is pbs-singularity exec. With --here, within a PBS job, the shell is in that
    job."""


@click.command("shell", help=_HELP)
@job_options
@click.argument("image")
def shell(image: str, **options: Any) -> None:
    """See _HELP."""
    if not (os.isatty(0) and os.isatty(1)):
        raise click.UsageError(
            "stdin and stdout must be a terminal. Without one: pbs-singularity exec IMAGE -- COMMAND..."
        )
    asked = Asked(**options)
    with Ending() as ending:
        ready = make_ready("shell", asked, image, ending)
        if ready is None:
            sys.exit(ending.exit_code)
        if asked.here:
            sys.exit(run_here(ready, _SHELL, ending))
        folder = private_folder(ready.site.workdir)
        token = new_token()
        script = folder / "shell.sh"
        name = job_name(f"{asked.name or 'sh'}-{token}")  # a PBS Pro before 13 takes 15 characters
        pbs = ready.site.pbs
        try:
            with writing(folder):
                write_private(script, ready.script(f"pbs-singularity shell {image}", token, _SHELL, folder))
                script.chmod(0o700)
            arguments = pbs.dialect.interactive_arguments(pbs.dialect.request_arguments(ready.request), name, script)
            code = _talk(pbs, arguments, name, folder / token, ready.site.workdir, ending)
        except PbsError as error:
            raise click.ClickException(in_options(str(error))) from error
        except KeyboardInterrupt:
            say(f"Left at once. PBS may still have the job of the name {name}: see `qselect -N {name}`, and `qdel`.")
            code = 128 + signal.SIGINT
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(code)


def _talk(pbs: Pbs, arguments: Sequence[str], name: str, record: Path, workdir: Path, ending: Ending) -> int:
    """Let ``qsub`` and its job have the terminal, see that the job is gone afterwards, and give the exit code.

    While the job waits, Ctrl-C comes to ``qsub`` too, which then asks whether to delete it: that is answered for it.
    """
    before = termios.tcgetattr(0)
    stops = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    qsub = subprocess.Popen(  # no time limit: it is the user's own session
        [str(pbs.commands / "qsub"), *arguments],
        env={**pbs.environment, "TERM": os.environ.get("TERM", "dumb"), "PWD": str(workdir)},
        cwd=workdir,
        preexec_fn=partial(signal.signal, signal.SIGTSTP, signal.SIG_DFL),
    )
    looks: Looks | None = None
    try:
        _wait(qsub, pbs, name, ending)
        if ending.signal == signal.SIGINT:
            qsub.kill()  # it asks whether to delete the job, and waits for an answer
            with suppress(OSError):
                click.echo(err=True)
        looks = _find(pbs, name)
        if ending.signal is None and looks is not None and not wait_until_gone(looks, _LONGEST_END):
            say(f"The job {looks.job_id} goes on without its shell.")
            delete_and_see_gone(pbs, looks.job_id, say)
        elif ending.signal is not None and looks is not None:
            say(f"Deleting job {looks.job_id}.")
            delete_and_see_gone(pbs, looks.job_id, say)
    finally:
        if qsub.poll() is None:
            qsub.kill()
            qsub.wait()
        signal.signal(signal.SIGTSTP, stops)
        with suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(0, termios.TCSANOW, before)
    if ending.signal is not None:
        return ending.exit_code
    ended = read_record(record)
    if ended is not None:  # TORQUE then says that it killed the job
        return ended.exit_status
    status = looks.status if looks is not None else None
    why = explain_exit(status) if status is not None else None
    if status is not None and status.ended_by_pbs and why is not None:
        say(in_options(str(why)))
        return _ENDED_BY_PBS
    return qsub.returncode or 1


def _wait(qsub: subprocess.Popen[bytes], pbs: Pbs, name: str, ending: Ending) -> None:
    """Wait for the end of ``qsub`` or for a signal; say meanwhile what keeps the job from beginning."""
    looks: Looks | None = None
    asks = True
    seconds = 0.0
    next_look = _FIRST_LOOK
    while qsub.poll() is None and ending.signal is None:
        with suppress(subprocess.TimeoutExpired):
            qsub.wait(_STEP)
        seconds += _STEP
        if not asks or seconds < next_look:
            continue
        next_look = 1.5 * seconds
        looks = looks or _find(pbs, name)
        if looks is not None:
            looks.look(now=True)
            asks = looks.status is None or looks.status.state in _WAITING


def _find(pbs: Pbs, name: str) -> Looks | None:
    """Find the job by its name; None if PBS does not have it, or does not say."""
    try:
        found = find_by_name(pbs, name)
    except PbsError as error:
        say(f"PBS does not say whether it still has the job of the name {name}. {error}")
        return None
    return Looks(pbs, found[0], Contact(say, say), say) if found else None
