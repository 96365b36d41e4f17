import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.cache import ToolError
from tools.debian import bootstrap, command, fetch, mirrors, parse_uris, specifier, unpack

SHA256 = "82130bb6a560cd2a7234d8018baf73f188f5dd56413d5aa0accc987b2197a6a1"


def test_mirrors_are_those_of_debian_itself() -> None:
    printed = (
        "'http://mirror.example/debian/dists/bookworm/InRelease' mirror_InRelease 0 \n"
        "'http://mirror.example/debian/dists/bookworm-updates/InRelease' mirror_InRelease 0 \n"
        "'http://mirror.example/debian-security/dists/bookworm-security/InRelease' mirror_InRelease 0 \n"
        "'https://vendor.example/docker/dists/bookworm/InRelease' vendor_InRelease 0 \n"
        "'http://mirror.example/debian/dists/bookworm/main/binary-amd64/Packages.xz' mirror_Packages 0 \n"
    )
    assert mirrors(printed) == [
        ("http://mirror.example/debian", "bookworm"),
        ("http://mirror.example/debian", "bookworm-updates"),
        ("http://mirror.example/debian-security", "bookworm-security"),
    ]


def test_a_list_of_mirrors_is_a_mirror() -> None:
    printed = "'mirror+file:/etc/apt/mirrors/debian.list/dists/bookworm/InRelease' debian.list_InRelease 0 \n"
    assert mirrors(printed) == [("mirror+file:/etc/apt/mirrors/debian.list", "bookworm")]


def test_a_mirror_written_with_a_slash_at_its_end_is_found() -> None:
    assert mirrors("'http://mirror.example/debian//dists/sid/InRelease' x 0 \n") == [
        ("http://mirror.example/debian", "sid")
    ]


def test_the_plan_of_a_download_is_read() -> None:
    (package,) = parse_uris(f"'http://mirror.example/b%2b.deb' bash_5.2-2+b13_amd64.deb 1490652 SHA256:{SHA256}\n")
    assert (package.name, package.size, package.sha256) == ("bash_5.2-2+b13_amd64.deb", 1490652, SHA256)


VERSIONS = st.from_regex(r"([0-9]:)?[0-9][A-Za-z0-9.+~-]{0,10}", fullmatch=True)


@given(name=st.from_regex(r"[a-z0-9][a-z0-9+.-]+", fullmatch=True), version=VERSIONS)
def test_a_file_name_tells_what_to_ask_for(name: str, version: str) -> None:
    assert specifier(f"{name}_{version.replace(':', '%3a')}_amd64.deb") == f"{name}={version}"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of our own, so that the package index is read and packages are downloaded for real."""
    return tmp_path_factory.mktemp("cache")


def test_a_package_is_unpacked_with_all_that_it_needs_to_run(cache: Path, tmp_path: Path) -> None:
    bootstrap(["hello"], tmp_path / "root", cache=cache)
    said = subprocess.run(
        command(tmp_path / "root", "usr/bin/hello"), env={}, capture_output=True, text=True, timeout=20, check=True
    )
    assert said.stdout == "Hello, world!\n"


def test_a_package_can_be_unpacked_alone(cache: Path, tmp_path: Path) -> None:
    unpack(["hello"], tmp_path / "root", with_dependencies=False, cache=cache)
    assert (tmp_path / "root/usr/bin/hello").exists()
    assert not list(tmp_path.rglob("libc.so.6"))


def test_a_damaged_file_in_the_cache_is_downloaded_again(cache: Path, tmp_path: Path) -> None:
    (file,) = fetch(["hello"], with_dependencies=False, cache=cache)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"x")
    assert fetch(["hello"], with_dependencies=False, cache=cache) == [file]
    assert file.read_bytes() == whole


def test_the_system_state_of_apt_stays_as_it_is(cache: Path) -> None:
    def state() -> list[tuple[str, int]]:
        folders = [Path("/var/lib/apt/lists"), Path("/var/cache/apt"), Path("/var/lib/dpkg")]
        return [(str(path), path.stat().st_mtime_ns) for folder in folders for path in sorted(folder.glob("*"))]

    before = state()
    fetch(["hello"], cache=cache)
    assert state() == before


def test_a_package_that_does_not_exist_is_an_error_that_names_it(cache: Path) -> None:
    with pytest.raises(ToolError, match=r"no-such-package(?s:.*)Check the name"):
        fetch(["no-such-package"], cache=cache)


def test_without_a_network_the_error_says_that_it_needs_one(tmp_path: Path) -> None:
    """A proxy that is not there stands for a network that is not there."""
    script = "import sys, pathlib, tools.debian; tools.debian.fetch(['hello'], cache=pathlib.Path(sys.argv[1]))"
    nowhere = "http://127.0.0.1:9"
    ended = subprocess.run(
        [sys.executable, "-c", script, tmp_path],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "http_proxy": nowhere, "https_proxy": nowhere},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "ToolError: `apt-get --quiet=2 update` failed" in ended.stderr
    assert "this needs the network once" in ended.stderr


def test_on_another_system_the_error_says_that_apt_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="no apt-get here"):
        fetch(["hello"], cache=tmp_path)
