"""``pbs-singularity images list`` and ``resolve``: what there is, and what a name means."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from images import made

from .called import call


@pytest.fixture
def site(tmp_path: Path) -> Path:
    made.write(tmp_path / "library/deep_learning/tensorflow-1.10.0-py3.simg", made.squashfs(2000))
    made.write(tmp_path / "library/tools/bwa_0.7.sif")
    made.write(tmp_path / "library/depot/samtools:1.19", made.squashfs())
    made.write(tmp_path / "library/tools/README", b"Ask the site.\n")
    made.sandbox(tmp_path / "library/sandboxes/gamma")
    (tmp_path / "work").mkdir()
    return tmp_path


def environment(site: Path, **settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SNAKEMAKE_")}
    return {
        **kept,
        "XDG_CONFIG_HOME": str(site / "config"),
        "SNAKEMAKE_PBS_SINGULARITY_LIBRARY": str(site / "library"),
    } | settings


def listed(site: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    done = call("list", "--json", *arguments, folder=site / "work", environment=environment(site))
    return {image["name"]: image for image in json.loads(done.stdout)}


def resolved(site: Path, name: str) -> dict[str, Any]:
    done = call("resolve", name, "--json", folder=site / "work", environment=environment(site))
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_images_of_every_kind_are_listed_and_nothing_else(site: Path) -> None:
    assert {name: image["kind"] for name, image in listed(site).items()} == {
        "deep_learning/tensorflow-1.10.0-py3.simg": "squashfs",
        "depot/samtools:1.19": "squashfs",
        "sandboxes/gamma": "sandbox",
        "tools/bwa_0.7.sif": "SIF",
    }


def test_size_and_place_are_listed(site: Path) -> None:
    image = listed(site)["deep_learning/tensorflow-1.10.0-py3.simg"]
    assert (image["size"], image["in"], image["folder"]) == (2000, "library", str(site / "library"))


def test_a_damaged_image_is_listed_with_what_is_wrong(site: Path) -> None:
    made.write(site / "library/tools/cut.sif", made.SIF[:50_000])
    image = listed(site)["tools/cut.sif"]
    assert image["kind"] is None
    assert "cut off" in image["problem"]
    done = call("list", folder=site / "work", environment=environment(site))
    assert "cut off" in done.stderr


def test_the_table_is_for_people(site: Path) -> None:
    os.utime(site / "library/tools/bwa_0.7.sif", (time.time() - 3 * 86_400,) * 2)
    done = call("list", folder=site / "work", environment=environment(site))
    assert f"Library {site}/library: 4 images" in done.stdout
    (row,) = [line.split() for line in done.stdout.splitlines() if "bwa" in line]
    assert row == ["tools/bwa_0.7.sif", "SIF", "82.8", "kB", "3", "days"]
    assert "Store" in done.stdout


def test_a_name_that_would_confuse_the_terminal_is_shown_with_escapes(site: Path) -> None:
    made.write(site / "library/tools/a\x1b[31m[bold]é.sif")
    done = call("list", folder=site / "work", environment=environment(site))
    assert "\x1b" not in done.stdout
    assert r"a\x1b[31m[bold]é.sif" in done.stdout


def test_the_rules_of_a_workflow_that_use_an_image_are_listed(site: Path) -> None:
    (site / "work/Snakefile").write_text(
        """
print("noise of a Snakefile")
rule all:
    input: "a.txt", "b.txt"
rule align:
    output: "a.txt"
    container: "bwa:0.7"
    shell: "touch {output}"
rule other:
    output: "b.txt"
    container: "docker://ubuntu:22.04"
    shell: "touch {output}"
