"""Law 2, nothing runs twice and nothing is lost, whatever happens in whatever order.

By default the numbers are small. ``FAULTS=full`` in the environment takes those of the goals: 200 jobs with 20 kills,
and long random sequences of faults; all of ``test_outages.py`` and this file then takes half an hour.
"""

import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from . import harness
from .faults import (
    AGAIN,
    FULL,
    FaultyPbs,
    crash_server,
    hasten,
    local_home,
    misbehave,
    once,
    own_pbs,
    starts,
    wholes,
    workflow,
)
from .harness import Running, wait_until, write

OPTIONS = ["--executor=pbs-singularity", "--latency-wait=5", "--seconds-between-status-checks=1", *AGAIN]
WAYS = ("shuffled", "duplicated", "truncated", "not UTF-8")
SINGLE = "--pbs-singularity-max-array-size=1"


@pytest.fixture(scope="module")
def site(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with a PBS that runs four jobs at a time."""
    folder = tmp_path_factory.mktemp("site")
    own = own_pbs(environment, folder / "pbs", ncpus=4)
    return own if FULL else hasten(own, folder / "hasten")


@pytest.fixture
def pbs(site: dict[str, str], tmp_path: Path) -> Iterator[FaultyPbs]:
    faulty = misbehave(tmp_path / "bin", site)
    yield faulty
    faulty.delete_all()


def run_to_the_end(folder: Path, pbs: FaultyPbs, count: int, options: list[str]) -> None:
    """Run a workflow without faults, and check that each of its tasks has run once, whatever was before."""
    pbs.change()
    harness.run(folder, options, pbs.environment, fails=False)
    assert wholes(folder) == {"whole\n": count}
    pbs.check_that_all_is_over(folder, once(count))


@pytest.mark.parametrize("faults", [{}, {"commands": ("qstat",), "fails": 0.5}], ids=["alone", "qstat fails too"])
def test_many_kills_lose_nothing_and_repeat_nothing(faults: dict[str, object], tmp_path: Path, pbs: FaultyPbs) -> None:
    """Each run is killed when another share of the tasks has begun, or at once."""
    count, kills = (200, 20) if FULL else (30, 4)
    folder = write(tmp_path / "flow", {"Snakefile": workflow(count, seconds=0.5)})
    options = [*OPTIONS, "--jobs=12"]
    chance = random.Random(kills)
    for kill in range(kills):
        pbs.change(**faults, seed=kill)
        begun = len(starts(folder)) + chance.randrange(count // kills)
        lines = chance.randrange(10, 60)
        with harness.start(folder, options, pbs.environment) as running:
            wait_until(
                lambda running=running, begun=begun, lines=lines: (
                    (len(starts(folder)) >= begun and running.said.count("\n") >= lines)
                    or running.process.poll() is not None
                ),
                f"{begun} tasks have begun",
            )
            running.process.kill()
            running.process.wait()
    run_to_the_end(folder, pbs, count, options)


def test_server_restarts_and_kills_together_lose_nothing_and_repeat_nothing(tmp_path: Path, pbs: FaultyPbs) -> None:
    home = local_home(pbs.real)
    count, rounds = (200, 5) if FULL else (16, 2)
    folder = write(tmp_path / "flow", {"Snakefile": workflow(count, seconds=0.5)})
    options = [*OPTIONS, "--jobs=12"]
    for number in range(1, rounds + 1):
        begun = number * count // (rounds + 2)
        with harness.start(folder, options, pbs.environment) as running:
            wait_until(lambda begun=begun: len(starts(folder)) >= begun, f"{begun} tasks have begun")
            crash_server(home)
            running.process.kill()
            running.process.wait()
    run_to_the_end(folder, pbs, count, options)


FAULTS = st.fixed_dictionaries(
    {"seed": st.integers(0, 99)},
    optional={
        "away": st.booleans(),
        "fails": st.sampled_from([0.3, 0.6]),
        "loses": st.sampled_from([0.5, 1.0]),
        "garbles": st.lists(st.sampled_from(WAYS), min_size=1, unique=True),
        "hangs": st.sampled_from([0.5, 1.5]),
        "late": st.sampled_from([0.5, 1.5]),
    },
)


class RandomFaults(RuleBasedStateMachine):
    """A workflow that runs while faults come and go; in the end there are none, and it must complete."""

    site: dict[str, str]
    home: Path | None
    count = 40 if FULL else 10

    def __init__(self) -> None:
        super().__init__()
        self.top = Path(tempfile.mkdtemp())
        self.folder = write(self.top / "flow", {"Snakefile": workflow(self.count, seconds=0.3)})
        self.pbs = misbehave(self.top / "bin", self.site)
        self.exits = ExitStack()
        self.running: Running | None = None
        self.options: list[str] = [*OPTIONS, "--jobs=6"]

    def start(self, single: bool) -> None:
        self.options = [*OPTIONS, "--jobs=6", *([SINGLE] if single else [])]
        self.running = self.exits.enter_context(harness.start(self.folder, self.options, self.pbs.environment))

    def go_on(self, tasks: int) -> None:
        """Wait until some more tasks have begun, or PBS was asked some more, or the run is over."""
        begun, calls = len(starts(self.folder)) + tasks, len(self.pbs.calls()) + 3 * tasks
        wait_until(
            lambda: (
                len(starts(self.folder)) >= begun
                or len(self.pbs.calls()) >= calls
                or self.running is None
                or self.running.process.poll() is not None
            ),
            "the run goes on",
        )

    @initialize(faults=FAULTS, single=st.booleans())
    def begins_with_faults(self, faults: dict[str, object], single: bool) -> None:
        self.pbs.change(**faults)
        self.start(single)

    @precondition(lambda self: self.running is None)
    @rule(single=st.booleans(), tasks=st.integers(0, 3))
    def begins_again(self, single: bool, tasks: int) -> None:
        self.start(single)
        self.go_on(tasks)

    @precondition(lambda self: self.running is not None)
    @rule()
    def is_killed(self) -> None:
        assert self.running is not None
        self.running.process.kill()
        self.running.process.wait()
        self.running = None

    @rule(faults=FAULTS, tasks=st.integers(0, 3))
    def faults_change(self, faults: dict[str, object], tasks: int) -> None:
        self.pbs.change(**faults)
        self.go_on(tasks)

    @precondition(lambda self: self.home is not None)
    @rule(tasks=st.integers(0, 1))
    def server_restarts(self, tasks: int) -> None:
        assert self.home is not None
        crash_server(self.home)
        self.go_on(tasks)

    @invariant()
    def no_task_has_begun_twice(self) -> None:
        assert max(starts(self.folder).values(), default=1) == 1

    @invariant()
    def no_run_has_failed(self) -> None:
        if self.running is not None and self.running.process.poll() is not None:
            assert self.running.process.returncode == 0, self.running.said
            self.running = None

    def teardown(self) -> None:
        with self.exits:
            self.pbs.change()
            if self.running is not None:
                assert self.running.process.wait(harness.TIME_LIMIT) == 0, self.running.said
            run_to_the_end(self.folder, self.pbs, self.count, self.options)
        shutil.rmtree(self.top)


def test_random_faults_lose_nothing_and_repeat_nothing(site: dict[str, str]) -> None:
    RandomFaults.site = site
    RandomFaults.home = local_home(site) if "PBS_SINGULARITY_LOCAL_HOME" in site else None
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        RandomFaults,
        settings=settings(
            max_examples=40 if FULL else 2,
            stateful_step_count=20 if FULL else 8,
            deadline=None,
            derandomize=not FULL,
            phases=[Phase.generate],  # a smaller sequence of what depends on time fails differently
            suppress_health_check=list(HealthCheck),
        ),
    )
