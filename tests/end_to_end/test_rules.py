"""What a rule can say in Snakemake's language holds in a PBS job; all of it is in one workflow that runs once."""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator

import pytest

from .harness import Run, Snakemake, qstat, write

WORKFLOW = r"""
configfile: "config.yaml"
envvars: "DECLARED"
shell.prefix("set -euo pipefail; export FROM_PREFIX=prefix; ")

wildcard_constraints: n=r"\d"

rule all:
    input:
        "temp.txt", "protected.txt", "touched", "directory.txt", "ensured.txt", "logged.txt", "shadowed.txt",
        "benchmark.tsv", "wrapped.txt", "python.txt", "bash.txt", "run.txt", "group.txt", "piped.txt", "served.txt",
        "checked.txt", "local.txt", "tmpdir.txt", "set.txt", "environment.txt", "nested.txt",

localrules: local

rule temporary:
    output: temp("temporary/{n}.txt")
    shell: "echo {wildcards.n} > {output}"

rule after_temporary:
    input: expand("temporary/{n}.txt", n=[1, 2])
    output: "temp.txt"
    shell: "cat {input} > {output}"

rule protect:
    output: protected("protected.txt")
    shell: "echo protected > {output}"

rule touch:
    output: touch("touched")
    shell: "true"

rule directory:
    output: directory("directory")
    shell: "mkdir -p {output}/below; echo old > {output}/below/file"

rule after_directory:
    input: "directory"
    output: "directory.txt"
    shell: "ls -R {input} > {output}"

rule ensure:
    output: ensure("ensured.txt", non_empty=True, sha256="SHA256")
    shell: "echo hi > {output}"

rule log:
    output: "logged.txt"
    log: out="logs/below/out.log", err="logs/below/err.log"
    params: word="a 'quoted' word", number=3, of_config=config["word"], made=lambda wildcards, threads: threads * 10
    threads: 2
    shell:
        "echo {params.word:q} {params.number} {params.of_config} {params.made} > {output}; "
        "echo to out > {log.out}; echo to err > {log.err}"

rule shadow:
    output: "shadowed.txt"
    shadow: "minimal"
    shell: "touch rubbish; pwd > {output}"

rule benchmark:
    output: "benchmarked.txt"
    benchmark: repeat("benchmark.tsv", 2)
    shell: "echo run >> {output}.log; touch {output}"

rule wrapper:
    output: "wrapped.txt"
    params: greeting="hello"
    wrapper: "file:wrapper"

rule python_script:
    output: "python.txt"
    params: words=["a", "b"]
    log: "logs/python.log"
    script: "scripts/python.py"

rule bash_script:
    output: "bash.txt"
    params: word="word"
    script: "scripts/bash.sh"

rule r_script:
    output: "r.txt"
    params: word="word"
    script: "scripts/r.R"

rule run:
    output: "run.txt"
    params: word="word"
    run:
        with open(output[0], "w") as file:
            print(params.word, config["word"], wildcards, threads, os.environ["DECLARED"], file=file)

rule group_first:
    output: temp("group_{n}.part")
    group: "together"
    shell: "echo {wildcards.n} $PBS_JOBID > {output}"

rule group_second:
    input: expand("group_{n}.part", n=[1, 2])
    output: "group.txt"
    group: "together"
    shell: "cat {input} > {output}; echo 3 $PBS_JOBID >> {output}"

rule pipe_from:
    output: pipe("pipe")
    shell: "echo through the pipe > {output}"

rule pipe_to:
    input: "pipe"
    output: "piped.txt"
    shell: "cat {input} > {output}"

rule serve:
    output: service("service")
    shell: "echo served > {output}; trap 'exit 0' TERM; while true; do sleep 0.1; done"

rule use_service:
    input: "service"
    output: "served.txt"
    shell: "cat {input} > {output}"

checkpoint split:
    output: directory("parts")
    shell: "mkdir {output}; touch {output}/3 {output}/5"

rule part:
    input: "parts/{n}"
    output: "part_{n}.txt"
    shell: "echo {wildcards.n} > {output}"

def parts(wildcards):
    return [f"part_{n}.txt" for n in "35" if os.path.exists(f"{checkpoints.split.get().output[0]}/{n}")]

rule gather:
    input: parts
    output: "checked.txt"
    shell: "cat {input} > {output}"

rule local:
    output: "local.txt"
    shell: "echo ${{PBS_JOBID-none}} > {output}"

rule tmpdir:
    output: "tmpdir.txt"
    resources: tmpdir="own tmpdir"
    shell: "echo {resources.tmpdir} > {output}; echo $TMPDIR >> {output}; test -w \"$TMPDIR\""

rule set_resources:
    output: "set.txt"
    resources: mem_mb=520, other=1
    shell:
        "echo mem_mb={resources.mem_mb} threads={threads} > {output}; "
        "echo other={resources.other} of_default={resources.of_default} >> {output}"

rule environment:
    output: "environment.txt"
    threads: 3
    shell:
        "env > {output}; echo flags=$- >> {output}; echo umask=$(umask) >> {output}; "
        "echo pwd=$PWD >> {output}; echo stdin=$(wc -c) >> {output}; echo bash=$BASH_VERSION >> {output}"

use rule environment as nested_environment with:
    output: "nested.txt"
    benchmark: "environment.tsv"
"""

