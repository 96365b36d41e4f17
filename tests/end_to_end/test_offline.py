"""A workflow whose images were pulled before needs no registry, and one without its registry says so."""

import shutil
import subprocess
import sys
from pathlib import Path

from tools.images import TestImages
from tools.registry import registry_tools, serve

from .harness import Snakemake, write

WORKFLOW = """
rule all:
    input: "shell.txt", "script.txt"
rule shell:
    output: "shell.txt"
    container: "{container}"
    shell: "cat /etc/os-release > {{output}}"
rule script:
    output: "script.txt"
    container: "{container}"
    script: "copy.py"
"""
SCRIPT = """
with open("/etc/os-release") as release, open(snakemake.output[0], "w") as copy:
    copy.write(release.read())
"""


def test_what_was_pulled_before_runs_without_a_registry(
    tmp_path: Path, images: TestImages, environment: dict[str, str], snakemake: Snakemake
) -> None:
    storage = shutil.copytree(images.storage, tmp_path / "storage")
    with serve(storage, registry_tools()) as registry:
        uri = registry.uri("test/delta:1")
        folder = write(tmp_path / "workflow", {"Snakefile": WORKFLOW.format(container=uri), "copy.py": SCRIPT})
        command = [Path(sys.executable).parent / "pbs-singularity", "images", "pull", "--snakefile"]
        pulled = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert pulled.returncode == 0, pulled.stderr
    snakemake(folder)
    for name in ("shell.txt", "script.txt"):
        assert 'PRETTY_NAME="test image delta 1"' in (folder / name).read_text()


def test_an_image_whose_registry_is_away_fails_its_jobs_with_what_to_do(
    tmp_path: Path, images: TestImages, snakemake: Snakemake
) -> None:
    storage = shutil.copytree(images.storage, tmp_path / "storage")
    with serve(storage, registry_tools()) as registry:
        uri = registry.uri("test/bare:1")
    folder = write(tmp_path / "workflow", {"Snakefile": WORKFLOW.format(container=uri), "copy.py": SCRIPT})
    run = snakemake(folder, "--keep-going", fails=True)
    assert "the registry cannot be reached from this machine" in run.said
    assert "pull FILE" in run.said or "build FILE" in run.said  # as Singularity 2 has it
