"""Tasks made by hand, without a Snakemake job."""

from pathlib import Path
from typing import Any

from snakemake_executor_plugin_pbs_singularity.task import Task
from snakemake_executor_plugin_pbs_singularity.tasks.request import Request
from snakemake_executor_plugin_pbs_singularity.tasks.script import Container, DirectTask, NestedTask
from snakemake_executor_plugin_pbs_singularity.tracking.run_folder import new_token


def task(
    rule: str = "a",
    *,
    select: str = "1:ncpus=1",
    walltime: int | None = None,
    bundle: int = 1,
    image: str | None = None,
    nested: bool = False,
    log: Path = Path("/logs/a/job.log"),
    **request: Any,
) -> Task:
    """Make a task; with an image it runs in a container."""
    token = new_token()
    container = Container(Path("/bin/apptainer"), Path(image)) if image else None
    direct = DirectTask(token, log, "/bin/bash", "true", container, 1, "/tmp", (), (), (), ())
    return Task(
        job=object(),
        token=token,
        label=f"rule {rule} (sample={token})",
        rule=rule,
        request=Request((), select, walltime=walltime, **request),
        bundle=bundle,
        log=log,
        work=NestedTask(token, log, "python", "{}") if nested else direct,
        nested_because="it is nested" if nested else None,
        missing=(),
        job_digest=token,
        work_digest=token,
    )
