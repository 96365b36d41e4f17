"""The server's state and what it does with it: take jobs in, start them, note their ends, delete them."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from pathlib import Path

from .backlog import Backlog
from .ends import TERMINATED, note_array_end, note_end, satisfied
from .job import Job, JobId, Request, Run
from .node import Keeping, Node
from .queues import check_admission, comment_of, may_start, need_of
from .refusal import Reason, RefusalError
from .settings import Settings
from .store import Store


class Cluster:
    """One server with its one node; see Node for ``watch`` and ``unwatch``."""

    def __init__(
        self,
        home: Path,
        settings: Settings,
        watch: Callable[[Keeping], None],
        unwatch: Callable[[Keeping], None],
    ) -> None:
        self.settings = settings
        self.node = Node(home, settings, watch, unwatch)
        self.server = self.node.name
        self.store = Store(home / "state.sqlite")
        self.jobs = {job.number: job for job in self.store.unfinished()}
        """Jobs that are not over."""
        self.on_end: dict[int, list[Callable[[Job], None]]] = {}
        """Who waits for a job's end (``-W block=true`` and ``-I``)."""
        self.on_start: dict[int, Callable[[], None]] = {}
        """Who waits for the start of an interactive job."""
        self._backlog = Backlog()
        self._dependents: dict[int, set[int]] = {}
        self._timers: list[tuple[float, int]] = []
        self.forget_old()
        for job in list(self.jobs.values()):
            self._take_up(job)
        self._forget_lost()
        self.schedule()

    # ----- what commands ask for

    def owner(self) -> str:
        """Give ``user@host``."""
        return f"{self.node.user.name}@{self.server}"

    def submit(self, request: Request, script: bytes, holds: str) -> Job:
        """Take in a new job. Raises RefusalError."""
        check_admission(request, self.settings, self.jobs.values())
        number = self.store.next_number()
        run = Run(changed=request.submitted, holds=holds)
        job = Job(number, request.with_paths(number, self.server), run)
        if request.indices is not None:
            job.queued = len(request.indices.all())
        path = self.node.script_path(job)
        path.touch(mode=0o700)
        path.write_bytes(script)
        self.jobs[number] = job
        self.store.add(job)
        self._settle(job)
        self.schedule()
        return job

    def find(self, identity: JobId, *, subjobs: bool = False) -> Job:
        """Give the job that an id names, be it over or not. Raises RefusalError(UNKNOWN_JOB)."""
        job = self.jobs.get(identity.number)
        if job is None:
            job = self.store.find(identity.number, subjobs=subjobs or bool(identity.index))
        if job is None or job.is_array != (identity.index is not None):
            raise RefusalError(Reason.UNKNOWN_JOB)
        return job

    def comment(self, job: Job) -> str:
        """Give a job's comment; for one that waits, why it does."""
        return comment_of(job, self.settings, self.node.total, self.node.free)

    def delete(self, job: Job, index: int | None, *, force: bool) -> None:
        """Delete a job, array or subjob: at once if it waits, through its keeper if it runs."""
        keeping = self.node.keepings.get((job.number, index))
        if keeping is not None:
            self._end_running(job, keeping, force=force)
        elif index is not None:
            self._delete_waiting_subjob(job, index)
        elif job.is_array:
            self._delete_array(job, force=force)
        else:
            job.run.comment = self.comment(job)
            job.run.deleted_by = self.owner()
            self._finish(job, TERMINATED)

    def forget(self, job: Job) -> None:
        """Remove a job without a trace (``qdel -x``, and the setting ``lost``)."""
        self._backlog.remove(job.number)
        self.jobs.pop(job.number, None)
        self.store.forget(job.number)
        self.store.commit()
        self._tell_end(job)
        self.node.script_path(job).unlink(missing_ok=True)
        for keeping in self._keepings_of(job):
            self.node.end(keeping, force=True)
            self.node.release(keeping, job)
        self.schedule()

    def hold(self, job: Job) -> None:
        """Put a user hold on a job or array (qhold)."""
        if "u" not in job.run.holds:
            job.run.holds = "u" if job.run.holds == "n" else f"{job.run.holds}u"
        self._settle_anew(job)

    def release(self, job: Job) -> None:
        """Take the user hold off a job or array (qrls)."""
        job.run.holds = job.run.holds.replace("u", "") or "n"
        self._settle_anew(job)
        self.schedule()

    # ----- what happens by itself

    def apply(self, settings: Settings) -> None:
        """Go on with changed settings."""
        self.settings = settings
        self.node.resize(settings)
        self._forget_lost()
        self._backlog = Backlog()
        for job in list(self.jobs.values()):
            self._settle(job)
        self.schedule()

    def schedule(self) -> None:
        """Start what fits."""
        starting: list[Keeping] = []
        while (number := self._backlog.first_that_fits(self.node.free)) is not None:
            starting.append(self._reserve(self.jobs[number]))
        if starting:
            self.store.commit()  # that they run must be known before they do
        for keeping in starting:
            self.node.launch(keeping, self.jobs[keeping.key[0]], self.settings)
            if (started := self.on_start.pop(keeping.key[0], None)) is not None:
                started()

    def hear(self, keeping: Keeping) -> None:
        """Note what a keeper says; its silence for ever is the end of its job."""
        messages = self.node.hear(keeping)
        if messages is None:
            self._note_end(keeping)
            self.schedule()
            return
        run = self._run(keeping)
        for message in messages:
            run.session = message.get("session", run.session)
            run.used = message.get("used", run.used)
            run.substate = 42
            run.changed = time.time()

    def next_time(self) -> float | None:
        """Give when ``on_time`` has something to do, in seconds since the epoch; None for never."""
        return self._timers[0][0] if self._timers else None

    def on_time(self) -> None:
        """Let jobs whose execution time (``-a``) has come be scheduled."""
        if not self._timers or self._timers[0][0] > time.time():
            return
        while self._timers and self._timers[0][0] <= time.time():
            job = self.jobs.get(heapq.heappop(self._timers)[1])
            if job is not None and job.run.state == "W":
                self._settle_anew(job)
        self.schedule()

    def forget_old(self) -> None:
        """Drop history that is too old."""
        self.store.forget_before(time.time() - self.settings.remembers)

    # ----- waiting

    def _settle(self, job: Job) -> None:
        """Put a job that waits into the state that its holds, times and dependencies ask for."""
        run = job.run
        self._backlog.remove(job.number)
        if run.state == "R":
            return
        if run.state != "B":
            if not self._check_dependencies(job):
                return
            begin = job.request.execution_time
            if run.holds != "n":
                run.state, run.substate = "H", 22 if run.holds == "s" else 20
            elif begin is not None and begin > time.time():
                run.state, run.substate = "W", 30
                heapq.heappush(self._timers, (begin, job.number))
            else:
                run.state, run.substate = "Q", 10
                run.eligible = run.eligible or time.time()
            self.store.save(job.number, run)
        self._let_wait(job)

    def _settle_anew(self, job: Job) -> None:
        job.run.changed = time.time()
        self.store.save(job.number, job.run)
        self._settle(job)

    def _let_wait(self, job: Job) -> None:
        if may_start(job, self.settings, self.node.total):
            self._backlog.add(job.number, need_of(job), job.request.priority)
        else:
            self._backlog.remove(job.number)

    def _check_dependencies(self, job: Job) -> bool:
        """Hold a job that waits for others (hold type s); delete it, and give False, if it waits in vain."""
        waiting = False
        for kind, numbers in job.request.depend:
            for number in numbers:
                other = self.jobs.get(number) or self.store.find(number, subjobs=False)
                if other is not None and other.run.state != "F":
                    self._dependents.setdefault(number, set()).add(job.number)
                    waiting = True
                elif other is None or not satisfied(kind, other):
                    job.run.comment = f"Job deleted as result of dependency on job {number}.{self.server}"
                    self._finish(job, TERMINATED)
                    return False
        if job.request.depend:
            user_hold = "u" if "u" in job.run.holds else ""
            job.run.holds = user_hold + ("s" if waiting else "") or "n"
        return True

    # ----- running

    def _reserve(self, job: Job) -> Keeping:
        """Take the room for a job's next start, and note that it runs."""
        now = time.time()
        index, run = None, job.run
        if job.request.indices is not None:
            index = job.take_next_index()
            run = job.subjobs[index] = Run(eligible=job.run.eligible)
            job.queued -= 1
            job.running += 1
            if job.run.state != "B":
                job.run.state, job.run.substate, job.run.started, job.run.changed = "B", 70, now, now
                job.run.comment = f"Job Array Began at {_clock(now)}"
                self.store.save(job.number, job.run)
        keeping = self.node.reserve(job, index)
        run.state, run.substate, run.started, run.changed = "R", 41, now, now
        run.run_count += 1
        run.slot = keeping.slot
        run.comment = f"Job run at {_clock(now)} on {self.node.vnode(job)}"
        self.store.save(job.number, run, index)
        self._let_wait(job)
        return keeping

    def _run(self, keeping: Keeping) -> Run:
        number, index = keeping.key
        job = self.jobs[number]
        return job.run if index is None else job.subjobs[index]

    def _keepings_of(self, job: Job) -> list[Keeping]:
        return [keeping for key, keeping in self.node.keepings.items() if key[0] == job.number]

    def _take_up(self, job: Job) -> None:
        """Go on with a job that an earlier server knew."""
        runs: list[tuple[int | None, Run]] = [(None, job.run), *job.subjobs.items()]
        keepings = [self.node.reserve(job, index, run.slot) for index, run in runs if run.state == "R"]
        if job.request.interactive is not None and not keepings:
            self.delete(job, None, force=False)  # the qsub that waited for it has lost its server
            return
        self._settle(job)
        for keeping in keepings:
            if not self.node.adopt(keeping):
                self._note_end(keeping)

    def _note_end(self, keeping: Keeping) -> None:
        """Note how a job ended whose keeper is gone."""
        number, index = keeping.key
        job, run = self.jobs[number], self._run(keeping)
        end = self.node.end_of(keeping)
        if end is None and not self.node.began(keeping):
            self.node.launch(keeping, job, self.settings)  # a server was killed between noting and starting
            return
        note_end(run, end, time.time(), job.request)
        if index is None:
            self._finish(job, run.substate)
        else:
            run.state = "X"
            job.running -= 1
            job.expired += 1
            job.run.exit_status, job.run.staged_out = run.exit_status, run.staged_out
            self.store.save(number, run, index)
            self._go_on_with_array(job)
        self.store.commit()  # before what the keeper wrote is removed
        self.node.release(keeping, job)

    def _go_on_with_array(self, job: Job) -> None:
        if job.queued or job.running:
            self._let_wait(job)
        else:
            note_array_end(job, time.time())
            self._finish(job, job.run.substate)

    # ----- ending

    def _end_running(self, job: Job, keeping: Keeping, *, force: bool) -> None:
        run = self._run(keeping)
        run.changed = time.time()
        if not run.deleted_by:
            run.deleted_by = self.owner()
            run.comment += f" and terminated by {run.deleted_by}"
        self.store.save(job.number, run, keeping.key[1])
        self.node.end(keeping, force=force)

    def _delete_waiting_subjob(self, job: Job, index: int) -> None:
        if index in job.subjobs:
            return  # it is over
        run = Run("X", TERMINATED, "Subjob finished", changed=time.time(), deleted_by=self.owner())
        job.subjobs[index] = run
        job.queued -= 1
        job.expired += 1
        self.store.save(job.number, run, index)
        self._go_on_with_array(job)

    def _delete_array(self, job: Job, *, force: bool) -> None:
        job.run.deleted_by = self.owner()
        job.expired, job.queued = job.expired + job.queued, 0
        for keeping in self._keepings_of(job):
            self._end_running(job, keeping, force=force)
        self.store.save(job.number, job.run)
        self._go_on_with_array(job)

    def _finish(self, job: Job, substate: int) -> None:
        """Make a job history, and let those go on that waited for it."""
        job.run.state, job.run.substate = "F", substate
        job.run.history = job.run.ended or time.time()
        job.run.changed = job.run.history
        self._backlog.remove(job.number)
        self.jobs.pop(job.number, None)
        self.node.script_path(job).unlink(missing_ok=True)
        self.store.save(job.number, job.run)
        self._tell_end(job)
        for number in self._dependents.pop(job.number, ()):
            dependent = self.jobs.get(number)
            if dependent is not None:
                self._settle_anew(dependent)
        if self.settings.remembers == 0:
            self.store.forget(job.number)

    def _tell_end(self, job: Job) -> None:
        self.on_start.pop(job.number, None)
        for waiting in self.on_end.pop(job.number, []):
            waiting(job)

    def _forget_lost(self) -> None:
        for text in self.settings.lost:
            number = text.partition(".")[0].partition("[")[0]
            if number.isdigit():
                job = self.jobs.get(int(number)) or self.store.find(int(number), subjobs=False)
                if job is not None:
                    self.forget(job)


def _clock(moment: float) -> str:
    return time.strftime("%a %b %d at %H:%M", time.localtime(moment))
