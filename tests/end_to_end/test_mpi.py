"""MPI starts a rule's containers from outside, one for each process.

Its ``mpiexec`` is a script that starts processes on this machine and numbers them, as Open MPI's does.
"""

from pathlib import Path

import pytest

from .harness import Snakemake, write

MPIEXEC = """#!/bin/sh
[ "$1" = -n ] || exit 1
processes=$2
shift 2
rank=0
while [ "$rank" -lt "$processes" ]; do
    SINGULARITYENV_RANK=$rank APPTAINERENV_RANK=$rank "$@" &
    rank=$((rank + 1))
done
wait
"""

WORKFLOW = """
rule simulate:
    output: directory("ranks")
    container: "tools/beta"
    resources: tasks=3, mpi="./mpiexec"
    shell: "mkdir -p {output}; grep PRETTY_NAME /etc/os-release >'{output}/'$RANK"
"""


def test_mpi_starts_a_container_for_each_task_of_a_rule(snakemake: Snakemake, tmp_path: Path) -> None:
    folder = write(tmp_path, {"Snakefile": WORKFLOW, "mpiexec": MPIEXEC})
    (folder / "mpiexec").chmod(0o755)
    snakemake(folder)
    assert sorted(path.name for path in (folder / "ranks").glob("[0-9]")) == ["0", "1", "2"]
    assert {path.read_text() for path in (folder / "ranks").glob("[0-9]")} == {'PRETTY_NAME="test image beta"\n'}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (WORKFLOW.replace("    resources:", '    group: "g"\n    resources:'), "it is in a group"),
        (WORKFLOW[: WORKFLOW.index("    shell:")] + '    run: shell("mkdir {output}")\n', "not a shell: rule"),
        (WORKFLOW.replace("tasks=3", "nodes=2, tasks=2").replace('"mkdir', '"{resources.mpi} mkdir'), "other nodes"),
    ],
    ids=["group", "run", "within"],
)
def test_mpi_that_cannot_start_containers_is_refused_before_anything_is_submitted(
    rule: str, words: str, snakemake: Snakemake, tmp_path: Path
) -> None:
    run = snakemake(write(tmp_path, {"Snakefile": rule}), fails=True)
    assert words in run.said
    assert "Nothing was submitted" in run.said
    assert run.submitted == []
