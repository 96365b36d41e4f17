"""How a task is put together."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from snakemake_interface_common.exceptions import WorkflowError
from tasks.planned import look_at

from snakemake_executor_plugin_pbs_singularity.images import Found, ImageError, ImageKind, Missing, Resolved
from snakemake_executor_plugin_pbs_singularity.images.nodes import NOTHING_SAID, Nodes
from snakemake_executor_plugin_pbs_singularity.nested import Description
from snakemake_executor_plugin_pbs_singularity.pbs import Pbs
from snakemake_executor_plugin_pbs_singularity.pbs.request import Chunk
from snakemake_executor_plugin_pbs_singularity.settings import ExecutorSettings
from snakemake_executor_plugin_pbs_singularity.site import Site
from snakemake_executor_plugin_pbs_singularity.task import (
    Task,
    has_its_output,
    make_surroundings,
    make_task,
    with_gpu_options,
)
from snakemake_executor_plugin_pbs_singularity.tasks.script import Container, DirectTask, NestedTask, Surroundings
from snakemake_executor_plugin_pbs_singularity.tasks.storage import parse_storage
from snakemake_executor_plugin_pbs_singularity.tracking.run_folder import make_run_folder

pytestmark = pytest.mark.filterwarnings("ignore:PULP_CBC_CMD")

IMAGE = Path("/library/a.sif")


def made(
    folder: Path,
    snakefile: str,
    resolve: Callable[[str], Resolved] = lambda _: Found(IMAGE, ImageKind.SIF),
    environment: dict[str, str] | None = None,
    nodes: Nodes = NOTHING_SAID,
    options: tuple[str, ...] = (),
    **settings: Any,
) -> tuple[dict[str, Task], Surroundings]:
    """Make the tasks of a Snakefile, by the names of their rules, and what they share."""
    site = Site(
        lambda: Pbs(Path("/no/pbs"), {"PATH": "/no"}, ""),
        environment or {},
        (),
        folder / "images",
        options,
        folder,
        nodes=nodes,
        storage=parse_storage(settings.get("storage"), "storage+"),
    )
    run_folder = make_run_folder(folder / "state")

    def look(executor: Any, jobs: list[Any]) -> tuple[dict[str, Task], Surroundings]:
        executor.executor_settings = ExecutorSettings(**settings)
        tasks = [make_task(job, executor, site, run_folder, resolve) for job in jobs]
        return {task.rule: task for task in tasks}, make_surroundings(executor, site, run_folder)

    tasks, surroundings = look_at(folder, snakefile, look, execution={"latency_wait": 7})
    return tasks, surroundings


SNAKEFILE = """
    envvars: "DECLARED"
    rule direct:
        output: "{sample}.txt", directory("{sample}.d")
        log: "{sample}.log"
        threads: 3
        resources: runtime=2, bundle=4
        shell: "echo {wildcards.sample} >{output[0]}"
    rule nested:
        input: "b.txt"
        output: "c.txt"
        benchmark: "c.tsv"
        shell: "cp {input} {output}"
    rule last:
        input: "c.txt"
        default_target: True
        shell: "true"
"""


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user with a variable that the workflow declares, and one that it does not."""
    monkeypatch.setenv("DECLARED", "a secret")
    monkeypatch.setenv("UNDECLARED", "another")


@pytest.mark.usefixtures("declared")
def test_a_task_carries_its_token_and_its_log_wherever_it_runs(tmp_path: Path) -> None:
    tasks, _ = made(tmp_path, SNAKEFILE)
    for task in tasks.values():
        assert task.work.token == task.token
        assert task.work.log == task.log
    assert len({task.token for task in tasks.values()}) == len(tasks)
    assert tasks["direct"].log.parent == tmp_path / "state" / "logs" / "direct"
    assert tasks["direct"].log.name == f"sample=b.{tasks['direct'].token}.log"


@pytest.mark.usefixtures("declared")
def test_a_direct_task_knows_its_files_and_its_command(tmp_path: Path) -> None:
    task = made(tmp_path, SNAKEFILE)[0]["direct"]
    assert isinstance(task.work, DirectTask)
    assert task.work.command.endswith("echo b >b.txt")
    assert (task.work.outputs, task.work.directories, task.work.logs) == (("b.txt", "b.d"), ("b.d",), ("b.log",))
    assert (task.work.threads, task.work.container, task.nested_because) == (3, None, None)
    assert (task.request.chunks, task.request.walltime, task.bundle) == ((Chunk(1, 3),), 120, 4)
    assert task.label == "rule direct (sample=b)"


@pytest.mark.usefixtures("declared")
def test_a_nested_task_has_its_description_with_it(tmp_path: Path) -> None:
    task = made(tmp_path, SNAKEFILE, bundle=2)[0]["nested"]
    assert isinstance(task.work, NestedTask)
    description = Description.from_json(task.work.description)
    assert [(target.rule, target.wildcards) for target in description.targets] == [("nested", {})]
    assert description.runtime is None
    assert task.nested_because == "its rule has a benchmark:"
    assert task.bundle == 2


