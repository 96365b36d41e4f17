"""Which container command a site has."""

from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.images import (
    ImageError,
    ImageKind,
    Product,
    Runtime,
    check_runnable,
    environment_prefix,
    find_runtime,
    pull_arguments,
)
from snakemake_executor_plugin_pbs_singularity.images.runtime import check_pullable, parse_version

NEW = Runtime(Path("/usr/bin/apptainer"), Product.APPTAINER, (1, 4, 5))
OLD = Runtime(Path("/usr/bin/singularity"), Product.SINGULARITY, (2, 6, 1))


def command(folder: Path, name: str, script: str) -> Path:
    """A runtime that answers as told; the real one cannot be made to misbehave."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("answer", "product", "version"),
    [
        ("apptainer version 1.4.5", Product.APPTAINER, (1, 4, 5)),
        ("apptainer version 1.4.0-rc.1+12-gabc", Product.APPTAINER, (1, 4, 0)),
        ("singularity-ce version 4.1.0-jammy", Product.SINGULARITY_CE, (4, 1, 0)),
        ("singularity-pro version 3.9-5", Product.SINGULARITY_CE, (3, 9)),
        ("singularity version 3.8.7-1.el7", Product.SINGULARITY, (3, 8, 7)),
        ("2.6.1-dist", Product.SINGULARITY, (2, 6, 1)),
        ("WARNING: proxy\nsingularity version 3.5.2\n", Product.SINGULARITY, (3, 5, 2)),
    ],
)
def test_every_version_line_is_read(answer: str, product: Product, version: tuple[int, ...]) -> None:
    assert parse_version(answer) == (product, version)


@pytest.mark.parametrize(
    "answer", ["", "apptainer version devel", "Usage: singularity", "1.2.3.4", "docker version 1.2.3"]
)
def test_what_is_no_version_is_not_read(answer: str) -> None:
    assert parse_version(answer) is None


def test_apptainer_is_preferred_to_singularity(tmp_path: Path) -> None:
    command(tmp_path, "singularity", "echo singularity version 3.8.7")
    apptainer = command(tmp_path, "apptainer", "echo apptainer version 1.4.5")
    assert find_runtime({"PATH": str(tmp_path)}) == Runtime(apptainer, Product.APPTAINER, (1, 4, 5))


def test_a_singularity_that_is_a_link_to_apptainer_is_apptainer_under_its_own_name(tmp_path: Path) -> None:
    real = command(tmp_path / "libexec", "apptainer", "echo apptainer version 1.4.5")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/singularity").symlink_to(real)
    found = find_runtime({"PATH": str(tmp_path / "bin")})
    assert found == Runtime(tmp_path / "bin/singularity", Product.APPTAINER, (1, 4, 5))


def test_the_command_is_absolute_even_if_path_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command(tmp_path / "bin", "singularity", "echo 2.6.1-dist")
    monkeypatch.chdir(tmp_path)
    assert find_runtime({"PATH": "bin"}).command == tmp_path / "bin/singularity"


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo boom >&2; exit 3", "exit status 3: boom"),
        ("echo hello", "answered 'hello"),
        ("exec sleep 5", "no answer in 0.2 seconds"),
    ],
)
def test_a_runtime_that_misbehaves_is_an_error_with_a_remedy(script: str, says: str, tmp_path: Path) -> None:
    command(tmp_path, "apptainer", script)
    with pytest.raises(ImageError) as error:
        find_runtime({"PATH": f"{tmp_path}:/bin:/usr/bin"}, time_limit=0.2)
    assert says in error.value.problem
    assert "module load" in error.value.remedy


def test_no_runtime_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"Neither apptainer nor singularity.*module load"):
        find_runtime({"PATH": str(tmp_path)})


def test_variables_for_the_container_have_the_prefix_of_its_runtime() -> None:
    assert environment_prefix(NEW) == "APPTAINERENV_"
    assert environment_prefix(OLD) == "SINGULARITYENV_"


def test_singularity_2_builds_where_the_others_pull() -> None:
    destination = Path("/store/x y.sif")
    assert pull_arguments(NEW, destination, "docker://u")[1:] == ["pull", "/store/x y.sif", "docker://u"]
    assert pull_arguments(OLD, destination, "docker://u")[1:] == ["build", "/store/x y.sif", "docker://u"]


def test_singularity_2_runs_no_sif_and_pulls_from_few_places() -> None:
    with pytest.raises(ImageError, match=r"Singularity 2.6.1 .*cannot run /x.sif"):
        check_runnable(OLD, Path("/x.sif"), ImageKind.SIF)
    check_runnable(OLD, Path("/x.simg"), ImageKind.SQUASHFS)
    check_runnable(NEW, Path("/x.sif"), ImageKind.SIF)
    with pytest.raises(ImageError, match=r"cannot pull oras://"):
        check_pullable(OLD, "oras")
    check_pullable(OLD, "docker")
    check_pullable(NEW, "oras")
