"""The one node: its room, and the keepers of the jobs that run on it."""

from __future__ import annotations

import heapq
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import keeper
from .ends import End
from .environment import job_environment, node_lines, torque_environment
from .job import INDEX_TAG, Job
from .machine import current_user, host_name, room_of
from .queues import need_of
from .resources import parse_size, parse_time
from .settings import Settings

Key = tuple[int, int | None]
"""Job number and subjob index: names one thing that runs."""


@dataclass
class Keeping:
    """One running job's keeper, seen from the server."""

    key: Key
    folder: Path
    slot: int
    fifo: int = -1
    text: bytes = b""


class Node:
    """Room and keepers. ``watch`` and ``unwatch`` tell the caller which FIFOs to listen to."""

    def __init__(
        self,
        home: Path,
        settings: Settings,
        watch: Callable[[Keeping], None],
        unwatch: Callable[[Keeping], None],
    ) -> None:
        self.name = host_name()
        self.user = current_user()
        self.total = self.free = room_of(settings)
        self.keepings: dict[Key, Keeping] = {}
        self._home = home
        self._watch = watch
        self._unwatch = unwatch
        self._free_slots: list[int] = []
        self._slots = 0

    def resize(self, settings: Settings) -> None:
        """Have as much room as changed settings say."""
        before, self.total = self.total, room_of(settings)
        self.free = self.free + self.total - before

    def script_path(self, job: Job) -> Path:
        """Give where a job's script is kept."""
        return self._home / "jobs" / f"{job.identity().text(self.name)}.SC"

    def vnode(self, job: Job) -> str:
        """Give exec_vnode."""
        return "+".join(f"({':'.join((self.name, *chunk.asked))})" for chunk in job.request.resources.chunks)

    def reserve(self, job: Job, index: int | None, slot: int | None = None) -> Keeping:
        """Take room for a job or subjob; ``slot`` if it had one with an earlier server."""
        if slot is not None:
            self._free_slots += range(self._slots, slot)
            self._slots = max(self._slots, slot + 1)
            self._free_slots = [free for free in self._free_slots if free != slot]
            heapq.heapify(self._free_slots)
        elif self._free_slots:
            slot = heapq.heappop(self._free_slots)
        else:
            slot, self._slots = self._slots, self._slots + 1
        folder = self._home / "jobs" / job.identity(index).text(self.name)
        keeping = Keeping((job.number, index), folder, slot)
        self.keepings[keeping.key] = keeping
        self.free = self.free - need_of(job)
        return keeping

    def launch(self, keeping: Keeping, job: Job, settings: Settings) -> None:
        """Start the keeper of a job that has its room."""
        folder, index = keeping.folder, keeping.key[1]
        self._stop_listening(keeping)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            shutil.rmtree(folder)  # left by a server that was killed in the act
            folder.mkdir(mode=0o700)
        (folder / "tmp").mkdir(mode=0o700)
        os.mkfifo(folder / "fifo", 0o600)
        (folder / "nodes").write_text(node_lines(job, self.name))
        keeping.fifo = os.open(folder / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        held = os.open(folder / "fifo", os.O_RDWR | os.O_NONBLOCK)
        keeper.start(self._plan(folder, job, index, settings), held)
        os.close(held)
        self._watch(keeping)

    def adopt(self, keeping: Keeping) -> bool:
        """Listen to a keeper that an earlier server started; tell whether it is still there."""
        try:
            keeping.fifo = os.open(keeping.folder / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            return False
        self._watch(keeping)
        return self.hear(keeping) is not None

    def hear(self, keeping: Keeping) -> list[dict[str, Any]] | None:
        """Give what a keeper has said since; None if it is gone, which is its job's end."""
        while True:
            try:
                text = os.read(keeping.fifo, 65536)
            except BlockingIOError:
                break
            if not text:
                return None
            keeping.text += text
        *lines, keeping.text = keeping.text.split(b"\n")
        return [json.loads(line) for line in lines]

    def began(self, keeping: Keeping) -> bool:
        """Tell whether a job's keeper ever ran."""
        return (keeping.folder / "pid").exists()

    def end_of(self, keeping: Keeping) -> End | None:
        """Give what the keeper of an ended job recorded; None if it was killed. Kills what is left of the job."""
        with suppress(FileNotFoundError):
            return End(**json.loads((keeping.folder / "end").read_text()))
        with suppress(FileNotFoundError):
            print((keeping.folder / "trouble").read_text(), file=sys.stderr, flush=True)
        _kill_all_with(f"PBS_NODEFILE={keeping.folder / 'nodes'}")
        return None

    def release(self, keeping: Keeping, job: Job) -> None:
        """Give back what an ended job had."""
        del self.keepings[keeping.key]
        self.free = self.free + need_of(job)
        heapq.heappush(self._free_slots, keeping.slot)
        self._stop_listening(keeping)
        _remove(keeping.folder)

    def _stop_listening(self, keeping: Keeping) -> None:
        if keeping.fifo >= 0:
            self._unwatch(keeping)
            os.close(keeping.fifo)
            keeping.fifo = -1

    def end(self, keeping: Keeping, *, force: bool) -> None:
        """Let a job's keeper end it: TERM, then KILL; with ``force`` KILL at once."""
        # The keeper is there, it holds the FIFO open: its process id cannot be another's.
        for _ in range(200):
            try:
                process = int((keeping.folder / "pid").read_text())
            except (FileNotFoundError, ValueError):
                time.sleep(0.005)  # forked this very moment
                continue
            with suppress(ProcessLookupError):  # its job has just ended
                os.kill(process, signal.SIGUSR1 if force else signal.SIGTERM)
            return

    def _plan(self, folder: Path, job: Job, index: int | None, settings: Settings) -> keeper.Plan:
        request, interactive = job.request, job.request.interactive
        return keeper.Plan(
            folder=folder,
            script=self.script_path(job),
            shell=request.shell or self.user.shell,
            login=settings.login_shell,
            environment=(torque_environment if settings.face == "torque" else job_environment)(
                job,
                index,
                server=self.name,
                user=self.user,
                temporary=str(folder / "tmp"),
                node_file=str(folder / "nodes"),
            ),
            workdir=self.user.home,
            umask=0o077 if request.umask is None else request.umask,
            output="" if request.join == "eo" else self._target(job, "o", index),
            error="" if request.join == "oe" else self._target(job, "e", index),
            default_names=(_default_name(job, "o", index), _default_name(job, "e", index)),
            join=request.join,
            remove=request.remove,
            undelivered=self._home / "undelivered",
            walltime=request.resources.walltime,
            mem_kb=parse_size(request.resources.value("mem") or "") if settings.enforce_mem else None,
            data_kb=parse_size(request.resources.value("mem") or "") if settings.face == "torque" else None,
            cput=parse_time(request.resources.value("cput") or ""),
            pvmem_kb=parse_size(request.resources.value("pvmem") or ""),
            grace=settings.kill_grace,
            terminal="" if interactive is None else interactive.terminal,
            command=() if interactive is None else interactive.command,
        )

    def _target(self, job: Job, letter: str, index: int | None) -> str:
        """Give the path that one of the two output files is to be copied to; "" for nowhere."""
        if letter in job.request.keep:
            return f"{self.user.home}/{_default_name(job, letter, index)}"
        path = job.request.output if letter == "o" else job.request.error
        path = path.partition(":")[2]
        return path if index is None else path.replace(INDEX_TAG, str(index))


def _remove(folder: Path) -> None:
    """Remove a job's folder, in which its keeper has left nothing but files."""
    try:
        for entry in os.scandir(folder):
            os.unlink(entry)  # noqa: PTH108 - several times as quick as with pathlib or rmtree
        folder.rmdir()
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)


def _default_name(job: Job, letter: str, index: int | None) -> str:
    separator = "" if job.request.indices is None else job.request.indices.separator
    return f"{job.request.name}.{letter}{job.number}" + ("" if index is None else f"{separator}{index}")


def _kill_all_with(variable: str) -> None:
    """Kill this user's processes that have this in their environment."""
    wanted = os.fsencode(variable)
    for entry in os.scandir("/proc"):
        with suppress(OSError):
            if entry.name.isdigit() and wanted in Path(entry.path, "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)
