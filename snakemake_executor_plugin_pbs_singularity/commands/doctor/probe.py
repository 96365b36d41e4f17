"""The probe job: submitted, waited for, listened to, and gone before the doctor ends, whatever happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ...pbs import (
    JobStatus,
    Pbs,
    PbsError,
    State,
    Submission,
    delete,
    explain_waiting,
    find_by_name,
    hindrance,
    job_name,
    status,
    submit,
)
from ...pbs.request import Request
from ...tasks.script import probe_script
from ...text import minutes
from ...tracking.run_folder import write_private
from ..ending import Ending
from .facts import NodeFacts
from .latency import Latency, measure
from .meeting import Meeting, make_meeting

_FUNCTIONS = Path(__file__).with_name("probe.sh")
_PAUSE = 0.05
"""Seconds between two looks at the files."""
_ASK = (1.0, 10.0)
"""Seconds between two questions to PBS, at first and at last."""
_GRACE = 15.0
"""Seconds that answers may come after PBS calls the job over."""
_STUCK = 10.0
"""Seconds after which a job that PBS says will not begin is believed not to."""
_LONGEST = 240.0
"""Seconds that the job may take from its beginning; it is done in a few."""
_PAUSE_END = 0.3
"""Seconds between two looks whether it is gone."""
_END = 60.0
"""Seconds that PBS may take to end it."""
_DOUBT = 20.0
"""Seconds for which a job that may have been submitted is looked for."""
_AGAIN = 60.0
"""Seconds after which the same words are said again."""


@dataclass(frozen=True)
class Questions:
    """What the probe job is to look at on its node."""

    workdir: Path
    environment: Mapping[str, str]
    """What goes with every task."""
    setup: str | None
    """What runs before a task's command."""
    commands: tuple[str, ...]
    """The container commands to look for, the best first."""
    folders: Mapping[str, Path] = field(default_factory=dict)
    """Folders of this machine, by their names."""
    image: Path | None = None
    container: str = ""
    """The shell text that runs the image; its command is called ``container_runtime``."""
    python: Path | None = None


@dataclass(frozen=True)
class Probe:
    """What became of the probe job."""

    job: str
    facts: NodeFacts = field(default_factory=NodeFacts)
    latency: Latency | None = None
    waited: float | None = None
    """Seconds from its submission to its beginning; None if it did not begin."""
    status: JobStatus | None = None
    """What PBS said of it last."""
    kept: str = ""
    """What kept it from beginning or from ending, in whole sentences; empty if nothing did."""
    left: str = ""
    """Why it may still be in PBS; empty if it is gone."""


def run_probe(
    pbs: Pbs, request: Request, questions: Questions, patience: float, ending: Ending, say: Callable[[str], None]
) -> Probe:
    """Run the probe job in PBS, wait for it for so many seconds, and give what it told.

    Its files are removed and it is seen gone before this returns. Raises PbsError if it cannot be submitted, and
    OSError if the working directory cannot be written to.
    """
    with make_meeting(questions.workdir) as meeting:
        write_private(meeting.script, _script(questions, meeting))
        submission = Submission(
            script=meeting.script,
            name=job_name(f"doctor-{meeting.folder.name.removeprefix('doctor-')}"),
            output=meeting.output,
            arguments=pbs.dialect.request_arguments(request),
            workdir=questions.workdir,
        )
        job = _submit(pbs, submission)
        say(f"Submitted the probe job {job}.")
        watch = _Watch(pbs, job, meeting, patience, ending, say)
        try:
            kept = watch.wait()
        finally:
            left = watch.end()
        facts = meeting.facts()
        return Probe(
            job=job,
            facts=facts,
            latency=measure(meeting.rounds(facts)),
            waited=watch.waited if watch.waited is not None or not facts.host else watch.since_submission,
            status=watch.status,
            kept=kept,
            left=left,
        )


def _submit(pbs: Pbs, submission: Submission) -> str:
    """Submit the job. Raises PbsError, but not before one that may have been submitted was looked for by its name."""
    try:
        return submit(pbs, submission)
    except PbsError as error:
        until = time.monotonic() + _DOUBT
        while error.uncertain and time.monotonic() < until:
            with suppress(PbsError):
                found = find_by_name(pbs, submission.name)
                if found:
                    return found[0]
            time.sleep(1.0)
        raise


