"""Build an image that can stand in for deepo: ``python3 -m tools.standin_image`` prints its path.

The image that the MNIST workflow asks for comes from a registry, and is large. Where that registry cannot
be reached, Debian's packages and Python wheels make an image with all that the scripts of the workflow need.
pip takes the wheels from wherever the pip of this machine is told to.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from .cache import ToolError, cache_folder, locked, new_folder, say
from .debian import BASE, bootstrap

SUITE = "bookworm"
PYTHON = "3.11"
"""The Python of that suite; the wheels must be for it, whatever Python this machine has."""
PACKAGES = (*BASE, "ca-certificates", "libgomp1", "libstdc++6", "python-is-python3", "python3")
WHEELS = ("tensorflow-cpu==2.21.0", "numpy", "matplotlib")
UNUSED = ("tensorflow/include", "clang")
"""What only those need who extend TensorFlow: a fourth of the size."""
SITE = f"usr/local/lib/python{PYTHON}/dist-packages"
"""Where Debian's Python looks for what is not Debian's."""

NEWEST_GLIBC = 36
"""The wheels may need glibc 2.36, that of the suite."""
PACKING = "-comp zstd -Xcompression-level 1"
"""Four times as fast as mksquashfs by itself, and nearly as small."""
QUICK_START = 5.0
"""Seconds. A runtime that mounts an image starts in 0.2, one that unpacks this one needs 10 or more."""
TIME_LIMIT = 1800.0
"""Seconds for one command; a slow line needs minutes for the wheels."""


def ensure_standin(runtime: Path, *, cache: Path | None = None) -> Path:
    """Give the stand-in image, a file, built if it is not in the cache folder or its checksum is wrong.

    ``runtime`` is the ``apptainer`` or ``singularity`` command. Raises ToolError if the packages or wheels
    cannot be had or the runtime fails.
    """
    folder = (cache or cache_folder()) / "images"
    image = folder / f"mnist-standin-{_digest()}.sif"
    root = image.with_suffix(".root")
    with locked(folder / f".{image.name}.lock"):
        if _is_good(image):
            return image
        for leftover in folder.glob(f".{root.name}.*"):  # of a build that was killed
            shutil.rmtree(leftover)
        if not root.is_dir():
            with new_folder(root) as work:
                _fill(work, runtime, cache)
        _pack(root, image, runtime)
        shutil.rmtree(root)
        return image


def quick_image(image: Path, runtime: Path) -> Path:
    """Give an image that starts quickly: the file itself, or a folder of it where this user may not mount files.

    The folder is made beside the file. Raises ToolError if the runtime fails.
    """
    folder = image.with_suffix("")
    with locked(folder.with_name(f".{folder.name}.lock")):
        if folder.is_dir():
            return folder
        if _starts_quickly(runtime, image):
            return image
        say("This user may not mount image files, and unpacking at each start is slow: unpacking it once …")
        with new_folder(folder) as work:
            _run([str(runtime), "build", "--force", "--sandbox", str(work), str(image)])
    return folder


def _digest() -> str:
    """Give a few digits that change when the image's recipe does."""
    recipe = [SUITE, PYTHON, *PACKAGES, *WHEELS, *UNUSED, platform.machine()]
    return hashlib.sha256("\n".join(recipe).encode()).hexdigest()[:8]


def _fill(root: Path, runtime: Path, cache: Path | None) -> None:
    bootstrap(PACKAGES, root, suite=SUITE, cache=cache)
    _install_wheels(root / SITE)
    for name in UNUSED:
        shutil.rmtree(root / SITE / name, ignore_errors=True)
    say("Compiling and trying out the Python packages …")
    inside = [str(runtime), "exec", "--cleanenv", "--bind", f"{root / SITE}:/{SITE}", str(root)]
    _run([*inside, "python", "-I", "-m", "compileall", "-qq", "-j", "0", f"/{SITE}"])
    _run([*inside, "python", "-I", "-c", "import matplotlib, tensorflow"])


def _install_wheels(destination: Path) -> None:
    """Let pip unpack wheels that fit the image, with everything they need."""
    say(f"Downloading and unpacking {', '.join(WHEELS)} (350 MB) with pip …")
    machine = platform.machine()
    tags = [f"manylinux_2_{minor}" for minor in range(NEWEST_GLIBC, 4, -1)]
    tags += ["manylinux2014", "manylinux2010", "manylinux1"]
    platforms = [f"--platform={tag}_{machine}" for tag in tags]
    fitting = [f"--python-version={PYTHON}", "--implementation=cp", "--only-binary=:all:", *platforms]
    quiet = ["--no-input", "--no-compile", "--disable-pip-version-check", "--no-warn-conflicts"]
    _run(
        [sys.executable, "-m", "pip", "install", *quiet, f"--target={destination}", *fitting, *WHEELS],
        telling=re.compile(r"Downloading \S+ \(\d+(\.\d+)? [MG]B\)"),
    )


def _pack(root: Path, image: Path, runtime: Path) -> None:
    """Make an image file of a root file system, and write its checksum beside it."""
    say("Packing the image …")
    partial = image.with_name(f".{image.name}")
    partial.unlink(missing_ok=True)
    scratch = image.with_name(f".{image.name}.scratch")  # /tmp may be too small
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    settings = {"MKSQUASHFS_ARGS": PACKING, "TMPDIR": str(scratch)}
    environment = {f"{prefix}_{key}": settings[key] for prefix in ("APPTAINER", "SINGULARITY") for key in settings}
    try:
        _run([str(runtime), "build", str(partial), str(root)], environment=environment)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    _sum_file(image).write_text(_sum(partial))
    partial.rename(image)


def _sum_file(image: Path) -> Path:
    return image.with_name(f"{image.name}.sha256")


def _sum(image: Path) -> str:
    with image.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_good(image: Path) -> bool:
    return image.is_file() and _sum_file(image).is_file() and _sum_file(image).read_text() == _sum(image)


def _starts_quickly(runtime: Path, image: Path) -> bool:
    """Tell whether the runtime can mount an image. Some that cannot unpack it at each start instead."""
    started = time.monotonic()
    _run([str(runtime), "exec", str(image), "true"])
    return time.monotonic() - started < QUICK_START


def _run(
    command: Sequence[str],
    *,
    environment: dict[str, str] | None = None,
    telling: re.Pattern[str] | None = None,
) -> None:
    """Run a command; show the lines that ``telling`` finds something in, and in an error the last ones."""
    lines: list[str] = []
    with subprocess.Popen(
        command,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        timer = threading.Timer(TIME_LIMIT, process.kill)
        timer.start()
        try:
            for line in process.stdout or ():
                lines.append(line.rstrip())
                if telling and (found := telling.search(line)):
                    say(f"  {found[0]}")
        except BaseException:
            process.terminate()
            raise
        finally:
            timer.cancel()
    if process.returncode != 0:
        said = "\n".join(line for line in lines[-8:] if line)
        raise ToolError(f"`{' '.join(command[:3])} …` failed with exit status {process.returncode}:\n{said}")


def main() -> int:
    """Build the image with the runtime on PATH and print its path."""
    runtime = shutil.which("apptainer") or shutil.which("singularity")
    try:
        if runtime is None:
            raise ToolError("Neither apptainer nor singularity is on PATH. `python3 -m tools.apptainer` gets one.")
        print(quick_image(ensure_standin(Path(runtime)), Path(runtime)))
    except ToolError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
