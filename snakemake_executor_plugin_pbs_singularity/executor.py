"""The spine: jobs in, tasks planned, images ensured, batches submitted, outcomes reported."""

import os
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import AbstractExecutor, SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.settings import CommonSettings, DeploymentMethod

from .adoption import Left, find_left_overs
from .array_limits import ArrayLimits
from .batch import Batch, form_batches
from .cancelling import cancel_all
from .check import check_jobs, check_local_jobs, point_out_moving_tags
from .collecting import Collector
from .contact import Contact
from .images import ImageError, Pulls
from .pbs import ErrorKind, PbsError, Verdict
from .reporting.failure import explain, failure_message
from .site import Site, containers_may_run_here, find_site
from .task import Resolve, Task, has_its_output, make_surroundings, make_task
from .tasks.planning import jobs_in
from .text import count
from .tracker import Outcome, Submitted, Tracker
from .tracking.ledger import LEDGER_NAME, open_ledger
from .tracking.run_folder import STATE, RunFolder, has_words, make_run_folder, remove_if_empty
from .tracking.witness import patience
from .watch import Watch

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


class Executor(RemoteExecutor):
    """Runs Snakemake jobs as PBS jobs, their commands in the containers that their rules name."""

    def __init__(self, workflow: Any, logger: Any) -> None:
        # The base class starts the thread that calls check_active_jobs: what that reads is made before.
        self._pulls = Pulls(self._pull)
        self._waiting: SimpleQueue[Task] = SimpleQueue()
        self._collector = Collector(self._submit, lambda error: self.workflow.scheduler.executor_error_callback(error))
        self._is_set_up = False
        self._is_cancelled = False
        super().__init__(workflow, logger)

    def __post_init__(self) -> None:
        """Find out about the site and check all jobs, so that a bad request fails before any is submitted."""
        if self.workflow.remote_execution_settings.immediate_submit:
            raise WorkflowError(
                "--immediate-submit does not go with the executor pbs-singularity: leave it out. Jobs are submitted "
                "as soon as their input is there."
            )
        state = STATE.absolute()
        needed = list(self.dag.needrun_jobs())
        jobs = [job for job in needed if not job.is_local]
        self._site: Site = find_site(self.executor_settings, state, os.environ, sources=Path(self.workflow.basedir))
        check_jobs(jobs, self._site, self.executor_settings, self._say)
        check_local_jobs(
            (job for job in needed if job.is_local),
            DeploymentMethod.APPTAINER in self.workflow.deployment_settings.deployment_method,
            containers_may_run_here(self.executor_settings, os.environ),
        )
        point_out_moving_tags(jobs, self._site, self.logger.warning)
        try:
            self._folder: RunFolder = make_run_folder(state)
            self._tracker: Tracker = self._start_tracking(state)
        except OSError as error:
            raise WorkflowError(
                f"{error}: nothing can be written to {state}. Is the disk full, or your share?"
            ) from error
        self._say(f"{self._site.pbs_in_words} runs the jobs; their logs are in {self._folder.logs}.")
        if any(job.container_img_url for job in jobs):
            self._say(f"{self._site.runtime} runs their containers; Snakemake's own integration is not needed.")
        self._is_set_up = True

    def run_jobs(self, jobs: list[Any]) -> None:
        """Have the jobs that are ready submitted; those that still need an image wait for it, the others do not."""
        resolve = cache(self._site.resolve)
        ready = []
        for job in jobs:
            self.run_job_pre(job)
            task = self._planned(job, resolve)
            if task is None or self._takes_over(task):
                continue
            if task.missing:
                self._pulls.start(task.missing)
                self._waiting.put(task)
            else:
                ready.append(task)
        self._collector.put(ready)

    def run_job(self, job: Any) -> None:
        """Have one job that is ready submitted."""
        self.run_jobs([job])

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Report the jobs that are over, and give back the others; submit those whose images have come."""
        self.next_seconds_between_status_checks = QUICKEST_POLL
        if not self._is_set_up or self._is_cancelled:
            return
        self._submit_waiting()
        if replaced := self._tracker.replaced():
            self._collector.put(replaced)
        if not active_jobs:
            return
        tokens = [(info.aux or {})["token"] for info in active_jobs]
        self._report(self._recorded(tokens))
        self._tracker.watch.look()
        if self._is_cancelled:  # what PBS says is over now may have been deleted by this run
            return
        outcomes, again = self._tracker.judged(tokens)
        self._report(outcomes)
        self._submit_again(again)
        for token, info in zip(tokens, active_jobs, strict=True):
            if token in self._tracker.submitted:  # it is neither reported nor cancelled
                yield info

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        """Delete all jobs of this run from PBS, arrays whole, and wait until it says that they are gone."""
        self._is_cancelled = True
        self._pulls.stop()
        cancel_all(self._tracker, self._collector.stop, self._say, self.logger.error)

    def shutdown(self) -> None:
        """End the threads and remove what only this run needed."""
        if self._is_cancelled:  # what is left in PBS has been said
            with suppress(KeyboardInterrupt):
                super().shutdown()
            return
        self._collector.stop()
        super().shutdown()
        if self._tracker.submitted:
            left = count(len(self._tracker.submitted), "task")
            self._say(f"{left} may go on in PBS: the next run here takes them over. `pbs-singularity jobs` lists them.")
        elif not self._tracker.is_in_doubt:
            self._tracker.close()

    def print_job_error(self, job_info: SubmittedJobInfo, msg: str | None = None, **details: Any) -> None:
        """Print a job's error without the base class's hint at a cluster's log: the message names the logs."""
        if job_info.external_jobid is not None:
            details["external_jobid"] = job_info.external_jobid
        if job_info.job.is_group():  # for which Snakemake shows neither message nor id
            pbs_job = f" (PBS job {job_info.external_jobid})" if job_info.external_jobid is not None else ""
            self.logger.error(f"Group {job_info.job.groupid}{pbs_job} failed. {msg or ''}".rstrip())
        AbstractExecutor.print_job_error(self, job_info, msg, **details)

    @property
    def _grace(self) -> float:
        return float(self.workflow.execution_settings.latency_wait)

    def _planned(self, job: Any, resolve: Resolve) -> Task | None:
        """Make the task of a job; a job for which that fails is reported, the others go on."""
        try:
            task = make_task(job, self, self._site, self._folder, resolve)
        except (WorkflowError, ImageError) as error:
            self._refuse([job], str(error))
            return None
        self.logger.debug(f"{task.label} runs {'nested: ' + task.nested_because if task.nested_because else 'direct'}.")
        return task

    def _pull(self, uri: str, stop: Event) -> None:
        self._site.pull(uri, self._say, stop)

    def _submit_waiting(self) -> None:
        """Submit the tasks whose images have come, refuse those whose image cannot be had."""
        ready = []
        for _ in range(self._waiting.qsize()):
            task = self._waiting.get()
            error = self._pulls.error_of(task.missing)
            if error is not None:
                self._refuse([task.job], str(error))
            elif self._pulls.are_done(task.missing):
                ready.append(task)
            else:
                self._waiting.put(task)
        if ready:
            self._collector.put(ready)

    def _submit(self, tasks: list[Task]) -> None:
        """Submit tasks that became ready together, alike ones as arrays."""
        for batch in form_batches(tasks, self._limits.most):
            for smaller in batch.cut(self._limits.most(batch.request)):  # meanwhile arrays may have been refused
                self._submit_batch(smaller)

    def _submit_batch(self, batch: Batch) -> None:
        """Submit a batch, as single jobs if PBS takes those but not the array; refuse its tasks if it takes neither.

        When the run stops, nothing more is submitted.
        """
        if self._collector.stopped.is_set():
            return
        try:
            self._give_to_pbs(batch)
        except PbsError as error:
            first, *others = batch.cut(1)
            if error.kind is not ErrorKind.REFUSED or not others:
                self._refuse_batch(batch, error)
                return
            try:
                self._give_to_pbs(first)
            except PbsError as error_of_single:
                self._refuse_batch(batch, error_of_single)
                return
            queue = batch.request.queue
            self._limits.allow_none(queue)
            self._say(
                f"{f'The queue {queue}' if queue else 'PBS'} takes no arrays, only single jobs from now on. {error}"
            )
            for other in others:
                self._submit_batch(other)

    def _give_to_pbs(self, batch: Batch) -> None:
        """Submit a batch. Raises PbsError."""
        for task in batch.tasks:
            self._mark_as_begun(task)
        for submitted in self._tracker.submit(batch, self.executor_settings.max_running):
            self._say(f"{submitted.label} is PBS job {submitted.pbs_job.id}, log {submitted.log}")
            self.report_job_submission(_info(submitted), register_job=False)

    def _mark_as_begun(self, task: Task) -> None:
        """Have Snakemake know, before PBS can start it, that the output of a job is not to be trusted until it ends."""
        try:
            task.job.register(external_jobid=task.token)
        except OSError as error:
            self.logger.warning(f"{task.label}: Snakemake cannot note down that it begins: {error}")

    def _takes_over(self, task: Task) -> bool:
        """Let what an earlier run has left of the same job in PBS go on, or have it make way for this task."""

        def is_marked(token: str) -> bool:
            return any(token in self.workflow.persistence.external_jobids(job) for job in jobs_in(task.job))

        def counts(left: Left) -> bool:
            """Tell whether its end is news to Snakemake, and nobody has removed meanwhile what it made."""
            return (not left.was_noted or is_marked(left.task.token)) and has_its_output(task.job)

        old = self._tracker.take_over(task, counts)
        if isinstance(old, Submitted):
            self._say(f"{old.label} goes on as PBS job {old.pbs_job.id}, log {old.log}")
            self.report_job_submission(_info(old), register_job=False)
        elif old is not None:
            self._say(f"{task.label} has changed: PBS job {', '.join(old.old)} is deleted first.")
        return old is not None

    def _start_tracking(self, state: Path) -> Tracker:
        """Open the ledger, and find what earlier runs have left in PBS."""
        least = float(self.workflow.remote_execution_settings.seconds_between_status_checks)
        ledger = open_ledger(state / LEDGER_NAME, Path.cwd())
        contact = Contact(self._say, self.logger.warning)
        self._limits = ArrayLimits(self._site.survey, self.executor_settings.max_array_size, contact)
        return Tracker(
            pbs=self._site.pbs,
            surroundings=make_surroundings(self, self._site, self._folder),
            folder=self._folder,
            ledger=ledger,
            left=find_left_overs(ledger, self._site.pbs, state, self._say),
            watch=Watch(
                self._site.pbs, least, contact, self.logger.warning, 60 * self.executor_settings.never_run_minutes
            ),
            contact=contact,
            stopped=self._collector.stopped,
            warn=self.logger.warning,
            grace=self._grace,
        )

    def _refuse_batch(self, batch: Batch, error: PbsError) -> None:
        hint = f" It asked for the runtime of {batch.longest} tasks: lower bundle." if batch.longest > 1 else ""
        self._refuse([task.job for task in batch.tasks], f"{error}{hint}", uncertain=error.uncertain)

    def _refuse(self, jobs: Iterable[Any], why: str, *, uncertain: bool = False) -> None:
        """Report jobs that cannot be submitted as failed, and them alone."""
        what = "It is not known whether the job was submitted." if uncertain else "The job was not submitted."
        for job in jobs:
            self.report_job_error(SubmittedJobInfo(job), msg=f"{what} {why}")

    def _recorded(self, tokens: list[str]) -> list[Outcome]:
        """Give how tasks ended that left exit records; look for them less often where that takes long."""
        start = time.monotonic()
        outcomes = self._tracker.recorded(tokens)
        took = time.monotonic() - start
        self.next_seconds_between_status_checks = min(max(QUICKEST_POLL, took / SHARE_OF_TIME), SLOWEST_POLL)
        return outcomes

    def _submit_again(self, tasks: list[Submitted]) -> None:
        """Submit tasks again that have not failed: they never began, or were lost while no run watched."""
        if not tasks:
            return
        lost = sum(one.pbs_job.to_repeat for one in tasks)
        if lost:
            self._say(f"{count(lost, 'task')} of earlier runs did not end in PBS: submitted again.")
        if len(tasks) > lost:
            untouched = count(len(tasks) - lost, "task")
            self._say(f"{untouched} of bundles that PBS ended had not begun: submitted again.")
        resolve = cache(self._site.resolve)
        planned = (self._planned(one.job, resolve) for one in tasks)
        self._collector.put(task for task in planned if task is not None)

    def _report(self, outcomes: list[Outcome]) -> None:
        """Tell Snakemake how tasks ended."""
        failed = [(one, over) for one, over in outcomes if not over.succeeded]
        for one, over in outcomes:
            if over.succeeded:
                for log in (one.log, one.pbs_job.log):
                    remove_if_empty(log)
                self.report_job_success(_info(one))
        for one, over in self._tracker.explained(failed):
            grace = patience(over.status, self._grace) if over.status is not None else self._grace
            verdict: Verdict = explain(over, grace, one.pbs_job.size, one.image, one.log, one.pbs_job.refused)
            logs = [one.log, one.pbs_job.log]
            written = [str(log) for log in logs if has_words(log)]
            self.report_job_error(_info(one), msg=failure_message(verdict, logs), aux_logs=written)

    def _say(self, text: str) -> None:
        self.logger.info(text)


def _info(submitted: Submitted) -> SubmittedJobInfo:
    return SubmittedJobInfo(submitted.job, external_jobid=submitted.pbs_job.id, aux={"token": submitted.token})