SCRIPTS = {
    "scripts/python.py": """
import sys
from helper import word
with open(snakemake.output[0], "w") as file:
    print(*snakemake.params.words, word, snakemake.config["word"], snakemake.threads, file=file)
print("log of python", file=open(snakemake.log[0], "w"))
""",
    "scripts/helper.py": 'word = "imported"\n',
    "scripts/bash.sh": """
echo "${snakemake_params[word]} ${snakemake_config[word]}" > "${snakemake_output[0]}"
""",
    "scripts/r.R": """
writeLines(paste(snakemake@params[["word"]], snakemake@config[["word"]]), snakemake@output[[1]])
""",
    "wrapper/environment.yaml": "dependencies: []\n",
    "wrapper/wrapper.py": """
open(snakemake.output[0], "w").write(snakemake.params.greeting)
""",
}

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "GOTO_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""Those that snakemake/shell.py sets."""

VARIABLES = {"DECLARED": "declared 'value' $HOME", "UNDECLARED": "a secret"}
ALL = ("--configfile", "more.yaml", "--config", "third=3", "--default-resources", "of_default=5", "mem_mb=530")
SET = ("--set-resources", "set_resources:other=7", "--set-threads", "set_resources=2")


@pytest.fixture(scope="module")
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.fixture(scope="module")
def rules(snakemake: Snakemake, tmp_path_factory: pytest.TempPathFactory, umask: None) -> Run:
    workflow = WORKFLOW.replace("SHA256", hashlib.sha256(b"hi\n").hexdigest())
    files = {"Snakefile": workflow, "config.yaml": "word: config\n", "more.yaml": "word: more\n", **SCRIPTS}
    folder = write(tmp_path_factory.mktemp("rules"), files)
    return snakemake(folder, *ALL, *SET, variables=VARIABLES)


def test_temporary_outputs_are_used_and_removed(rules: Run) -> None:
    assert rules.text("temp.txt") == "1\n2"
    assert list(rules.folder.glob("temporary/*")) == []


def test_a_protected_output_loses_its_write_permissions(rules: Run) -> None:
    assert stat.S_IMODE((rules.folder / "protected.txt").stat().st_mode) & 0o222 == 0


def test_an_output_to_be_touched_is_there(rules: Run) -> None:
    assert rules.text("touched") == ""


def test_a_folder_can_be_an_output(rules: Run) -> None:
    assert rules.text("directory/below/file") == "old"
    assert "below" in rules.text("directory.txt").splitlines()


def test_an_output_that_is_as_ensured_is_accepted(rules: Run) -> None:
    assert rules.text("ensured.txt") == "hi"


def test_logs_lie_where_the_rule_says(rules: Run) -> None:
    assert rules.text("logs/below/out.log") == "to out"
    assert rules.text("logs/below/err.log") == "to err"


def test_params_arrive_whatever_they_are(rules: Run) -> None:
    assert rules.text("logged.txt") == "a 'quoted' word 3 more 20"


def test_a_shadow_folder_keeps_rubbish_away(rules: Run) -> None:
    assert "/.snakemake/shadow/" in rules.text("shadowed.txt")
    assert not (rules.folder / "rubbish").exists()


def test_a_benchmark_is_repeated_and_written_down(rules: Run) -> None:
    assert rules.text("benchmarked.txt.log").splitlines() == ["run", "run"]
    heading, *measured = rules.text("benchmark.tsv").splitlines()
    assert heading.startswith("s\th:m:s\tmax_rss")
    assert len(measured) == 2


def test_a_wrapper_of_this_machine_runs(rules: Run) -> None:
    assert rules.text("wrapped.txt") == "hello"


