"""The spine: jobs in, tasks planned, images ensured, batches submitted, outcomes reported."""

import os
import time
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import AbstractExecutor, SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.settings import CommonSettings

from .array_limits import ArrayLimits
from .batch import Batch, form_batches, write_batch
from .check import check_jobs, point_out_moving_tags
from .collecting import Collector
from .images import ImageError, Pulls
from .pbs import ErrorKind, JobStatus, PbsError, Verdict, delete, status, submit
from .reporting.failure import explain, failure_message
from .site import Site, find_site
from .task import Resolve, Task, make_surroundings, make_task
from .tasks.script import Surroundings
from .tracking.run_folder import RunFolder, make_run_folder, remove_if_empty
from .tracking.witness import ExitRecord, Over, judge, take_records, was_untouched
from .watch import PbsJob, SubmittedBatch, Watch, submitted_batch

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


@dataclass(frozen=True)
class Submitted:
    """A task that PBS has."""

    token: str
    info: SubmittedJobInfo
    log: Path
    pbs_job: PbsJob
    batch: SubmittedBatch

    @property
    def status(self) -> JobStatus | None:
        """Give what PBS last said of it, unless that is said of a whole bundle."""
        return None if self.pbs_job.is_bundle else self.pbs_job.status


class Executor(RemoteExecutor):
    """Runs Snakemake jobs as PBS jobs, their commands in the containers that their rules name."""

    def __init__(self, workflow: Any, logger: Any) -> None:
        # The base class starts the thread that calls check_active_jobs: what that reads is made before.
        self._submitted: dict[str, Submitted] = {}
        self._records: dict[str, ExitRecord] = {}
        self._pulls = Pulls(self._pull)
        self._waiting: SimpleQueue[Task] = SimpleQueue()
        self._collector = Collector(self._submit, lambda error: self.workflow.scheduler.executor_error_callback(error))
        super().__init__(workflow, logger)

    def __post_init__(self) -> None:
        """Find out about the site and check all jobs, so that a bad request fails before any is submitted."""
        if self.workflow.remote_execution_settings.immediate_submit:
            raise WorkflowError(
                "--immediate-submit does not go with the executor pbs-singularity: leave it out. Jobs are submitted "
                "as soon as their input is there."
            )
        state = Path(".snakemake", "pbs-singularity").absolute()
        jobs = [job for job in self.dag.needrun_jobs() if not job.is_local]
        self._site: Site = find_site(self.executor_settings, state, os.environ, sources=Path(self.workflow.basedir))
        check_jobs(jobs, self._site, self.executor_settings)
        point_out_moving_tags(jobs, self._site, self.logger.warning)
        self._folder: RunFolder = make_run_folder(state)
        self._surroundings: Surroundings = make_surroundings(self, self._site, self._folder)
        self._limits = ArrayLimits(self._site.pbs, self.executor_settings.max_array_size, self.logger.debug)
        least = float(self.workflow.remote_execution_settings.seconds_between_status_checks)
        self._watch: Watch = Watch(self._site.pbs, least, self._say, self.logger.warning)
        self._say(f"{self._site.pbs_in_words} runs the jobs; their logs are in {self._folder.logs}.")
        if any(job.container_img_url for job in jobs):
            self._say(f"{self._site.runtime} runs their containers; Snakemake's own integration is not needed.")

    def run_jobs(self, jobs: list[Any]) -> None:
        """Have the jobs that are ready submitted; those that still need an image wait for it, the others do not."""
        resolve = cache(self._site.resolve)
        ready = []
        for job in jobs:
            self.run_job_pre(job)
            task = self._planned(job, resolve)
            if task is None:
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
        self._submit_waiting()
        if not active_jobs:
            return
        self._take_records()
        active = self._not_cancelled(active_jobs)
        recorded = [one for one in active if one.token in self._records] if self._records else []
        self._report([(one, Over(self._records.pop(one.token), one.status)) for one in recorded])
        self._watch.look()
        self._judge([one for one in active if one.pbs_job.over_since is not None and one.token in self._submitted])
        for one in active:
            if one.token in self._submitted:
                yield one.info

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        """Delete all jobs of this run from PBS, arrays whole."""
        self._pulls.stop()
        self._collector.stop()
        ids = list(self._watch.batches)
        if not ids:
            return
        tasks = len(self._submitted)
        self._say(f"Deleting {_count(len(ids), 'PBS job')} with {_count(tasks, 'task')}.")
        try:
            delete(self._site.pbs, ids)
        except PbsError as error:
            self.logger.error(f"Jobs may be left in PBS: {error}\nDelete them with: qdel {' '.join(ids)}")
        else:
            self._submitted.clear()

    def shutdown(self) -> None:
        """End the threads and remove what only this run needed."""
        self._collector.stop()
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
                if self._collector.stopped.is_set():
                    return
                self._submit_batch(smaller)

    def _submit_batch(self, batch: Batch) -> None:
        """Submit a batch, as single jobs if PBS takes those but not the array; refuse its tasks if it takes neither."""
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
        """Write the files of a batch and submit it. Raises PbsError."""
        try:
            submission = write_batch(batch, self._surroundings, self._folder, self.executor_settings.max_running)
        except OSError as error:
            raise PbsError(ErrorKind.OTHER, str(error)) from error
        submitted_as = submitted_batch(batch, submit(self._site.pbs, submission), self._folder)
        self._watch.add(submitted_as)
        for bundle, pbs_job in zip(batch.bundles, list(submitted_as.jobs.values()), strict=True):
            for task in bundle:
                info = SubmittedJobInfo(task.job, external_jobid=pbs_job.id, aux={"token": task.token})
                self._submitted[task.token] = Submitted(task.token, info, task.log, pbs_job, submitted_as)
                self._say(f"{task.label} is PBS job {pbs_job.id}, log {task.log}")
                self.report_job_submission(info)

    def _refuse_batch(self, batch: Batch, error: PbsError) -> None:
        hint = f" It asked for the runtime of {batch.longest} tasks: lower bundle." if batch.longest > 1 else ""
        self._refuse([task.job for task in batch.tasks], f"{error}{hint}", uncertain=error.uncertain)

    def _refuse(self, jobs: Iterable[Any], why: str, *, uncertain: bool = False) -> None:
        """Report jobs that cannot be submitted as failed, and them alone."""
        what = "It is not known whether the job was submitted." if uncertain else "The job was not submitted."
        for job in jobs:
            self.report_job_error(SubmittedJobInfo(job), msg=f"{what} {why}")

    def _not_cancelled(self, active_jobs: list[SubmittedJobInfo]) -> list[Submitted]:
        """Give what is known of active jobs, less those that are reported or that another thread has cancelled."""
        tokens = ((info.aux or {})["token"] for info in active_jobs)
        return [submitted for token in tokens if (submitted := self._submitted.get(token)) is not None]

    def _take_records(self) -> None:
        """Read the exit records that have come; look less often where that takes long."""
        start = time.monotonic()
        self._records.update(take_records(self._folder.records))
        took = time.monotonic() - start
        self.next_seconds_between_status_checks = min(max(QUICKEST_POLL, took / SHARE_OF_TIME), SLOWEST_POLL)

    def _judge(self, unrecorded: list[Submitted]) -> None:
        """Report those of these tasks, which PBS calls over, whose record need not be waited for any longer."""
        now = time.monotonic()
        over, untouched = [], []
        for one in unrecorded:
            pbs_job = one.pbs_job
            outcome = judge(pbs_job.status, pbs_job.seconds_over(now), self._grace, bundled=pbs_job.is_bundle)
            if outcome is None:
                continue
            if was_untouched(outcome, one.token, pbs_job.tokens):
                untouched.append(one)
            else:
                over.append((one, outcome))
        self._report(over)
        self._submit_again(untouched)

    def _submit_again(self, untouched: list[Submitted]) -> None:
        """Submit tasks again that have not begun, as PBS ended their bundle while another of its tasks ran."""
        if not untouched:
            return
        self._say(f"{_count(len(untouched), 'task')} of bundles that PBS ended had not begun: submitted again.")
        self._forget(untouched)
        resolve = cache(self._site.resolve)
        tasks = (self._planned(one.info.job, resolve) for one in untouched)
        self._collector.put(task for task in tasks if task is not None)

    def _forget(self, known: Iterable[Submitted]) -> None:
        for one in known:
            self._submitted.pop(one.token, None)
            self._watch.done(one.batch, one.pbs_job, one.token)

    def _report(self, outcomes: list[tuple[Submitted, Over]]) -> None:
        """Tell Snakemake how tasks ended."""
        self._forget(one for one, _ in outcomes)
        failed = [(one, over) for one, over in outcomes if not over.succeeded]
        for one, over in outcomes:
            if over.succeeded:
                for log in (one.log, one.pbs_job.log):
                    remove_if_empty(log)
                self.report_job_success(one.info)
        for one, over in self._with_pbs_words(failed):
            verdict: Verdict = explain(over, self._grace, one.pbs_job.size)
            present = [log for log in (one.log, one.pbs_job.log) if log.exists() and log.stat().st_size]
            message = failure_message(verdict, present)
            self.report_job_error(one.info, msg=message, aux_logs=[str(log) for log in present])

    def _with_pbs_words(self, failed: list[tuple[Submitted, Over]]) -> list[tuple[Submitted, Over]]:
        """Add what PBS says of failed tasks, asked for all at once: what they used, who deleted them.

        Of a bundle it can only say what all its tasks did together.
        """
        ids = [one.pbs_job.id for one, over in failed if over.status is None and not one.pbs_job.is_bundle]
        if not ids:
            return failed
        try:
            said = status(self._site.pbs, ids)
        except PbsError as error:
            self.logger.debug(f"PBS says nothing of {', '.join(ids)}: {error}")
            return failed
        return [(one, Over(over.record, over.status or said.get(one.pbs_job.id))) for one, over in failed]

    def _say(self, text: str) -> None:
        self.logger.info(text)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
