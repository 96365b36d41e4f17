"""Where a name is looked for, and in which order."""

import tempfile
from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.images import ImageError, find_in_libraries
from snakemake_executor_plugin_pbs_singularity.images.library import ENDINGS

from . import made

NAME = "deep_learning/tensorflow-1.10.0-py3"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    made.write(tmp_path / "site" / f"{NAME}.simg")
    made.write(tmp_path / "site/deep_learning/pytorch-2.1.sif")
    made.sandbox(tmp_path / "site/tools/samtools-1.19")
    made.write(tmp_path / "site/tools/samtools-1.19/inner.sif")
    return tmp_path / "site"


@pytest.mark.parametrize("name", [NAME, f"{NAME}.simg"])
def test_a_name_is_found_with_or_without_its_ending(name: str, site: Path) -> None:
    assert find_in_libraries(name, [site]) == site / f"{NAME}.simg"


def test_an_unpacked_image_is_found(site: Path) -> None:
    assert find_in_libraries("tools/samtools-1.19", [site]) == site / "tools/samtools-1.19"


def test_the_earlier_library_wins_whatever_the_ending(site: Path, tmp_path: Path) -> None:
    made.write(tmp_path / "group" / f"{NAME}.sif")
    assert find_in_libraries(NAME, [site, tmp_path / "group"]) == site / f"{NAME}.simg"
    assert find_in_libraries(NAME, [tmp_path / "group", site]) == tmp_path / "group" / f"{NAME}.sif"


def test_the_store_comes_last_and_may_be_missing(site: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert find_in_libraries(NAME, [site], store).is_relative_to(site)
    image = made.write(store / "docker/ubuntu-1.sif")
    assert find_in_libraries("docker/ubuntu-1", [site], store) == image


def test_in_one_folder_the_very_name_wins_and_then_the_written_order(tmp_path: Path) -> None:
    for ending in reversed(ENDINGS):
        image = made.write(tmp_path / f"x{ending}")
        assert find_in_libraries("x", [tmp_path]) == image
    assert find_in_libraries("x", [tmp_path]) == tmp_path / "x.sif"
    made.write(tmp_path / "x")
    assert find_in_libraries("x", [tmp_path]) == tmp_path / "x"


def test_a_folder_that_is_no_image_does_not_hide_one(tmp_path: Path) -> None:
    (tmp_path / "python").mkdir()
    image = made.write(tmp_path / "python.sif")
    assert find_in_libraries("python", [tmp_path]) == image


@pytest.mark.parametrize("written", ["bwa-0.7", "bwa_0.7", "bwa:0.7"])
@pytest.mark.parametrize("file", ["bwa-0.7.sif", "bwa_0.7.simg", "bwa:0.7.sif", "bwa:0.7"])
def test_a_tag_is_found_however_it_is_written(written: str, file: str, tmp_path: Path) -> None:
    image = made.write(tmp_path / "site/tools" / file)
    assert find_in_libraries(f"tools/{written}", [tmp_path / "site"]) == image
    assert find_in_libraries(written, [tmp_path / "site"]) == image


def test_a_tag_may_be_a_file_in_a_folder(tmp_path: Path) -> None:
    image = made.write(tmp_path / "site/tools/bwa/0.7.sif")
    assert find_in_libraries("tools/bwa:0.7", [tmp_path / "site"]) == image
    assert find_in_libraries("bwa:0.7", [tmp_path / "site"]) == image


def test_a_name_without_its_folder_is_found_if_it_is_the_only_one(site: Path) -> None:
    assert find_in_libraries("tensorflow-1.10.0-py3", [site]) == site / f"{NAME}.simg"
    assert find_in_libraries("pytorch-2.1.sif", [site]) == site / "deep_learning/pytorch-2.1.sif"
    assert find_in_libraries("samtools-1.19", [site]) == site / "tools/samtools-1.19"


def test_a_name_that_could_mean_several_images_is_an_error_that_lists_them(tmp_path: Path) -> None:
    images = [made.write(tmp_path / folder / "bwa.sif") for folder in ("new", "old")]
    with pytest.raises(ImageError, match="could mean 2 images") as several:
        find_in_libraries("bwa", [tmp_path])
    for image in images:
        assert str(image) in several.value.problem
    assert find_in_libraries("old/bwa", [tmp_path]) == images[1]


def test_links_to_one_image_are_one_image(tmp_path: Path) -> None:
    image = made.write(tmp_path / "a/bwa.sif")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/bwa.sif").symlink_to(image)
    assert find_in_libraries("bwa", [tmp_path]) == image


def test_an_image_of_one_name_with_two_endings_is_one_image(tmp_path: Path) -> None:
    made.write(tmp_path / "a/bwa.simg")
    image = made.write(tmp_path / "a/bwa.sif")
    assert find_in_libraries("bwa", [tmp_path]) == image


def test_an_exact_name_in_the_last_library_comes_before_a_similar_one_in_the_first(site: Path, tmp_path: Path) -> None:
    made.write(site / "tools/bwa_0.7.sif")
    image = made.write(tmp_path / "group/tools/bwa-0.7.sif")
    assert find_in_libraries("tools/bwa-0.7", [site, tmp_path / "group"]) == image


def test_a_similar_name_in_its_folder_comes_before_the_name_elsewhere(tmp_path: Path) -> None:
    image = made.write(tmp_path / "tools/bwa_0.7.sif")
    made.write(tmp_path / "old/tools/bwa-0.7.sif")
    assert find_in_libraries("tools/bwa-0.7", [tmp_path]) == image


def test_a_program_of_the_same_name_is_not_taken_for_an_image(tmp_path: Path) -> None:
    made.write(tmp_path / "bin/bwa", b"#!/bin/sh\n")
    image = made.write(tmp_path / "images/bwa.sif")
    assert find_in_libraries("bwa", [tmp_path]) == image


def test_a_name_is_not_completed(tmp_path: Path) -> None:
    made.write(tmp_path / "tools/bwa-0.7.sif")
    for name in ("bwa", "tools/bwa", "wa-0.7", "ls/bwa-0.7"):
        with pytest.raises(ImageError, match=r"There is no image|is a folder"):
            find_in_libraries(name, [tmp_path])


def test_an_image_in_a_folder_closed_to_us_is_missed_with_words() -> None:
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder)
        site.chmod(0o755)
        made.write(site / "private/bwa.sif")
        (site / "private").chmod(0)
        with made.as_somebody(), pytest.raises(ImageError, match=rf"Folders that cannot be read: {site}/private\."):
            find_in_libraries("bwa", [site])
        (site / "private").chmod(0o755)


