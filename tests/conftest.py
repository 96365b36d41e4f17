"""A container runtime, images and a registry for all tests that want real ones.

They are built at the first use, in a minute and without root, and kept in the cache folder; see tools/images.py.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.images.runtime import find_runtime, setting_prefix
from snakemake_executor_plugin_pbs_singularity.images.sif import take_out_file_system

sys.path.insert(0, str(Path(__file__).parents[1]))  # for tools, which is no part of the package

from tools.apptainer import install, path_with_apptainer
from tools.cache import cache_folder
from tools.images import QUICKLY, TestImages, build_images
from tools.registry import Registry, registry_tools, serve


@pytest.fixture(scope="session")
def apptainer() -> str:
    """A PATH with a real ``apptainer`` or ``singularity``: the one on PATH, else one put into the cache.

    So another runtime is tested by putting it on PATH: ``PATH=/opt/singularity-2.6.1/bin:$PATH``.
    """
    return path_with_apptainer()


@pytest.fixture(scope="session")
def is_version_2(apptainer: str) -> bool:
    """Whether the runtime of these tests is Singularity 2, which neither makes nor runs a SIF."""
    return find_runtime({"PATH": apptainer}).is_version_2


@pytest.fixture(scope="session")
def images(apptainer: str, is_version_2: bool) -> TestImages:
    """The images that the fixtures below give."""
    return build_images(
        f"{install(cache_folder() / 'apptainer')}{os.pathsep}{apptainer}" if is_version_2 else apptainer
    )


@pytest.fixture(scope="session")
def library(images: TestImages, is_version_2: bool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library folder: ``deep_learning/alpha.simg``, ``tools/beta.sif``, ``sandboxes/gamma``, ``tools/bare.sif``.

    Their ``/etc/os-release`` says ``PRETTY_NAME="test image alpha"`` and so on. The bare one has no bash and
    no Python. Not to be written to. Under Singularity 2, files have the same names, but none is a SIF.
    """
    if not is_version_2:
        return images.library
    library = tmp_path_factory.mktemp("library-2") / "library"
    for name in ("deep_learning", "sandboxes", "tools"):
        (library / name).mkdir(parents=True)
    shutil.copy(images.library / "deep_learning/alpha.simg", library / "deep_learning")
    (library / "sandboxes/gamma").symlink_to(images.library / "sandboxes/gamma")
    for sif in images.library.glob("tools/*.sif"):
        take_out_file_system(sif, library / "tools" / sif.name).chmod(0o755)
    return library


@pytest.fixture(scope="session")
def registry(images: TestImages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry on loopback with ``test/delta`` and ``test/bare``, tags ``1`` and ``2``, to be changed at will.

    Each worker of pytest-xdist has one of its own, which ends with the session.
    """
    storage = tmp_path_factory.mktemp("registry") / "storage"
    shutil.copytree(images.storage, storage)
    with serve(storage, registry_tools()) as running:
        yield running


@pytest.fixture(scope="session")
def container_environment(apptainer: str, images: TestImages, is_version_2: bool) -> dict[str, str]:
    """An environment for processes that start containers or pull from the registry; copy it to change it.

    It has the PATH of ``apptainer``, lets the runtime speak plain http and ``build`` quickly, and keeps what it pulled
    out of the user's own cache; not so with Singularity 2, whose ``pull`` would write there, not where Snakemake looks.
    """
    environment = {**os.environ, "PATH": apptainer}
    prefix = setting_prefix(find_runtime(environment))
    environment[f"{prefix}NOHTTPS"] = "1"
    environment[f"{prefix}MKSQUASHFS_ARGS"] = QUICKLY
    if not is_version_2:
        environment[f"{prefix}CACHEDIR"] = str(images.pulled)
    return environment
