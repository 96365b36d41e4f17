"""A real registry on loopback, of Debian's packages, which are unpacked and not installed."""

import contextlib
import json
import os
import re
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .cache import ToolError, cache_folder, locked, new_folder
from .debian import bootstrap, command

_PACKAGES = ("docker-registry", "skopeo", "squashfs-tools", "umoci")
_VERSION = "1"
_START_LIMIT = 20.0
"""Seconds that a registry has to start; it takes a tenth of one."""
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@dataclass(frozen=True)
class Registry:
    """A running registry."""

    address: str
    """``127.0.0.1:PORT``. It speaks plain http: Apptainer needs ``APPTAINER_NOHTTPS=1``."""

    def uri(self, image: str) -> str:
        """Give what to write as ``container:`` for an image such as ``test/delta:1``."""
        return f"docker://{self.address}/{image}"

    def tag(self, image: str, tag: str) -> None:
        """Let ``tag`` mean an image that is there, such as ``test/delta:1``; a tag that is there is moved."""
        name, _, source = image.partition(":")
        manifests = f"http://{self.address}/v2/{name}/manifests"
        asked = urllib.request.Request(f"{manifests}/{source}", headers={"Accept": _MANIFEST})
        with urllib.request.urlopen(asked, timeout=20) as answer:
            manifest, kind = answer.read(), answer.headers["Content-Type"]
        put = urllib.request.Request(f"{manifests}/{tag}", manifest, {"Content-Type": kind}, method="PUT")
        with urllib.request.urlopen(put, timeout=20):
            pass


def registry_tools(cache: Path | None = None) -> Path:
    """Give a root file system with ``docker-registry``, ``skopeo``, ``umoci`` and ``mksquashfs``.

    It is made in ``cache``, cache_folder() if None, at the first call. Raises ToolError if the packages
    cannot be had.
    """
    cache = cache or cache_folder()
    root = cache / f"registry-tools-{_VERSION}"
    with locked(cache / "registry-tools.lock"):
        if not root.exists():
            with new_folder(root) as work:
                bootstrap(_PACKAGES, work, cache=cache)
    return root


@contextlib.contextmanager
def serve(storage: Path, tools: Path) -> Iterator[Registry]:
    """Run a registry on a free port of loopback while the block runs, with its images in ``storage``.

    It ends with the block, and with this process if that is killed. Raises ToolError if it does not start.
    """
    storage.mkdir(parents=True, exist_ok=True)
    settings = storage.with_name(f"{storage.name}.yml")
    log = storage.with_name(f"{storage.name}.log")
    settings.write_text(
        json.dumps(  # which is YAML
            {
                "version": "0.1",
                "log": {"level": "info"},
                "storage": {"filesystem": {"rootdirectory": str(storage)}},
                "http": {"addr": "127.0.0.1:0"},
            }
        )
    )
    arguments = [*command(tools, "usr/bin/docker-registry"), "serve", str(settings)]
    with log.open("w") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *arguments],
            env={"PATH": os.defpath},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Registry(_address(process, log))
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait until a registry listens, and give the address that it writes to its log."""
    end = time.monotonic() + _START_LIMIT
    while time.monotonic() < end and process.poll() is None:
        found = re.search(r"listening on (127\.0\.0\.1:\d+)", log.read_text())
        if found:
            return found[1]
        time.sleep(0.02)
    raise ToolError(f"The registry did not start:\n{log.read_text()[-2000:]}")


def upload(source: str, registry: Registry, image: str, tools: Path) -> None:
    """Bring an image, such as ``oci:FOLDER:NAME``, into a registry, in the format that Docker Hub has."""
    options = ["--quiet", "--insecure-policy", "--format", "v2s2", "--dest-tls-verify=false"]
    with tempfile.TemporaryDirectory(prefix="skopeo-") as scratch:
        result = subprocess.run(
            [*command(tools, "usr/bin/skopeo"), "copy", *options, source, registry.uri(image)],
            # Told that this is not root, it notes down what it uploaded in XDG_DATA_HOME instead of in /var.
            env={**os.environ, "_CONTAINERS_ROOTLESS_UID": "1", "XDG_DATA_HOME": scratch},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    if result.returncode != 0:
        raise ToolError(f"{source} cannot be brought to {registry.uri(image)}:\n{result.stderr.strip()}")