"""
    )
    assert {name: image["used_by"] for name, image in listed(site, "--snakefile").items() if image["used_by"]} == {
        "tools/bwa_0.7.sif": ["align"]
    }
    done = call("list", "--snakefile", "Snakefile", folder=site / "work", environment=environment(site))
    assert "docker://ubuntu:22.04 (rule other) is not pulled yet" in done.stderr


def test_a_name_is_explained(site: Path) -> None:
    other = made.write(site / "library/old/tools/bwa-0.7.sif")
    answer = resolved(site, "tools/bwa:0.7")
    assert answer["path"] == str(site / "library/tools/bwa_0.7.sif")
    assert answer["image"]["kind"] == "SIF"
    assert answer["why"] == "the name with its tag written otherwise"
    assert answer["not_chosen"] == [
        {"path": str(other), "why": "the name with its tag written otherwise, in a folder below"}
    ]
    done = call("resolve", "tools/bwa:0.7", folder=site / "work", environment=environment(site))
    assert str(other) in done.stdout
    assert "SIF image, 82.8 kB, new" in done.stdout


def test_a_uri_that_is_not_pulled_yet_is_explained(site: Path) -> None:
    answer = resolved(site, "docker://ubuntu:22.04")
    assert answer["image"] is None
    assert answer["path"].startswith(str(site / "work/.snakemake/pbs-singularity/images/docker/ubuntu_22.04-"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bwb_0.7", "Did you mean tools/bwa_0.7.sif"),
        ("tools", "The images in it are tools/bwa_0.7.sif"),
        ("../x", "does not exist"),
        ("a/../x", "could lead out of the library"),
        ("", "The name of the image is empty"),
        ("dcoker://ubuntu", "Did you mean docker://"),
        ("no such 'image' \"é\"", "There is no image"),
    ],
)
def test_a_name_that_means_nothing_is_an_error_in_words(name: str, words: str, site: Path) -> None:
    done = call("resolve", name, folder=site / "work", environment=environment(site), fails=True)
    assert words in done.stderr


def test_a_library_that_does_not_exist_is_an_error_in_words(site: Path) -> None:
    done = call("list", "--library", "/no/such", folder=site / "work", environment=environment(site), fails=True)
    assert "'/no/such' does not exist" in done.stderr


@pytest.mark.parametrize("place", ["profiles/default/config.yaml", "workflow/profiles/default/profile.v9+.yaml"])
def test_the_folders_of_the_profile_that_snakemake_would_use_are_used(place: str, site: Path) -> None:
    made.write(site / "other/mine.sif")
    profile = made.write(site / "work" / place, b"")
    (profile.parents[2] / "Snakefile").touch()
    profile.write_text(f"jobs: 2\npbs-singularity-library: {site}/other\npbs-singularity-store: {site}/store\n")
    own = environment(site)
    del own["SNAKEMAKE_PBS_SINGULARITY_LIBRARY"]
    answer = json.loads(call("resolve", "mine", "--json", folder=site / "work", environment=own).stdout)
    assert answer["path"] == str(site / "other/mine.sif")
    answer = json.loads(call("resolve", "docker://x", "--json", folder=site / "work", environment=own).stdout)
    assert answer["path"].startswith(str(site / "store/docker/x-"))
    assert listed(site).keys() >= {"tools/bwa_0.7.sif"}  # an environment variable comes before a profile


def test_a_profile_that_is_no_yaml_is_an_error_in_words(site: Path) -> None:
    made.write(site / "work/profiles/default/config.yaml", b"a: [")
    done = call("list", folder=site / "work", environment=environment(site), fails=True)
    assert "profiles/default/config.yaml cannot be read" in done.stderr


def test_a_workflow_that_cannot_be_read_is_an_error_in_words(site: Path) -> None:
    done = call("list", "--snakefile", folder=site / "work", environment=environment(site), fails=True)
    assert "No Snakefile found" in done.stderr
    (site / "work/Snakefile").write_text("rule a:\n    input: 'missing.txt'\n    output: 'x'\n    shell: 'true'\n")
    done = call("list", "--snakefile", folder=site / "work", environment=environment(site), fails=True)
    assert "missing.txt" in done.stderr
    for broken in ("rule a\n", "raise ValueError('no')\n"):
        (site / "work/Snakefile").write_text(broken)
        done = call("list", "--snakefile", folder=site / "work", environment=environment(site), fails=True)
        assert "The workflow cannot be read" in done.stderr


def test_the_profile_beside_the_snakefile_counts(site: Path) -> None:
    made.write(site / "other/mine.sif")
    profile = made.write(site / "flow/profiles/default/config.yaml", b"")
    profile.write_text(f"pbs-singularity-library: {site}/other\n")
    (site / "flow/Snakefile").write_text('rule a:\n    output: "a"\n    container: "mine"\n    shell: "true"\n')
    own = environment(site)
    del own["SNAKEMAKE_PBS_SINGULARITY_LIBRARY"]
    done = call("list", "--json", "--snakefile", "../flow/Snakefile", folder=site / "work", environment=own)
    assert [(image["name"], image["used_by"]) for image in json.loads(done.stdout)] == [("mine.sif", ["a"])]


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
@pytest.mark.parametrize("arguments", ["list", "list --json", "resolve bwa_0.7"])
def test_an_output_that_takes_nothing_is_no_traceback(arguments: str, redirection: str, site: Path) -> None:
    command = f'"{Path(sys.executable).with_name("pbs-singularity")}" images {arguments} {redirection}'
    done = subprocess.run(
        ["sh", "-c", command], cwd=site / "work", env=environment(site), stderr=subprocess.PIPE, text=True
    )
    assert "Traceback" not in done.stderr
    assert (redirection == ">&-") == ("No space left on device" not in done.stderr)
