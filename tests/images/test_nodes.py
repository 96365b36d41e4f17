"""Which container runtime the compute nodes have, where it may be another one than this machine's."""

from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.images import ImageError, Product, Runtime, find_runtime
from snakemake_executor_plugin_pbs_singularity.images.nodes import (
    Nodes,
    check_missing,
    check_nodes,
    node_runtime,
    of_store,
)
from snakemake_executor_plugin_pbs_singularity.images.runtime import (
    bind_variables,
    check_home,
    parse_said_version,
)

APPTAINER = (Product.APPTAINER, (1, 4, 5))
OLD = Runtime(Path("singularity"), Product.SINGULARITY, (2, 6, 1))
NEW = Runtime(Path("/usr/bin/apptainer"), *APPTAINER)


def runtime(nodes: Nodes, path: Path) -> Runtime:
    environment = {"PATH": str(path)}
    return node_runtime(nodes, environment, lambda: find_runtime(environment))


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with an Apptainer 1.4.5 that says so."""
    command = tmp_path / "here/apptainer"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\necho apptainer version 1.4.5\n")
    command.chmod(0o755)
    return command.parent


@pytest.mark.parametrize(
    ("text", "product", "version"),
    [
        ("apptainer 1.4.5", Product.APPTAINER, (1, 4, 5)),
        ("apptainer version 1.4.5", Product.APPTAINER, (1, 4, 5)),
        ("Apptainer 1.3", Product.APPTAINER, (1, 3)),
        ("apptainer/1.2.0-1.el8", Product.APPTAINER, (1, 2, 0)),
        ("1.4.5", Product.APPTAINER, (1, 4, 5)),
        ("singularity 3.8.7", Product.SINGULARITY, (3, 8, 7)),
        ("singularity/2.6.1", Product.SINGULARITY, (2, 6, 1)),
        (" 2.6.1-dist\n", Product.SINGULARITY, (2, 6, 1)),
        ("singularity-ce version 4.1.0-jammy", Product.SINGULARITY_CE, (4, 1, 0)),
        ("SingularityCE 3.9.2", Product.SINGULARITY_CE, (3, 9, 2)),
        ("singularity 4.1", Product.SINGULARITY_CE, (4, 1)),
        ("singularity-pro 3.9-5", Product.SINGULARITY_CE, (3, 9)),
    ],
)
def test_a_version_is_read_as_people_write_it(text: str, product: Product, version: tuple[int, ...]) -> None:
    assert parse_said_version(text) == (product, version)


@pytest.mark.parametrize("text", ["", "apptainer", "new", "docker 20.1", "1", "1.2.3.4", "singularity 3.x"])
def test_what_is_no_version_is_not_read(text: str) -> None:
    assert parse_said_version(text) is None


def test_where_nothing_is_said_the_nodes_have_what_is_here(here: Path) -> None:
    assert runtime(Nodes(), here) == Runtime(here / "apptainer", *APPTAINER)


def test_where_nothing_is_said_and_nothing_is_here_it_is_said_how_to_say_it(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"Neither .* --pbs-singularity-container-version='singularity 3.8.7'.*doctor"):
        runtime(Nodes(), tmp_path)


def test_a_version_alone_means_the_command_of_that_name_on_the_nodes(here: Path, tmp_path: Path) -> None:
    assert runtime(Nodes(version="2.6.1"), here) == OLD
    assert runtime(Nodes(version="apptainer 1.3.0"), tmp_path).command == Path("apptainer")


def test_a_path_is_taken_as_it_is(here: Path) -> None:
    elsewhere = Nodes(command="/opt/singularity-3.8/bin/singularity", version="3.8.7")
    expected = Runtime(Path("/opt/singularity-3.8/bin/singularity"), Product.SINGULARITY, (3, 8, 7))
    assert runtime(elsewhere, here) == expected


def test_a_command_that_is_here_too_is_asked_for_its_version(here: Path, tmp_path: Path) -> None:
    assert runtime(Nodes(command="apptainer"), here) == Runtime(Path("apptainer"), *APPTAINER)
    assert runtime(Nodes(command=str(here / "apptainer")), tmp_path) == Runtime(here / "apptainer", *APPTAINER)


def test_a_command_that_is_not_here_has_no_known_version_and_may_be_any(tmp_path: Path) -> None:
    found = runtime(Nodes(command="singularity"), tmp_path)
    assert (found.version, found.is_version_2, str(found)) == ((), False, "Singularity (singularity)")


def test_what_the_setup_may_replace_has_no_known_version_and_is_looked_up_by_name(here: Path, tmp_path: Path) -> None:
    setup = "module load apptainer"
    assert runtime(Nodes(setup=setup), here) == Runtime(Path("apptainer"), Product.APPTAINER, ())
    assert runtime(Nodes(setup=setup, version="1.4.5"), here) == Runtime(Path("apptainer"), *APPTAINER)
    with pytest.raises(ImageError, match="this machine has none"):
        runtime(Nodes(setup=setup), tmp_path)


@pytest.mark.parametrize("command", ["bin/singularity", " singularity", "singularity "])
def test_a_command_that_is_neither_name_nor_path_is_refused(command: str) -> None:
    with pytest.raises(ImageError, match="--pbs-singularity-container-command"):
        check_nodes(Nodes(command=command))


def test_a_version_that_is_none_is_refused() -> None:
    with pytest.raises(ImageError, match=r"--pbs-singularity-container-version: 'newest' is no version"):
        check_nodes(Nodes(version="newest"))


@pytest.mark.parametrize("setup", ["module load 'singularity", "if true; then", "(", "fi"])
def test_setup_that_no_shell_can_read_is_refused_before_any_job(setup: str) -> None:
    with pytest.raises(ImageError, match="--pbs-singularity-node-setup: no shell can read"):
        check_nodes(Nodes(setup=setup))


def test_what_can_be_is_taken() -> None:
    check_nodes(Nodes("/opt/my tools/singularity", "3.8.7", ". /etc/profile.d/modules.sh; module load singularity"))
    check_nodes(Nodes("singularity", None, "false"))
    check_nodes(Nodes())


def test_images_are_pulled_for_the_nodes_and_by_what_is_here() -> None:
    assert of_store(NEW, OLD) == OLD
    assert of_store(OLD, NEW) == OLD
    assert of_store(None, NEW) == NEW


def test_an_image_that_has_to_be_pulled_needs_a_runtime_here(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"docker://a has to be pulled, but .* Or pull it elsewhere"):
        check_missing("docker://a", lambda: find_runtime({"PATH": str(tmp_path)}))
    with pytest.raises(ImageError, match=r"cannot pull oras://"):
        check_missing("oras://a", lambda: OLD)
    check_missing("docker://a", lambda: OLD)


def test_binds_have_other_names_in_other_runtimes() -> None:
    assert bind_variables(OLD) == ("SINGULARITY_BINDPATH",)
    assert bind_variables(Runtime(Path("s"), Product.SINGULARITY, (3, 8)))[0] == "SINGULARITY_BIND"
    assert bind_variables(NEW)[0] == "APPTAINER_BIND"


def test_singularity_2_takes_no_home_of_another_user(tmp_path: Path) -> None:
    check_home(OLD, tmp_path)
    other = Path("/proc/1") if Path("/proc/1").stat().st_uid != tmp_path.stat().st_uid else Path("/")
    check_home(NEW, other)
    if other.stat().st_uid != tmp_path.stat().st_uid:
        with pytest.raises(ImageError, match=r"belongs to another user.*--directory"):
            check_home(OLD, other)
