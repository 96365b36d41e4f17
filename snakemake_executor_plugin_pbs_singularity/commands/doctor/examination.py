"""The examination of a site: what is looked at, in which order, and what each finding needs of the others."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from snakemake_interface_common.exceptions import WorkflowError

from ...images import ImageError, Runtime, find_runtime
from ...images.nodes import Nodes, check_nodes, node_runtime
from ...pbs import Pbs, PbsError, Placement
from ...pbs.placement import is_elsewhere
from ...pbs.request import Request
from ...pbs.survey import Survey
from ...settings import DEFAULT_LIBRARY, ExecutorSettings, container_options, library_folders
from ...site import carried_environment, pbs_of
from ...tasks.binds import bind_sources
from ...tasks.request import build_request
from ...tasks.script import Container, container_command
from ...tasks.storage import NO_STORAGE, Storage, parse_storage
from ...tracking.run_folder import STATE
from ..ending import Ending
from . import here, node_findings, pbs_findings, runtime_findings
from .findings import Finding, ok, problem, warning
from .image import smallest_image
from .probe import Probe, Questions, run_probe
from .profile import SiteValues

_MEM_MB = 1000
"""MiB that the probe job asks for: what a rule gets whose author said nothing."""
_RUNTIME = 5
"""Minutes."""
_TIME_LIMIT = 70.0
"""Seconds for one command of PBS: a little more than a host without free ports takes (see ``pbs/commands.py``)."""


@dataclass
class Examination:
    """What was seen so far."""

    settings: ExecutorSettings
    workdir: Path
    environment: Mapping[str, str]
    findings: list[Finding] = field(default_factory=list)
    pbs: Pbs | None = None
    survey: Survey | None = None
    queue: str | None = None
    """Where a plain job goes."""
    named_queue: str | None = None
    """What ``qsub`` has to be told for that; None for the default queue."""
    libraries: tuple[Path, ...] = ()
    store: Path = Path()
    options: tuple[str, ...] = ()
    """Of ``exec``."""
    storage: Storage = NO_STORAGE
    """File systems that jobs have to ask for."""
    runtime: Runtime | str = ""
    """Of this machine, or why there is none."""
    planned: Runtime | str = ""
    """The one that tasks would start on a node, or why none is known."""
    probe: Probe | None = None

    @property
    def nodes(self) -> Nodes:
        """Give what the settings say of the runtime on the nodes."""
        return Nodes(self.settings.container_command, self.settings.container_version, self.settings.node_setup)

    @property
    def farewell(self) -> str:
        """Say what became of the probe job when somebody ended the doctor."""
        if self.probe is None:
            return "Ended; no job was submitted."
        if self.probe.left:
            return f"Ended. The probe job {self.probe.job} may still be in PBS: delete it with `qdel {self.probe.job}`."
        return f"Ended; the probe job {self.probe.job} is gone."

    def site_values(self, date: str) -> SiteValues:
        """Give what the profile of this site needs."""
        settings, survey, facts = self.settings, self.survey, self.probe.facts if self.probe is not None else None
        server = survey.server if survey is not None else None
        node = runtime_findings.runtime_of(facts) if facts is not None else None
        command, said = runtime_findings.settings_for(self.planned, self.nodes, node)
        return SiteValues(
            settings=settings,
            pbs=_kind(self.pbs) if self.pbs is not None else "an unknown PBS",
            date=date,
            queues=(survey.queues or {}) if survey is not None else {},
            default_queue=server.default_queue if server is not None else None,
            libraries=self.libraries,
            store=self.store if settings.store else None,
            command=command,
            version=said,
            node=node,
            latency=self.probe.latency if self.probe is not None else None,
            max_array_size=server.max_array_size if server is not None else None,
        )


def examine(
    settings: ExecutorSettings,
    workdir: Path,
    environment: Mapping[str, str],
    image: Path | None,
    patience: float | None,
    ending: Ending,
    say: Callable[[str], None],
) -> Examination:
    """Look at everything; without ``patience`` (seconds) at no node."""
    seen = Examination(settings, workdir, environment)
    seen.findings += [here.check_user(os.geteuid()), here.check_snakemake(version("snakemake"), sys.executable)]
    _look_at_pbs(seen)
    _look_at_folders(seen, probed=patience is not None)
    _look_at_runtimes(seen)
    place = len(seen.findings)  # what is found of this machine's runtime depends on the node's, and stands before it
    facts = None
    if patience is not None and seen.pbs is not None and seen.survey is not None and seen.survey.server is not None:
        _look_at_node(seen, image, patience, ending, say)
        facts = seen.probe.facts if seen.probe is not None else None
    elif patience is None:
        seen.findings.append(
            warning("nodes", "Not looked at (--no-probe).", "Leave --no-probe out to have a job look.")
        )
    node = runtime_findings.runtime_of(facts) if facts is not None else None
    seen.findings.insert(place, runtime_findings.judge_here(seen.runtime, seen.planned, node))
    return seen


def _kind(pbs: Pbs) -> str:
    """Say which PBS it is."""
    name = pbs.dialect.NAME
    return f"{'OpenPBS or PBS Professional' if name == 'PBS' else name} {pbs.version}".strip()


def _look_at_pbs(seen: Examination) -> None:
    settings = seen.settings
    try:
        found = pbs_of(settings.pbs, seen.environment)
        seen.pbs = replace(found, time_limit=_TIME_LIMIT)
    except PbsError as error:
        seen.findings.append(problem("PBS", error.problem, error.remedy))
        return
    what = "The local PBS of this one machine, for trying out" if settings.pbs == "local" else _kind(found)
    seen.findings.append(ok("PBS", f"{what}; its commands are in {found.commands}."))
    survey = seen.survey = Survey(seen.pbs, nodes_may_come=settings.never_run_minutes == 0)
    server, queues = survey.server, survey.queues if survey.server is not None else None
    if server is None or queues is None:
        for unread in survey.problems.values():
            seen.findings.append(problem("server", unread.problem, unread.remedy or "Try `qstat -B -f` by hand."))
        return
    seen.findings.append(pbs_findings.judge_server(server))
    _look_at_queues(seen, survey)
    seen.findings.append(pbs_findings.judge_history(server, torque=survey.torque))
    seen.findings.append(pbs_findings.judge_arrays(server, queues.get(seen.queue or server.default_queue or "")))


def _look_at_queues(seen: Examination, survey: Survey) -> None:
    server, queues = survey.server, survey.queues
    if server is None or queues is None:
        return
    try:
        request = probe_request(seen.settings)
        placement = Placement(request.queue) if seen.settings.leave_queues else survey.place(request)
        seen.named_queue = placement.queue
        seen.queue = placement.queue or server.default_queue
        if placement.queue is not None and is_elsewhere(placement.queue, server):
            seen.findings.append(ok("jobs go to", f"{placement.queue}, a queue of another server."))
        else:
            seen.findings.append(pbs_findings.judge_target(seen.queue, queues, server.default_queue))
    except PbsError as error:
        seen.findings.append(problem("jobs go to", error.problem, error.remedy))
    except WorkflowError as error:
        seen.findings.append(problem("jobs go to", str(error), "Correct that setting."))
    seen.findings += pbs_findings.judge_queues(queues)


def probe_request(settings: ExecutorSettings) -> Request:
    """Give what the probe job asks for: what a plain rule does. Raises WorkflowError."""
    return build_request("doctor", 1, {"mem_mb": _MEM_MB, "runtime": _RUNTIME}, settings)


def _look_at_folders(seen: Examination, *, probed: bool) -> None:
    settings = seen.settings
    try:
        seen.libraries = library_folders(settings)
        seen.findings += here.check_libraries(seen.libraries, DEFAULT_LIBRARY)
    except WorkflowError as error:
        seen.findings.append(problem("library", *_halves(str(error))))
    default_store = seen.workdir / STATE / "images"
    seen.store = Path(settings.store).expanduser().absolute() if settings.store else default_store
    seen.findings.append(here.check_store(seen.store, default=not settings.store))
    try:
        seen.options = container_options(settings)
    except WorkflowError as error:
        seen.findings.append(problem("container options", *_halves(str(error))))
    try:
        seen.storage = parse_storage(settings.storage, settings.storage_resource)
    except WorkflowError as error:
        seen.findings.append(problem("storage", *_halves(str(error))))
    seen.findings.append(here.check_workdir(seen.workdir, probed=probed))
    seen.findings.append(here.check_locks(seen.workdir))


def _halves(text: str) -> tuple[str, str]:
    """Give what is wrong and what to do, which an error of Snakemake's kind says in one text."""
    said, _, remedy = text.partition(". ")
    return f"{said.rstrip('.')}.", remedy or "Correct that setting."


