"""Jobs that ask for the same are arrays, whatever they are; each of them is as if it were alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.pbs.local.settings import change
from tools.registry import Registry

from .conftest import ON_PATH
from .harness import Calls, Run, Snakemake, array_of, count_calls, pbs_command, said_by_command, wrap, write

WORKFLOW = r"""
rule all:
    input:
        expand("contained/{n}", n=range(4)), expand("plain/{n}", n=range(3)), expand("nested/{n}", n=range(2)),
        expand("other/{n}", n=range(2)), expand("once/{n}", n=range(2)), expand("pulled/{n}", n=range(2)), "lone/0",
        expand("third/{n}", n=range(4)), expand("grouped/{n}", n=range(2)), "gathered"

rule contained:
    output: "contained/{n}"
    container: "tools/beta"
    shell: "echo words of {wildcards.n} >&2; . /etc/os-release; echo $PRETTY_NAME {wildcards.n} > {output}"

rule plain:
    output: "plain/{n}"
    shell: "echo plain {wildcards.n} > {output}"

rule nested:
    output: "nested/{n}"
    run:
        open(output[0], "w").write(f"nested {wildcards.n}")

rule other:
    output: "other/{n}"
    resources: mem_mb=350
    shell: "echo other {wildcards.n} > {output}"

rule once:
    output: "once/{n}"
    resources: pbs_extra="-r n"
    shell: "echo once {wildcards.n} > {output}"

rule lone:
    output: "lone/{n}"
    threads: 2
    shell: "echo lone {wildcards.n} > {output}"

rule pulled:
    output: "pulled/{n}"
    container: "IMAGE"
    shell: ". /etc/os-release; echo $PRETTY_NAME {wildcards.n} > {output}"

rule second:
    input: "contained/{n}"
    output: "second/{n}"
    shell: "sed 's/^/second of /' {input} > {output}"

rule third:
    input: "second/{n}"
    output: "third/{n}"
    container: "tools/beta"
    shell: "sed 's/^/third of /' {input} > {output}"

rule group_first:
    output: temp("part/{n}")
    group: "together"
    shell: "echo grouped {wildcards.n} > {output}"

rule group_second:
    input: "part/{n}"
    output: "grouped/{n}"
    group: "together"
    shell: "cat {input} > {output}"

checkpoint split:
    output: directory("split")
    shell: "mkdir {output}; touch {output}/5 {output}/7 {output}/9"

rule piece:
    input: "split/{n}"
    output: "piece/{n}"
    shell: "echo piece {wildcards.n} > {output}"

def pieces(wildcards):
    return sorted(f"piece/{path.name}" for path in Path(checkpoints.split.get().output[0]).glob("[0-9]"))

rule gather:
    input: pieces
    output: "gathered"
    shell: "cat {input} > {output}"
"""

MADE = {
    "contained": ("test image beta", range(4)),
    "plain": ("plain", range(3)),
    "nested": ("nested", range(2)),
    "other": ("other", range(2)),
    "once": ("once", range(2)),
    "lone": ("lone", range(1)),
    "pulled": ("test image delta 1", range(2)),
    "third": ("third of second of test image beta", range(4)),
    "grouped": ("grouped", range(2)),
    "piece": ("piece", (5, 7, 9)),
}
"""What each rule writes before its number, and the numbers."""


@pytest.fixture(scope="module")
def calls(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Calls:
    """The calls of qsub in the run of all kinds of jobs."""
    return count_calls(tmp_path_factory.mktemp("calls") / "bin", environment, "qsub")


@pytest.fixture(scope="module")
def alike(snakemake: Snakemake, calls: Calls, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Run:
    workflow = WORKFLOW.replace("IMAGE", registry.uri("test/delta:1"))
    folder = write(tmp_path_factory.mktemp("alike"), {"Snakefile": workflow})
    return snakemake(folder, "--jobs=100", variables={"PATH": calls.path})


def test_jobs_that_ask_for_the_same_are_one_array_whatever_they_are(alike: Run) -> None:
    (array,) = alike.batches("contained", "plain", "nested")
    assert "[]" in array


def test_jobs_that_ask_for_something_else_are_another_array(alike: Run) -> None:
    (array,) = alike.batches("other")
    assert "[]" in array
    assert array not in alike.batches("contained", "lone", "once")


def test_a_job_that_no_other_is_like_is_a_plain_job(alike: Run) -> None:
    assert "[" not in alike.job("lone (n=0)").pbs_id


def test_jobs_that_must_not_be_run_again_are_plain_jobs(alike: Run) -> None:
    assert len(alike.batches("once")) == 2
    assert "[" not in str(alike.batches("once"))


def test_groups_are_arrays_too(alike: Run) -> None:
    (array,) = alike.batches("together")
    assert "[]" in array


def test_jobs_whose_image_is_pulled_meanwhile_are_an_array_of_their_own(alike: Run) -> None:
    (array,) = alike.batches("pulled")
    assert "[]" in array
    assert array not in alike.batches("contained")


def test_there_is_one_qsub_for_each_array_and_each_plain_job(alike: Run, calls: Calls) -> None:
    assert len(calls.of("qsub")) == len({array_of(job.pbs_id) for job in alike.submitted})


@pytest.mark.parametrize("rule", MADE)
def test_each_job_of_an_array_makes_what_it_should(alike: Run, rule: str) -> None:
    words, numbers = MADE[rule]
    assert {path.name for path in (alike.folder / rule).iterdir()} == {str(n) for n in numbers}
    assert [alike.text(f"{rule}/{n}") for n in numbers] == [f"{words} {n}" for n in numbers]


def test_a_checkpoint_decides_what_follows_as_an_array(alike: Run) -> None:
    assert alike.text("gathered") == "piece 5\npiece 7\npiece 9"


def test_each_job_of_an_array_has_a_log_of_its_own(alike: Run) -> None:
    logs = {job.label: said_by_command(job.log) for job in alike.submitted if job.label.startswith("contained")}
    assert logs == {f"contained (n={n})": f"words of {n}\n" for n in range(4)}


LIMITED = """
rule all:
    input: expand("option/{n}", n=range(7)), expand("queue/{n}", n=range(3))

