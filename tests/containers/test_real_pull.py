"""Pulls of real images from a real registry by a real Apptainer."""

import subprocess
import sys
from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.images import (
    ImageError,
    ImageKind,
    Product,
    Runtime,
    check_image,
    ensure_pulled,
    find_runtime,
)
from tools.registry import Registry, registry_tools, serve


@pytest.fixture
def runtime(container_environment: dict[str, str]) -> Runtime:
    return find_runtime(container_environment)


@pytest.fixture
def fresh_cache(container_environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """An environment in which Apptainer has pulled nothing yet."""
    return {**container_environment, "APPTAINER_CACHEDIR": str(tmp_path / "cache")}


def name_within(image: Path, runtime: Runtime, environment: dict[str, str]) -> str:
    said = subprocess.run(
        [runtime.command, "exec", image, "cat", "/etc/os-release"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return said.stdout.split('PRETTY_NAME="')[1].split('"')[0]


def test_an_image_of_a_registry_is_pulled_and_runs(
    registry: Registry, runtime: Runtime, container_environment: dict[str, str], tmp_path: Path
) -> None:
    reports: list[str] = []
    store = tmp_path / "store"
    uri = registry.uri("test/delta:1")
    image = ensure_pulled(uri, store, runtime, reports.append, environment=container_environment)
    assert check_image(image) is (ImageKind.SQUASHFS if runtime.is_version_2 else ImageKind.SIF)
    assert name_within(image, runtime, container_environment) == "test image delta 1"
    assert [report.split()[0] for report in reports] == ["Pulling", "Pulled"]


def test_an_image_for_nodes_with_singularity_2_is_no_sif_whoever_pulls_it(
    registry: Registry, runtime: Runtime, container_environment: dict[str, str], tmp_path: Path
) -> None:
    nodes = Runtime(Path("singularity"), Product.SINGULARITY, (2, 6, 1))
    uri = registry.uri("test/delta:2")
    image = ensure_pulled(uri, tmp_path, runtime, print, environment=container_environment, nodes=nodes)
    assert (image.suffix, check_image(image)) == (".simg", ImageKind.SQUASHFS)
    assert name_within(image, runtime, container_environment) == "test image delta 2"


def test_an_image_is_pulled_into_a_store_with_quotes_in_its_path(
    registry: Registry, runtime: Runtime, fresh_cache: dict[str, str], tmp_path: Path
) -> None:
    store = tmp_path / 'it\'s a "store" $HOME; `x`'
    image = ensure_pulled(registry.uri("test/bare:1"), store, runtime, print, environment=fresh_cache)
    assert name_within(image, runtime, fresh_cache) == "test image bare 1"


def test_an_image_without_bash_is_pulled_and_runs(
    registry: Registry, runtime: Runtime, container_environment: dict[str, str], tmp_path: Path
) -> None:
    image = ensure_pulled(
        registry.uri("test/bare:1"), tmp_path / "store", runtime, print, environment=container_environment
    )
    assert name_within(image, runtime, container_environment) == "test image bare 1"


def test_a_pulled_image_stays_when_its_tag_moves_and_is_new_in_another_store(
    registry: Registry, runtime: Runtime, container_environment: dict[str, str], tmp_path: Path
) -> None:
    def pulled(store: str) -> str:
        uri = registry.uri("test/bare:moving")
        image = ensure_pulled(uri, tmp_path / store, runtime, print, environment=container_environment)
        return name_within(image, runtime, container_environment)

    registry.tag("test/bare:1", "moving")
    assert pulled("first") == "test image bare 1"
    registry.tag("test/bare:2", "moving")
    assert pulled("first") == "test image bare 1"
    assert pulled("second") == "test image bare 2"


@pytest.mark.parametrize("image", ["test/delta:none", "test/none:1"])
def test_a_tag_that_is_not_in_the_registry_is_an_error_that_says_so(
    image: str,
    registry: Registry,
    runtime: Runtime,
    container_environment: dict[str, str],
    tmp_path: Path,
) -> None:
    uri = registry.uri(image)
    with pytest.raises(ImageError, match=r"(?i)manifest unknown|authentication error") as error:
        ensure_pulled(uri, tmp_path / "store", runtime, print, environment=container_environment)
    assert uri in str(error.value)
    says = "the registry has no such image or tag"
    if "Authentication error" in str(error.value):  # of Singularity 2, for a repository that is not there
        says = "refuses access, which also is what it says to a name that it does not know"
    assert says in str(error.value)


def test_a_registry_that_is_down_is_an_error_that_says_so(
    runtime: Runtime, container_environment: dict[str, str], tmp_path: Path
) -> None:
    with serve(tmp_path / "storage", registry_tools()) as stopped:
        uri = stopped.uri("test/delta:1")
    with pytest.raises(ImageError, match=r"cannot be reached(?s:.*)[Cc]onnection refused"):
        ensure_pulled(uri, tmp_path / "store", runtime, print, environment=container_environment)


PULL = """
import os, sys
from pathlib import Path
from snakemake_executor_plugin_pbs_singularity.images import ensure_pulled, find_runtime
print(ensure_pulled(sys.argv[1], Path(sys.argv[2]), find_runtime(os.environ), print))
"""


def test_two_processes_that_want_the_same_image_pull_it_once(
    registry: Registry, fresh_cache: dict[str, str], tmp_path: Path
) -> None:
    pulls = [
        subprocess.Popen(
            [sys.executable, "-c", PULL, registry.uri("test/bare:1"), str(tmp_path / "store")],
            cwd=Path(__file__).parents[2],
            env=fresh_cache,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = "".join(pull.communicate(timeout=120)[0] for pull in pulls)
    assert [pull.returncode for pull in pulls] == [0, 0]
    assert said.count("Pulling ") == 1
    assert len(list((tmp_path / "store/docker").glob("*.si*[fg]"))) == 1
