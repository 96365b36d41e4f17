"""What the headers of an image tell before a job depends on it."""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.images import ImageError, ImageKind, check_image

from . import made


@pytest.mark.parametrize(
    ("contents", "kind"),
    [
        (made.SIF, ImageKind.SIF),
        (made.sif([(32768, 10), (40960, 500)]), ImageKind.SIF),
        (made.squashfs(), ImageKind.SQUASHFS),
        (made.squashfs() + bytes(4096), ImageKind.SQUASHFS),
        (made.LAUNCH + made.squashfs(), ImageKind.SQUASHFS),
        (made.ext3(), ImageKind.EXT3),
        (made.LAUNCH + made.ext3(), ImageKind.EXT3),
    ],
)
def test_an_image_is_known_by_its_contents(contents: bytes, kind: ImageKind, tmp_path: Path) -> None:
    assert check_image(made.write(tmp_path / "no ending", contents)) is kind


@pytest.mark.parametrize("names", [[".singularity.d"], ["etc", "usr"], ["etc", "bin/busybox"]])
def test_an_unpacked_image_is_one(names: list[str], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).mkdir(parents=True)
    assert check_image(tmp_path) is ImageKind.SANDBOX


def test_an_image_behind_a_link_is_checked(tmp_path: Path) -> None:
    made.write(tmp_path / "x.sif")
    (tmp_path / "latest.sif").symlink_to("x.sif")
    assert check_image(tmp_path / "latest.sif") is ImageKind.SIF


@pytest.mark.parametrize(
    "contents",
    [made.SIF, made.squashfs(), made.LAUNCH + made.squashfs(), made.ext3(), made.LAUNCH + made.ext3()],
    ids=["sif", "squashfs", "simg", "ext3", "old-img"],
)
@pytest.mark.parametrize("kept", [0.2, 0.5, 0.999])
def test_an_image_that_is_cut_off_is_refused(contents: bytes, kept: float, tmp_path: Path) -> None:
    cut = contents[: int(len(contents) * kept)]
    with pytest.raises(ImageError, match="cut off"):
        check_image(made.write(tmp_path / "cut.sif", cut))


@given(length=st.integers(1, len(made.SIF) - 1))
def test_no_beginning_of_a_sif_passes_for_an_image(length: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = made.write(tmp_path_factory.getbasetemp() / "beginning.sif", made.SIF[:length])
    with pytest.raises(ImageError):
        check_image(path)


@given(noise=st.binary(max_size=200), at=st.integers(0, 300))
def test_no_damage_to_the_header_crashes_the_check(
    noise: bytes, at: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    contents = made.SIF[:at] + noise + made.SIF[at + len(noise) :]
    path = made.write(tmp_path_factory.getbasetemp() / "damaged.sif", contents)
    with contextlib.suppress(ImageError):
        check_image(path)


@pytest.mark.parametrize(
    ("contents", "says"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html>\n<title>Log in</title>", "web page"),
        (b"\xef\xbb\xbf\n <HTML>", "web page"),
        (b'{"errors":[{"code":"DENIED"}]}', 'text beginning with \'{"errors"'),
        (b"#!/bin/bash\nset -e\n", "text beginning with '#!/bin/bash'"),
        ("naïve ".encode() * 300, "text beginning with 'naïve"),
        (b" \n\n", "text beginning with ''"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n", "git lfs pull"),
        (b"\x1f\x8b\x08" + bytes(100), "docker-archive:"),
        (b"a" * 257 + b"ustar" + bytes(100), "docker-archive:"),
        (bytes(5000), "zeros only"),
        (bytes(range(1, 256)) * 20, "no image format"),
        (made.sif([]), "nothing in it"),
        (made.LAUNCH, "ends within its header"),
        (made.SIF[:100], "ends within its header"),
    ],
)
def test_a_file_that_is_no_image_is_refused_in_words(contents: bytes, says: str, tmp_path: Path) -> None:
    path = made.write(tmp_path / "x.sif", contents)
    with pytest.raises(ImageError) as refused:
        check_image(path)
    assert says in str(refused.value)
    assert str(path) in refused.value.problem


def test_a_missing_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="does not exist"):
        check_image(tmp_path / "x.sif")


def test_a_path_through_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be read: Not a directory"):
        check_image(made.write(tmp_path / "x.sif") / "y.sif")


def test_a_dangling_link_is_refused_with_its_target(tmp_path: Path) -> None:
    (tmp_path / "latest.sif").symlink_to("/gone/x.sif")
    with pytest.raises(ImageError, match=r"link to /gone/x.sif, which is missing"):
        check_image(tmp_path / "latest.sif")


def test_a_folder_that_is_no_root_file_system_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="not an unpacked image"):
        check_image(tmp_path)


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.sif")
    with pytest.raises(ImageError, match="neither a file nor a folder"):
        check_image(tmp_path / "x.sif")


def test_an_unreadable_image_is_refused(tmp_path: Path) -> None:
    made.write(tmp_path / "x.sif").chmod(0)
    with made.as_somebody(), pytest.raises(ImageError, match="permission denied"):
        check_image(tmp_path / "x.sif")


@pytest.mark.skipif(shutil.which("mksquashfs") is None, reason="no mksquashfs")
def test_a_real_squashfs_is_known_and_its_first_half_refused(tmp_path: Path) -> None:
    source = tmp_path / "root"
    source.mkdir()
    (source / "noise").write_bytes(os.urandom(100_000))
    image = tmp_path / "x.simg"
    subprocess.run(["mksquashfs", source, image, "-quiet", "-no-progress"], check=True, timeout=30)
    assert check_image(image) is ImageKind.SQUASHFS
    with pytest.raises(ImageError, match="cut off"):
        check_image(made.write(tmp_path / "half.simg", image.read_bytes()[:50_000]))


@pytest.mark.skipif(shutil.which("mkfs.ext3") is None, reason="no mkfs.ext3")
def test_a_real_ext3_image_is_known_and_its_first_half_refused(tmp_path: Path) -> None:
    image = tmp_path / "x.img"
    subprocess.run(["mkfs.ext3", "-q", image, "2M"], check=True, timeout=30)
    assert check_image(image) is ImageKind.EXT3
    with pytest.raises(ImageError, match="cut off"):
        check_image(made.write(tmp_path / "half.img", image.read_bytes()[: 1 << 20]))