rule option:
    output: "option/{n}"
    shell: "touch {output}"

rule queue:
    output: "queue/{n}"
    resources: pbs_queue="few"
    shell: "touch {output}"
"""


@pytest.fixture(scope="module")
def queue(environment: dict[str, str]) -> Iterator[str]:
    """A queue that takes no arrays of more than two subjobs."""
    if not ON_PATH:
        home = Path(environment["PBS_SINGULARITY_LOCAL_HOME"])
        change(home, queues={"workq": {}, "few": {"max_array_size": 2}})
        yield "few"
        change(home, queues=None)
        return
    made = pbs_command(environment, "qmgr", "-c", "create queue few queue_type=execution,max_array_size=2")
    if made.returncode != 0:
        pytest.skip(f"only the managers of this PBS can make a queue with a limit: {made.stderr.strip()}")
    pbs_command(environment, "qmgr", "-c", "set queue few enabled=true,started=true")
    yield "few"
    pbs_command(environment, "qmgr", "-c", "delete queue few")


def sizes(run: Run, rule: str) -> list[int]:
    """Give how many jobs of a rule each array or plain job has, largest first."""
    ids = [array_of(job.pbs_id) for job in run.submitted if job.label.startswith(rule)]
    return sorted((ids.count(pbs_id) for pbs_id in set(ids)), reverse=True)


def test_arrays_are_cut_to_what_the_user_and_the_queue_allow(queue: str, snakemake: Snakemake, tmp_path: Path) -> None:
    run = snakemake(write(tmp_path, {"Snakefile": LIMITED}), "--pbs-singularity-max-array-size", "3")
    assert sizes(run, "option") == [3, 3, 1]
    assert sizes(run, "queue") == [2, 1]


def test_whoever_wants_no_arrays_gets_plain_jobs(snakemake: Snakemake, tmp_path: Path) -> None:
    folder = write(tmp_path, {"Snakefile": LIMITED})
    run = snakemake(folder, "--pbs-singularity-max-array-size", "1", "option/0", "option/1")
    assert [job.pbs_id for job in run.submitted if "[" in job.pbs_id] == []
    assert sizes(run, "option") == [1, 1]


REFUSED = """
rule all:
    input: expand("{rule}/{n}", rule=["some", "others"], n=range(3))

rule some:
    output: "some/{n}"
    shell: "touch {output}"

rule others:
    output: "others/{n}"
    resources: mem_mb=350
    shell: "touch {output}"
"""

REFUSE_ARRAYS = """
case " $* " in
    *" -J "*|*" -t "*) echo "qsub: Array job exceeds server or queue size limit" >&2; exit 3 ;;
esac
exec REAL "$@"
"""


def test_where_arrays_are_refused_plain_jobs_run_and_it_is_said_once(
    snakemake: Snakemake, environment: dict[str, str], tmp_path: Path
) -> None:
    path = wrap(tmp_path / "bin", environment, {"qsub": REFUSE_ARRAYS})
    run = snakemake(write(tmp_path / "work", {"Snakefile": REFUSED}), variables={"PATH": path})
    assert sizes(run, "some") == sizes(run, "others") == [1, 1, 1]
    (line,) = [line for line in run.said.splitlines() if "takes no arrays" in line]
    assert "Array job exceeds server or queue size limit" in line


MANY = """
rule all:
    input: expand("made/{n}", n=range(100))

rule make:
    output: "made/{n}"
    shell: "touch {output}"
"""


def test_a_hundred_jobs_take_few_commands_of_pbs(
    snakemake: Snakemake, environment: dict[str, str], tmp_path: Path
) -> None:
    names = ("qsub", "qstat", "qdel", "qselect")
    calls = count_calls(tmp_path / "bin", environment, *names)
    folder = write(tmp_path / "work", {"Snakefile": MANY})
    snakemake(folder, "--jobs=100", variables={"PATH": calls.path})
    assert sum(len(calls.of(name)) for name in names) <= 10
