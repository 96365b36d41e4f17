import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.images.errors import ImageError
from snakemake_executor_plugin_pbs_singularity.images.lockfile import (
    LockedImage,
    read_lock,
    write_lock,
)

DIGEST = "sha256:" + "0123456789abcdef" * 4
PULLED = LockedImage(
    "docker://ubuntu:22.04",
    DIGEST,
    "ab" * 32,
    30_000_000,
    datetime(2026, 11, 25, 1, 2, 3, tzinfo=UTC),
    "Apptainer 1.4.5",
)
FROM_LIBRARY = LockedImage("tools/bwa", None, "cd" * 32, 12, datetime(2019, 1, 1, tzinfo=UTC), None)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
locked_images = st.builds(
    LockedImage,
    reference=texts,
    digest=st.none() | st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True),
    sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    size=st.integers(0, 2**62),
    made=st.datetimes(timezones=st.just(UTC)).map(lambda time: time.replace(microsecond=0)),
    runtime=st.none() | texts,
)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "images.lock"


def test_a_person_can_read_it(lock: Path) -> None:
    write_lock(lock, [FROM_LIBRARY, PULLED])
    assert lock.read_text() == (
        "# What the images of this workflow are, by `pbs-singularity images lock`. Keep it with the Snakefile.\n"
        "version = 1\n"
        "\n"
        "[[image]]\n"
        'reference = "docker://ubuntu:22.04"\n'
        f'digest = "{DIGEST}"\n'
        f'sha256 = "{"ab" * 32}"\n'
        "size = 30000000\n"
        "made = 2026-11-25T01:02:03Z\n"
        'runtime = "Apptainer 1.4.5"\n'
        "\n"
        "[[image]]\n"
        'reference = "tools/bwa"\n'
        f'sha256 = "{"cd" * 32}"\n'
        "size = 12\n"
        "made = 2019-01-01T00:00:00Z\n"
    )


def test_the_order_in_which_images_are_given_does_not_matter(lock: Path, tmp_path: Path) -> None:
    write_lock(lock, [FROM_LIBRARY, PULLED])
    write_lock(tmp_path / "other", [PULLED, FROM_LIBRARY])
    assert lock.read_text() == (tmp_path / "other").read_text()


@given(images=st.lists(locked_images, unique_by=lambda image: image.reference))
def test_what_is_written_is_read(images: list[LockedImage], tmp_path_factory: pytest.TempPathFactory) -> None:
    lock = tmp_path_factory.getbasetemp() / "property.lock"
    write_lock(lock, images)
    assert read_lock(lock) == {image.reference: image for image in images}


def test_times_are_written_in_utc(lock: Path) -> None:
    there = timezone(timedelta(hours=8))
    write_lock(lock, [replace(PULLED, made=datetime(2026, 11, 25, 9, 2, 3, tzinfo=there))])
    assert "made = 2026-11-25T01:02:03Z" in lock.read_text()


def test_a_lock_that_is_written_again_keeps_its_permissions(lock: Path) -> None:
    write_lock(lock, [PULLED])
    lock.chmod(0o664)
    write_lock(lock, [])
    assert stat.S_IMODE(lock.stat().st_mode) == 0o664
    assert [path.name for path in lock.parent.iterdir()] == ["images.lock"]


def test_a_lock_that_is_not_there_is_an_error_that_says_how_to_write_it(lock: Path) -> None:
    with pytest.raises(ImageError, match="images lock"):
        read_lock(lock)


def test_a_folder_that_is_not_writable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be written"):
        write_lock(tmp_path / "gone/images.lock", [])


def test_a_newer_version_asks_for_a_newer_plugin(lock: Path) -> None:
    lock.write_text("version = 2\nsomething = 'new'\n")
    with pytest.raises(ImageError, match=r"version 2.*Install a newer"):
        read_lock(lock)


GOOD = (
    "version = 1\n[[image]]\nreference = 'a'\nsha256 = '{}'\nsize = 1\nmade = 2026-01-01T00:00:00Z\n"
).format("0" * 64)  # fmt: skip


def test_the_sample_of_the_tests_below_is_good(lock: Path) -> None:
    lock.write_text(GOOD)
    assert list(read_lock(lock)) == ["a"]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("version = 1\n", "", "version is None"),
        ("version = 1\n", "version = true\n", "version is True"),
        ("version = 1\n", "version = 'one'\n", "version is 'one'"),
        ("reference = 'a'\n", "", r"image 1 \(without a reference\): reference is missing"),
        ("0000'\n", "000'\n", r"image 1 \(a\): sha256 is"),
        ("size = 1\n", "size = '1'\n", "size is '1'"),
        ("size = 1\n", "size = -1\n", "size is -1"),
        ("size = 1\n", "size = true\n", "size is True"),
        ("made = 2026-01-01T00:00:00Z\n", "made = 2026-01-01\n", "made is"),
        ("00:00Z", "00:00", "made is"),
        ("size = 1\n", "size = 1\ndigest = 'sha256:12'\n", "digest is 'sha256:12'"),
        ("[[image]]\n", "[image]\n", "no list of tables"),
        ("[[image]]\n", "image = [1]\n", "no list of tables"),
        (GOOD, GOOD + GOOD.removeprefix("version = 1\n"), "'a' is in it twice"),
        (GOOD, GOOD[:40], "at end of document"),
        (GOOD, "<<<<<<< HEAD\n" + GOOD + "=======\n>>>>>>> other\n", "Two versions of it were merged"),
    ],
)
def test_a_damaged_lock_is_an_error_that_says_where(lock: Path, before: str, after: str, words: str) -> None:
    lock.write_text(GOOD.replace(before, after))
    with pytest.raises(ImageError, match=rf"images\.lock is damaged: .*{words}"):
        read_lock(lock)


@given(contents=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: f"version = 1\n{text}".encode()))
def test_no_contents_end_in_anything_but_images_or_words(
    contents: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lock = tmp_path_factory.getbasetemp() / "any.lock"
    lock.write_bytes(contents)
    said = ""
    try:
        read = read_lock(lock)
    except ImageError as error:
        read, said = {}, str(error)
    assert read == {}
    assert not said or "any.lock is" in said
