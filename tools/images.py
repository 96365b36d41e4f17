"""Small real images for tests: a library as a site has one, and what a registry of them stores.

``python3 -m tools.images`` builds them ahead, showing its progress, and prints where the library is. Each image
says in its ``/etc/os-release`` which it is: ``PRETTY_NAME="test image alpha"``.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from .apptainer import path_with_apptainer
from .cache import ToolError, cache_folder, locked, new_folder, say
from .debian import BASE, bootstrap, command
from .registry import registry_tools, serve, upload

_VERSION = "7"
"""To be changed when the images change, so that they are built anew."""

QUICKLY = "-comp zstd -Xcompression-level 1"
"""For ``APPTAINER_MKSQUASHFS_ARGS``: packs in a tenth of the time."""

_BARE_APPLETS = ("sh", "cat", "echo", "env", "id", "ls", "mkdir", "rm", "sleep", "touch", "true")
_UNNEEDED = ("usr/share", "usr/sbin", "usr/lib/*/gconv")
_IMAGE_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class TestImages:
    """Where the images are."""

    __test__ = False  # pytest takes it for a class of tests otherwise

    library: Path
    """A site's library, not to be written to:

    - ``deep_learning/alpha.simg``: plain squashfs, as Singularity 2.x builds; bash, coreutils, full Python;
    - ``tools/beta.sif``: the same as a SIF;
    - ``sandboxes/gamma``: the same as a folder;
    - ``tools/bare.sif``: neither bash nor Python, only ``sh`` and little else.
    """
    storage: Path
    """For serve, a copy of it where tests change it: ``test/delta`` and ``test/bare``, each with tags ``1`` and ``2``.

    The contents are those above, except that they say ``PRETTY_NAME="test image delta 1"`` and so on.
    """
    pulled: Path
    """For ``APPTAINER_CACHEDIR``: what was pulled of them is kept, as packing takes seconds."""


def build_images(path: str, *, cache: Path | None = None) -> TestImages:
    """Give the images, building them at the first call, which takes half a minute.

    They are kept in ``cache``, cache_folder() if None. ``path`` is a PATH with an Apptainer, or a Singularity
    that builds SIFs, which version 2 does not. Raises ToolError if the packages cannot be had or an image cannot be
    built.
    """
    cache = cache or cache_folder()
    folder = cache / f"images-{_VERSION}"
    images = TestImages(folder / "library", folder / "registry", folder / "pulled")
    with locked(cache / "images.lock"):
        if not folder.exists():
            say("Building images for tests …")
            tools = registry_tools(cache)
            with new_folder(folder) as work:
                _build(work, tools, path, cache)
    return images


def _build(work: Path, tools: Path, path: str, cache: Path) -> None:
    runtime = shutil.which("apptainer", path=path) or shutil.which("singularity", path=path)
    if runtime is None:
        raise ToolError(f"There is no Apptainer on the PATH {path}.")
    library = work / "library"
    for name in ("deep_learning", "tools", "sandboxes"):
        (library / name).mkdir(parents=True)
    bare = work / "bare"
    _make_bare(bare, cache)
    full = library / "sandboxes/gamma"
    bootstrap([*BASE, "python3", "python-is-python3"], full, cache=cache)
    for pattern in _UNNEEDED:
        for folder in full.glob(pattern):
            shutil.rmtree(folder)

    _name(full, "alpha")
    squashfs = [str(full), str(library / "deep_learning/alpha.simg"), "-all-root", "-no-progress", *QUICKLY.split()]
    _run([*command(tools, "usr/bin/mksquashfs"), *squashfs])
    _name(full, "beta")
    _run([runtime, "build", str(library / "tools/beta.sif"), str(full)])
    _run([runtime, "build", str(library / "tools/bare.sif"), str(bare)])

    layout, layer = work / "layout", work / "layer.tar"  # with `umoci insert`, / is in it: Singularity 2 refuses that
    umoci = command(tools, "usr/bin/umoci")
    _run([*umoci, "init", "--layout", str(layout)])
    for name, root in (("delta", full), ("bare", bare)):
        first, second = f"{layout}:{name}-1", f"{layout}:{name}-2"
        _name(root, f"{name} 1")
        _run([*umoci, "new", "--image", first])
        _run(
            [
                "tar",
                "-C",
                str(root),
                "--owner=0",
                "--group=0",
                "-cf",
                str(layer),
                *sorted(path.name for path in root.iterdir()),
            ]
        )
        _run([*umoci, "raw", "add-layer", "--image", first, str(layer)])
        _run([*umoci, "config", "--image", first, "--config.env", _IMAGE_PATH])
        _name(root, f"{name} 2")
        release = "usr/lib/os-release"
        _run([*umoci, "tag", "--image", first, f"{name}-2"])
        _run(["tar", "-C", str(root), "--owner=0", "--group=0", "-cf", str(layer), release])
        _run([*umoci, "raw", "add-layer", "--image", second, str(layer)])
    with serve(work / "registry", tools) as registry:
        for name, tag in product(("delta", "bare"), ("1", "2")):
            upload(f"oci:{layout}:{name}-{tag}", registry, f"test/{name}:{tag}", tools)

    _name(full, "gamma")
    shutil.rmtree(layout)
    layer.unlink()
    shutil.rmtree(bare)


def _make_bare(root: Path, cache: Path) -> None:
    bootstrap(["busybox-static"], root, cache=cache)
    for name in _BARE_APPLETS:
        (root / "usr/bin" / name).symlink_to("busybox")
    shutil.rmtree(root / "usr/share")
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    for name in ("passwd", "group"):  # Apptainer puts the user into them
        (root / "etc" / name).touch()
    _name(root, "bare")


def _name(root: Path, name: str) -> None:
    (root / "usr/lib/os-release").write_text(f'ID=debian\nNAME="Test"\nPRETTY_NAME="test image {name}"\n')


def _run(arguments: list[str]) -> None:
    result = subprocess.run(
        arguments,
        env={**os.environ, "APPTAINER_MKSQUASHFS_ARGS": QUICKLY},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if result.returncode != 0:
        said = (result.stderr.strip() or result.stdout.strip())[-2000:]
        raise ToolError(f"`{' '.join(arguments)}` failed with exit status {result.returncode}:\n{said}")


def main() -> int:
    """Build the images."""
    try:
        print(build_images(path_with_apptainer()).library)
    except ToolError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
