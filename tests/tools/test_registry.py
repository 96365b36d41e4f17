import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tools.registry import Registry, registry_tools, serve


def answers(registry: Registry) -> bool:
    try:
        with urllib.request.urlopen(f"http://{registry.address}/v2/", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def digest(registry: Registry, image: str, tag: str) -> str:
    """Give what a tag means."""
    asked = urllib.request.Request(f"http://{registry.address}/v2/{image}/manifests/{tag}", method="HEAD")
    asked.add_header("Accept", "application/vnd.docker.distribution.manifest.v2+json")
    with urllib.request.urlopen(asked, timeout=5) as answer:
        return str(answer.headers["Docker-Content-Digest"])


def test_a_registry_answers_while_the_block_runs(tmp_path: Path) -> None:
    with serve(tmp_path / "storage", registry_tools()) as registry:
        assert answers(registry)
    assert not answers(registry)


def test_two_registries_have_each_a_port_of_its_own(tmp_path: Path) -> None:
    with serve(tmp_path / "a", registry_tools()) as one, serve(tmp_path / "b", registry_tools()) as other:
        assert answers(one)
        assert answers(other)


def test_a_tag_can_be_moved(registry: Registry) -> None:
    registry.tag("test/delta:1", "elsewhere")
    assert digest(registry, "test/delta", "elsewhere") == digest(registry, "test/delta", "1")
    registry.tag("test/delta:2", "elsewhere")
    assert digest(registry, "test/delta", "elsewhere") == digest(registry, "test/delta", "2")


def test_tags_of_the_images_differ(registry: Registry) -> None:
    assert digest(registry, "test/delta", "1") != digest(registry, "test/delta", "2")


SERVE = """
import sys, time
from pathlib import Path
from tools.registry import registry_tools, serve
with serve(Path(sys.argv[1]), registry_tools()) as registry:
    print(registry.address, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("ending", ["terminate", "kill"])
def test_a_registry_ends_when_the_process_that_started_it_is_ended(ending: str, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, tmp_path / "storage"],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        registry = Registry(process.stdout.readline().strip())
        assert answers(registry)
        getattr(process, ending)()
    end = time.monotonic() + 10
    while answers(registry):
        assert time.monotonic() < end, "the registry is still there"
        time.sleep(0.02)
