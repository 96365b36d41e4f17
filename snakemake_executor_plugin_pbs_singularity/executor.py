"""The spine: jobs in, tasks planned, images ensured, jobs submitted, outcomes reported."""

import os
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import AbstractExecutor, SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.settings import CommonSettings

from .check import check_jobs, point_out_moving_tags
from .images import ImageError, Pulls
from .pbs import (
    ErrorKind,
    JobStatus,
    PbsError,
    Submission,
    Verdict,
    delete,
    explain_waiting,
    job_name,
    status,
    submit,
)
from .reporting.failure import explain, failure_message
from .site import Site, find_site
from .task import Task, make_task
from .tasks.request import qsub_arguments
from .tasks.script import submitted_script
from .tracking.run_folder import RunFolder, make_run_folder, remove_if_empty, write_private
from .tracking.witness import ExitRecord, Over, is_over, judge, take_records

common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=False,
    job_deploy_sources=False,
    pass_default_storage_provider_args=True,
    pass_default_resources_args=True,
    pass_envvar_declarations_to_cmd=False,
    auto_deploy_default_storage_provider=False,
)

QUICKEST_POLL = 0.5
"""Seconds between two looks at the exit records, at least."""
SLOWEST_POLL = 5.0
SHARE_OF_TIME = 0.05
"""The part of the time that looking at the exit records may take on a slow file system."""


@dataclass
class Submitted:
    """A task that PBS has, and what PBS last said of it."""

    task: Task
    info: SubmittedJobInfo
    status: JobStatus | None = None
    over_since: float | None = None
    warned: set[str] = field(default_factory=set)


