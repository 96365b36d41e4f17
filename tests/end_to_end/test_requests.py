"""What rules and options ask for reaches PBS and the container.

The jobs are held by ``pbs_extra="-h"``, so that PBS tells all about them while none of them runs.
"""

import json
import re
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from . import harness
from .harness import Submitted, pbs_command, qstat, write

WORKFLOW = """
envvars: "DECLARED"

rule all:
    input: "plain", "full", "select", "gpu", "mpi", "nested"

rule plain:
    output: "plain"
    container: "tools/beta"
    threads: 3
    resources: mem_mb=100, runtime="2h", pbs_extra="-h"
    shell: "touch {output}"

rule full:
    output: "full"
    container: "tools/beta"
    resources:
        disk_mb=10, pbs_queue="workq", pbs_account="account of rule", pbs_project="project_of_rule",
        pbs_place="scatter:excl", pbs_extra="-h -p 7 -l software=matlab -m n -r n",
        container_args="--cleanenv --pwd '/a b'"
    shell: "touch {output}"

rule select:
    output: "select"
    resources: pbs_select="2:ncpus=1:mem=1mb+1:ncpus=2", runtime=1, pbs_extra="-h"
    shell: "touch {output}"

rule gpu:
    output: "gpu"
    container: "tools/beta"
    resources: gpu=1, pbs_extra="-h"
    shell: "touch {output}"

rule mpi:
    output: "mpi"
    threads: 2
    resources: nodes=2, tasks=5, mem_mb=50, mpi="mpirun", pbs_place="free", pbs_extra="-h"
    shell: "{resources.mpi} -n {resources.tasks} touch {output}"

rule nested:
    output: "nested"
    container: "tools/beta"
    resources: gpu=1, pbs_extra="-h"
    run: shell("touch {output}")
"""


@dataclass(frozen=True)
class Held:
    """A run of Snakemake all of whose jobs are held, and what PBS said of them; it is still there."""

    folder: Path
    jobs: dict[str, Submitted]
    told: dict[str, dict[str, str]]

    def script(self, rule: str) -> str:
        """Give the script of the batch that has a rule's task."""
        token = self.told[rule]["Job_Name"].rpartition("-")[2]
        (script,) = self.folder.glob(f".snakemake/pbs-singularity/runs/*/scripts/{token}.sh")
        return script.read_text()

    def description(self, rule: str) -> str:
        """Give what a rule's nested task is told."""
        (line,) = [line for line in self.script(rule).splitlines() if str(self.jobs[rule].log) in line]
        (description,) = [word for word in shlex.split(line) if word.startswith("{")]
        return description.removesuffix(";")


