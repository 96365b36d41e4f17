"""``pbs-singularity exec``: a command in a container as a batch job, as if it ran here."""

from __future__ import annotations

import os
import select
import shlex
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ..contact import Contact
from ..pbs import JobStatus, PbsError, Submission, explain_exit, job_name
from ..reporting.exit_codes import explain_code
from ..reporting.failure import last_lines
from ..tasks.script import submitted_script
from ..text import one_line
from ..tracking.run_folder import new_token, write_private
from ..tracking.witness import ExitRecord, judge, read_records
from .by_hand import Asked, Ready, job_options, make_ready, private_folder, run_here, say, writing
from .ending import Ending
from .one_job import Looks, delete_and_see_gone, submit_when_possible, wait_until_gone
from .streams import Follower
from .wording import in_options

_QUICKEST, _SLOWEST = 0.1, 0.5
"""Seconds between two looks at what the job has written."""
_GRACE = 10.0
"""Seconds that an exit record may be late, at least."""
_LONGEST_END = 60.0
"""Seconds that PBS may take to end a job whose command has ended."""
_ENDED_BY_PBS = 128 + signal.SIGTERM
"""The exit code where PBS ended the job: it does so with SIGTERM."""
_LOST = 1
"""The exit code where nobody knows how the job ended."""

_HELP = """Run COMMAND in a container as a PBS job, as if it ran here.

    IMAGE is what a rule's container: is: a name in the image library, a path, or a URI, which is pulled first. Options
    go before it. The command runs in this folder, with what --bind and the settings of a run here bind. What it writes
    to stdout and stderr comes here while it runs, and its exit code is this command's. Nothing of your environment
    goes with it but what finds programs; for more, use env as below.

    \b
    pbs-singularity exec tools/samtools -- samtools --version
    pbs-singularity exec --threads 8 --mem 16000 --runtime 120 tools/bwa -- \\
        sh -c 'bwa mem -t 8 ref.fa reads.fq > out.sam'
    pbs-singularity exec --gpu 1 docker://python:3.12 -- env LEVEL=3 python train.py
    pbs-singularity exec -i tools/samtools -- samtools sort -o out.bam - < in.sam

    Ctrl-C (or SIGTERM, or closing the terminal) deletes the job and waits until it is gone; a second Ctrl-C leaves at
    once. Where PBS ends the job, as for its runtime, the reason is said and the exit code is 143; a signal N that ends
    the command gives 128+N. Where the job is over without a word, it is 1.

    With --here, within a PBS job such as `qsub -I`, the command runs in that job, with what that has."""


@click.command("exec", help=_HELP, context_settings={"allow_interspersed_args": False})
@job_options
@click.option("--mpi", metavar="COMMAND", help="What starts the containers, once for each of --tasks, as mpiexec does.")
@click.option("-i", "--stdin", "with_stdin", is_flag=True, help="Read stdin to its end first, for the command's stdin.")
@click.argument("image")
@click.argument("command", metavar="[--] COMMAND...", nargs=-1, type=click.UNPROCESSED, required=True)
def exec_(image: str, command: tuple[str, ...], mpi: str | None, with_stdin: bool, **options: Any) -> None:
    """See _HELP."""
    words = command[1:] if command[0] == "--" else command
    if not words or words[0].startswith("-"):
        raise click.UsageError("Options go before IMAGE, the command after it, as in: exec --mem 4000 IMAGE -- ls -l")
    if with_stdin and sys.stdin is None:
        raise click.UsageError("--stdin: stdin is closed. Leave it out, or give the command something to read.")
    if with_stdin and sys.stdin.isatty():
        raise click.UsageError("--stdin: stdin is a terminal. For a shell in the container: pbs-singularity shell")
    asked = Asked(**options)
    name = Path(words[0]).name
    with Ending() as ending:
        ready = make_ready("exec", asked, image, ending, mpi)
        if ready is None:
            sys.exit(ending.exit_code)
        text = f"exec {shlex.join(words)}"
        if asked.here:
            sys.exit(run_here(ready, text, ending))
        folder = private_folder(ready.site.workdir)
        job = _Job(ready, folder, asked.name or name, text)
        try:
            code = job.run(ending, with_stdin=with_stdin)
        except KeyboardInterrupt:
            say(f"Left at once. PBS may still have job {job.in_words}: `qdel` deletes it. Then remove {folder}.")
            code = 128 + signal.SIGINT
    sys.exit(code)


