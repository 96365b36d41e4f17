"""A working directory whose runs submit to a local PBS, without Snakemake; its pauses take no time.

In front of the PBS's commands stand others that can keep an answer back. In each pause the next thing happens that a
test has planned, and the clock goes on.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from local.conftest import LocalPbs
from tasks.made import task
from tasks.run import PATH

from snakemake_executor_plugin_pbs_singularity import adoption, cancelling, tracker, watch
from snakemake_executor_plugin_pbs_singularity.adoption import find_left_overs
from snakemake_executor_plugin_pbs_singularity.batch import Batch
from snakemake_executor_plugin_pbs_singularity.contact import Contact
from snakemake_executor_plugin_pbs_singularity.pbs import JobStatus, commands, find_pbs, status
from snakemake_executor_plugin_pbs_singularity.task import Task
from snakemake_executor_plugin_pbs_singularity.tasks.script import DirectTask, Surroundings
from snakemake_executor_plugin_pbs_singularity.tracker import Submitted, Tracker
from snakemake_executor_plugin_pbs_singularity.tracking import run_folder
from snakemake_executor_plugin_pbs_singularity.tracking.ledger import LEDGER_NAME, LedgerBatch, open_ledger, read_ledger
from snakemake_executor_plugin_pbs_singularity.tracking.run_folder import make_run_folder, new_token
from snakemake_executor_plugin_pbs_singularity.watch import Watch

GRACE = 5.0
_FRONT = """#!/bin/sh
echo "$@" >>"$0.calls"
[ -h {ledger} ] || cp {ledger} "$0.saw" 2>/dev/null
how=
[ ! -s "$0.next" ] || {{ read -r how <"$0.next"; sed -i 1d "$0.next"; }}
case $how in
    away) echo "{name}: cannot connect to server vm (errno=15010)" >&2; exit 162 ;;
    cut) echo "{name}: End of File" >&2; exit 1 ;;
    lost) {local} "$@" >/dev/null; echo "{name}: End of File" >&2; exit 1 ;;
esac
exec {local} "$@"
"""


class Clock:
    """A clock for the modules that wait, and what happens in their pauses, one thing in each."""

    def __init__(self) -> None:
        self._start = time.time()
        self.seconds = 0.0
        self.plan: list[Callable[[], object]] = []

    def monotonic(self) -> float:
        return 1000.0 + self.seconds

    def time(self) -> float:
        return self._start + self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        assert self.seconds < 1000, "it waits without end"
        if self.plan:
            self.plan.pop(0)()


class Stopped(Event):
    """The end of a run, waited for with that clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        self._clock.sleep(timeout or 0)
        return self.is_set()


class Run:
    """A run of the working directory."""

    def __init__(self, site: "Site") -> None:
        self.said: list[str] = []
        self.site = site
        self._held_by_others = list(run_folder._HELD)
        self.folder = make_run_folder(site.state)
        self.ledger = open_ledger(site.state / LEDGER_NAME, site.workdir)
        self.stopped = Stopped(site.clock)
        self.left = find_left_overs(self.ledger, site.pbs, site.state, self.said.append)
        contact = Contact(self.said.append, self.warn)
        surroundings = Surroundings(
            workdir=site.workdir,
            records=self.folder.records,
            ended=self.folder.ended,
            umask=0o022,
            environment={"PATH": PATH},
            latency_wait=0,
        )
        self.tracker = Tracker(
            pbs=site.pbs,
            surroundings=surroundings,
            folder=self.folder,
            ledger=self.ledger,
            left=self.left,
            watch=Watch(site.pbs, 0, contact, self.warn),
            contact=contact,
            stopped=self.stopped,
            warn=self.warn,
            grace=GRACE,
        )

    def warn(self, text: str) -> None:
        self.said.append(f"warn: {text}")

    def task(self, command: str = "true", *, job: str | None = None, work: str = "work", **request: Any) -> Task:
        """Make a task that runs a command with bash; `job` names what it is in the workflow."""
        made = task(**request)
        assert isinstance(made.work, DirectTask)
        log = self.folder.log("a", job or "", made.token)
        return replace(
            made,
            log=log,
            work=replace(made.work, log=log, command=command),
            job_digest=job or made.token,
            work_digest=work,
        )

    def submit(self, *bundles: Task | tuple[Task, ...]) -> list[Submitted]:
        """Submit tasks, or bundles of tasks, as one batch."""
        made = tuple(bundle if isinstance(bundle, tuple) else (bundle,) for bundle in bundles)
        return self.tracker.submit(Batch(new_token(), made), None)

    def start(self, command: str, **fields: Any) -> Submitted:
        """Submit a task that runs a command."""
        (submitted,) = self.submit(self.task(command, **fields))
        return submitted

    def recorded(self, submitted: Submitted) -> list[tuple[str, int]]:
        """Give the tokens and exit statuses of those that ended, asking for one."""
        outcomes = self.tracker.recorded([submitted.token])
        return [(one.token, over.record.exit_status) for one, over in outcomes if over.record is not None]

    def die(self) -> None:
        """Let go what the process of this run holds, as if it were killed."""
        for lock in run_folder._HELD:
            if lock not in self._held_by_others:
                lock.release(force=True)