class _Watch:
    """The waiting for one job."""

    def __init__(
        self, pbs: Pbs, job: str, meeting: Meeting, patience: float, ending: Ending, say: Callable[[str], None]
    ) -> None:
        self._pbs = pbs
        self._job = job
        self._meeting = meeting
        self._patience = patience
        self._ending = ending
        self._say = say
        self._submitted = time.monotonic()
        self._over: float | None = None
        self._hindered: float | None = None
        self._said = ("", 0.0)
        self.status: JobStatus | None = None
        self.waited: float | None = None

    @property
    def since_submission(self) -> float:
        """Give the seconds since it was submitted."""
        return time.monotonic() - self._submitted

    def wait(self) -> str:
        """Wait until it has told all, is over, or there is no sense in waiting; give what kept it."""
        pause = _ASK[0]
        ask_at = time.monotonic() + pause / 2
        while self._ending.signal is None:
            talking = self._meeting.look()
            if talking or self._meeting.has_begun:
                self._note_beginning()
                if self._meeting.facts().ended:
                    return ""
            if not talking and time.monotonic() >= ask_at:
                self._ask()
                pause = min(pause * 1.5, _ASK[1])
                ask_at = time.monotonic() + pause
            kept = self._kept()
            if kept is not None:
                return kept
            time.sleep(_PAUSE)
        return ""

    def _note_beginning(self) -> None:
        if self.waited is None:
            self.waited = self.since_submission

    def _ask(self) -> None:
        try:
            self.status = status(self._pbs, [self._job]).get(self._job, self.status)
        except PbsError as error:
            self._tell(f"PBS does not answer. {error}")
            return
        if self.status is None:
            return
        if self.status.is_over:
            self._over = self._over or time.monotonic()
            if self.status.state is State.UNKNOWN or self.status.exit_status is not None:
                self._note_beginning()
            return
        if self.status.state in (State.RUNNING, State.EXITING):
            self._note_beginning()
            self._tell(f"{self._job} runs.")
            return
        self._hindered = (self._hindered or time.monotonic()) if hindrance(self.status) is not None else None
        self._tell(f"{self._job} waits. {waiting_words(self.status, self._job)}".rstrip())

    def _kept(self) -> str | None:
        """Give why there is no sense in waiting any longer; None if there is."""
        now = time.monotonic()
        if self._over is not None:
            if self._meeting.facts().ended:
                return ""
            return "It ended without an answer." if now - self._over > _GRACE else None
        if self.waited is not None:
            late = self.since_submission - self.waited > _LONGEST
            return f"It has not ended after {minutes(_LONGEST)}." if late else None
        if self._hindered is not None and now - self._hindered > _STUCK and self.status is not None:
            return waiting_words(self.status, self._job)
        if self.since_submission > self._patience:
            words = waiting_words(self.status, self._job) if self.status is not None else ""
            return f"It did not begin within {minutes(self._patience)}. {words}".rstrip()
        return None

    def _tell(self, words: str) -> None:
        last, when = self._said
        now = time.monotonic()
        if words != last or now - when >= _AGAIN:
            since = f" ({self.since_submission:.0f} s so far)" if last else ""
            self._say(f"{words}{since}")
            self._said = (words, now)

    def end(self) -> str:
        """Delete the job unless it is over, and see it gone; give why it may still be there."""
        until = time.monotonic() + _END
        patience = time.monotonic() + (_GRACE if self._meeting.facts().ended else 0.0)
        deleted, problem = False, ""
        while time.monotonic() < until:
            try:
                self.status = status(self._pbs, [self._job]).get(self._job, self.status)
                if self.status is not None and self.status.is_over:
                    return ""
                if not deleted and time.monotonic() >= patience:
                    delete(self._pbs, [self._job])
                    deleted = True
                problem = f"PBS has not ended it within {_END:g} seconds."
                time.sleep(_PAUSE_END)
            except PbsError as error:
                problem = str(error)
            except KeyboardInterrupt:
                return "You left before PBS had ended it."
        return problem


def waiting_words(status: JobStatus, job: str) -> str:
    """Say what keeps a job from beginning, with PBS's own words where it has any."""
    verdict = explain_waiting(status, job)
    if verdict is not None:
        return verdict.problem
    return f"PBS says: {status.comment.rstrip('.')}." if status.comment else ""


def _script(questions: Questions, meeting: Meeting) -> str:
    """Give the job script."""
    return probe_script(_FUNCTIONS.read_text(encoding="utf-8"), _calls(questions, meeting))


def _calls(questions: Questions, meeting: Meeting) -> Iterable[tuple[str, ...]]:
    """Give what the job does, step by step: a function of ``probe.sh`` and its words."""
    yield ("begin",)
    yield ("meet", str(questions.workdir), str(meeting.folder), meeting.token)
    yield ("about_the_node",)
    for name, folder in questions.folders.items():
        yield ("look", f"look_{name}", str(folder), _witness(folder))
    if questions.python is not None:
        yield ("look_for_program", "python", str(questions.python))
    if questions.image is not None:
        yield ("look", "image", str(questions.image), "")
    yield from (("export", f"{name}={value}") for name, value in questions.environment.items())
    if questions.setup:
        yield ("setup", questions.setup)
    yield ("runtime", *questions.commands)
    if questions.container:
        yield ("run_container", questions.container)
    yield ("end",)


def _witness(folder: Path) -> str:
    """Give something that a folder has here: where it is not mounted, it may be there and empty."""
    try:
        return min((path.name for path in folder.iterdir()), default="")
    except OSError:
        return ""
