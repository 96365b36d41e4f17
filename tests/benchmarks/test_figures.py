"""Ratios, medians and goals from runs that are made up."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.cases import Case, Kind, Plan, Way
from benchmarks.figures import cpu_beyond, ratio, rows
from benchmarks.goals import goals
from benchmarks.measuring import repeats
from benchmarks.results import LeftOut, Result, Session, delays
from benchmarks.spread import Spread, quartiles, spread
from benchmarks.table import line, markdown

MACHINE = {
    "pbs": {"which": "path", "version": "23.06.06", "ncpus": 8},
    "runtime": "apptainer version 1.4.5",
    "python": "3.11.2",
    "packages": {"snakemake": "9.27.1"},
    "commit": "0123abc",
    "cpus": 2,
    "memory_mib": 8000,
}


def case(way: Way = Way.PLUGIN, size: int = 1000) -> Case:
    return Case(way, Kind.CONTAINER, size)


def result(way: Way, seconds: float, *, repeat: int = 1, size: int = 1000, cpu: float = 0.0, calls: int = 0) -> Result:
    return Result(case(way, size), repeat, seconds, {"qsub": calls}, cpu, 100.0, None, 0.0)


def session(results: Sequence[Result], sizes: tuple[int, ...] = (1000,), ways: tuple[Way, ...] = tuple(Way)) -> Session:
    return Session(Plan(sizes, (Kind.CONTAINER,), ways, 3), MACHINE, list(results))


def verdicts(results: Sequence[Result]) -> dict[str, str]:
    return {goal.what: goal.verdict for goal in goals(session(results))}


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_a_median_is_within_its_spread(values: list[float]) -> None:
    found = spread(values)
    assert found is not None
    assert min(values) == found.low <= found.median <= found.high == max(values)


def test_quartiles_leave_out_what_is_far_off() -> None:
    assert quartiles([1000, 1, 2, 3, 4]) == Spread(3, 2, 4)


def test_nothing_measured_has_no_spread() -> None:
    assert spread([]) is None


def test_ratios_are_of_the_same_repeat() -> None:
    results = [
        result(Way.ARRAY, 10, repeat=1),
        result(Way.PLUGIN, 20, repeat=1),
        result(Way.ARRAY, 100, repeat=2),
        result(Way.PLUGIN, 100, repeat=2),
        result(Way.PLUGIN, 1, repeat=3),  # the array of this repeat was not run
    ]
    found = ratio(results, case(), case(Way.ARRAY))
    assert found is not None
    assert (found.median, found.low, found.high) == (1.5, 1, 2)


def test_ratios_of_different_numbers_of_jobs_are_per_job() -> None:
    results = [result(Way.PLUGIN, 10), result(Way.PLUGIN, 110, size=10_000)]
    found = ratio(results, case(size=10_000), case())
    assert found is not None
    assert found.median == pytest.approx(1.1)


def test_the_controllers_cpu_is_less_what_snakemake_takes() -> None:
    results = [result(Way.NULL, 1, cpu=5), result(Way.PLUGIN, 1, cpu=7)]
    found = cpu_beyond(results, case())
    assert found is not None
    assert found.median == 2


def test_what_is_run_by_hand_is_not_compared_with_snakemake() -> None:
    assert cpu_beyond([result(Way.NULL, 1), result(Way.ARRAY, 1)], case(Way.ARRAY)) is None


def test_a_spread_shows_its_ends_only_if_there_are_several_repeats() -> None:
    one, two = spread([1.0]), spread([1.0, 2.0])
    assert one is not None
    assert two is not None
    assert (one.shown(), two.shown()) == ("1.00", "1.50 (1.00–2.00)")


def test_a_goal_that_is_reached_is_met() -> None:
    found = verdicts([result(Way.ARRAY, 10), result(Way.PLUGIN, 13, calls=50), result(Way.CLUSTER_GENERIC, 100)])
    assert found["1,000 container jobs, plugin / hand-written array"] == "met"
    assert found["the same, cluster-generic / plugin"] == "met"
    assert found["PBS commands per job"] == "met"


def test_a_goal_that_is_missed_is_not_met() -> None:
    found = verdicts([result(Way.ARRAY, 10), result(Way.PLUGIN, 14, calls=51), result(Way.CLUSTER_GENERIC, 80)])
    assert found["1,000 container jobs, plugin / hand-written array"] == "**not met**"
    assert found["the same, cluster-generic / plugin"] == "**not met**"
    assert found["PBS commands per job"] == "**not met**"


def test_a_goal_without_figures_is_not_measured() -> None:
    assert set(verdicts([])) == set(verdicts([result(Way.ARRAY, 10)]))
    assert set(verdicts([]).values()) == {"not measured"}


def test_the_cpu_on_a_node_is_a_goal_once_it_is_measured() -> None:
    measured = session([])
    measured.node[Way.PLUGIN] = Spread(12, 10, 14)
    (goal,) = [goal for goal in goals(measured) if "on the node" in goal.what]
    assert goal.verdict == "met"
    assert "| plugin, arrays | 12.0 (10.0–14.0) |" in markdown(measured)


def test_what_would_take_too_long_is_left_out_with_its_estimate() -> None:
    measured = session([result(Way.PLUGIN, 10, size=100)], sizes=(100, 1000, 10_000))
    assert repeats(measured, case(size=100), 60) == 3
    assert repeats(measured, case(), 60) == 0
    assert repeats(measured, case(size=10_000), 60) == 0
    assert [(left_out.case.size, left_out.estimate) for left_out in measured.left_out] == [(1000, 100), (10_000, 1000)]


@pytest.mark.parametrize(("seconds", "times"), [(99, 0), (100, 1), (200, 2), (1000, 3)])
def test_what_takes_long_is_repeated_as_often_as_there_is_time_for(seconds: float, times: int) -> None:
    assert repeats(session([result(Way.PLUGIN, 10, size=100)], sizes=(100, 1000)), case(), seconds) == times


def test_what_failed_is_left_out_with_more_jobs() -> None:
    measured = session([], sizes=(100, 1000))
    measured.left_out.append(LeftOut(case(size=100), None, "failed"))
    assert repeats(measured, case(), 60) == 0
    assert measured.left_out[1].estimate is None


def test_the_table_says_what_was_left_out() -> None:
    measured = session([result(Way.ARRAY, 10), result(Way.PLUGIN, 13)])
    measured.left_out.append(LeftOut(case(Way.CLUSTER_GENERIC), 1500, "left out: about 25 min"))
    shown = {line(row)[0]: line(row) for row in rows(measured)}
    assert list(shown) == ["hand-written array", "plugin, arrays", "cluster-generic"]
    assert shown["plugin, arrays"][1:5] == ("1,000", "1", "13.0", "1.30")
    assert shown["cluster-generic"][3] == "left out: about 25 min"
    assert "| cluster-generic | 1,000 | 0 | left out: about 25 min |" in markdown(measured)


def test_delays_are_from_the_end_of_a_job_to_its_report() -> None:
    ended = dict.fromkeys(range(100), 100.0)
    reported = {number: 101.0 + number for number in range(100)} | {500: 1.0}
    found = delays(ended, reported)
    assert found is not None
    assert (found.median, found.most, found.longest) == (50.5, 95, 100)


def test_a_clock_that_is_behind_makes_no_negative_delay() -> None:
    found = delays({0: 10.0}, {0: 9.9})
    assert found is not None
    assert found.longest == 0


def test_without_reports_there_are_no_delays() -> None:
    assert delays({0: 1.0}, {}) is None
