"""Which job a task is, and whether it would do the same, is the same in any run of Snakemake."""

import json
import linecache
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.images import Found, ImageKind
from snakemake_executor_plugin_pbs_singularity.pbs import Pbs
from snakemake_executor_plugin_pbs_singularity.settings import ExecutorSettings
from snakemake_executor_plugin_pbs_singularity.site import Site
from snakemake_executor_plugin_pbs_singularity.task import make_task
from snakemake_executor_plugin_pbs_singularity.tasks.identity import job_digest, request_digest
from snakemake_executor_plugin_pbs_singularity.tracking.run_folder import make_run_folder

from .planned import look_at

pytestmark = pytest.mark.filterwarnings("ignore:PULP_CBC_CMD")

SNAKEFILE = """
    rule all:
        input: "direct.b.txt", "nested.txt", "scripted.txt"
    rule direct:
        input: "in.txt"
        output: "direct.{sample}.txt"
        container: "image"
        shell: "cp {input} {output}"
    rule nested:
        input: "in.txt"
        output: "nested.txt"
        params: 1
        resources: mem_mb=100
        run:
            print(1)
    rule scripted:
        output: "scripted.txt"
        script: "script.py"
"""
RULES = {"direct", "nested", "scripted"}
Digests = dict[str, tuple[str, str, str]]


def digests(folder: Path, snakefile: str = SNAKEFILE, image: str = "a.sif", **execution: Any) -> Digests:
    """Give what stands for job, work and request of each rule, as a new run of Snakemake would."""
    site = Site(
        lambda: Pbs(Path("/no/pbs"), {"PATH": "/no"}, ""),
        {"PATH": f"{folder / 'bin'}:{os.defpath}"},
        (),
        folder / "images",
        (),
        folder,
    )
    run_folder = make_run_folder(folder / "state")
    linecache.clearcache()  # from which Snakemake reads the code of rules

    def look(executor: Any, jobs: list[Any]) -> Digests:
        executor.executor_settings = ExecutorSettings()
        found = Found(folder / image, ImageKind.SIF)
        tasks = [
            make_task(job, executor, site, run_folder, lambda _: found)
            for job in jobs
            if job.is_group() or job.rule.name != "all"
        ]
        return {task.rule: (task.job_digest, task.work_digest, request_digest(task.request)) for task in tasks}

    return look_at(folder, snakefile, look, execution={"latency_wait": 7, **execution})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.sif", "b.sif", "in.txt", "script.py"):
        path = tmp_path / name
        path.write_text("x")
        os.utime(path, (1e9, 1e9))
    runtime = tmp_path / "bin" / "apptainer"
    runtime.parent.mkdir()
    runtime.write_text("#!/bin/sh\necho apptainer version 1.3.0\n")
    runtime.chmod(0o755)
    return tmp_path


def changed(before: Digests, after: Digests) -> set[str]:
    """Give the rules whose work has changed; nothing may have become of which job they are."""
    assert {rule: one[0] for rule, one in before.items()} == {rule: one[0] for rule, one in after.items()}
    return {rule for rule in before if before[rule][1] != after[rule][1]}


def test_another_run_in_another_process_gives_the_same(folder: Path) -> None:
    before = digests(folder)
    assert set(before) == RULES
    script = (
        "import json, sys; from pathlib import Path; from tasks.test_identity import digests;"
        "print(json.dumps(digests(Path(sys.argv[1]))))"
    )
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", script, str(folder)],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert json.loads(done.stdout.splitlines()[-1]) == {rule: list(one) for rule, one in before.items()}


def test_tokens_logs_and_how_the_run_was_started_do_not_matter(folder: Path) -> None:
    assert digests(folder) == digests(folder, latency_wait=99, keep_going=True)


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("cp {input} {output}", "cp -p {input} {output}", "direct"),
        ('container: "image"', 'container: "image"; threads: 2', "direct"),
        ('container: "image"', 'container: "image"; resources: container_args="--cleanenv"', "direct"),
        ("params: 1", "params: 2", "nested"),
        ("print(1)", "print(2)", "nested"),
        ('script: "script.py"', 'script: "in.txt"', "scripted"),
    ],
)
def test_a_rule_that_does_something_else_has_changed_and_no_other(old: str, new: str, rule: str, folder: Path) -> None:
    before = digests(folder)
    snakefile = SNAKEFILE.replace(old, new.replace("; ", "\n        "))
    assert changed(before, digests(folder, snakefile)) == {rule}


