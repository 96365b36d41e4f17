"""The files of one run, in the working directory's `.snakemake/pbs-singularity`.

ledger              what was submitted, and what became of it
images/             pulled images, unless another store is set
logs/RULE/…         what the tasks wrote, and beside it what PBS wrote of them
runs/TIME-XXXX/     one folder for each run of Snakemake, removed when all that it submitted has ended
    lock            held while the run goes on
    scripts/        two for each batch: what PBS is given, and what runs; it holds what was declared with envvars:
    records/        the exit record of each task
    ended/          the exit records that were read
"""

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from ..pbs import subjob_output
from ..text import one_line

STATE = Path(".snakemake", "pbs-singularity")
"""The folder of all runs, below the working directory."""
KEPT_DAYS = 30
"""Days that a log stays after it was last written to."""
_HELD: list[FileLock] = []
_LONGEST_NAME = 150
"""Bytes of the part of a file name that comes from outside; most file systems take 255 for the whole."""


@dataclass(frozen=True)
class RunFolder:
    """The folders of one run."""

    state: Path
    """Of all runs of the working directory."""
    name: str

    @property
    def run(self) -> Path:
        """Give the folder of what only this run needs."""
        return self.state / "runs" / self.name

    @property
    def logs(self) -> Path:
        """Give the folder of what tasks write."""
        return self.state / "logs"

    @property
    def pbs(self) -> Path:
        """Give the folder of what PBS writes."""
        return self.state / "pbs"

    @property
    def scripts(self) -> Path:
        """Give the folder of the batches' scripts."""
        return self.run / "scripts"

    @property
    def records(self) -> Path:
        """Give the folder of the exit records."""
        return self.run / "records"

    @property
    def ended(self) -> Path:
        """Give the folder of the exit records that were read: so a job that PBS begins again knows."""
        return self.run / "ended"

    def hold(self) -> bool:
        """Take the run for this process's own until it ends; False if another process that lives has it."""
        lock = FileLock(self.run / "lock", mode=0o600)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        _HELD.append(lock)  # or it would be let go with the last reference
        return True

    def script(self, batch: str) -> Path:
        """Give the file of a batch's script."""
        return self.scripts / f"{batch}.sh"

    def submitted_script(self, batch: str) -> Path:
        """Give the file of the script that PBS is given."""
        return self.scripts / f"{batch}.pbs"

    def log(self, rule: str, wildcards: str, token: str) -> Path:
        """Give the file for what a task writes."""
        return self.logs / _file_name(rule) / f"{_file_name(wildcards) or 'job'}.{token}.log"

    def pbs_log(self, batch: str, index: int | None) -> Path:
        """Give the file for what PBS writes of a job, or of the subjob of an index.

        It comes after the job's end, when the task is long reported.
        """
        path = self.pbs / f"{batch}.log"
        return path if index is None else subjob_output(path, index)

    def remove(self) -> None:
        """Remove what only the run itself needs; logs stay."""
        shutil.rmtree(self.run, ignore_errors=True)


def make_run_folder(state: Path) -> RunFolder:
    """Make the folders of a new run below `state`, readable for the user alone (law 7), and tidy up old logs."""
    folder = RunFolder(state, f"{time.strftime('%Y-%m-%dT%H-%M-%S')}-{secrets.token_hex(2)}")
    state.mkdir(mode=0o755, parents=True, exist_ok=True)
    folders = (folder.logs, folder.pbs, folder.run.parent, folder.run, folder.scripts, folder.records, folder.ended)
    for path in folders:
        path.mkdir(mode=0o700, exist_ok=True)
    folder.hold()
    _remove_old_files(folder.logs)
    _remove_old_files(folder.pbs)
    _remove_empty_files(folder.pbs)
    return folder


def run_folders(state: Path) -> list[RunFolder]:
    """Give the folders of all runs that have one, other than those that are just being made."""
    return [RunFolder(state, lock.parent.name) for lock in (state / "runs").glob("*/lock")]


def has_words(log: Path) -> bool:
    """Tell whether anything was written to a log; not so if it cannot be looked at, as on a network that fails."""
    try:
        return log.stat().st_size > 0
    except OSError:
        return False


def remove_if_empty(log: Path) -> None:
    """Remove the log of a task that had nothing to say, if that can be done."""
    with suppress(OSError):
        if log.stat().st_size == 0:
            log.unlink()


def _remove_old_files(folder: Path) -> None:
    """Remove what was not written to for KEPT_DAYS."""
    for path, age, _ in _files(folder):
        if age > KEPT_DAYS * 86400:
            path.unlink(missing_ok=True)


def _remove_empty_files(folder: Path) -> None:
    """Remove empty files after an hour: PBS writes them when their run has long gone on."""
    for path, age, size in _files(folder):
        if size == 0 and age > 3600:
            path.unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[tuple[Path, float, int]]:
    """Give each file with its age in seconds and its size; another run may be tidying up too."""
    now = time.time()
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            with suppress(FileNotFoundError):
                facts = path.lstat()
                yield path, now - facts.st_mtime, facts.st_size


def new_token() -> str:
    """Give a name that no other task or batch has."""
    return secrets.token_hex(5)


def write_private(path: Path, text: str) -> None:
    """Write a file that only the user can read: it may hold declared variables."""
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8", errors="surrogateescape")


def _file_name(text: str) -> str:
    """Give text as part of a file name: one component, no control characters, short enough."""
    name = one_line(text).replace("/", "_").strip(".")
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    return f"{name.encode()[:_LONGEST_NAME].decode(errors='ignore')}…"
