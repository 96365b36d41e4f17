"""The images of a workflow, as Snakemake understands it."""

from collections.abc import Sequence
from pathlib import Path

import click


def container_values(
    snakefile: Path | None = None, directory: Path | None = None, configfiles: Sequence[Path] = ()
) -> dict[str, tuple[str, ...]]:
    """Give the ``container:`` values of all jobs of a workflow, done or not, and the rules that have them.

    Without a Snakefile those are tried that ``snakemake`` tries. What only a checkpoint will tell is not known. Raises
    ClickException for a workflow that Snakemake cannot read; Snakemake has said why then.
    """
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, Quietness, ResourceSettings

    found: dict[str, set[str]] = {}
    with SnakemakeApi(OutputSettings(quiet={Quietness.PROGRESS, Quietness.RULES, Quietness.HOST})) as api:
        try:
            workflow_api = api.workflow(
                resource_settings=ResourceSettings(cores=1),
                config_settings=ConfigSettings(configfiles=[path.absolute() for path in configfiles]),
                snakefile=snakefile.absolute() if snakefile is not None else None,
                workdir=directory.absolute() if directory is not None else None,
            )
            workflow_api.dag(DAGSettings(forceall=True))
            workflow = workflow_api._workflow
            # What DAGApi.summary does before it prints; nothing public gives the jobs.
            workflow._prepare_dag(forceall=True, ignore_incomplete=True, lock_warn_only=True)
            workflow._build_dag()
            for job in workflow.dag.jobs:
                if job.container_img_url:
                    found.setdefault(job.container_img_url, set()).add(job.rule.name)
        except Exception as error:  # whatever a Snakefile can raise
            api.print_exception(error)
            raise click.ClickException("The workflow cannot be read; see above.") from error
    return {value: tuple(sorted(rules)) for value, rules in sorted(found.items())}
