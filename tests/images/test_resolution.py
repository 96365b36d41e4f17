"""From the value of ``container:`` to an image, without pulling."""

from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.images import (
    Explanation,
    Found,
    ImageError,
    ImageKind,
    Missing,
    Resolved,
    explain,
    resolve,
)

from . import made


@pytest.fixture
def site(tmp_path: Path) -> Path:
    made.write(tmp_path / "library/tools/bwa.simg", made.squashfs())
    (tmp_path / "work/tools").mkdir(parents=True)
    return tmp_path


def resolved(value: str, site: Path) -> Resolved:
    return resolve(value, libraries=[site / "library"], store=site / "store", workdir=site / "work")


def test_a_path_is_found_relative_to_the_working_directory(site: Path) -> None:
    image = made.write(site / "work/my images/x.sif")
    for value in (
        str(image),
        "./my images/x.sif",
        "my images/x.sif",
        "file://my images/x.sif",
        f"file://{image}",
    ):
        assert resolved(value, site) == Found(image, ImageKind.SIF)


def test_the_home_directory_is_expanded_as_snakemake_does(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(site))
    image = made.write(site / "x.sif")
    assert resolved("~/x.sif", site) == Found(image, ImageKind.SIF)
    with pytest.raises(ImageError, match="home directory"):
        resolved("~no-such-user/x.sif", site)


def test_a_name_is_found_in_the_library(site: Path) -> None:
    assert resolved("tools/bwa", site) == Found(site / "library/tools/bwa.simg", ImageKind.SQUASHFS)


def test_a_relative_path_that_exists_comes_before_the_library(site: Path) -> None:
    image = made.write(site / "work/tools/bwa.simg", made.squashfs())
    assert resolved("tools/bwa.simg", site) == Found(image, ImageKind.SQUASHFS)
    assert resolved("tools/bwa", site) == Found(site / "library/tools/bwa.simg", ImageKind.SQUASHFS)


def test_a_folder_of_the_working_directory_that_is_no_image_does_not_hide_the_library(site: Path) -> None:
    (site / "work/tools/bwa").mkdir()
    assert resolved("tools/bwa", site) == Found(site / "library/tools/bwa.simg", ImageKind.SQUASHFS)


def test_a_bad_image_is_refused_wherever_it_is(site: Path) -> None:
    made.write(site / "library/tools/bad.sif", made.SIF[:50_000])
    with pytest.raises(ImageError, match="cut off"):
        resolved("tools/bad", site)


def test_a_uri_is_missing_until_it_is_pulled(site: Path) -> None:
    missing = resolved("docker://ubuntu:22.04", site)
    assert isinstance(missing, Missing)
    assert missing.uri == "docker://ubuntu:22.04"
    assert missing.destination.is_relative_to(site / "store")
    made.write(missing.destination)
    assert resolved("docker://ubuntu:22.04", site) == Found(missing.destination, ImageKind.SIF)


def test_a_stored_image_that_is_cut_off_is_missing(site: Path) -> None:
    missing = resolved("docker://ubuntu:22.04", site)
    assert isinstance(missing, Missing)
    made.write(missing.destination, made.SIF[:50_000])
    assert resolved("docker://ubuntu:22.04", site) == missing


def test_resolving_changes_nothing(site: Path) -> None:
    before = sorted(site.rglob("*"))
    resolved("docker://ubuntu:22.04", site)
    assert sorted(site.rglob("*")) == before


def explained(value: str, site: Path) -> Explanation:
    return explain(value, libraries=[site / "library"], store=site / "store", workdir=site / "work")


def test_an_explanation_says_why_and_what_was_not_chosen(site: Path) -> None:
    here = made.write(site / "work/tools/bwa", made.squashfs())
    other = made.write(site / "library/old/tools/bwa.sif")
    assert explained("tools/bwa", site) == Explanation(
        Found(here, ImageKind.SQUASHFS),
        "a path relative to the working directory",
        (
            (site / "library/tools/bwa.simg", "the name with an ending"),
            (other, "the name, in a folder below"),
        ),
    )


@pytest.mark.parametrize("value", ["tools/bwa", "bwa", "docker://ubuntu:22.04", "./x.sif"])
def test_an_explanation_means_the_same_as_the_value(value: str, site: Path) -> None:
    made.write(site / "work/x.sif")
    assert explained(value, site).meaning == resolved(value, site)


def test_a_damaged_image_in_the_store_is_explained(site: Path) -> None:
    missing = resolved("docker://ubuntu:22.04", site)
    assert isinstance(missing, Missing)
    assert explained("docker://ubuntu:22.04", site).why == "a URI that has to be pulled"
    made.write(missing.destination, b"")
    assert "damaged" in explained("docker://ubuntu:22.04", site).why
