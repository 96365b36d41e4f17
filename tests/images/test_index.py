"""One walk through a library, however many names; none for a name that is there as it is written."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.images import ImageError, find_in_libraries
from snakemake_executor_plugin_pbs_singularity.images.index import FEW, Index, index_of, spelling, stem

from . import made

_listed: list[str] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _listed is not None and event == "os.scandir":
        _listed.append(str(arguments[0]))


sys.addaudithook(_note)


@contextmanager
def folders_read() -> Iterator[list[str]]:
    """Give the folders that Python lists meanwhile, as its own audit events tell."""
    global _listed
    _listed = []
    try:
        yield _listed
    finally:
        _listed = None


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for number in range(100):
        made.write(tmp_path / f"group{number % 10}/tool_{number}.sif")
    made.sandbox(tmp_path / "sandboxes/gamma")
    return tmp_path


def test_many_names_cost_one_walk(site: Path) -> None:
    names = [f"group{number % 10}/tool_{number}" for number in range(100)]
    similar = [f"tool:{number}" for number in range(100)]
    with folders_read() as read:
        for name in (*names, *similar):
            assert find_in_libraries(name, [site]).is_file()
        with pytest.raises(ImageError):
            find_in_libraries("nothing", [site])
    assert len(read) == len(set(read)) == 13  # the library, ten groups, the folder of the sandbox and itself


def test_a_name_that_is_there_as_it_is_written_costs_no_walk(site: Path) -> None:
    with folders_read() as read:
        find_in_libraries("group1/tool_1.sif", [site])
        find_in_libraries("group1/tool_1", [site])
        find_in_libraries("sandboxes/gamma", [site])
    assert read == []


def named(name: str, index: Index) -> list[Path]:
    return list(index.named(name))


def asked_often(folder: Path) -> Index:
    index = Index(folder)
    for _ in range(FEW):
        named("", index)
    return index


@pytest.mark.parametrize(
    "name", ["group1/tool_1", "sandboxes/gamma", "group1", "no", ".hidden/x", "linked/x", "alias/x"]
)
def test_the_walk_answers_as_the_file_system_does(
    name: str, site: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    made.write(elsewhere / "x.sif")
    made.write(site / ".hidden/x.sif")
    made.write(site / "real/x.sif")
    (site / "linked").symlink_to(elsewhere)
    (site / "alias").symlink_to("real")
    (site / "loop").symlink_to(site)
    (site / "group1/dangling.sif").symlink_to("nowhere")
    assert named(name, asked_often(site)) == named(name, Index(site))


def test_a_link_to_a_folder_elsewhere_is_followed(site: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    made.write(elsewhere / "tools/bwa.sif")
    (site / "linked").symlink_to(elsewhere)
    assert Index(site).alike("bwa") == ["linked/tools/bwa.sif"]


def test_links_in_a_circle_end(site: Path) -> None:
    (site / "group1/up").symlink_to(site)
    index = Index(site)
    assert index.alike("tool-1") == ["group1/tool_1.sif"]
    assert index.walk.is_blind


def test_what_is_in_an_unpacked_image_is_no_image(site: Path) -> None:
    made.write(site / "sandboxes/gamma/inner.sif")
    assert Index(site).alike("inner") == []
    assert "sandboxes/gamma" in Index(site).walk.images()


def test_an_index_is_made_once_for_a_process(site: Path) -> None:
    assert index_of(site) is index_of(site)


@given(st.text("ab.-_:0", min_size=1))
def test_a_spelling_is_that_of_all_ways_to_write_a_name(name: str) -> None:
    assert spelling(spelling(name)) == spelling(name)
    assert spelling(name.replace("-", "_")) == spelling(name.replace("_", ":")) == spelling(name)


@given(st.text(min_size=1))
def test_a_stem_has_lost_its_ending_only(name: str) -> None:
    assert stem(f"{name}.sif") == name
    assert name.startswith(stem(name))