@pytest.mark.parametrize(
    ("name", "what", "rules"),
    [
        *(("in.txt", what, {"direct", "nested"}) for what in ("time", "size")),
        *(("a.sif", what, {"direct"}) for what in ("time", "size", "presence")),
        *(("script.py", what, {"scripted"}) for what in ("time", "size")),
        *(("b.sif", what, set()) for what in ("time", "size", "presence")),
    ],
)
def test_a_file_that_has_changed_changes_the_work_that_reads_it(
    name: str, what: str, rules: set[str], folder: Path
) -> None:
    before = digests(folder)
    path = folder / name
    if what == "presence":
        path.unlink()
    else:
        path.write_text("x" if what == "time" else "xx")
        time = 1e9 if what == "size" else 1e9 + 0.001
        os.utime(path, (time, time))
    assert changed(before, digests(folder)) == rules


def test_a_script_is_looked_for_beside_its_rule(folder: Path) -> None:
    rules = folder / "rules" / "rules.smk"
    rules.parent.mkdir()
    rules.write_text('rule scripted:\n    output: "scripted.txt"\n    script: "beside.py"\n')
    script = rules.with_name("beside.py")
    script.write_text("1")
    snakefile = 'include: "rules/rules.smk"\nrule all:\n    input: "scripted.txt"'
    before = digests(folder, snakefile)
    script.write_text("1 + 1")
    assert changed(before, digests(folder, snakefile)) == {"scripted"}


def test_a_file_of_the_workflow_is_the_same_in_whichever_folder_a_run_keeps_its_copy(folder: Path) -> None:
    path = 'workflow.source_path("script.py")'
    snakefile = f"""
        rule all:
            input: "direct.txt", "nested.txt"
        rule direct:
            input: {path}
            output: "direct.txt"
            params: {path}
            shell: "cp {{input}} {{params[0]}} {{output}}"
        rule nested:
            input: {path}
            output: "nested.txt"
            params: {path}
            run:
                print(1)
    """
    before = digests(folder, snakefile)
    assert changed(before, digests(folder, snakefile)) == set()
    (folder / "script.py").write_text("xx")
    assert changed(before, digests(folder, snakefile)) == {"direct", "nested"}


def test_another_image_is_other_work(folder: Path) -> None:
    assert changed(digests(folder), digests(folder, image="b.sif")) == {"direct"}


def test_what_is_asked_for_is_no_part_of_the_work(folder: Path) -> None:
    before, after = digests(folder), digests(folder, SNAKEFILE.replace("mem_mb=100", "mem_mb=200"))
    assert changed(before, after) == set()
    assert {rule for rule in RULES if before[rule][2] != after[rule][2]} == {"nested"}


def test_a_group_is_one_job_and_changes_with_each_of_its_rules(folder: Path) -> None:
    group = """
        rule last:
            input: "first.txt"
            output: "last.txt"
            group: "both"
            shell: "sort {input} >{output}"
        rule first:
            input: "in.txt"
            output: "first.txt"
            group: "both"
            shell: "cp {input} {output}"
    """
    before = digests(folder, group)
    assert list(before) == ["both"]
    for old, new in (("cp", "mv"), ("sort", "uniq")):
        assert changed(before, digests(folder, group.replace(old, new))) == {"both"}


def job(rule: str, **wildcards: str) -> Any:
    """Make what the digest of a job is made from."""
    return SimpleNamespace(is_group=lambda: False, rule=SimpleNamespace(name=rule), wildcards_dict=wildcards)


named = st.tuples(st.text(max_size=5), st.dictionaries(st.text("xy=,' ", max_size=4), st.text("xy=,' ", max_size=4)))


@given(first=named, second=named)
def test_two_jobs_are_the_same_if_rule_and_wildcards_are(
    first: tuple[str, dict[str, str]], second: tuple[str, dict[str, str]]
) -> None:
    one, other = (job_digest(job(rule, **wildcards)) for rule, wildcards in (first, second))
    assert (one == other) == (first == second)


@given(st.dictionaries(st.text(min_size=1), st.text(), min_size=2))
def test_the_order_of_wildcards_does_not_matter(wildcards: dict[str, str]) -> None:
    assert job_digest(job("a", **wildcards)) == job_digest(job("a", **dict(reversed(wildcards.items()))))