class Executor(RemoteExecutor):
    """Runs Snakemake jobs as PBS jobs, their commands in the containers that their rules name."""

    def __init__(self, workflow: Any, logger: Any) -> None:
        # The base class starts the thread that calls check_active_jobs: what that reads is made before.
        self._submitted: dict[str, Submitted] = {}
        self._records: dict[str, ExitRecord] = {}
        self._pulls = Pulls(self._pull)
        self._waiting: SimpleQueue[Task] = SimpleQueue()
        self._asked_pbs = time.monotonic()
        self._server_is_away = False
        super().__init__(workflow, logger)

    def __post_init__(self) -> None:
        """Find out about the site and check all jobs, so that a bad request fails before any is submitted."""
        if self.workflow.remote_execution_settings.immediate_submit:
            raise WorkflowError(
                "--immediate-submit does not go with the executor pbs-singularity: leave it out. Jobs are submitted "
                "as soon as their input is there."
            )
        self.next_seconds_between_status_checks = QUICKEST_POLL
        state = Path(".snakemake", "pbs-singularity").absolute()
        jobs = [job for job in self.dag.needrun_jobs() if not job.is_local]
        self._site: Site = find_site(self.executor_settings, state, os.environ, sources=Path(self.workflow.basedir))
        check_jobs(jobs, self._site, self.executor_settings)
        point_out_moving_tags(jobs, self._site, self.logger.warning)
        self._folder: RunFolder = make_run_folder(state)
        self._say(f"{self._site.pbs_in_words} runs the jobs; their logs are in {self._folder.logs}.")
        if any(job.container_img_url for job in jobs):
            self._say(f"{self._site.runtime} runs their containers; Snakemake's own integration is not needed.")

    def run_jobs(self, jobs: list[Any]) -> None:
        """Submit the jobs that are ready; those that still need an image wait for it, the others do not."""
        for job in jobs:
            self.run_job_pre(job)
            task = self._planned(job)
            if task is None:
                continue
            if task.missing:
                self._pulls.start(task.missing)
                self._waiting.put(task)
            else:
                self._submit(task)

    def run_job(self, job: Any) -> None:
        """Submit one job that is ready."""
        self.run_jobs([job])

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Report the jobs that are over, and give back the others; submit those whose images have come."""
        self._submit_waiting()
        start = time.monotonic()
        if active_jobs:
            self._records.update(take_records(self._folder.records))
        self.next_seconds_between_status_checks = min(
            max(QUICKEST_POLL, (time.monotonic() - start) / SHARE_OF_TIME), SLOWEST_POLL
        )
        tokens = [(info.aux or {})["token"] for info in active_jobs]
        if active_jobs and start - self._asked_pbs >= self._seconds_between_questions:
            self._ask_pbs([token for token in tokens if token not in self._records])
        for token, info in zip(tokens, active_jobs, strict=True):
            submitted = self._submitted.get(token)
            if submitted is None:  # cancelled meanwhile
                continue
            over_for = start - submitted.over_since if submitted.over_since is not None else 0.0
            over = judge(self._records.pop(token, None), submitted.status, over_for, self._grace)
            if over is None:
                yield info
            else:
                self._report(submitted, over)

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        """Delete all jobs of this run from PBS; also those that are being looked at, which are not among the active."""
        self._pulls.stop()
        ids = [str(submitted.info.external_jobid) for submitted in list(self._submitted.values())]
        if not ids:
            return
        self._say(f"Deleting {len(ids)} PBS job{'s' if len(ids) > 1 else ''}.")
        try:
            delete(self._site.pbs, ids)
        except PbsError as error:
            self.logger.error(f"Jobs may be left in PBS: {error}\nDelete them with: qdel {' '.join(ids)}")
        else:
            self._submitted.clear()

    def shutdown(self) -> None:
        """End the status thread and remove what only this run needed."""
        super().shutdown()
        if not self._submitted:
            self._folder.remove()

    def print_job_error(self, job_info: SubmittedJobInfo, msg: str | None = None, **details: Any) -> None:
        """Print a job's error without the base class's hint at a cluster's log: the message names the logs."""
        if job_info.external_jobid is not None:
            details["external_jobid"] = job_info.external_jobid
        if job_info.job.is_group():  # for which Snakemake shows neither message nor id
            pbs_job = f" (PBS job {job_info.external_jobid})" if job_info.external_jobid is not None else ""
            self.logger.error(f"Group {job_info.job.groupid}{pbs_job} failed. {msg or ''}".rstrip())
        AbstractExecutor.print_job_error(self, job_info, msg, **details)

    @property
    def _seconds_between_questions(self) -> float:
        return float(self.workflow.remote_execution_settings.seconds_between_status_checks)

    @property
    def _grace(self) -> float:
        return float(self.workflow.execution_settings.latency_wait)

    def _planned(self, job: Any) -> Task | None:
        """Make the task of a job; a job for which that fails is reported, the others go on."""
        try:
            task = make_task(job, self, self._site, self._folder)
        except (WorkflowError, ImageError) as error:
            self._refuse(job, str(error))
            return None
        self.logger.debug(f"{task.label} runs {'nested: ' + task.nested_because if task.nested_because else 'direct'}.")
        return task

    def _pull(self, uri: str, stop: Event) -> None:
        self._site.pull(uri, self._say, stop)

    def _submit_waiting(self) -> None:
        """Submit the tasks whose images have come, refuse those whose image cannot be had."""
        for _ in range(self._waiting.qsize()):
            task = self._waiting.get()
            error = self._pulls.error_of(task.missing)
            if error is not None:
                self._refuse(task.job, str(error))
            elif self._pulls.are_done(task.missing):
                self._submit(task)
            else:
                self._waiting.put(task)

    def _submit(self, task: Task) -> None:
        """Write the files of a task and submit it."""
        try:
            script = self._folder.script(task.token)
            if task.description is not None:
                write_private(self._folder.description(task.token), task.description)
            write_private(script, task.script)
            small = self._folder.scripts / f"{task.token}.pbs"
            write_private(small, submitted_script(task.label, script))
            submission = Submission(
                script=small,
                name=job_name(f"{task.rule}-{task.token}"),
                output=self._folder.pbs_log(task.token),
                arguments=qsub_arguments(task.request),
                workdir=self._site.workdir,
            )
            task.log.parent.mkdir(mode=0o700, exist_ok=True)
            pbs_id = submit(self._site.pbs, submission)
        except PbsError as error:
            self._refuse(task.job, str(error), uncertain=error.uncertain)
            return
        except OSError as error:
            self._refuse(task.job, str(error))
            return
        info = SubmittedJobInfo(task.job, external_jobid=pbs_id, aux={"token": task.token})
        self._submitted[task.token] = Submitted(task, info)
        self._say(f"{task.label} is PBS job {pbs_id}, log {task.log}")
        self.report_job_submission(info)

    def _refuse(self, job: Any, why: str, *, uncertain: bool = False) -> None:
        """Report a job that cannot be submitted as failed, and it alone."""
        what = "It is not known whether the job was submitted." if uncertain else "The job was not submitted."
        self.report_job_error(SubmittedJobInfo(job), msg=f"{what} {why}")

    def _ask_pbs(self, tokens: list[str]) -> None:
        """Ask PBS about jobs without a record. An answer that does not come says nothing of any job."""
        self._asked_pbs = time.monotonic()
        submitted = [self._submitted[token] for token in tokens if token in self._submitted]
        by_id = {str(one.info.external_jobid): one for one in submitted}
        try:
            statuses = status(self._site.pbs, list(by_id))
        except PbsError as error:
            if not self._server_is_away:
                self.logger.warning(f"PBS does not say how the jobs are; they count as running. {error}")
            self._server_is_away = True
            return
        if self._server_is_away:
            self._say("PBS answers again.")
        self._server_is_away = False
        for pbs_id, job_status in statuses.items():
            self._note(by_id[pbs_id], job_status)

    def _note(self, submitted: Submitted, job_status: JobStatus) -> None:
        """Remember what PBS says of a job, and say once what keeps it from starting."""
        submitted.status = job_status
        if not is_over(job_status):
            submitted.over_since = None
        elif submitted.over_since is None:
            submitted.over_since = time.monotonic()
        waiting = explain_waiting(job_status)
        if waiting is not None and waiting.problem not in submitted.warned:
            submitted.warned.add(waiting.problem)
            self.logger.warning(f"{submitted.task.label} (PBS job {submitted.info.external_jobid}): {waiting}")

    def _report(self, submitted: Submitted, over: Over) -> None:
        """Tell Snakemake how a task ended."""
        task = submitted.task
        self._submitted.pop(task.token, None)
        logs = [task.log, self._folder.pbs_log(task.token)]
        if over.succeeded:
            for log in logs:
                remove_if_empty(log)
            self.report_job_success(submitted.info)
            return
        over = self._with_pbs_words(submitted, over)
        verdict: Verdict = explain(over, self._grace)
        present = [log for log in logs if log.exists() and log.stat().st_size]
        self.report_job_error(
            submitted.info, msg=failure_message(verdict, present), aux_logs=[str(log) for log in present]
        )

    def _with_pbs_words(self, submitted: Submitted, over: Over) -> Over:
        """Add what PBS says of a failed task, if it says anything: what it used, who deleted it."""
        if over.status is not None:
            return over
        pbs_id = str(submitted.info.external_jobid)
        try:
            return Over(over.record, status(self._site.pbs, [pbs_id]).get(pbs_id))
        except PbsError as error:
            if error.kind is not ErrorKind.UNREACHABLE:
                self.logger.debug(f"PBS says nothing of job {pbs_id}: {error}")
            return over

    def _say(self, text: str) -> None:
        self.logger.info(text)
