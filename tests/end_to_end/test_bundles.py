"""Short jobs share a PBS job and a container start; each of them ends as if it were alone."""

import json
from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.images import find_runtime

from .harness import Calls, Run, Snakemake, count_calls, qstat, said_by_command, wrap, write
from .test_names import NAMES

WORKFLOW = r"""
import json

NAMES = json.load(open("names.json"))

wildcard_constraints:
    name=r"(.|\n)+"

rule all:
    input:
        expand("after/{n}", n=range(7)), expand("plain/{n}", n=range(4)), expand("nested/{n}", n=range(2)),
        expand("own/{n}", n=range(4)), [f"named/{name}" for name in NAMES]

rule contained:
    output: "contained/{n}"
    container: "tools/beta"
    shell: "echo words of {wildcards.n}; [ {wildcards.n} != 4 ] || exit 3; echo contained {wildcards.n} > {output}"

rule after:
    input: "contained/{n}"
    output: "after/{n}"
    shell: "sed 's/^/after /' {input} > {output}"

rule plain:
    output: "plain/{n}"
    shell: "echo words of {wildcards.n}; [ {wildcards.n} != 2 ] || exit 4; echo plain {wildcards.n} > {output}"

rule nested:
    output: "nested/{n}"
    run:
        open(output[0], "w").write(f"nested {wildcards.n}")

rule own:
    output: "own/{n}"
    resources: bundle=2, runtime=2
    shell: "echo own {wildcards.n} > {output}"

rule named:
    output: "named/{name}"
    container: "deep_learning/alpha"
    params: name=lambda wildcards: wildcards.name
    resources: runtime=5
    shell: "printf '%s' {params.name:q} > {output:q}"
"""


