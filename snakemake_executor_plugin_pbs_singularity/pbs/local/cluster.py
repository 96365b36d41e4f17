"""The server's state and what it does with it: take jobs in, start them, note their ends, delete them."""

from __future__ import annotations

import heapq
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from . import keeper
from .backlog import Backlog, Room
from .environment import job_environment, node_lines
from .job import INDEX_TAG, Job, JobId, Request, Run
from .machine import current_user, host_name, room_of
from .refusal import Reason, RefusalError
from .resources import parse_size, parse_time
from .settings import Settings
from .store import Store

Key = tuple[int, int | None]
"""Job number and subjob index: names one thing that runs."""

_LOST_NODE = -4  # JOB_EXEC_INITABT: the node came back and knew nothing of the job's end
_FORCE_KILL, _DELETED = 256 + signal.SIGKILL, 256 + signal.SIGTERM
_LIMIT_STATUS = {"walltime": -29, "mem": -27}  # facts of job.h; transcripts openpbs/09b, 10-enforce-mem


@dataclass
class Keeping:
    """One running job's keeper, seen from the server."""

    key: Key
    fifo: int
    folder: Path
    text: bytes = b""


class Cluster:
    """One server with its one node. ``watch`` and ``unwatch`` tell the caller which FIFOs to listen to."""

    def __init__(
        self,
        home: Path,
        settings: Settings,
        watch: Callable[[Keeping], None],
        unwatch: Callable[[Keeping], None],
    ) -> None:
        self.home = home
        self.settings = settings
        self.server = host_name()
        self.user = current_user()
        self.total = room_of(settings)
        self.free = self.total
        self.store = Store(home / "state.sqlite")
        self.jobs: dict[int, Job] = {}
        """Jobs that are not over."""
        self.keepings: dict[Key, Keeping] = {}
        self.on_end: dict[int, list[Callable[[Job], None]]] = {}
        """Who waits for a job's end (``-W block=true``)."""
        self._watch = watch
        self._unwatch = unwatch
        self._backlog = Backlog()
        self._slots: list[int] = []
        self._next_slot = 0
        self._dependents: dict[int, set[int]] = {}
        self._timers: list[tuple[float, int]] = []
        for job in self.store.unfinished():
            self.jobs[job.number] = job
        self._forget_old()
        for job in list(self.jobs.values()):
            self._take_up(job)
        self._forget_lost()
        self.schedule()

    # ----- what commands ask for

    def submit(self, request: Request, script: bytes, holds: str) -> Job:
        """Take in a new job. Raises RefusalError; see ``check``."""
        self.check(request)
        number = self.store.next_number()
        job = Job(number, _with_paths(request, number, self.server), Run(changed=request.submitted, holds=holds))
        if request.indices is not None:
            job.queued = len(request.indices.all())
        path = self.script_path(number, is_array=job.is_array)
        path.touch(mode=0o700)
        path.write_bytes(script)
        self.jobs[number] = job
        self.store.add(job)
        self._settle(job)
        if job.number in self.jobs:
            self.store.save(number, job.run)
        self.schedule()
        return job

    def check(self, request: Request) -> None:
        """Raise RefusalError for what the queue or the server does not take."""
        queue = self.settings.queues.get(request.queue)
        if queue is None:
            raise RefusalError(Reason.UNKNOWN_QUEUE)
        if not queue.enabled:
            raise RefusalError(Reason.QUEUE_DISABLED)
        if queue.closed:
            raise RefusalError(Reason.NOT_ALLOWED)
        walltime = request.resources.walltime
        if queue.max_walltime is not None and walltime is not None and walltime > queue.max_walltime:
            raise RefusalError(Reason.OVER_LIMIT)
        if queue.max_queued is not None:
            waiting = sum(job.request.queue == request.queue for job in self.jobs.values())
            if waiting >= queue.max_queued:
                raise RefusalError(Reason.TOO_MANY)
        indices = request.indices
        if indices is not None and len(indices.all()) > self.settings.max_array_size:
            raise RefusalError(Reason.ARRAY_TOO_LARGE)

    def find(self, identity: JobId, *, subjobs: bool = False) -> Job:
        """Give the job that an id names, be it over or not. Raises RefusalError(UNKNOWN_JOB)."""
        job = self.jobs.get(identity.number)
        if job is None:
            job = self.store.find(identity.number, subjobs=subjobs or bool(identity.index))
        if job is None or job.is_array != (identity.index is not None):
            raise RefusalError(Reason.UNKNOWN_JOB)
        return job

    def delete(self, job: Job, index: int | None, *, force: bool) -> None:
        """Delete a job, array or subjob: at once if it waits, by its keeper if it runs."""
        if index is not None:
            self._delete_one(job, index, force=force)
            return
        if not job.is_array:
            self._delete_one(job, None, force=force)
            return
        indices = job.request.indices
        assert indices is not None  # noqa: S101 - is_array says so
        job.run.deleted_by = self.owner()
        job.queued = 0
        job.position = len(indices.all())
        self._backlog.remove(job.number)
        for running in [key[1] for key in self.keepings if key[0] == job.number]:
            self._delete_one(job, running, force=force)
        self.store.save(job.number, job.run)
        self._finish_array_if_over(job)

    def forget(self, job: Job) -> None:
        """Remove a job without a trace (``qdel -x``, and the setting ``lost``)."""
        for key in [key for key in self.keepings if key[0] == job.number]:
            self._signal(self.keepings[key], signal.SIGUSR1)
            self._release(key)
        self._backlog.remove(job.number)
        self.jobs.pop(job.number, None)
        self._remove_script(job)
        self.store.forget(job.number)
        self.schedule()

    def hold(self, job: Job) -> None:
        """Put a user hold on a job or array (qhold)."""
        job.run.holds = "u" if job.run.holds == "n" else "".join(sorted(set(job.run.holds) | {"u"}))
        self._settle(job)
        self._changed(job)

    def release(self, job: Job) -> None:
        """Take the user hold off a job or array (qrls)."""
        job.run.holds = job.run.holds.replace("u", "") or "n"
        self._settle(job)
        self._changed(job)
        self.schedule()

    def owner(self) -> str:
        """Give ``user@host``."""
        return f"{self.user.name}@{self.server}"

    def script_path(self, number: int, *, is_array: bool) -> Path:
        """Give where a job's script is kept."""
        return self.home / "jobs" / f"{JobId(number, '' if is_array else None).text(self.server)}.SC"

    def comment(self, job: Job) -> str:
        """Give a job's comment; for one that waits, why it does."""
        if job.run.state != "Q":
            return job.run.comment
        queue = self.settings.queues.get(job.request.queue)
        if queue is None or not queue.started:
            return "Not Running: Queue not started."
        need, asked = _need(job), job.request.resources.value("mem") or ""
        never = self.total.shortage(need, self.total, asked)
        if never:
            return f"Can Never Run: {never}"
        if job.request.resources.needs_more_hosts:
            return "Can Never Run: Not enough total nodes available"
        now = self.total.shortage(need, self.free, asked)
        return f"Not Running: {now}" if now else job.run.comment

    # ----- what happens by itself

    def apply(self, settings: Settings) -> None:
        """Go on with changed settings."""
        before, self.settings = self.total, settings
        self.total = room_of(settings)
        self.free = self.free + self.total - before
        self._forget_lost()
        self._backlog = Backlog()
        for job in list(self.jobs.values()):
            self._settle(job)
        self.schedule()

    def next_time(self) -> float | None:
        """Give when ``on_time`` has something to do, in seconds since the epoch; None for never."""
        return self._timers[0][0] if self._timers else None

    def on_time(self) -> None:
        """Let jobs whose execution time (``-a``) has come be scheduled."""
        while self._timers and self._timers[0][0] <= time.time():
            job = self.jobs.get(heapq.heappop(self._timers)[1])
            if job is not None and job.run.state == "W":
                self._settle(job)
                self._changed(job)
        self.schedule()

    def schedule(self) -> None:
        """Start what fits."""
        starting: list[Keeping] = []
        while (number := self._backlog.first_that_fits(self.free)) is not None:
            starting.append(self._reserve(self.jobs[number]))
        if not starting:
            return
        self.store.commit()  # that they run must be known before they do
        for keeping in starting:
            self._launch(keeping)

    def on_message(self, keeping: Keeping) -> None:
        """Read what a keeper says; its silence for ever is the end of its job."""
        while True:
            try:
                text = os.read(keeping.fifo, 65536)
            except BlockingIOError:
                break
            if not text:
                self._on_end(keeping)
                self.schedule()
                return
            keeping.text += text
        *lines, keeping.text = keeping.text.split(b"\n")
        run = self._run(keeping.key)
        for line in lines:
            message = json.loads(line)
            run.session = message.get("session", run.session)
            run.used = message.get("used", run.used)
            run.substate = 42
            run.changed = time.time()

    def forget_old(self) -> None:
        """Drop history that is too old."""
        self._forget_old()

    # ----- inside

    def _settle(self, job: Job) -> None:
        """Put a job that does not run into the state that its holds, times and dependencies ask for."""
        run = job.run
        if run.state in "RE":
            return
        self._backlog.remove(job.number)
        if run.state != "B":
            self._check_dependencies(job)
            if job.number not in self.jobs:
                return
            begin = job.request.execution_time
            if run.holds != "n":
                run.state, run.substate = "H", 22 if run.holds == "s" else 20
            elif begin is not None and begin > time.time():
                run.state, run.substate = "W", 30
                heapq.heappush(self._timers, (begin, job.number))
            else:
                run.state, run.substate = "Q", 10
                if run.eligible is None:
                    run.eligible = time.time()
        if self._may_start(job):
            self._backlog.add(job.number, _need(job), job.request.priority)

    def _may_start(self, job: Job) -> bool:
        queue = self.settings.queues.get(job.request.queue)
        indices = job.request.indices
        return (
            job.run.state in "QB"
            and job.run.holds == "n"
            and queue is not None
            and queue.started
            and self.total.holds(_need(job))
            and not job.request.resources.needs_more_hosts
            and (indices is None or job.queued > 0)
            and (indices is None or indices.limit is None or job.running < indices.limit)
        )

    def _check_dependencies(self, job: Job) -> None:
        """Hold a job that waits for others (hold type s), or delete it if its wait is in vain."""
        waiting = False
        for kind, numbers in job.request.depend:
            for number in numbers:
                other = self.jobs.get(number) or self.store.find(number, subjobs=False)
                if other is not None and other.run.state != "F":
                    self._dependents.setdefault(number, set()).add(job.number)
                    waiting = True
                elif other is None or not _satisfied(kind, other):
                    job.run.comment = f"Job deleted as result of dependency on job {number}.{self.server}"
                    self._finish(job, 91)
                    return
        if job.request.depend:
            user_hold = "u" if "u" in job.run.holds else ""
            job.run.holds = user_hold + ("s" if waiting else "") or "n"

    def _reserve(self, job: Job) -> Keeping:
        """Take what the next start of a job needs, and note that it runs."""
        now = time.time()
        index: int | None = None
        run = job.run
        vnode = self._vnode(job)
        if job.request.indices is not None:
            index = self._next_index(job)
            run = job.subjobs[index] = Run(eligible=job.run.eligible)
            job.queued -= 1
            job.running += 1
            if job.run.state != "B":
                job.run.state, job.run.substate, job.run.started = "B", 70, now
                job.run.comment = f"Job Array Began at {_clock(now)}"
                job.run.changed = now
                self.store.save(job.number, job.run)
        run.state, run.substate, run.started, run.changed = "R", 41, now, now
        run.run_count += 1
        run.comment = f"Job run at {_clock(now)} on {vnode}"
        if self._slots:
            run.slot = heapq.heappop(self._slots)
        else:
            run.slot = self._next_slot
            self._next_slot += 1
        self.free = self.free - _need(job)
        self.store.save(job.number, run, index)
        self._backlog.remove(job.number)
        if job.is_array and self._may_start(job):
            self._backlog.add(job.number, _need(job), job.request.priority)
        folder = self.home / "jobs" / job.identity(index).text(self.server)
        keeping = Keeping((job.number, index), -1, folder)
        self.keepings[keeping.key] = keeping
        return keeping

    def _next_index(self, job: Job) -> int:
        indices = job.request.indices
        assert indices is not None  # noqa: S101 - only arrays come here
        every = indices.all()
        while every[job.position] in job.subjobs:
            job.position += 1
        index = every[job.position]
        job.position += 1
        return index

    def _vnode(self, job: Job) -> str:
        return "+".join(f"({':'.join((self.server, *chunk.asked))})" for chunk in job.request.resources.chunks)

    def _launch(self, keeping: Keeping) -> None:
        number, index = keeping.key
        job, folder = self.jobs[number], keeping.folder
        if folder.exists():
            shutil.rmtree(folder)  # left by a server that was killed in the act
        (folder / "tmp").mkdir(mode=0o700, parents=True)
        os.mkfifo(folder / "fifo", 0o600)
        node_file = folder / "nodes"
        node_file.write_text(node_lines(job, self.server))
        keeping.fifo = os.open(folder / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        held = os.open(folder / "fifo", os.O_RDWR | os.O_NONBLOCK)
        request = job.request
        keeper.start(
            keeper.Plan(
                folder=folder,
                script=self.script_path(number, is_array=job.is_array),
                shell=request.shell or self.user.shell,
                environment=job_environment(
                    job,
                    index,
                    server=self.server,
                    user=self.user,
                    temporary=str(folder / "tmp"),
                    node_file=str(node_file),
                ),
                workdir=self.user.home,
                umask=0o077 if request.umask is None else request.umask,
                output="" if request.join == "eo" else self._target(job, "o", index),
                error="" if request.join == "oe" else self._target(job, "e", index),
                default_names=(_default_name(job, "o", index), _default_name(job, "e", index)),
                join=request.join,
                undelivered=self.home / "undelivered",
                walltime=request.resources.walltime,
                mem_kb=parse_size(request.resources.value("mem") or "") if self.settings.enforce_mem else None,
                cput=parse_time(request.resources.value("cput") or ""),
                pvmem_kb=parse_size(request.resources.value("pvmem") or ""),
                grace=self.settings.kill_grace,
            ),
            held,
        )
        os.close(held)
        self._watch(keeping)

    def _target(self, job: Job, letter: str, index: int | None) -> str:
        """Give the path that one of the two output files is to be copied to; "" for nowhere."""
        if letter in job.request.remove:
            return ""
        if letter in job.request.keep:
            return f"{self.user.home}/{_default_name(job, letter, index)}"
        path = job.request.output if letter == "o" else job.request.error
        host, colon, rest = path.partition(":")
        path = rest if colon and "/" not in host else path
        return path if index is None else path.replace(INDEX_TAG, str(index))

    def _run(self, key: Key) -> Run:
        job = self.jobs[key[0]]
        return job.run if key[1] is None else job.subjobs[key[1]]

    def _release(self, key: Key) -> None:
        """Give back what a running job holds."""
        keeping = self.keepings.pop(key)
        job, run = self.jobs[key[0]], self._run(key)
        self.free = self.free + _need(job)
        if run.slot is not None:
            heapq.heappush(self._slots, run.slot)
        if keeping.fifo >= 0:
            self._unwatch(keeping)
            os.close(keeping.fifo)
        shutil.rmtree(keeping.folder, ignore_errors=True)

    def _on_end(self, keeping: Keeping) -> None:
        """Note how a job ended whose keeper is gone."""
        number, index = keeping.key
        job, run = self.jobs[number], self._run(keeping.key)
        try:
            record = json.loads((keeping.folder / "end").read_text())
        except FileNotFoundError:
            record = None
        began = (keeping.folder / "pid").exists()
        self._release(keeping.key)
        if record is None and not began:  # a server was killed between noting the start and starting it
            self._put_back(job, index)
            return
        if record is None:
            run.exit_status, ended = _LOST_NODE, time.time()
        else:
            ended = record["ended"]
            run.exit_status = _exit_status(record["status"], record["reason"], run)
            run.session = record["session"]
            run.staged_out = record["staged_out"]
            run.used = {**record["used"], "ncpus": job.request.resources.ncpus}
        reason = record["reason"] if record is not None else ""
        run.ended = run.changed = ended
        if run.deleted_by and reason in ("deleted", "force"):
            substate = 91
        else:
            substate = 92 if run.exit_status == 0 else 93
            words = "finished" if substate == 92 else "failed"
            if reason in _LIMIT_STATUS:
                words = f"exceeded resource {reason}"
            run.comment = f"{run.comment.partition(' and terminated by')[0]} and {words}"
        if index is None:
            self._finish(job, substate)
            return
        run.state, run.substate = "X", substate
        job.running -= 1
        job.expired += 1
        job.run.exit_status = run.exit_status
        job.run.staged_out = run.staged_out
        self.store.save(number, run, index)
        if not self._finish_array_if_over(job) and self._may_start(job):
            self._backlog.add(number, _need(job), job.request.priority)

    def _put_back(self, job: Job, index: int | None) -> None:
        run = self._run((job.number, index)) if index is None else job.subjobs.pop(index)
        if index is None:
            run.state = "Q"
            self._settle(job)
            self._changed(job)
            return
        job.running -= 1
        job.queued += 1
        job.position = 0
        self.store.commit()
        self._settle(job)

    def _delete_one(self, job: Job, index: int | None, *, force: bool) -> None:
        key = (job.number, index)
        keeping = self.keepings.get(key)
        if keeping is not None:
            run = self._run(key)
            run.changed = time.time()
            if not run.deleted_by:
                run.deleted_by = self.owner()
                run.comment += f" and terminated by {run.deleted_by}"
            self.store.save(job.number, run, index)
            self._signal(keeping, signal.SIGUSR1 if force else signal.SIGTERM)
        elif index is None:
            job.run.comment = self.comment(job)
            job.run.deleted_by = self.owner()
            self._finish(job, 91)
        elif index not in job.subjobs:
            job.subjobs[index] = Run("X", 91, "Subjob finished", changed=time.time(), deleted_by=self.owner())
            job.queued -= 1
            job.expired += 1
            self.store.save(job.number, job.subjobs[index], index)
            self._finish_array_if_over(job)

    def _signal(self, keeping: Keeping, number: int) -> None:
        # The keeper holds the FIFO open and was forked before this: its process id cannot be another's.
        for _ in range(100):
            try:
                os.kill(int((keeping.folder / "pid").read_text()), number)
            except (FileNotFoundError, ValueError):
                time.sleep(0.005)  # forked this very moment
            except ProcessLookupError:
                return  # its job has just ended
            else:
                return

    def _finish_array_if_over(self, job: Job) -> bool:
        if job.queued or job.running:
            return False
        runs = job.subjobs.values()
        deleted = bool(job.run.deleted_by) or any(run.substate == 91 for run in runs)
        failed = any(run.exit_status for run in runs)
        words, substate = ("finished", 92) if not failed else ("failed", 93)
        if deleted:
            words, substate = "terminated", 91
            job.run.exit_status = 1 if runs else None
        if job.run.comment:
            job.run.comment += f" and {words}"
        job.run.ended = time.time() if runs else None
        self._finish(job, substate)
        return True

    def _finish(self, job: Job, substate: int) -> None:
        """Make a job history, and let those go on that waited for it."""
        job.run.state, job.run.substate = "F", substate
        job.run.changed = job.run.history = job.run.ended or time.time()
        self._backlog.remove(job.number)
        self.jobs.pop(job.number, None)
        self._remove_script(job)
        if self.settings.history_hours > 0:
            self.store.save(job.number, job.run)
        else:
            self.store.forget(job.number)
        for waiting in self.on_end.pop(job.number, []):
            waiting(job)
        for number in self._dependents.pop(job.number, ()):
            dependent = self.jobs.get(number)
            if dependent is not None:
                self._settle(dependent)
                if number in self.jobs:
                    self._changed(dependent)

    def _changed(self, job: Job) -> None:
        job.run.changed = time.time()
        self.store.save(job.number, job.run)

    def _remove_script(self, job: Job) -> None:
        self.script_path(job.number, is_array=job.is_array).unlink(missing_ok=True)

    def _take_up(self, job: Job) -> None:
        """Go on with a job that an earlier server knew."""
        running: list[int | None] = [index for index, run in job.subjobs.items() if run.state == "R"]
        if job.run.state == "R":
            running.append(None)
        for index in running:
            keeping = Keeping((job.number, index), -1, self.home / "jobs" / job.identity(index).text(self.server))
            self.keepings[keeping.key] = keeping
            self.free = self.free - _need(job)
            slot = self._run(keeping.key).slot or 0
            self._slots = [free for free in {*self._slots, *range(self._next_slot, slot)} if free != slot]
            heapq.heapify(self._slots)
            self._next_slot = max(self._next_slot, slot + 1)
        self._settle(job)
        for index in running:
            self._adopt(self.keepings[job.number, index])

    def _adopt(self, keeping: Keeping) -> None:
        """Listen to the keeper of a job that an earlier server started, or note the job's end."""
        try:
            keeping.fifo = os.open(keeping.folder / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            self._on_end(keeping)
            return
        self._watch(keeping)
        self.on_message(keeping)

    def _forget_lost(self) -> None:
        for text in self.settings.lost:
            number = text.partition(".")[0].partition("[")[0]
            if number.isdigit():
                job = self.jobs.get(int(number)) or self.store.find(int(number), subjobs=False)
                if job is not None:
                    self.forget(job)

    def _forget_old(self) -> None:
        self.store.forget_before(time.time() - self.settings.history_hours * 3600)


def _satisfied(kind: str, other: Job) -> bool:
    ok = other.run.substate == 92
    return {"afterok": ok, "afternotok": not ok}.get(kind, True)


def _need(job: Job) -> Room:
    wanted = job.request.resources
    return Room(wanted.ncpus, wanted.mem_kb, wanted.ngpus)


def _exit_status(status: int, reason: str, run: Run) -> int:
    if reason in _LIMIT_STATUS:
        return _LIMIT_STATUS[reason]
    if reason and run.deleted_by:
        return _FORCE_KILL if reason == "force" else _DELETED
    code = os.waitstatus_to_exitcode(status)
    return 256 - code if code < 0 else code


def _clock(moment: float) -> str:
    return time.strftime("%a %b %d at %H:%M", time.localtime(moment))


def _default_name(job: Job, letter: str, index: int | None) -> str:
    return f"{job.request.name}.{letter}{job.number}" + ("" if index is None else f".{index}")


def _with_paths(request: Request, number: int, server: str) -> Request:
    """Put in the default paths of a job's output: in the folder where qsub was run."""
    folder = dict(request.variables).get("PBS_O_WORKDIR", "")
    index = "" if request.indices is None else f".{INDEX_TAG}"
    start = f"{server}:{folder}/{request.name}"
    return replace(
        request,
        output=request.output or f"{start}.o{number}{index}",
        error=request.error or f"{start}.e{number}{index}",
    )