class _Job:
    """A command on its way through PBS."""

    def __init__(self, ready: Ready, folder: Path, name: str, command: str) -> None:
        self._ready = ready
        self._folder = folder
        self._token = new_token()
        self._name = job_name(f"{name}-{self._token}")
        self._command = command
        self._id: str | None = None
        self._contact = Contact(say, say)

    @property
    def in_words(self) -> str:
        """Give its id, or its name as long as it has none."""
        return self._id or f"of the name {self._name}"

    def run(self, ending: Ending, *, with_stdin: bool) -> int:
        """Run it and give the exit code; its files are removed when PBS needs them no more."""
        pbs = self._ready.site.pbs
        is_gone = True
        try:
            with writing(self._folder):
                submission = self._write(ending, with_stdin=with_stdin)
            if ending.signal is not None:
                return ending.exit_code
            is_gone = False
            try:
                self._id = submit_when_possible(pbs, submission, ending, self._contact)
            except PbsError as error:
                is_gone = not error.uncertain
                raise click.ClickException(in_options(str(error))) from error
            if self._id is None:
                is_gone = True
                return ending.exit_code
            say(f"Job {self._id}.")
            looks = Looks(pbs, self._id, self._contact, say)
            record = self._follow(looks, ending)
            if ending.signal is not None:
                is_gone = delete_and_see_gone(pbs, self._id, say)
                code = ending.exit_code
            else:
                is_gone = wait_until_gone(looks, _LONGEST_END)
                code = self._exit_code(record, looks.status)
            if not is_gone:
                say(f"PBS may still have job {self._id}: `qdel` deletes it. Then remove {self._folder}.")
            return code
        finally:
            if is_gone:
                shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, ending: Ending, *, with_stdin: bool) -> Submission:
        """Write the scripts and the files that the job writes to, and give what PBS is to be told."""
        folder, request = self._folder, self._ready.request
        title = one_line(f"pbs-singularity {self._command}")
        for name in ("out", "err", "stdin"):
            write_private(folder / name, "")
        if with_stdin:
            _copy_stdin(folder / "stdin", ending)
        write_private(folder / "task.sh", self._ready.script(title, self._token, self._command, folder))
        source = folder / "stdin" if with_stdin else Path("/dev/null")
        write_private(folder / "streams.sh", _redirected(folder / "task.sh", source, folder / "out", folder / "err"))
        write_private(folder / "job.pbs", submitted_script("pbs-singularity exec", folder / "streams.sh"))
        return Submission(
            script=folder / "job.pbs",
            name=self._name,
            output=folder / "pbs.log",
            arguments=self._ready.site.pbs.dialect.request_arguments(request),
            workdir=self._ready.site.workdir,
        )

    def _follow(self, looks: Looks, ending: Ending) -> ExitRecord | None:
        """Copy what the job writes until it is over, or a signal comes; give its exit record, if it left one."""
        followers = [Follower(self._folder / "out", 1), Follower(self._folder / "err", 2)]
        pause = _QUICKEST
        while ending.signal is None:
            record = next((found for _, found in read_records(self._folder, self._token.__eq__)), None)
            has_come = _copy(followers, ending)
            if record is not None:
                return record
            looks.look()
            if judge(looks.status, looks.seconds_over, _GRACE) is not None:
                _copy(followers, ending)  # it may have ended while PBS was asked
                return None
            pause = _QUICKEST if has_come else min(pause * 1.2, _SLOWEST)
            ending.sleep(pause)
        return None

    def _exit_code(self, record: ExitRecord | None, status: JobStatus | None) -> int:
        """Give the command's exit code, or another than 0 where PBS ended the job; then say why."""
        is_ended = status is not None and status.ended_by_pbs
        if record is not None and not is_ended:
            if record.exit_status == 128 + signal.SIGKILL and (why := explain_code(record.exit_status, status)):
                say(in_options(str(why)))
            return record.exit_status
        why = explain_exit(status) if status is not None else None
        say(in_options(str(why)) if why is not None else "The job is over, but did not say how its command ended.")
        for line in last_lines(self._folder / "pbs.log"):
            say(line)
        if is_ended:
            return (record.exit_status if record is not None else 0) or _ENDED_BY_PBS
        return (status.exit_status if status is not None else 0) or _LOST


def _copy(followers: Sequence[Follower], ending: Ending) -> bool:
    """Copy what has come; tell whether anything has. Where nobody takes it any more, that is to end the job."""
    try:
        has_come = [follower.copy() for follower in followers]
    except OSError as error:  # the reader is gone, the terminal is, or a disk is full
        if not isinstance(error, BrokenPipeError):
            say(f"What the job writes is not taken here, so the job is deleted: {error.strerror}.")
        ending.signal = signal.SIGPIPE
        return False
    return any(has_come)


def _redirected(script: Path, source: Path, out: Path, err: Path) -> str:
    """Give a script that runs another with its streams in files.

    A client of a network file system may keep what is written for half a minute, but not when a file is closed.
    """
    script_, source_, out_, err_ = (shlex.quote(str(path)) for path in (script, source, out, err))
    return f"""\
#!/bin/sh
(while sleep 1; do : >>{out_}; : >>{err_}; done) </dev/null >/dev/null 2>&1 &
flush=$!
/bin/sh {script_} 0 <{source_} >>{out_} 2>>{err_}
code=$?
kill "$flush"
exit "$code"
"""


def _copy_stdin(file: Path, ending: Ending) -> None:
    """Copy stdin to a file, to its end or until a signal comes."""
    with file.open("wb") as copy:
        while ending.signal is None:
            if not select.select([0], [], [], 0.2)[0]:
                continue
            piece = os.read(0, 1 << 16)
            if not piece:
                return
            copy.write(piece)
