"""File systems that a site wants named."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snakemake_interface_common.exceptions import WorkflowError

from snakemake_executor_plugin_pbs_singularity.tasks.storage import Storage, parse_storage

NCI = parse_storage("/g/data/*=gdata/*, /scratch/*=scratch/*", "storage+")


def asked(storage: Storage, *paths: str, more: str | None = None) -> str | None:
    """Give the value that is asked for; None if nothing is."""
    return dict(storage.of(paths, more)).get(storage.resource)


@pytest.mark.parametrize(
    ("paths", "value"),
    [
        (["/home/me/file"], None),
        (["/g/data/ab12/reads/a.fq"], "gdata/ab12"),
        (["/g/data/ab12"], "gdata/ab12"),
        (["/g/data"], None),
        (["/g/database/ab12/x"], None),
        (["/scratch/cd34/x", "/g/data/ab12/x", "/g/data/ab12/y"], "gdata/ab12+scratch/cd34"),
        (["/g/data/ab12/../cd34/x"], "gdata/cd34"),
        (["/g/data/what is this/x"], None),
    ],
)
def test_file_systems_of_a_jobs_paths_are_named(paths: list[str], value: str | None) -> None:
    assert asked(NCI, *paths) == value


def test_a_file_system_behind_a_link_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    storage = parse_storage(f"{tmp_path}/data=behind,{tmp_path}/link=before", "storage+")
    assert asked(storage, f"{tmp_path}/link/file") == "before+behind"


def test_each_file_system_that_a_chain_of_links_goes_through_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "second").symlink_to("data")
    (tmp_path / "first").symlink_to("second")
    storage = parse_storage(",".join(f"{tmp_path}/{name}={name}" for name in ("first", "second", "data")), "storage+")
    assert asked(storage, f"{tmp_path}/first/file") == "data+first+second"


def test_a_rule_adds_its_own_once() -> None:
    assert asked(NCI, "/scratch/cd34/x", more="massdata/ab12+scratch/cd34") == "massdata/ab12+scratch/cd34"


def test_names_may_be_joined_otherwise() -> None:
    polaris = parse_storage("/home=home,/eagle=eagle", "filesystems:")
    assert polaris.of(["/home/me/x", "/eagle/project"]) == (("filesystems", "eagle:home"),)


def test_the_first_that_holds_a_folder_names_it() -> None:
    assert asked(parse_storage("/data/fast/*=fast/*,/data=data", "storage"), "/data/fast/a/b") == "fast/a"


def test_a_site_without_such_names_is_asked_for_none() -> None:
    assert parse_storage(None, "storage+").of(["/g/data/ab12"]) == ()


@pytest.mark.parametrize(
    "text", ["gdata", "g/data=x", "/=x", "/*=x", "/g/data/*=a b", "/g/d*=x", "/g/data=gdata/*", "="]
)
def test_what_says_nothing_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(WorkflowError, match=r"Write FOLDER=NAME.*/g/data/\*=gdata/\*"):
        parse_storage(text, "storage+")


@pytest.mark.parametrize("resource", ["", "+", "two words", "a,b", "storage++", "-l x"])
def test_a_resource_that_can_be_none_is_refused(resource: str) -> None:
    with pytest.raises(WorkflowError, match="not the name of a resource"):
        parse_storage(None, resource)


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30), max_size=5))
def test_no_path_gives_a_value_that_is_more_than_names(paths: list[str]) -> None:
    value = asked(NCI, *(os.path.join("/g/data", path) for path in paths))  # noqa: PTH118 - as it is
    assert value is None or all(
        name.replace("/", "").replace(".", "").replace("-", "").replace("_", "").replace("@", "").isalnum()
        for name in value.split("+")
    )