@pytest.mark.parametrize("name", ["tools/bwa", "tools/bwa.sif"])
def test_a_link_that_leads_nowhere_is_no_image_and_is_pointed_out(name: str, site: Path, tmp_path: Path) -> None:
    (site / "tools/bwa.sif").symlink_to("/not/mounted/bwa.sif")
    with pytest.raises(
        ImageError, match=r"tools/bwa\.sif is a link to /not/mounted/bwa\.sif, which is not there.*mounted"
    ):
        find_in_libraries(name, [site])
    image = made.write(tmp_path / "group/tools/bwa.sif")
    assert find_in_libraries(name, [site, tmp_path / "group"]) == image


def test_a_configured_library_that_is_missing_is_an_error_even_if_another_has_the_image(site: Path) -> None:
    with pytest.raises(ImageError, match=r"/no/such/library is not a folder"):
        find_in_libraries(NAME, [site, Path("/no/such/library")])


def test_a_library_closed_to_us_is_an_error(site: Path) -> None:
    site.chmod(0)
    try:
        with made.as_somebody(), pytest.raises(ImageError, match=r"[Pp]ermission denied"):
            find_in_libraries(NAME, [site])
    finally:
        site.chmod(0o755)


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("deep_learning/tensorflow-1.10.0-py2", f"{NAME}.simg"),
        ("deep_learning/tensorflow-1.10.0-py3.sif", f"{NAME}.simg"),
        ("tensorflow-1.10.0", f"{NAME}.simg"),
        ("deep-learning/pytorch", "deep_learning/pytorch-2.1.sif"),
        ("Tools/Samtools-1.19", "tools/samtools-1.19"),
    ],
)
def test_a_name_that_is_not_there_is_answered_with_the_nearest(name: str, suggested: str, site: Path) -> None:
    with pytest.raises(ImageError) as missing:
        find_in_libraries(name, [site])
    assert f"{name!r}" in missing.value.problem
    assert str(site) in missing.value.problem
    assert f"Did you mean {suggested}" in missing.value.remedy


def test_a_name_like_nothing_is_answered_with_what_to_write(site: Path) -> None:
    with pytest.raises(ImageError, match=r"docker://ubuntu:22.04"):
        find_in_libraries("zzz", [site])


def test_a_name_with_a_tag_is_answered_with_a_docker_uri(site: Path) -> None:
    with pytest.raises(ImageError, match=r"Docker Hub write docker://biocontainers/bwa:0.7"):
        find_in_libraries("biocontainers/bwa:0.7", [site])


def test_the_name_of_a_folder_is_answered_with_the_images_in_it(site: Path) -> None:
    with pytest.raises(ImageError, match=r"The images in it are deep_learning/pytorch-2.1.sif, deep_learning/tensor"):
        find_in_libraries("deep_learning", [site])


def test_without_any_library_the_error_says_so() -> None:
    with pytest.raises(ImageError, match="no image library is configured"):
        find_in_libraries("python", [])
