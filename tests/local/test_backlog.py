"""Which job starts next."""

from hypothesis import given
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.pbs.local.backlog import Backlog, Room

NEEDS = st.builds(Room, st.integers(0, 3), st.integers(0, 3), st.integers(0, 1))
JOBS = st.lists(st.tuples(NEEDS, st.integers(-2, 2)), max_size=12)


@given(JOBS, NEEDS, st.sets(st.integers(0, 11)))
def test_the_first_that_fits_by_priority_and_number_is_next(
    jobs: list[tuple[Room, int]], free: Room, removed: set[int]
) -> None:
    backlog = Backlog()
    for number, (need, priority) in enumerate(jobs):
        backlog.add(number, need, priority)
    for number in removed:
        backlog.remove(number)

    fitting = [
        (-priority, number)
        for number, (need, priority) in enumerate(jobs)
        if number not in removed and free.holds(need)
    ]
    assert backlog.first_that_fits(free) == (min(fitting)[1] if fitting else None)


def test_a_job_that_waits_again_and_again_takes_no_more_room() -> None:
    backlog = Backlog()
    for _ in range(100):
        backlog.add(1, Room(1, 0, 0), 0)
        backlog.remove(1)
    backlog.add(1, Room(1, 0, 0), 0)
    assert sum(map(len, backlog._heaps.values())) == 1


@given(JOBS)
def test_every_job_comes_once(jobs: list[tuple[Room, int]]) -> None:
    backlog = Backlog()
    for number, (need, priority) in enumerate(jobs):
        backlog.add(number, need, priority)
    machine = Room(3, 3, 1)

    order = []
    while (number := backlog.first_that_fits(machine)) is not None:
        order.append(number)
        backlog.remove(number)

    assert order == sorted(range(len(jobs)), key=lambda number: (-jobs[number][1], number))


def test_a_job_that_was_removed_can_come_back() -> None:
    backlog = Backlog()
    backlog.add(1, Room(1, 0, 0), 0)
    backlog.remove(1)
    assert backlog.first_that_fits(Room(1, 0, 0)) is None

    backlog.add(1, Room(1, 0, 0), 0)

    assert backlog.first_that_fits(Room(1, 0, 0)) == 1
