"""A Snakemake executor that runs nothing: it makes a job's outputs itself and says at once that the job is done.

What Snakemake takes with it is what Snakemake takes anyway, whatever runs the jobs. It is found by Snakemake when
the folder above it is on PYTHONPATH, as ``--executor null``.
"""

from pathlib import Path
from typing import Any

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.real import RealExecutor
from snakemake_interface_executor_plugins.settings import CommonSettings, ExecMode

common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=False,
    job_deploy_sources=False,
    pass_default_storage_provider_args=True,
    pass_default_resources_args=True,
    pass_envvar_declarations_to_cmd=False,
    auto_deploy_default_storage_provider=False,
)


class Executor(RealExecutor):  # type: ignore[misc]  # Snakemake's interfaces count as Any
    """Makes the outputs of each job, empty, and reports success."""

    def run_job(self, job: Any) -> None:
        """Do a job."""
        info = SubmittedJobInfo(job)
        self.report_job_submission(info)
        for path in job.output:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).touch()
        self.report_job_success(info)

    @property
    def cores(self) -> str:
        """Give what a remote executor gives."""
        return "all"

    def get_exec_mode(self) -> ExecMode:
        """Jobs run elsewhere, if they run."""
        return ExecMode.REMOTE

    def get_python_executable(self) -> str:
        """No job starts a Python."""
        raise NotImplementedError

    def shutdown(self) -> None:
        """There is nothing to end."""

    def cancel(self) -> None:
        """There is nothing to cancel."""