class Site:
    """A working directory and a local PBS, which other commands stand in front of."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.local = LocalPbs(folder)
        self.local.set(ncpus=8, mem_mb=8000, ngpus=0, kill_grace=0.2)
        self.workdir = self.local.cwd
        self.state = self.workdir / ".snakemake" / "pbs-singularity"
        self.state.mkdir(parents=True)
        self.clock = Clock()
        self._front = folder / "front"
        self._front.mkdir()
        for name in ("qsub", "qstat", "qdel", "qselect"):
            command = self._front / name
            ledger = self.state / LEDGER_NAME
            command.write_text(_FRONT.format(name=name, local=self.local.bin / name, ledger=ledger))
            command.chmod(0o755)
        self.path = f"{self._front}:{self.local.environment['PATH']}"
        self.pbs = find_pbs({**self.local.environment, "PATH": self.path})
        monkeypatch.setattr(commands, "PAUSE", 0.0)
        for module in (adoption, tracker, cancelling, watch):
            monkeypatch.setattr(module, "time", self.clock)

    def run(self) -> Run:
        """Start a run."""
        return Run(self)

    def answers(self, command: str, *how: str) -> None:
        """Have the next calls of a command fail as PBS does when it is `away` or the connection is `cut`.

        If the answer is `lost`, PBS has done what was asked all the same; if it is empty, all is well.
        """
        (self._front / f"{command}.next").write_text("".join(f"{one}\n" for one in how))

    def calls(self, command: str) -> list[str]:
        """Give the arguments of each call of a command."""
        path = self._front / f"{command}.calls"
        return path.read_text().splitlines() if path.exists() else []

    def ledger_at(self, command: str) -> dict[str, LedgerBatch]:
        """Give the ledger as it was when a command was last called."""
        return read_ledger(self._front / f"{command}.saw")

    def hold_back(self) -> None:
        """Have PBS start nothing."""
        self.local.set(queues={"workq": {"started": False}})

    def let_go(self) -> None:
        """Have PBS start what waits."""
        self.local.set(queues={"workq": {}})
        self.local.out("qstat")  # so that the server sees it

    def jobs(self) -> list[str]:
        """Give the ids of all jobs that were ever submitted."""
        return self.local.out("qselect -x").split()

    def status(self, pbs_id: str) -> JobStatus:
        """Give what PBS says of a job."""
        return status(self.pbs, [pbs_id])[pbs_id]

    def until(self, happens: Callable[[], object], what: str = "it does not happen") -> None:
        """Wait until something has happened, by the real clock."""
        self.local.wait_until(happens, what)

    def until_over(self, *submitted: Submitted) -> None:
        """Wait until PBS says that jobs are over."""
        self.local.wait(*(one.pbs_job.id for one in submitted))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A working directory of its own for a test."""
    made = Site(tmp_path, monkeypatch)
    yield made
    made.local.close()
