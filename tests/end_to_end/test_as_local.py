"""A rule behaves as under Snakemake's own ``--sdm apptainer``: one workflow, run both ways, gives the same."""

import re
from pathlib import Path

import pytest

from . import harness
from .harness import Run, Snakemake, write

WORKFLOW = r"""
envvars: "DECLARED"
shell.prefix("set -o noclobber; ")

REPORT = r'''
{{
    echo "pwd=$PWD"; echo "flags=$-"; echo "umask=$(umask)"; echo "stdin=$(wc -c)"; echo "shell=$0 $BASH_VERSION"
    echo "tmpdir=$([ -d "$TMPDIR" ] && [ -w "$TMPDIR" ] && echo is a writable folder)"
    for name in HOME LANG PATH DECLARED OMP_NUM_THREADS MKL_NUM_THREADS APPTAINER_NAME; do
        echo "$name=${{!name-is not set}}"
    done
    shopt -o; ls -d /tmp /proc; cat /etc/os-release; id -un; ls -d ~
}} > {output} 2>&1
'''

rule all:
    input: "direct.txt", "nested.txt", "script.txt", "dash.txt", "bare.txt", "run.txt"

rule direct:
    output: "direct.txt"
    params: awkward="it's a \"test\" $HOME; `x` \\ é 中文"
    threads: 2
    container: "IMAGE"
    shell: REPORT + "echo {params.awkward:q} >> {output}"

use rule direct as nested with:
    output: "nested.txt"
    shadow: "minimal"

use rule direct as bare with:
    output: "bare.txt"
    container: None

rule script:
    output: "script.txt"
    params: awkward={"list": [1, 2.5, None], "text": "é 中文 'quoted'"}
    container: "IMAGE"
    script: "report.py"

rule dash:
    output: "dash.txt"
    container: "IMAGE"
    resources: shell_exec="sh"
    shell: "echo $- $0 > {output}"

rule run:
    output: "run.txt"
    container: "IMAGE"
    run:
        lines = shell("cat /etc/os-release; pwd", iterable=True)
        open(output[0], "w").write("\n".join([os.getcwd(), *lines]))
"""

SCRIPT = """
import os, sys, platform
with open(snakemake.output[0], "w") as file:
    print(os.getcwd(), platform.freedesktop_os_release()["PRETTY_NAME"], sys.version, file=file)
    print(snakemake.params.awkward, snakemake.threads, os.environ["HOME"], os.environ["DECLARED"], file=file)
    print(os.path.isdir(os.environ["TMPDIR"]), snakemake.rule, snakemake.config, file=file)
"""


@pytest.fixture(scope="module")
def ways(
    snakemake: Snakemake, environment: dict[str, str], library: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Run, Run]:
    """The workflow as run by Snakemake itself, and through PBS, in the same folder."""
    folder = tmp_path_factory.mktemp("ways") / "work"
    variables = {"DECLARED": "it's declared"}
    runs = []
    for name in "local", "pbs":
        folder.mkdir()
        workflow = WORKFLOW.replace("IMAGE", str(library / "tools/beta.sif"))
        write(folder, {"Snakefile": workflow, "report.py": SCRIPT})
        if name == "local":
            options = ["--cores", "2", "--sdm", "apptainer"]
            run = harness.run(folder, options, harness.changed(environment, variables), fails=False)
        else:
            run = snakemake(folder, variables=variables)
        moved = folder.rename(folder.with_name(name))
        runs.append(Run(moved, run.exit_code, run.said))
    first, second = runs
    return first, second


def said(run: Run, output: str) -> str:
    """Give what a rule said, less the random name of its shadow folder."""
    return re.sub(r"/shadow/tmp\w+", "/shadow/…", run.text(output))


@pytest.mark.parametrize("output", ["direct.txt", "nested.txt", "script.txt", "dash.txt", "bare.txt", "run.txt"])
def test_a_rule_sees_the_same_as_under_snakemakes_own_integration(ways: tuple[Run, Run], output: str) -> None:
    local, pbs = ways
    assert said(pbs, output) == said(local, output)
