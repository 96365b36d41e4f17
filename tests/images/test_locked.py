"""Locked images, with a real registry and a real runtime: what is locked stays what it is, wherever tags move."""

import os
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.images import ImageError, ensure_pulled
from snakemake_executor_plugin_pbs_singularity.images.locked import (
    Lock,
    digest_if_known,
    lock_image,
    moved_tags,
    verify_image,
)
from snakemake_executor_plugin_pbs_singularity.images.lockfile import LockedImage
from snakemake_executor_plugin_pbs_singularity.images.reference import UriReference
from snakemake_executor_plugin_pbs_singularity.images.registry import digest_of
from snakemake_executor_plugin_pbs_singularity.images.resolution import Found, Missing, Resolved, resolve
from snakemake_executor_plugin_pbs_singularity.images.runtime import Runtime, find_runtime
from tools.registry import Registry

from . import made


class Workflow:
    """A working directory, a store, and what the images package does with them in a run."""

    def __init__(self, folder: Path, library: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.library = library
        self.store = folder / "store"
        self.environment = {**environment, "XDG_CACHE_HOME": str(folder / "cache")}
        self.runtime: Runtime = find_runtime(self.environment)
        self.reports: list[str] = []
        self.locked: dict[str, LockedImage] = {}

    def plainly(self, value: str) -> Resolved:
        return resolve(value, libraries=[self.library], store=self.store, workdir=self.folder, runtime=self.runtime)

    def pull(self, uri: str) -> Path:
        return ensure_pulled(
            uri,
            self.store,
            self.runtime,
            self.reports.append,
            environment=self.environment,
            ask_digest=partial(digest_if_known, environment=self.environment),
        )

    def lock(self, *values: str) -> None:
        for value in values:
            entry = lock_image(value, self.plainly, self.pull, self.store, self.runtime, self.environment)
            self.locked[entry.reference] = entry

    def resolve(self, value: str, *, frozen: bool = True) -> Resolved:
        """As a new run does."""
        lock = Lock(self.folder / "images.lock", self.locked, frozen)
        return lock.resolve(value, self.plainly(value), self.store, self.runtime, self.environment)

    def run(self, value: str) -> Path:
        """Resolve in frozen mode and pull what is missing."""
        found = self.resolve(value)
        return self.pull(found.uri) if isinstance(found, Missing) else found.path

    def moved(self, value: str) -> list[str]:
        return moved_tags([value], self.store, self.runtime, self.environment)


@pytest.fixture
def workflow(tmp_path: Path, library: Path, container_environment: dict[str, str]) -> Workflow:
    return Workflow(tmp_path, library, container_environment)


@pytest.fixture
def bare(registry: Registry) -> str:
    """A URI whose tag was just set to the first of two images."""
    registry.tag("test/bare:1", "moves")
    return registry.uri("test/bare:moves")


def move(registry: Registry) -> None:
    registry.tag("test/bare:2", "moves")


def digest(workflow: Workflow, registry: Registry, image: str) -> str:
    return digest_of(UriReference("docker", f"{registry.address}/{image}"), workflow.environment)


def flip(image: Path) -> None:
    with image.open("r+b") as file:
        file.seek(image.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 0xFF]))


def test_a_locked_tag_means_its_digest_after_it_moved(workflow: Workflow, registry: Registry, bare: str) -> None:
    workflow.lock(bare)
    image = workflow.run(bare)
    move(registry)
    assert workflow.run(bare) == image
    assert workflow.locked[bare].digest == digest(workflow, registry, "test/bare:1")


def test_a_colleague_who_has_only_the_lock_pulls_the_locked_digest(
    workflow: Workflow, registry: Registry, bare: str, tmp_path: Path
) -> None:
    workflow.lock(bare)
    move(registry)
    colleague = Workflow(tmp_path, workflow.library, workflow.environment)
    colleague.store = tmp_path / "other store"
    colleague.locked = workflow.locked
    missing = colleague.resolve(bare)
    assert isinstance(missing, Missing)
    assert missing.uri == f"docker://{registry.address}/test/bare@{workflow.locked[bare].digest}"
    image = colleague.run(bare)
    assert colleague.run(bare) == image
    assert image != workflow.run(bare)


def test_what_was_pulled_by_tag_is_not_pulled_again_when_it_is_locked(workflow: Workflow, bare: str) -> None:
    image = workflow.pull(bare)
    workflow.lock(bare)
    assert workflow.run(bare) == image
    assert sum(line.startswith("Pulling") for line in workflow.reports) == 1


def test_what_was_pulled_by_tag_before_it_moved_is_not_what_is_locked(
    workflow: Workflow, registry: Registry, bare: str
) -> None:
    old = workflow.pull(bare)
    move(registry)
    workflow.lock(bare)
    assert workflow.run(bare) != old
    assert workflow.locked[bare].digest == digest(workflow, registry, "test/bare:2")


