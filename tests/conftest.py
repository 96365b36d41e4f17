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

sys.path.insert(0, str(Path(__file__).parents[1]))  # for tools, which is no part of the package

from tools.apptainer import path_with_apptainer
from tools.images import QUICKLY, TestImages, build_images
from tools.registry import Registry, registry_tools, serve


@pytest.fixture(scope="session")
def apptainer() -> str:
    """A PATH with a real ``apptainer`` or ``singularity``: this machine's, else one put into the cache."""
    return path_with_apptainer()


@pytest.fixture(scope="session")
def images(apptainer: str) -> TestImages:
    """The images that the fixtures below give."""
    return build_images(apptainer)


@pytest.fixture(scope="session")
def library(images: TestImages) -> Path:
    """A library folder: ``deep_learning/alpha.simg``, ``tools/beta.sif``, ``sandboxes/gamma``, ``tools/bare.sif``.

    Their ``/etc/os-release`` says ``PRETTY_NAME="test image alpha"`` and so on. The bare one has no bash and
    no Python. Not to be written to.
    """
    return images.library


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
def container_environment(apptainer: str, images: TestImages) -> dict[str, str]:
    """An environment for processes that start containers or pull from the registry; copy it to change it.

    It has the PATH of ``apptainer``, lets the runtime speak plain http and ``build`` quickly, and keeps what it pulled
    out of the user's own cache.
    """
    environment = {**os.environ, "PATH": apptainer}
    prefix = setting_prefix(find_runtime(environment))
    environment[f"{prefix}NOHTTPS"] = "1"
    environment[f"{prefix}MKSQUASHFS_ARGS"] = QUICKLY
    environment[f"{prefix}CACHEDIR"] = str(images.pulled)
    return environment
