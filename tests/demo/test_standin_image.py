"""The stand-in image: one that is damaged or of another recipe is not taken."""

import shutil
from pathlib import Path

import pytest

from tools import standin_image
from tools.cache import ToolError


@pytest.fixture
def root(tmp_path, library):
    """A small root file system."""
    return library / "sandboxes" / "gamma"


@pytest.fixture
def runtime(apptainer, container_environment, monkeypatch):
    for name, value in container_environment.items():
        monkeypatch.setenv(name, value)
    return Path(shutil.which("apptainer", path=apptainer) or shutil.which("singularity", path=apptainer) or "")


def test_an_image_is_packed_and_starts(root, runtime, tmp_path):
    image = tmp_path / "image.sif"
    standin_image._pack(root, image, runtime)
    assert standin_image._is_good(image)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.sif", "image.sif.sha256"]
    standin_image._run([str(runtime), "exec", str(image), "true"])


def test_a_damaged_image_is_not_good(root, runtime, tmp_path):
    image = tmp_path / "image.sif"
    standin_image._pack(root, image, runtime)
    with image.open("r+b") as file:
        file.seek(image.stat().st_size // 2)
        file.write(b"\xff\x00\xff\x00")
    assert not standin_image._is_good(image)


def test_an_image_without_checksum_is_not_good(tmp_path):
    (tmp_path / "image.sif").write_bytes(b"x")
    assert not standin_image._is_good(tmp_path / "image.sif")


def test_an_image_that_starts_quickly_is_taken_as_it_is(root, runtime, tmp_path, monkeypatch):
    monkeypatch.setattr(standin_image, "QUICK_START", 60.0)
    image = tmp_path / "image.sif"
    standin_image._pack(root, image, runtime)
    assert standin_image.quick_image(image, runtime) == image


def test_an_image_that_starts_slowly_is_unpacked_once(root, runtime, tmp_path, monkeypatch):
    monkeypatch.setattr(standin_image, "QUICK_START", 0.0)
    image = tmp_path / "image.sif"
    standin_image._pack(root, image, runtime)
    folder = standin_image.quick_image(image, runtime)
    assert folder == tmp_path / "image"
    standin_image._run([str(runtime), "exec", str(folder), "true"])
    marked = folder / "marked"
    marked.touch()
    assert standin_image.quick_image(image, runtime) == folder
    assert marked.exists()


def test_another_recipe_gives_another_name(monkeypatch):
    before = standin_image._digest()
    monkeypatch.setattr(standin_image, "WHEELS", ("tensorflow-cpu==1.0",))
    assert standin_image._digest() != before


def test_a_command_that_fails_is_quoted():
    with pytest.raises(ToolError, match="exit status 3:\nno wheels today"):
        standin_image._run(["sh", "-c", "echo no wheels today; exit 3"])


def test_a_command_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(standin_image, "TIME_LIMIT", 0.2)
    with pytest.raises(ToolError, match="exit status -9"):
        standin_image._run(["sleep", "60"])


def test_the_lines_that_tell_of_progress_are_shown(capfd):
    standin_image._run(["echo", "so and so: Downloading x"], telling=standin_image.re.compile("Downloading .*"))
    assert capfd.readouterr().err == "  Downloading x\n"