@pytest.fixture(scope="module")
def calls(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Calls:
    """The calls of the container runtime in the run of bundles."""
    return count_calls(tmp_path_factory.mktemp("calls") / "bin", environment, find_runtime(environment).command.name)


@pytest.fixture(scope="module")
def bundled(snakemake: Snakemake, calls: Calls, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of bundles of three, in which a job in a container and one without fail."""
    files = {"Snakefile": WORKFLOW, "names.json": json.dumps(list(NAMES.values()))}
    folder = write(tmp_path_factory.mktemp("bundled"), files)
    options = ("--jobs=100", "--keep-going", "--pbs-singularity-bundle", "3")
    return snakemake(folder, *options, fails=True, variables={"PATH": calls.path})


def sizes(run: Run, rule: str) -> list[int]:
    """Give how many jobs of a rule each PBS job ran, largest first."""
    ids = [job.pbs_id for job in run.submitted if job.label.split(" (")[0] == rule]
    return sorted((ids.count(pbs_id) for pbs_id in set(ids)), reverse=True)


@pytest.mark.parametrize(
    ("rule", "expected"), [("contained", [3, 3, 1]), ("plain", [3, 1]), ("nested", [2]), ("named", [3, 3, 2])]
)
def test_as_many_jobs_as_are_wanted_share_a_pbs_job(bundled: Run, rule: str, expected: list[int]) -> None:
    assert sizes(bundled, rule) == expected


def test_bundles_that_ask_for_the_same_are_one_array(bundled: Run) -> None:
    (array,) = bundled.batches("contained", "plain", "nested")
    assert "[]" in array


def test_a_rule_may_have_bundles_of_its_own_size(bundled: Run) -> None:
    assert sizes(bundled, "own") == [2, 2]


@pytest.mark.parametrize(("image", "starts"), [("beta.sif", 3), ("alpha.simg", 3)])
def test_a_container_starts_once_for_a_bundle(bundled: Run, calls: Calls, image: str, starts: int) -> None:
    (runtime,) = [path.name for path in calls.log.parent.iterdir() if path != calls.log]
    assert len([call for call in calls.of(runtime) if " exec " in f" {call} " and image in call]) == starts


@pytest.mark.parametrize(("rule", "walltime"), [("own", "00:04:00"), ("named", "00:15:00")])
def test_a_bundle_gets_the_runtime_of_all_its_jobs(
    bundled: Run, environment: dict[str, str], rule: str, walltime: str
) -> None:
    (array,) = bundled.batches(rule)
    assert qstat(environment, array)["Resource_List.walltime"] == walltime


@pytest.mark.parametrize(
    ("rule", "words", "numbers"),
    [
        ("contained", "contained", (0, 1, 2, 3, 5, 6)),
        ("after", "after contained", (0, 1, 2, 3, 5, 6)),
        ("plain", "plain", (0, 1, 3)),
        ("nested", "nested", (0, 1)),
        ("own", "own", (0, 1, 2, 3)),
    ],
)
def test_each_job_of_a_bundle_makes_what_it_should(
    bundled: Run, rule: str, words: str, numbers: tuple[int, ...]
) -> None:
    made = {path.name: path.read_text().strip() for path in (bundled.folder / rule).iterdir()}
    assert made == {str(n): f"{words} {n}" for n in numbers}


@pytest.mark.parametrize("title", NAMES)
def test_a_job_of_a_bundle_gets_names_as_they_are(bundled: Run, title: str) -> None:
    assert bundled.text(f"named/{NAMES[title]}") == NAMES[title]


@pytest.mark.parametrize(("rule", "count"), [("contained", 7), ("plain", 4)])
def test_each_job_of_a_bundle_has_a_log_of_its_own(bundled: Run, rule: str, count: int) -> None:
    logs = {job.label: said_by_command(job.log) for job in bundled.submitted if job.label.startswith(rule)}
    assert logs == {f"{rule} (n={n})": f"words of {n}\n" for n in range(count)}


@pytest.mark.parametrize(("output", "code"), [("contained/4", 3), ("plain/2", 4)])
def test_a_job_of_a_bundle_that_fails_says_so_with_its_own_log(bundled: Run, output: str, code: int) -> None:
    error = bundled.error_of(output)
    assert f"Exit code {code}" in error
    assert f"    words of {output[-1]}\n" in error


def test_no_job_of_a_bundle_takes_another_along(bundled: Run) -> None:
    assert bundled.said.count("Error in rule") == 2
    assert "Traceback" not in bundled.said


OVERDUE = r"""
rule all:
    input: expand("{rule}/{n}", rule=["contained", "plain"], n=range(4))

rule contained:
    output: "contained/{n}"
    container: "tools/beta"
    resources: bundle=4, runtime=1
    shell:
        "echo started {wildcards.n}; echo run >> {rule}.ran.{wildcards.n}; touch {output}; "
        "[ $(cat {rule}.ran.* | wc -l) != 2 ] || sleep 600"

use rule contained as plain with:
    output: "plain/{n}"
    container: None
"""

SHORTEN = """
for word; do
    shift
    [ "$word" != walltime=240 ] || word=walltime=8
    set -- "$@" "$word"
done
exec REAL "$@"
"""
"""A qsub that takes 8 seconds for four minutes, the least that a bundle of four can ask for."""

KINDS = ("contained", "plain")


@pytest.fixture(scope="module")
def overdue(snakemake: Snakemake, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of two bundles that are both over their walltime when their second job runs."""
    folder = write(tmp_path_factory.mktemp("overdue"), {"Snakefile": OVERDUE})
    path = wrap(tmp_path_factory.mktemp("short") / "bin", environment, {"qsub": SHORTEN})
    return snakemake(folder, "--keep-going", "--latency-wait=3", fails=True, variables={"PATH": path})


def made(run: Run, rule: str) -> set[str]:
    return {path.name for path in (run.folder / rule).iterdir()}


@pytest.mark.parametrize("rule", KINDS)
def test_the_job_that_ran_is_to_blame_for_the_walltime_of_its_bundle(overdue: Run, rule: str) -> None:
    (number,) = set("0123") - made(overdue, rule)
    error = overdue.error_of(f"{rule}/{number}")
    assert "walltime" in error
    assert "runtime" in error
    assert f"    started {number}\n" in error


@pytest.mark.parametrize("rule", KINDS)
def test_the_jobs_that_had_not_begun_are_submitted_again(overdue: Run, rule: str) -> None:
    labels = [job.label for job in overdue.submitted if job.label.startswith(rule)]
    assert sorted(labels.count(label) for label in set(labels)) == [1, 1, 2, 2]
    assert "had not begun: submitted again" in overdue.said


@pytest.mark.parametrize("rule", KINDS)
def test_all_but_the_job_that_ran_are_made(overdue: Run, rule: str) -> None:
    assert len(made(overdue, rule)) == 3
    assert overdue.said.count("Error in rule") == len(KINDS)


@pytest.mark.parametrize("rule", KINDS)
def test_no_job_of_a_bundle_that_pbs_ended_runs_twice(overdue: Run, rule: str) -> None:
    runs: dict[str, str] = {path.name: path.read_text() for path in Path(overdue.folder).glob(f"{rule}.ran.*")}
    assert runs == {f"{rule}.ran.{n}": "run\n" for n in range(4)}
