"""Which folders a container gets to see for the files of a job."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snakemake_interface_common.exceptions import WorkflowError

from snakemake_executor_plugin_pbs_singularity.tasks import binds
from snakemake_executor_plugin_pbs_singularity.tasks.binds import (
    bind_roots,
    bind_sources,
    bound_in_place,
    check_bindable,
    check_sources,
)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that counts as any other, though it is below /tmp."""
    monkeypatch.setattr(binds, "_SEEN_ANYWAY", ())
    (tmp_path / "work").mkdir()
    (tmp_path / "data/deep").mkdir(parents=True)
    (tmp_path / "data/deep/in.txt").touch()
    return tmp_path


def test_files_of_the_working_directory_need_no_bind(disk: Path) -> None:
    assert bind_roots(["a.txt", "b/c.txt", str(disk / "work/d.txt")], disk / "work") == []


def test_an_input_elsewhere_brings_its_folder_along(disk: Path) -> None:
    assert bind_roots([str(disk / "data/deep/in.txt"), "../data/deep/in.txt"], disk / "work") == [disk / "data/deep"]


def test_a_link_out_of_the_working_directory_brings_the_folder_that_it_leads_to(disk: Path) -> None:
    (disk / "work/link").symlink_to(disk / "data/deep/in.txt")
    assert bind_roots(["link"], disk / "work") == [disk / "data/deep"]


def test_a_linked_folder_is_seen_under_both_names(disk: Path) -> None:
    (disk / "alias").mkdir()
    (disk / "alias/d").symlink_to(disk / "data/deep")
    roots = bind_roots([str(disk / "alias/d/in.txt")], disk / "work")
    assert roots == [disk / "alias/d", disk / "data/deep"]


def test_each_link_of_a_chain_brings_the_folder_that_it_is_in(disk: Path) -> None:
    for name in ("one", "two"):
        (disk / name).mkdir()
    (disk / "one/link").symlink_to("../two/link")
    (disk / "two/link").symlink_to(disk / "data/deep")
    (disk / "work/link").symlink_to(disk / "one/link/in.txt")
    assert bind_roots(["link"], disk / "work") == [disk / "data/deep", disk / "one/link", disk / "two/link"]


def test_links_in_a_circle_bind_what_they_are_in(disk: Path) -> None:
    (disk / "work/link").symlink_to(disk / "data/link")
    (disk / "data/link").symlink_to(disk / "work/link")
    assert bind_roots(["link"], disk / "work") == [disk / "data"]


def test_an_output_whose_folder_is_not_made_yet_brings_the_one_above(disk: Path) -> None:
    assert bind_roots([str(disk / "data/new/er/out.txt")], disk / "work") == [disk / "data"]


def test_a_folder_within_another_is_not_bound_again(disk: Path) -> None:
    roots = bind_roots([str(disk / "data/x.txt"), str(disk / "data/deep/in.txt")], disk / "work")
    assert roots == [disk / "data"]


def test_what_the_site_binds_is_not_bound_again(disk: Path) -> None:
    assert bind_roots([str(disk / "data/deep/in.txt")], disk / "work", [disk / "data"]) == []


def test_many_neighbours_are_bound_by_the_folder_above_them(disk: Path) -> None:
    folders = [disk / f"data/{number}" for number in range(40)]
    for folder in folders:
        folder.mkdir()
    assert bind_roots([str(folder / "in") for folder in folders], disk / "work") == [disk / "data"]


def test_a_file_of_the_system_is_bound_alone_so_that_the_image_keeps_its_own_folder(disk: Path) -> None:
    assert bind_roots(["/etc/passwd"], disk / "work") == [Path("/etc/passwd")]


def test_the_root_is_never_bound(disk: Path) -> None:
    assert bind_roots(["/new.txt", "/opt/new.txt", "/usr/new.txt"], disk / "work") == []


@pytest.mark.parametrize("name", ["with:colon", "with,comma"])
def test_a_folder_whose_name_a_bind_cannot_hold_is_reached_through_the_one_above(disk: Path, name: str) -> None:
    (disk / "data" / name).mkdir()
    assert bind_roots([str(disk / "data" / name / "in")], disk / "work") == [disk / "data"]


@given(st.lists(st.text("ab/.:,$ '", min_size=1, max_size=12), max_size=40))
def test_roots_are_few_apart_and_fit_for_a_bind(paths: list[str]) -> None:
    roots = bind_roots([f"/{path}" for path in paths], Path("/work/here"))
    assert not any(one.is_relative_to(other) for one in roots for other in roots if one != other)
    assert all(set(":,").isdisjoint(str(root)) and root.exists() and root != Path("/") for root in roots)


@pytest.mark.parametrize(
    "options", [["-B", "/a:/b,/c"], ["--bind", "/a,/c:/d:ro"], ["--bind=/a,/c"]], ids=["-B", "--bind", "--bind="]
)
def test_the_sources_of_binds_are_found_in_options(options: list[str]) -> None:
    assert bind_sources(["--nv", *options, "--cleanenv"]) == ["/a", "/c"]


@pytest.mark.parametrize("options", [[], ["--nv"], ["--bind"]], ids=["none", "no bind", "a bind without its value"])
def test_options_without_a_bind_have_no_sources(options: list[str]) -> None:
    assert bind_sources(options) == []


def test_what_is_bound_to_another_path_is_not_seen_under_its_own() -> None:
    options = ["--bind", "/a:/b,/c", "-B", "/d:/d:ro", "--bind=/e::ro"]
    assert bound_in_place(options) == [Path("/c"), Path("/d"), Path("/e")]


def test_a_rule_that_binds_what_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(WorkflowError, match=r"Rule a: container_args binds '/nosuch'.* --apptainer-args"):
        check_sources("a", ["--bind", "/nosuch:/x"])


def test_a_working_directory_with_a_colon_is_refused_because_no_container_can_have_it_as_home() -> None:
    with pytest.raises(WorkflowError, match=r"Rule a: the working directory '/a:b' has a colon"):
        check_bindable("a", Path("/a:b"))