@pytest.mark.usefixtures("declared")
def test_tasks_of_a_run_share_its_folders_and_what_the_workflow_declares_and_no_more(tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        _, surroundings = made(tmp_path, SNAKEFILE)
    finally:
        os.umask(umask)
    assert (surroundings.workdir, surroundings.umask, surroundings.latency_wait) == (tmp_path, 0o027, 7)
    assert surroundings.records.parent == surroundings.ended.parent
    assert surroundings.environment["DECLARED"] == "a secret"
    assert surroundings.environment["PATH"] == os.environ["PATH"]
    assert "UNDECLARED" not in surroundings.environment


def test_tasks_of_one_image_and_the_same_options_share_a_container_and_others_do_not(
    tmp_path: Path, container_environment: dict[str, str]
) -> None:
    rules = "".join(
        f"""
    rule {name}:
        output: "{name}.txt"
        container: "{image}"
        resources: container_args="{options}"
        shell: "touch {{output}}"
    """
        for name, image, options in [("a", "x", ""), ("b", "x", ""), ("c", "y", ""), ("d", "x", "--cleanenv")]
    )
    tasks, _ = made(
        tmp_path,
        f'{rules}\n    rule all:\n        default_target: True\n        input: expand("{{n}}.txt", n=list("abcd"))\n',
        lambda value: Found(Path("/library", value), ImageKind.SIF),
        container_environment,
    )
    boxes = {rule: task.work.container for rule, task in tasks.items() if isinstance(task.work, DirectTask)}
    assert boxes["a"] == boxes["b"]
    assert len({boxes["a"], boxes["c"], boxes["d"]}) == 3


@pytest.mark.parametrize("benchmark", ["", 'benchmark: "a.tsv"'])
def test_an_image_that_is_to_be_pulled_is_named_by_where_it_will_be(
    benchmark: str, tmp_path: Path, container_environment: dict[str, str]
) -> None:
    snakefile = f"""
    rule a:
        output: "a.txt"
        container: "docker://x"
        {benchmark}
        shell: "touch {{output}}"
    """
    missing = Missing("docker://x", Path("/store/x.sif"))
    (task,) = made(tmp_path, snakefile, lambda _: missing, container_environment)[0].values()
    assert task.missing == ("docker://x",)
    if isinstance(task.work, DirectTask):
        assert task.work.container is not None
        assert task.work.container.image == Path("/store/x.sif")
    else:
        assert json.loads(task.work.description)["images"] == {"docker://x": "/store/x.sif"}


# Options for GPUs


def test_a_job_that_asks_for_gpus_gets_the_option_for_nvidia() -> None:
    assert with_gpu_options(["--cleanenv"], ["--bind", "/a"], gpus=1) == ("--cleanenv", "--nv", "--bind", "/a")


def test_a_site_of_other_gpus_says_so_and_only_jobs_that_ask_for_one_get_it() -> None:
    assert with_gpu_options(["--rocm"], [], gpus=2) == ("--rocm",)
    assert with_gpu_options(["--rocm"], [], gpus=0) == ()


def test_what_a_rule_says_of_gpus_counts_whatever_it_asks_for() -> None:
    assert with_gpu_options(["--rocm"], ["--nv"], gpus=0) == ("--nv",)
    assert with_gpu_options([], ["--nvccli"], gpus=1) == ("--nvccli",)


def test_a_job_without_gpus_gets_no_option_for_them() -> None:
    assert with_gpu_options(["--cleanenv"], [], gpus=0) == ("--cleanenv",)


STORED = """
    rule uses:
        output: "out"
        container: "a"
        resources: pbs_storage="massdata/zz9"
        shell: "true"
"""


def test_a_job_asks_for_the_file_systems_of_its_files_its_image_and_what_its_rule_adds(
    tmp_path: Path, container_environment: dict[str, str]
) -> None:
    pairs = f"/g/data/*=gdata/*,/library=images,{tmp_path}=here"
    tasks, _ = made(tmp_path, STORED, environment=container_environment, storage=pairs)
    assert tasks["uses"].request.site == (("storage", "massdata/zz9+here+images"),)


def test_file_systems_are_asked_for_in_one_place_only(tmp_path: Path, container_environment: dict[str, str]) -> None:
    snakefile = STORED.replace('pbs_storage="massdata/zz9"', 'pbs_extra="-l storage=gdata/x"')
    with pytest.raises(WorkflowError, match="use instead the resource pbs_storage"):
        made(tmp_path, snakefile, environment=container_environment, storage=f"{tmp_path}=here")


# MPI


def started(folder: Path, environment: dict[str, str], rule: str, image: str = "a") -> Container:
    """Give the container that a rule's command runs in."""
    container = f'container: "{image}"'
    snakefile = f"""
    rule a:
        output: "a.txt"
        {container}
        {rule}
    """
    (task,) = made(folder, snakefile, environment=environment)[0].values()
    assert isinstance(task.work, DirectTask)
    assert task.work.container is not None
    return task.work.container


def test_mpi_starts_the_containers_of_a_rule_that_does_not_start_it_itself(
    tmp_path: Path, container_environment: dict[str, str]
) -> None:
    rule = """resources: nodes=2, tasks=8, mpi="mpiexec --bind-to 'a core'"
        shell: "simulate >{output}" """
    container = started(tmp_path, container_environment, rule)
    assert container.launcher == ("mpiexec", "--bind-to", "a core", "-n", "8")


def test_mpi_without_tasks_starts_as_many_as_it_finds(tmp_path: Path, container_environment: dict[str, str]) -> None:
    rule = """resources: mpi="mpiexec"
        shell: "simulate >{output}" """
    assert started(tmp_path, container_environment, rule).launcher == ("mpiexec",)


def test_mpi_in_a_command_stays_in_the_container_as_with_snakemake_itself(
    tmp_path: Path, container_environment: dict[str, str]
) -> None:
    rule = """resources: tasks=8, mpi="mpiexec"
        shell: "{resources.mpi} -n {resources.tasks} simulate >{output}" """
    assert started(tmp_path, container_environment, rule).launcher == ()


def test_mpi_in_the_container_of_a_command_for_several_nodes_is_refused(
    tmp_path: Path, container_environment: dict[str, str]
) -> None:
    rule = """resources: nodes=2, tasks=8, mpi="mpiexec"
        shell: "{resources.mpi} -n {resources.tasks} simulate >{output}" """
    with pytest.raises(WorkflowError, match=r"Rule a: .* leave \{resources.mpi\} and its options out of the command"):
        started(tmp_path, container_environment, rule)


def test_mpi_for_what_only_snakemake_can_start_is_refused(
    tmp_path: Path, container_environment: dict[str, str]
) -> None:
    rule = """resources: tasks=8, mpi="mpiexec"
        benchmark: "b.tsv"
        shell: "simulate >{output}" """
    with pytest.raises(WorkflowError, match=r"Rule a: mpi cannot start .*its rule has a benchmark:"):
        started(tmp_path, container_environment, rule)


# The container runtime of the nodes


OLD = Nodes(version="2.6.1")


def test_the_command_of_the_nodes_runs_the_rules(tmp_path: Path) -> None:
    nodes = Nodes(command="/opt/old/bin/singularity", version="3.8.7", setup="module load a")
    tasks, surroundings = made(tmp_path, 'rule a:\n    output: "a"\n    container: "a"\n    shell: "true"', nodes=nodes)
    work = tasks["a"].work
    assert isinstance(work, DirectTask)
    assert work.container is not None
    assert work.container.runtime == Path("/opt/old/bin/singularity")
    assert surroundings.node_setup == "module load a"


def test_a_nested_task_is_told_the_command_of_the_nodes(tmp_path: Path) -> None:
    snakefile = 'rule a:\n    output: "a"\n    container: "a"\n    run: pass'
    work = made(tmp_path, snakefile.replace("run: pass", 'shadow: "full"\n    shell: "true"'), nodes=OLD)[0]["a"].work
    assert isinstance(work, NestedTask)
    assert (work.runtime, Description.from_json(work.description).runtime) == ("singularity", "singularity")


@pytest.mark.parametrize("where", ["rule", "site"])
def test_an_option_that_the_nodes_lack_is_refused_by_rule_option_and_version(where: str, tmp_path: Path) -> None:
    args = 'resources: container_args="--env A=b"' if where == "rule" else ""
    snakefile = f'rule a:\n    output: "a"\n    container: "a"\n    {args}\n    shell: "true"'
    options = () if where == "rule" else ("--env", "A=b")
    with pytest.raises(ImageError, match=r"Rule a, .*: Singularity 2\.6\.1.* no option --env.*envvars:"):
        made(tmp_path, snakefile, nodes=OLD, options=options)
    made(tmp_path, snakefile, nodes=Nodes(version="3.8.7"), options=options)


def test_options_of_a_rule_without_a_container_need_no_runtime(tmp_path: Path) -> None:
    snakefile = 'rule a:\n    output: "a"\n    resources: container_args="--env A=b"\n    shell: "true"'
    made(tmp_path, snakefile, nodes=OLD)
    made(tmp_path, snakefile)


OUTPUTS = """
    rule some:
        output: "made", directory("folder"), touch("touched")
        shell: "true"
"""


@pytest.mark.parametrize(("there", "has_it"), [((), False), (("made",), False), (("made", "folder"), True)])
def test_a_job_has_its_output_when_all_is_there_but_what_snakemake_touches_itself(
    there: tuple[str, ...], has_it: bool, tmp_path: Path
) -> None:
    for name in there:
        (tmp_path / name).touch()
    assert look_at(tmp_path, OUTPUTS, lambda _, jobs: [has_its_output(job) for job in jobs]) == [has_it]


def test_of_a_group_temporary_output_need_not_be_there(tmp_path: Path) -> None:
    snakefile = """
    rule last:
        input: "between"
        output: "made"
        group: "together"
        shell: "true"
    rule first:
        output: temp("between")
        group: "together"
        shell: "true"
    """

    def look(_: Any, jobs: list[Any]) -> list[bool]:
        before = has_its_output(jobs[0])
        (tmp_path / "made").touch()
        return [before, has_its_output(jobs[0])]

    assert look_at(tmp_path, snakefile, look) == [False, True]
