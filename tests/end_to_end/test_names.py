"""Files, wildcards, parameters and working directories may be named as one likes."""

import json
from itertools import product

import pytest

from .harness import Run, Snakemake, write

NAMES = {
    "spaces and quotes": ' it\'s  "quoted" `pwd` ',
    "dollars": "$HOME $(pwd) 100%",
    "a newline": "two\nlines",
    "separators": "a,b=c;d&e|f:g>h",
    "Chinese": "数据 文件 é",
    "patterns": "* ? [a] ~ # !",
    "backslashes": "back\\slash \\n",
    "a dash": "-n",
}

SOME = ("spaces and quotes", "dollars", "a newline", "separators", "Chinese")
"""Those that nested tasks are tried with too, which take longer."""

WORKFLOW = r"""
import json

NAMES = json.load(open("names.json"))

wildcard_constraints:
    name=r"(.|\n)+"

rule all:
    input: NAMES

rule source:
    output: "source/{name}"
    params: name=lambda wildcards: wildcards.name
    shell: "printf '%s' {params.name:q} > {output:q}"

rule direct:
    input: "source/{name}"
    output: "direct/{name}.txt"
    log: "logs/{name}.log"
    container: "tools/beta"
    shell: "cat {input:q} > {output:q}; printf '%s' {wildcards.name:q} > {log:q}"

rule nested:
    input: "source/{name}"
    output: "nested/{name}.txt"
    container: "tools/beta"
    run:
        shell("cat {input:q} > {output:q}")

rule script:
    input: "source/{name}"
    output: "script/{name}.txt"
    container: "tools/beta"
    script: "copy.py"
"""

SCRIPT = """
with open(snakemake.input[0]) as source, open(snakemake.output[0], "w") as target:
    assert source.read() == snakemake.wildcards.name
    target.write(snakemake.wildcards.name)
"""

FOLDERS = {
    "quotes and a dollar": 'it\'s a "test" $HOME',
    "a newline": "two\nlines",
    "a comma and Chinese": "数据, 文件",
    "a backslash and more": "back\\slash `pwd` & {curly}",
}


@pytest.fixture(scope="module")
def names(snakemake: Snakemake, tmp_path_factory: pytest.TempPathFactory) -> Run:
    outputs = [f"direct/{name}.txt" for name in NAMES.values()]
    outputs += [f"{kind}/{NAMES[title]}.txt" for kind, title in product(["nested", "script"], SOME)]
    files = {"Snakefile": WORKFLOW, "copy.py": SCRIPT, "names.json": json.dumps(outputs)}
    return snakemake(write(tmp_path_factory.mktemp("names"), files))


@pytest.mark.parametrize("title", NAMES)
def test_a_command_gets_names_as_they_are(names: Run, title: str) -> None:
    assert names.text(f"direct/{NAMES[title]}.txt") == NAMES[title]
    assert names.text(f"logs/{NAMES[title]}.log") == NAMES[title]


def test_jobs_with_awkward_names_are_one_array(names: Run) -> None:
    (array,) = names.batches("source")
    assert "[]" in array


@pytest.mark.parametrize(("kind", "title"), list(product(["nested", "script"], SOME)))
def test_a_nested_task_gets_names_as_they_are(names: Run, kind: str, title: str) -> None:
    assert names.text(f"{kind}/{NAMES[title]}.txt") == NAMES[title]


def test_names_that_are_awkward_are_no_reason_to_run_again(names: Run, snakemake: Snakemake) -> None:
    assert "Nothing to be done" in snakemake(names.folder).said


@pytest.mark.parametrize("title", FOLDERS)
def test_a_working_directory_may_have_any_name(
    title: str, snakemake: Snakemake, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("folders") / FOLDERS[title]
    outputs = ["direct/a b.txt", "nested/a b.txt", "script/a b.txt"]
    write(folder, {"Snakefile": WORKFLOW, "copy.py": SCRIPT, "names.json": json.dumps(outputs)})
    run = snakemake(folder)
    assert [run.text(output) for output in outputs] == ["a b"] * 3