def test_a_moved_tag_is_pointed_out_without_a_lock(workflow: Workflow, registry: Registry, bare: str) -> None:
    workflow.pull(bare)
    assert workflow.moved(bare) == []
    move(registry)
    (words,) = workflow.moved(bare)
    assert digest(workflow, registry, "test/bare:2") in words


def test_a_registry_that_is_away_keeps_no_run_from_starting(workflow: Workflow, registry: Registry, bare: str) -> None:
    gone = bare.replace(registry.address, "127.0.0.1:9")
    assert workflow.moved(gone) == []


def test_without_frozen_an_image_that_is_not_locked_is_used(workflow: Workflow) -> None:
    assert isinstance(workflow.resolve("tools/bare", frozen=False), Found)
    with pytest.raises(ImageError, match="is not in"):
        workflow.resolve("tools/bare")


@pytest.mark.parametrize("digest", [None, f"sha256:{'b' * 64}"])
@pytest.mark.parametrize("frozen", [False, True])
def test_an_entry_with_no_digest_or_another_than_the_uris_own_is_refused(digest: str | None, frozen: bool) -> None:
    value = f"docker://example.org/a@sha256:{'a' * 64}"
    locked = LockedImage(value, digest, "c" * 64, 1, datetime(2026, 1, 1, tzinfo=UTC), None)
    found = Missing(value, Path("/store/a.sif"))
    with pytest.raises(ImageError, match=r"images\.lock has no digest for .*, or another one than its own"):
        Lock(Path("images.lock"), {value: locked}, frozen).resolve(value, found, Path("/store"), None, {})


def test_images_of_a_library_are_locked_by_checksum(workflow: Workflow) -> None:
    workflow.library = workflow.folder / "library"
    image = made.write(workflow.library / "tools/bwa.sif")
    workflow.lock("tools/bwa")
    assert workflow.resolve("tools/bwa") == workflow.plainly("tools/bwa")
    flip(image)
    with pytest.raises(ImageError, match=r"bwa\.sif is not the image that .*images\.lock has"):
        workflow.resolve("tools/bwa")


def test_a_sandbox_is_locked_by_what_is_in_it(workflow: Workflow) -> None:
    workflow.library = workflow.folder / "library"
    image = made.sandbox(workflow.library / "box")
    workflow.lock("box")
    assert workflow.resolve("box") == workflow.plainly("box")
    made.write(image / "etc/new", b"")
    with pytest.raises(ImageError, match="is not the image"):
        workflow.resolve("box")


def test_a_flipped_byte_in_a_pulled_image_is_found_before_submission(workflow: Workflow, bare: str) -> None:
    workflow.lock(bare)
    flip(workflow.run(bare))
    with pytest.raises(ImageError, match="Remove it"):
        workflow.resolve(bare)


def test_a_flipped_byte_in_a_colleagues_image_is_damage(workflow: Workflow, bare: str, tmp_path: Path) -> None:
    workflow.lock(bare)
    workflow.store = tmp_path / "other store"
    image = workflow.run(bare)
    verify_image(image, workflow.locked[bare], Path("images.lock"), workflow.environment, afresh=True)
    flip(image)
    with pytest.raises(ImageError, match="is damaged"):
        verify_image(image, workflow.locked[bare], Path("images.lock"), workflow.environment, afresh=True)


def test_a_damaged_image_is_not_locked(workflow: Workflow, bare: str) -> None:
    flip(workflow.pull(bare))
    with pytest.raises(ImageError, match="is damaged"):
        workflow.lock(bare)


def test_a_tag_that_is_not_in_the_registry_is_not_locked(workflow: Workflow, registry: Registry) -> None:
    with pytest.raises(ImageError, match="has no image"):
        workflow.lock(registry.uri("test/bare:no"))


@pytest.fixture
def web(library: Path, tmp_path: Path) -> Iterator[str]:
    """The URI of an image on a web server, ``site/x.sif`` in the temporary folder."""
    (tmp_path / "site").mkdir()
    shutil.copy(library / "tools/bare.sif", tmp_path / "site/x.sif")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/x.sif"
        server.shutdown()


def test_an_image_of_a_web_server_is_locked_by_checksum(workflow: Workflow, web: str, tmp_path: Path) -> None:
    workflow.lock(web)
    lock = Lock(workflow.folder / "images.lock", workflow.locked, frozen=True)
    lock.check_pulled(web, workflow.run(web), workflow.environment)
    shutil.rmtree(workflow.store)
    lock.check_pulled(web, workflow.run(web), workflow.environment)
    shutil.rmtree(workflow.store)
    shutil.copy(workflow.library / "tools/beta.sif", tmp_path / "site/x.sif")
    os.utime(tmp_path / "site/x.sif", (0, 0))  # Apptainer's cache tells versions apart by their seconds
    with pytest.raises(ImageError, match="is not the image that"):
        lock.check_pulled(web, workflow.run(web), workflow.environment)
