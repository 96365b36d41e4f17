"""Resources that rise with each attempt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snakemake_interface_common.exceptions import WorkflowError

from snakemake_executor_plugin_pbs_singularity import grow


def attempts(growth, count=4):
    return [growth(None, attempt=attempt) for attempt in range(1, count + 1)]


def test_a_resource_doubles_with_each_attempt_up_to_the_most():
    assert attempts(grow(4000, most=20000)) == [4000, 8000, 16000, 20000]


def test_a_resource_rises_by_a_step():
    assert attempts(grow(60, step=30)) == [60, 90, 120, 150]


def test_a_size_gives_mebibytes_and_a_time_minutes():
    assert attempts(grow("4gb", factor=1.5, most="8gb")) == [4096, 6144, 8192, 8192]
    assert attempts(grow("02:00:00", step="30:00")) == [120, 150, 180, 210]


def test_decimal_factors_do_not_add_a_unit_by_rounding():
    assert attempts(grow(100, factor=1.1), 2) == [100, 110]


@given(
    first=st.integers(1, 10**6), factor=st.floats(1, 10), most=st.integers(10**6, 10**9), attempt=st.integers(1, 400)
)
def test_a_resource_never_falls_and_never_exceeds_the_most(first, factor, most, attempt):
    growth = grow(first, factor=factor, most=most)
    assert first <= growth(None, attempt=attempt) <= growth(None, attempt=attempt + 1) <= most


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((0,), {}, "a number above 0"),
        ((True,), {}, "a number above 0"),
        (("4000",), {}, "without quotes"),
        (("8 gigs",), {}, "no amount of memory"),
        (("4gb",), {"most": "02:00:00"}, "different kinds"),
        (("4gb",), {"step": 4000}, "different kinds"),
        ((8,), {"most": 4}, "less than the first"),
        ((8,), {"factor": 0.5}, "at least 1"),
        ((8,), {"factor": float("nan")}, "at least 1"),
        ((8,), {"factor": 2, "step": 1}, "exclude each other"),
    ],
)
def test_growth_that_cannot_be_meant_is_refused(arguments, options, words):
    with pytest.raises(WorkflowError, match=words):
        grow(*arguments, **options)