@pytest.fixture(scope="module")
def held(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    if harness.is_torque(environment):
        pytest.skip("its rules ask in OpenPBS's words")
    folder = write(tmp_path_factory.mktemp("held"), {"Snakefile": WORKFLOW, "bound/file": ""})
    options = [
        *harness.pbs_options(),
        "--pbs-singularity-never-run-minutes=0",  # some ask for more than this machine has
        *("--pbs-singularity-account", "account of option", "--pbs-singularity-project", "project_of_option"),
        *("--pbs-singularity-bind", f"{folder}/bound:/at least", "--pbs-singularity-container-args=--no-home"),
    ]
    with harness.start(folder, options, {**environment, "DECLARED": "it's declared"}) as running:
        jobs = running.wait_for_jobs(6)
        told = {label: qstat(environment, job.pbs_id) for label, job in jobs.items()}
        yield Held(folder, jobs, told)


@pytest.mark.parametrize(
    ("rule", "attribute", "value"),
    [
        ("plain", "Resource_List.select", "1:ncpus=3:mem=100mb"),
        ("plain", "Resource_List.walltime", "02:00:00"),
        ("plain", "Account_Name", "account of option"),
        ("plain", "project", "project_of_option"),
        ("full", "queue", "workq"),
        ("full", "Account_Name", "account of rule"),
        ("full", "project", "project_of_rule"),
        ("full", "Resource_List.place", "scatter:excl"),
        ("full", "Resource_List.software", "matlab"),
        ("full", "Priority", "7"),
        ("full", "Mail_Points", "n"),
        ("full", "Rerunable", "False"),
        ("select", "Resource_List.select", "2:ncpus=1:mem=1mb+1:ncpus=2"),
        ("select", "Resource_List.walltime", "00:01:00"),
        ("gpu", "Resource_List.select", "1:ncpus=1:ngpus=1"),
        ("mpi", "Resource_List.select", "1:ncpus=6:mpiprocs=3:mem=50mb+1:ncpus=4:mpiprocs=2:mem=50mb"),
        ("nested", "Resource_List.select", "1:ncpus=1:ngpus=1"),
    ],
)
def test_what_a_rule_asks_for_reaches_pbs(held: Held, rule: str, attribute: str, value: str) -> None:
    assert held.told[rule][attribute] == value


@pytest.mark.parametrize("rule", ["plain", "full", "gpu"])
def test_containers_get_the_options_for_all_rules(held: Held, rule: str) -> None:
    assert f"--bind '{held.folder}/bound:/at least' --no-home" in held.script(rule)


def test_containers_get_the_options_of_their_rule_last(held: Held) -> None:
    assert "--no-home --cleanenv --pwd '/a b'" in held.script("full")


def exec_line(script: str) -> str:
    """Give the line that starts the container."""
    (line,) = [line for line in script.splitlines() if " exec --" in line]
    return line


def test_only_containers_of_gpu_rules_get_nv(held: Held) -> None:
    assert [rule for rule in ("plain", "full", "gpu") if " --nv " in exec_line(held.script(rule))] == ["gpu"]


def test_a_nested_task_gets_the_same_options(held: Held) -> None:
    options = json.loads(held.description("nested"))["container_options"]
    assert options[:4] == ["--bind", f"{held.folder}/bound:/at least", "--no-home", "--nv"]


@pytest.mark.parametrize("rule", ["plain", "full", "select", "mpi"])
def test_names_of_jobs_begin_with_their_rule(held: Held, rule: str) -> None:
    assert held.told[rule]["Job_Name"].startswith(f"{rule}-")


def test_jobs_of_an_array_share_the_name_of_one_of_their_rules(held: Held) -> None:
    name = held.told["nested"]["Job_Name"]
    assert name == held.told["gpu"]["Job_Name"]
    assert name.startswith(("gpu-", "nested-"))


def test_other_users_of_pbs_see_no_declared_variable(held: Held) -> None:
    assert "DECLARED" not in str(held.told)


def test_a_declared_variable_is_in_a_file_of_the_user_alone(held: Held) -> None:
    assert "export DECLARED=" in held.script("plain")
    (scripts,) = held.folder.glob(".snakemake/pbs-singularity/runs/*/scripts")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in scripts.glob("*.sh")}
    assert modes == {0o600}
    assert stat.S_IMODE(scripts.stat().st_mode) == 0o700


TORQUE = """
rule all:
    input: "plain", "full", "nodes"

rule plain:
    output: "plain"
    threads: 2
    resources: mem_mb=300, runtime="2h", pbs_extra="-h"
    shell: "touch {output}"

rule full:
    output: "full"
    resources:
        pbs_queue="DEFAULT", pbs_account="account of rule", pbs_place="scatter:excl", pbs_extra="-h -p 7 -m n -r n"
    shell: "touch {output}"

rule nodes:
    output: "nodes"
    resources: pbs_nodes="1:ppn=3", mem_mb=50, pbs_extra="-h"
    shell: "touch {output}"
"""


def test_what_a_rule_asks_for_reaches_torque(environment: dict[str, str], tmp_path: Path) -> None:
    if not harness.is_torque(environment):
        pytest.skip("its rules ask in TORQUE's words")
    (queue,) = re.findall(r"default_queue = (\S+)", pbs_command(environment, "qstat", "-B", "-f").stdout)
    folder = write(tmp_path, {"Snakefile": TORQUE.replace("DEFAULT", queue)})
    with harness.start(folder, harness.pbs_options(), environment) as running:
        jobs = running.wait_for_jobs(3)
        told = {label: qstat(environment, job.pbs_id) for label, job in jobs.items()}
    wanted = [
        ("plain", "Resource_List.nodes", "1:ppn=2"),
        ("plain", "Resource_List.mem", "300mb"),
        ("plain", "Resource_List.walltime", "02:00:00"),
        ("full", "queue", queue),
        ("full", "Account_Name", "account of rule"),
        ("full", "Priority", "7"),
        ("full", "Mail_Points", "n"),
        ("full", "Rerunable", "False"),
        ("nodes", "Resource_List.nodes", "1:ppn=3"),
        ("nodes", "Resource_List.mem", "50mb"),
    ]
    assert [(rule, name, told[rule][name]) for rule, name, _ in wanted] == wanted