def test_a_python_script_gets_what_its_rule_says_and_its_neighbours(rules: Run) -> None:
    assert rules.text("python.txt") == "a b imported more 1"
    assert rules.text("logs/python.log") == "log of python"


def test_a_bash_script_gets_what_its_rule_says(rules: Run) -> None:
    assert rules.text("bash.txt") == "word more"


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="there is no Rscript on this machine")
def test_an_r_script_gets_what_its_rule_says(rules: Run, snakemake: Snakemake) -> None:
    snakemake(rules.folder, *ALL, *SET, "r.txt", variables=VARIABLES)
    assert rules.text("r.txt") == "word more"


def test_a_run_block_gets_what_its_rule_says_and_declared_variables(rules: Run) -> None:
    assert rules.text("run.txt") == "word more  1 declared 'value' $HOME"


def test_a_group_is_one_job_of_pbs(rules: Run) -> None:
    lines = [line.split() for line in rules.text("group.txt").splitlines()]
    assert [number for number, _ in lines] == ["1", "2", "3"]
    assert {pbs_id for _, pbs_id in lines} == {rules.job("together").pbs_id}


def test_a_pipe_leads_from_rule_to_rule(rules: Run) -> None:
    assert rules.text("piped.txt") == "through the pipe"


def test_a_service_runs_while_it_is_used(rules: Run) -> None:
    assert rules.text("served.txt") == "served"


def test_a_checkpoint_decides_what_follows(rules: Run) -> None:
    assert rules.text("checked.txt") == "3\n5"


def test_a_local_rule_is_no_job_of_pbs(rules: Run) -> None:
    assert rules.text("local.txt") == "none"
    assert "local" not in {job.label for job in rules.submitted}


def test_a_tmpdir_of_a_rule_is_made_and_used(rules: Run) -> None:
    assert rules.text("tmpdir.txt") == "own tmpdir\nown tmpdir"


def test_resources_and_threads_come_from_rule_default_and_command_line(rules: Run) -> None:
    assert rules.text("set.txt") == "mem_mb=520 threads=2\nother=7 of_default=5"


@pytest.mark.parametrize("kind", ["environment.txt", "nested.txt"])
class TestEnvironment:
    """Of a task that runs directly, and of one that runs by way of a Snakemake on the node."""

    def test_a_declared_variable_arrives(self, rules: Run, kind: str) -> None:
        assert rules.values(kind)["DECLARED"] == VARIABLES["DECLARED"]

    def test_an_undeclared_variable_does_not_arrive(self, rules: Run, kind: str) -> None:
        assert "UNDECLARED" not in rules.values(kind)

    @pytest.mark.parametrize("name", THREAD_VARIABLES)
    def test_libraries_are_told_the_threads(self, rules: Run, kind: str, name: str) -> None:
        assert rules.values(kind)[name] == "3"

    def test_the_shell_is_as_strict_as_snakemakes(self, rules: Run, kind: str) -> None:
        assert set("eu") <= set(rules.values(kind)["flags"])

    def test_the_prefix_of_the_shell_comes_first(self, rules: Run, kind: str) -> None:
        assert rules.values(kind)["FROM_PREFIX"] == "prefix"

    def test_the_users_umask_holds(self, rules: Run, kind: str) -> None:
        assert rules.values(kind)["umask"] == "0027"
        assert stat.S_IMODE((rules.folder / kind).stat().st_mode) == 0o640

    def test_it_runs_in_the_working_directory(self, rules: Run, kind: str) -> None:
        assert rules.values(kind)["pwd"] == str(rules.folder)

    def test_there_is_nothing_to_read_from(self, rules: Run, kind: str) -> None:
        assert rules.values(kind)["stdin"] == "0"


def test_pbs_is_told_no_variable_of_the_user(rules: Run, environment: dict[str, str]) -> None:
    for job in rules.submitted:
        told = qstat(environment, job.pbs_id)
        assert told["job_state"] in {"F", "E", "R"}
        assert "a secret" not in str(told)
        assert "declared" not in str(told)


def test_only_the_user_can_read_what_the_plugin_keeps(rules: Run) -> None:
    state = rules.folder / ".snakemake/pbs-singularity"
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in state.iterdir()} == {0}


def test_nothing_is_left_of_the_run_but_logs(rules: Run) -> None:
    state = rules.folder / ".snakemake/pbs-singularity"
    assert list((state / "runs").iterdir()) == []
