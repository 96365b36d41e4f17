"""What -l asks for."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.pbs.local.refusal import Reason, RefusalError
from snakemake_executor_plugin_pbs_singularity.pbs.local.resources import (
    format_time,
    parse_size,
    parse_time,
    resources,
)

SIZES = st.from_regex(r"[1-9][0-9]{0,3}(b|kb|mb|gb|KB|MB)", fullmatch=True)


@given(st.integers(0, 10**7))
def test_a_time_that_is_written_is_read_back(seconds: int) -> None:
    assert parse_time(format_time(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1:30", 90), ("1:00:00", 3600), ("00:00:05", 5), ("2:3.5", 123)]
)
def test_times_are_read_from_the_right(text: str, seconds: int) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "1:2:3:4", "-5", "1:", "1h"])
def test_what_is_no_time_is_refused(text: str) -> None:
    assert parse_time(text) is None


@pytest.mark.parametrize(
    ("text", "kilobytes"), [("50mb", 51200), ("1gb", 1024**2), ("1025", 2), ("9TB", 9 * 1024**3), ("1kw", 8)]
)
def test_sizes_are_read_in_kilobytes(text: str, kilobytes: int) -> None:
    assert parse_size(text) == kilobytes


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 8), SIZES), min_size=1, max_size=4))
def test_a_select_adds_up(chunks: list[tuple[int, int, str]]) -> None:
    select = "+".join(f"{count}:ncpus={ncpus}:mem={mem}" for count, ncpus, mem in chunks)

    wanted = resources([("select", select)], has_gpus=False)

    assert wanted.ncpus == sum(count * ncpus for count, ncpus, _ in chunks)
    assert wanted.mem_kb == sum(count * parse_size(mem) for count, _, mem in chunks)
    assert wanted.value("select") == select
    assert wanted.value("ncpus") == str(wanted.ncpus)
    assert wanted.value("nodect") == str(sum(count for count, _, _ in chunks))


@pytest.mark.parametrize(
    ("asked", "select", "place"),
    [
        ({}, "1:ncpus=1", "pack"),
        ({"ncpus": "4", "mem": "2gb"}, "1:ncpus=4:mem=2gb", "pack"),
        ({"nodes": "1:ppn=4"}, "1:ncpus=4:mpiprocs=4", "scatter"),
        ({"select": "2"}, "2:ncpus=1", "free"),
        ({"select": "ncpus=3"}, "1:ncpus=3", "free"),
        ({"select": "1:mem=1gb", "place": "pack:excl"}, "1:mem=1gb:ncpus=1", "pack:excl"),
    ],
)
def test_older_and_shorter_forms_become_a_select(asked: dict[str, str], select: str, place: str) -> None:
    wanted = resources(asked.items(), has_gpus=False)

    assert (wanted.value("select"), wanted.value("place")) == (select, place)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"select": "1:nosuch=1"}, Reason.UNKNOWN_RESOURCE),
        ({"select": "1:ncpus=x"}, Reason.BAD_VALUE),
        ({"select": "0:ncpus=1"}, Reason.BAD_VALUE),
        ({"select": "1:ncpus=1", "mem": "1gb"}, Reason.MIXED_SYNTAX),
        ({"select": "1", "nodes": "1"}, Reason.NODES_AND_SELECT),
        ({"place": "pack"}, Reason.PLACE_ALONE),
        ({"nodes": "0"}, Reason.BAD_VALUE),
        ({"select": "1:ngpus=1"}, Reason.UNKNOWN_RESOURCE),
        ({"ngpus": "1"}, Reason.UNKNOWN_RESOURCE),
    ],
)
def test_what_makes_no_sense_is_refused(asked: dict[str, str], reason: Reason) -> None:
    with pytest.raises(RefusalError) as caught:
        resources(asked.items(), has_gpus=False)

    assert caught.value.reason is reason


@given(st.dictionaries(st.sampled_from(["select", "place", "walltime", "mem", "nodes"]), st.text(max_size=20)))
def test_any_text_is_taken_or_refused(asked: dict[str, str]) -> None:
    chunks: tuple[object, ...] | None = None
    with contextlib.suppress(RefusalError):
        chunks = resources(asked.items(), has_gpus=True).chunks

    assert chunks is None or chunks
