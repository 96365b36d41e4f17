"""Many processes that want the same images, and pulls that are killed: no image is pulled twice, none is damaged."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.images import Runtime, check_image, ensure_pulled, find_runtime
from tools.registry import Registry

PROCESSES = int(os.environ.get("PULLING_PROCESSES", "6"))
"""Twenty were tried by hand; a small machine takes a minute for it."""
KILLS = int(os.environ.get("PULLS_TO_KILL", "6"))
"""Thirty were tried by hand."""
PULL = """
import os, sys
from pathlib import Path
from snakemake_executor_plugin_pbs_singularity.images import ensure_pulled, find_runtime
runtime = find_runtime(os.environ)
for uri in sys.argv[2:]:
    print(ensure_pulled(uri, Path(sys.argv[1]), runtime, lambda line: print(line, file=sys.stderr)), flush=True)
"""


@pytest.fixture
def runtime(container_environment: dict[str, str]) -> Runtime:
    return find_runtime(container_environment)


@pytest.fixture
def fresh(container_environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing was pulled yet, so that a pull takes its time."""
    return {**container_environment, "APPTAINER_CACHEDIR": str(tmp_path / "cache"), "TMPDIR": str(tmp_path)}


def pulling(environment: dict[str, str], store: Path, *uris: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PULL, str(store), *uris],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_processes_that_want_the_same_images_pull_each_once(
    registry: Registry, fresh: dict[str, str], tmp_path: Path
) -> None:
    for tag in ("one", "two", "three"):
        registry.tag("test/bare:1", tag)
    uris = [registry.uri(f"test/bare:{tag}") for tag in ("one", "two", "three")]
    processes = [pulling(fresh, tmp_path / "store", *uris) for _ in range(PROCESSES)]
    answers = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0] * PROCESSES, answers
    assert len({out for out, _ in answers}) == 1
    assert sum(err.count("Pulled ") for _, err in answers) == len(uris)


def test_a_pull_that_was_killed_at_any_moment_leaves_nothing_in_the_way_of_the_next(
    registry: Registry, runtime: Runtime, fresh: dict[str, str], tmp_path: Path
) -> None:
    uri, store = registry.uri("test/bare:1"), tmp_path / "store"
    start = time.monotonic()
    image = ensure_pulled(uri, store, runtime, print, environment=fresh)
    whole = time.monotonic() - start
    for number in range(KILLS):
        image.unlink()
        process = pulling({**fresh, "APPTAINER_CACHEDIR": str(tmp_path / f"cache-{number}")}, store, uri)
        with contextlib.suppress(subprocess.TimeoutExpired):  # it may be quicker than it is killed
            process.communicate(timeout=0.2 + whole * number / KILLS)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
        if image.exists():
            check_image(image)
        assert ensure_pulled(uri, store, runtime, print, environment=fresh) == image
        check_image(image)
        assert [path.name for path in image.parent.iterdir() if path.name.endswith(".pulling")] == []
