import hashlib
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.images import checksum
from snakemake_executor_plugin_pbs_singularity.images.checksum import checksum_cache, sha256_of, size_in_bytes
from snakemake_executor_plugin_pbs_singularity.images.errors import ImageError

from . import made


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache/checksums"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return made.write(tmp_path / "library/a tool.sif")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read whole."""
    files: list[Path] = []
    original = checksum.file_checksum

    def read(path: Path) -> str:
        files.append(path)
        return original(path)

    monkeypatch.setattr(checksum, "file_checksum", read)
    return files


def test_it_is_the_sha256_of_the_file_as_others_compute_it(image: Path, cache: Path) -> None:
    assert sha256_of(image, cache) == hashlib.sha256(made.SIF).hexdigest()


def test_a_file_is_read_once_for_each_version(image: Path, cache: Path, reads: list[Path]) -> None:
    first = sha256_of(image, cache)
    assert sha256_of(image, cache) == first
    assert len(reads) == 1
    image.write_bytes(made.SIF + b"more")
    assert sha256_of(image, cache) != first
    assert len(reads) == 2


def test_a_flipped_byte_is_found_even_if_size_and_time_of_change_are_as_before(image: Path, cache: Path) -> None:
    before, first = image.stat(), sha256_of(image, cache)
    with image.open("r+b") as file:
        file.seek(40_000)
        file.write(b"\xff")
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert sha256_of(image, cache) != first


def test_a_file_that_takes_the_place_of_another_is_read_anew(image: Path, cache: Path) -> None:
    first = sha256_of(image, cache)
    other = made.write(image.with_name("other"), made.SIF[:-1] + b"\xff")
    os.utime(other, ns=(image.stat().st_atime_ns, image.stat().st_mtime_ns))
    other.replace(image)
    assert sha256_of(image, cache) != first


def test_afresh_reads_what_is_on_the_disk_whatever_is_known(image: Path, cache: Path, reads: list[Path]) -> None:
    sha256_of(image, cache)
    sha256_of(image, cache, afresh=True)
    assert len(reads) == 2
    assert len(cache.read_text().splitlines()) == 1


def test_the_same_file_under_another_relative_name_is_known(
    image: Path, cache: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256_of(image, cache)
    monkeypatch.chdir(image.parent)
    sha256_of(Path(image.name), cache)
    assert len(reads) == 1


@pytest.mark.parametrize("damage", [b"\x00\xff\xfe", b"[1, 2", b'["a"]\n[]\n7\nnull\n', b'"text"\n'])
def test_a_damaged_cache_costs_only_time(image: Path, cache: Path, damage: bytes, reads: list[Path]) -> None:
    first = sha256_of(image, cache)
    cache.write_bytes(damage + b"\n")
    assert sha256_of(image, cache) == first
    assert sha256_of(image, cache) == first
    assert len(reads) == 2


def test_a_cache_that_cannot_be_written_is_done_without(image: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert sha256_of(image, tmp_path / "file/checksums") == hashlib.sha256(made.SIF).hexdigest()


def test_many_processes_may_use_one_cache(tmp_path: Path, cache: Path, reads: list[Path]) -> None:
    images = [made.write(tmp_path / f"images/{number}.sif", made.SIF + bytes([number])) for number in range(40)]
    program = (
        "import sys; from pathlib import Path;"
        "from snakemake_executor_plugin_pbs_singularity.images.checksum import sha256_of;"
        "[sha256_of(Path(image), Path(sys.argv[1])) for image in sys.argv[2:]]"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, cache, *images[start::4], *images[:4]]) for start in range(4)
    ]
    assert [process.wait(60) for process in running] == [0] * 4
    assert len({sha256_of(image, cache) for image in images}) == 40
    assert reads == []


