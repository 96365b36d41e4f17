"""Memory and time as people write them on a command line."""

import contextlib

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.commands.amounts import mebibytes, minutes


@pytest.mark.parametrize(
    ("text", "amount"),
    [("1", 1), ("4000", 4000), ("4000mb", 4000), ("4g", 4096), ("4GB", 4096), ("2GiB", 2048), ("1tb", 1024**2)],
)
def test_memory_has_units(text: str, amount: int) -> None:
    assert mebibytes(text) == amount


@pytest.mark.parametrize(
    ("text", "amount"),
    [("1", 1), ("90", 90), ("90m", 90), ("2h", 120), ("1D", 1440), ("01:30:00", 90), ("0:0:1", 1), ("100:00:00", 6000)],
)
def test_time_has_units(text: str, amount: int) -> None:
    assert minutes(text) == amount


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5gb", "4kb", "4 gb", "lots", "0gb", "\u0664"])
def test_what_is_no_memory_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(click.BadParameter, match="4000, 4gb"):
        mebibytes(text)


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5h", "30:00", "1h30m", "00:00:00", "soon"])
def test_what_is_no_time_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(click.BadParameter, match="90, 2h, 01:30:00"):
        minutes(text)


@given(st.text())
def test_any_text_is_an_amount_or_refused(text: str) -> None:
    for read in (mebibytes, minutes):
        with contextlib.suppress(click.BadParameter):
            assert read(text) >= 1