def _look_at_runtimes(seen: Examination) -> None:
    try:
        seen.runtime = find_runtime(seen.environment)
    except ImageError as error:
        seen.runtime = error.problem
    try:
        check_nodes(seen.nodes)
        seen.planned = node_runtime(seen.nodes, seen.environment, lambda: find_runtime(seen.environment))
    except ImageError as error:
        seen.planned = error.problem
        if seen.nodes != Nodes():
            seen.findings.append(problem("container settings", error.problem, error.remedy))


def _look_at_node(
    seen: Examination, image: Path | None, patience: float, ending: Ending, say: Callable[[str], None]
) -> None:
    if seen.pbs is None or ending.signal is not None:
        return
    planned = seen.planned if isinstance(seen.planned, Runtime) else None
    chosen = image.absolute() if image is not None else smallest_image((*seen.libraries, seen.store), planned)
    folders = {f"library{number}": folder for number, folder in enumerate(seen.libraries, 1)}
    if not seen.store.is_relative_to(seen.workdir):
        folders["store"] = seen.store if seen.store.is_dir() else seen.store.parent
    container = Container(Path("container_runtime"), chosen, seen.options) if chosen is not None else None
    questions = Questions(
        workdir=seen.workdir,
        environment=carried_environment(seen.environment),
        setup=seen.settings.node_setup,
        commands=tuple(dict.fromkeys([*([str(planned.command)] if planned else []), "apptainer", "singularity"])),
        folders=folders,
        image=chosen,
        container=container_command(container, seen.workdir, "sh", "echo container-runs") if container else "",
        python=Path(sys.executable),
    )
    try:
        used: list[str | Path] = [seen.workdir, *folders.values(), *bind_sources(seen.options), sys.executable]
        used += [chosen] if chosen is not None else []
        request = replace(
            probe_request(seen.settings),
            queue=seen.settings.queue or seen.named_queue,
            site=seen.storage.of(used),
        )
        probe = seen.probe = run_probe(seen.pbs, request, questions, patience, ending, say)
    except (PbsError, WorkflowError, OSError) as error:
        said, remedy = (error.problem, error.remedy) if isinstance(error, PbsError) else (str(error), "")
        seen.findings.append(
            problem("probe job", said, remedy or "Put that right first; --no-probe leaves the job out.")
        )
        return
    seen.findings += _judge_node(seen, probe, folders, chosen)


def _judge_node(seen: Examination, probe: Probe, folders: Mapping[str, Path], image: Path | None) -> list[Finding]:
    facts = probe.facts
    findings = node_findings.judge_job(probe.job, probe.status, facts, probe.waited, probe.kept, probe.left)
    if not facts.host:
        return findings
    findings.append(node_findings.judge_workdir(seen.workdir, facts))
    findings += node_findings.judge_latency(probe.latency, facts)
    findings += node_findings.judge_folders(folders, facts)
    findings += node_findings.judge_setup(facts)
    findings.append(runtime_findings.judge_node(seen.planned, seen.nodes, facts))
    if facts.runtime:
        why = (
            "the library and the store hold none that could be run" if image is None else f"of {image} nothing is known"
        )
        findings.append(runtime_findings.judge_container(facts, image, why))
    findings += node_findings.judge_environment(facts, _MEM_MB, Path(sys.executable))
    return findings