def test_threads_may_use_one_cache(image: Path, cache: Path) -> None:
    results: list[str] = []
    threads = [threading.Thread(target=lambda: results.append(sha256_of(image, cache))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [hashlib.sha256(made.SIF).hexdigest()] * 8


def test_a_missing_image_is_an_error_that_names_it(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.sif cannot be computed: No such file"):
        sha256_of(tmp_path / "gone.sif", cache)


def test_an_image_that_is_closed_to_us_is_an_error_that_says_so(image: Path, cache: Path) -> None:
    image.chmod(0)
    with made.as_somebody(), pytest.raises(ImageError, match="Permission denied"):
        sha256_of(image, cache)


def test_an_image_that_is_written_meanwhile_has_no_checksum(
    image: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_slowly(path: Path) -> str:
        path.write_bytes(b"new contents")
        return "0" * 64

    monkeypatch.setattr(checksum, "file_checksum", read_slowly)
    with pytest.raises(ImageError, match="changed while it was read"):
        sha256_of(image, cache)


def test_the_cache_is_the_users(tmp_path: Path) -> None:
    assert checksum_cache({"HOME": "/home/ann"}) == Path("/home/ann/.cache/pbs-singularity/checksums")
    assert checksum_cache({"HOME": "/h", "XDG_CACHE_HOME": "/c"}) == Path("/c/pbs-singularity/checksums")
    assert checksum_cache({"HOME": "/h", "XDG_CACHE_HOME": "relative"}) == Path("/h/.cache/pbs-singularity/checksums")


# --- unpacked images ---


def fill(folder: Path) -> Path:
    made.sandbox(folder)
    made.write(folder / "bin/sh", b"shell").chmod(0o755)
    made.write(folder / "etc/os-release", b"NAME=x")
    (folder / "sh").symlink_to("bin/sh")
    (folder / "empty").mkdir()
    return folder


def test_a_copy_of_an_unpacked_image_has_the_same_checksum(tmp_path: Path, cache: Path) -> None:
    one, two = fill(tmp_path / "one"), fill(tmp_path / "two")
    os.utime(two / "bin/sh", (0, 0))
    assert sha256_of(one, cache) == sha256_of(two, cache)


@pytest.mark.parametrize(
    "change",
    [
        "echo more >> etc/os-release",
        "touch new",
        "mkdir folder",
        "rm -d empty",
        "rm sh; ln -s etc/os-release sh",
        "rm sh; cp bin/sh sh",
        "mv bin/sh bin/bash",
        "chmod 644 bin/sh",
        "rm etc/os-release; mkfifo etc/os-release",
    ],
)
def test_every_change_of_an_unpacked_image_changes_its_checksum(tmp_path: Path, cache: Path, change: str) -> None:
    image = fill(tmp_path / "image")
    before = sha256_of(image, cache)
    subprocess.run(["sh", "-c", change], cwd=image, check=True, timeout=10)
    assert sha256_of(image, cache) != before


def test_an_unpacked_image_is_read_once_for_each_version(tmp_path: Path, cache: Path, reads: list[Path]) -> None:
    image = fill(tmp_path / "image")
    assert sha256_of(image, cache) == sha256_of(image, cache)
    assert len(reads) == 2


def test_an_unpacked_image_with_files_closed_to_us_cannot_be_locked(cache: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        image = fill(Path(folder, "image"))
        (image / "etc/os-release").chmod(0)
        with made.as_somebody(), pytest.raises(ImageError, match=r"Permission denied .*os-release.*build a file of it"):
            sha256_of(image, cache)


@given(names=st.lists(st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=20)
                      .filter(lambda name: name not in (".", "..")), min_size=1, max_size=5))  # fmt: skip
def test_names_of_any_kind_may_be_in_an_unpacked_image(
    names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    image = tmp_path_factory.mktemp("odd") / "image"
    image.mkdir()
    for name in names:
        (image / name).write_bytes(b"x")
    assert len(sha256_of(image, image.with_name("cache"))) == 64


def test_the_size_of_an_image_is_that_of_its_files(image: Path, tmp_path: Path) -> None:
    assert size_in_bytes(image) == len(made.SIF)
    assert size_in_bytes(fill(tmp_path / "image")) == len(b"shell" + b"NAME=x") + len("bin/sh")
