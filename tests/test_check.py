"""What is found wrong with jobs before the first is submitted, and what cannot be known yet."""

from pathlib import Path
from typing import Any

import pytest
from snakemake_interface_common.exceptions import WorkflowError
from tasks.planned import look_at

from snakemake_executor_plugin_pbs_singularity.check import check_jobs
from snakemake_executor_plugin_pbs_singularity.pbs import Pbs
from snakemake_executor_plugin_pbs_singularity.settings import ExecutorSettings
from snakemake_executor_plugin_pbs_singularity.site import Site

pytestmark = pytest.mark.filterwarnings("ignore:PULP_CBC_CMD")


def check(folder: Path, snakefile: str) -> None:
    """Check all jobs of a Snakefile that are to run."""
    pbs = Pbs(Path("/no/pbs"), {"PATH": "/no"}, "")
    site = Site(lambda: pbs, {}, (), folder / "images", (), folder, leaves_queues=True)

    def look(executor: Any, _: list[Any]) -> str | None:
        try:
            check_jobs(executor.workflow.dag.needrun_jobs(), site, ExecutorSettings())
        except WorkflowError as error:
            return str(error)
        return None

    problem = look_at(folder, snakefile, look)
    if problem is not None:
        raise WorkflowError(problem)


def with_threads(threads: str) -> str:
    return f"""
    rule last:
        input: "cores"
        output: "last"
        threads: {threads}
        shell: "echo {{threads}} >{{output}}"
    rule first:
        output: "cores"
        shell: "echo 2 >{{output}}"
    """


def test_threads_that_are_read_from_a_file_not_made_yet_are_no_mistake(tmp_path: Path) -> None:
    check(tmp_path, with_threads("lambda wildcards, input: int(open(input[0]).read())"))


def test_threads_that_are_no_number_though_the_input_is_there_are_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "cores").write_text("2")
    with pytest.raises(WorkflowError, match="Threads must be given as an int"):
        check(tmp_path, with_threads('lambda wildcards: "two"'))


def test_threads_whose_function_fails_are_a_mistake_before_the_input_is_there(tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match="ZeroDivisionError"):
        check(tmp_path, with_threads("lambda wildcards: 1 // 0"))
