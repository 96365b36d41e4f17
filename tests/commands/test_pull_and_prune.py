"""``pbs-singularity images pull`` and ``prune``, with a real runtime and a real registry."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from images import made

from tools.registry import Registry

from .called import call

SNAKEFILE = """
checkpoint first:
    output: "first.txt"
    container: "{pulled}"
    shell: "touch {{output}}"

rule later:
    input: lambda wildcards: checkpoints.first.get().output
    output: "later.txt"
    container: "{later}"
    shell: "touch {{output}}"

rule all:
    default_target: True
    input: "later.txt"
"""


@dataclass(frozen=True)
class Here:
    folder: Path
    environment: dict[str, str]

    @property
    def store(self) -> Path:
        return self.folder / ".snakemake/pbs-singularity/images"

    def stored(self) -> list[str]:
        return sorted(path.name.rpartition("-")[0].rpartition("_")[2] for path in self.store.glob("*/*.sif"))

    def call(self, *arguments: str | Path, answer: str = "", fails: bool = False) -> str:
        done = call(*arguments, folder=self.folder, environment=self.environment, answer=answer, fails=fails)
        return done.stdout + done.stderr


@pytest.fixture
def here(tmp_path: Path, container_environment: dict[str, str]) -> Here:
    made.write(tmp_path / "library/tools/bwa.sif")
    (tmp_path / "work").mkdir()
    settings = {
        "SNAKEMAKE_PBS_SINGULARITY_LIBRARY": str(tmp_path / "library"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    return Here(tmp_path / "work", {**container_environment, **settings})


@pytest.fixture
def one(registry: Registry) -> str:
    registry.tag("test/bare:1", "one")
    return registry.uri("test/bare:one")


@pytest.fixture
def two(registry: Registry) -> str:
    registry.tag("test/bare:2", "two")
    return registry.uri("test/bare:two")


def stored_by_hand(here: Here, name: str = "docker/ubuntu_22.04-9859e0c0.sif") -> Path:
    return made.write(here.store / name)


def test_uris_are_pulled_once(here: Here, one: str, two: str) -> None:
    said = here.call("pull", one, two, one)
    assert "Pulling" in said
    assert here.stored() == ["one", "two"]
    assert "Pulling" not in here.call("pull", one)


def test_a_store_can_be_named(here: Here, one: str, tmp_path: Path) -> None:
    answer = json.loads(
        call(
            "pull", "--store", tmp_path / "group", "--json", one, folder=here.folder, environment=here.environment
        ).stdout
    )
    assert answer == [{"container": one, "rules": [], "path": answer[0]["path"], "problem": None}]
    assert Path(answer[0]["path"]).is_relative_to(tmp_path / "group/docker")
    assert Path(answer[0]["path"]).is_file()


def test_one_image_that_cannot_be_had_keeps_no_other_from_coming(here: Here, one: str, registry: Registry) -> None:
    said = here.call("pull", registry.uri("test/bare:none"), one, fails=True)
    assert "no such image or tag" in said
    assert here.stored() == ["one"]


@pytest.mark.parametrize(
    ("value", "words"), [("ubuntu:22.04", "Did you mean docker://ubuntu:22.04"), ("x://y", "scheme")]
)
def test_what_is_no_uri_is_refused(value: str, words: str, here: Here) -> None:
    assert words in here.call("pull", value, fails=True)


def test_a_store_that_cannot_be_made_is_told(here: Here) -> None:
    (here.folder / ".snakemake").touch()
    said = here.call("pull", "docker://127.0.0.1:9/no/such:1", fails=True)
    assert "The image store " in said
    assert "--store" in said


def test_all_that_a_workflow_needs_is_pulled_also_behind_a_checkpoint(here: Here, one: str, two: str) -> None:
    (here.folder / "Snakefile").write_text(SNAKEFILE.format(pulled=one, later=two))
    here.call("pull", "--snakefile")
    assert here.stored() == ["one", "two"]


def test_an_image_of_the_workflow_that_the_library_lacks_is_an_error_with_its_rule(here: Here) -> None:
    (here.folder / "Snakefile").write_text(SNAKEFILE.format(pulled="tools/bwa", later="tools/bwb"))
    said = here.call("pull", "--snakefile", fails=True)
    assert f"tools/bwa is {here.folder.parent}/library/tools/bwa.sif" in said
    assert "Rule later: There is no image 'tools/bwb'" in said


def test_the_configuration_that_a_profile_names_is_read(here: Here, one: str) -> None:
    (here.folder / "Snakefile").write_text(
        'rule a:\n    output: "a.txt"\n    container: config["image"]\n    shell: "touch {output}"\n'
    )
    profile = made.write(here.folder / "profiles/default/config.yaml", b"")
    profile.write_text(f"config:\n  image: {one}\n")
    here.call("pull", "--snakefile")
    assert here.stored() == ["one"]


def test_the_workflows_lock_says_what_is_pulled(here: Here, two: str, registry: Registry) -> None:
    registry.tag("test/bare:2", "moves")
    moving = registry.uri("test/bare:moves")
    (here.folder / "Snakefile").write_text(SNAKEFILE.format(pulled=moving, later="tools/bwa"))
    here.call("lock")
    shutil.rmtree(here.store)
    registry.tag("test/bare:1", "moves")
    said = here.call("pull", "--snakefile")
    assert "@sha256:" in said
    said = here.call("prune", "--snakefile")
    assert "Nothing to remove" in said


def test_nothing_is_removed_without_a_yes(here: Here) -> None:
    image = stored_by_hand(here)
    said = here.call("prune", answer="n\n", fails=True)
    assert "Remove 1 image, 82.8 kB" in said
    assert image.exists()
    here.call("prune", fails=True)
    assert image.exists()
    here.call("prune", answer="y\n")
    assert not image.exists()


def test_an_image_goes_with_what_was_noted_down_of_it(here: Here, one: str) -> None:
    here.call("pull", one)
    assert one in here.call("prune", "--yes")
    assert [path for path in here.store.rglob("*") if path.suffix in (".sif", ".toml")] == []


def test_what_the_workflow_uses_is_kept(here: Here, one: str, two: str) -> None:
    (here.folder / "Snakefile").write_text(SNAKEFILE.format(pulled=one, later="tools/bwa"))
    here.call("pull", one, two)
    here.call("prune", "--yes", "--snakefile")
    assert here.stored() == ["one"]


def test_only_old_images_are_removed_if_asked_for(here: Here) -> None:
    image = stored_by_hand(here)
    assert "Nothing to remove" in here.call("prune", "--yes", "--older-than", "1")
    here.call("prune", "--yes", "--older-than", "0")
    assert not image.exists()


def test_files_that_are_no_pulled_images_are_left_alone(here: Here) -> None:
    others = [
        stored_by_hand(here, name) for name in ("docker/mine.sif", "docker/data-9859e0c0.csv", "top-9859e0c0.sif")
    ]
    assert "Nothing to remove" in here.call("prune", "--yes")
    assert all(other.exists() for other in others)


@pytest.mark.parametrize("store", ["library", "library/pulled", "."])
def test_a_library_is_never_touched(store: str, here: Here) -> None:
    root = here.folder.parent
    image = made.write(root / "library/tools/bwa-9859e0c0.sif")
    assert "are not apart" in here.call("prune", "--yes", "--store", root / store, fails=True)
    assert image.exists()
