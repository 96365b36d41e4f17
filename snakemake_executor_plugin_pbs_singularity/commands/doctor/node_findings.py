"""What to think of a compute node and of the way to it. Pure; what runs containers there is in ``runtime_findings``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...pbs import JobStatus, State
from ...pbs.explain import duration
from ..table import size_in_words
from .facts import NodeFacts
from .findings import Finding, ok, problem, warning
from .here import SEVERAL_MACHINES
from .latency import Latency

_LATE = 5.0
"""Seconds that Snakemake waits for files unless it is told otherwise (--latency-wait)."""
_SKEWED = 2.0
"""Seconds by which clocks may differ before times of files mislead Snakemake."""
_LITTLE_ROOM = 1_000_000
"""KiB of a folder for temporary files."""
_WAITED_LONG = 600.0
"""Seconds."""


def judge_job(
    job: str, status: JobStatus | None, facts: NodeFacts, waited: float | None, kept: str, left: str
) -> list[Finding]:
    """Tell whether the probe job began, where and when, and whether it is gone."""
    findings = []
    if waited is None:
        findings.append(
            problem(
                "probe job",
                f"{job} did not begin. {kept}".rstrip(),
                "Try another queue with --queue, or wait longer with --wait MINUTES. What is said of a compute node is "
                "not known until then.",
            )
        )
    elif not facts.host:
        findings.append(_judge_silence(job, status, kept))
    else:
        began = f"{job} began on {facts.host} ({facts.kernel}) after {duration(round(waited))}"
        unfinished = "" if facts.ended else f", and did not get to its end. {kept}".rstrip(". ")
        findings.append(
            ok("probe job", f"{began}.")
            if facts.ended
            else problem(
                "probe job", f"{began}{unfinished}.", "Run the doctor again; ask the administrators if it stays so."
            )
        )
    if left:
        findings.append(
            warning("probe job", f"{job} may still be in PBS. {left}", f"Delete it with `qdel {job}` when PBS answers.")
        )
    return findings


def _judge_silence(job: str, status: JobStatus | None, kept: str) -> Finding:
    """Tell of a job that ran and of which nothing was seen here."""
    code = status.exit_status if status is not None and status.state is State.FINISHED else None
    ended = f" with exit status {code}" if code is not None else ""
    return problem(
        "probe job",
        f"{job} ran{ended}, but nothing that it wrote was seen here. {kept}".rstrip(),
        f"Most likely the node does not see this working directory. {SEVERAL_MACHINES}",
    )


def judge_workdir(workdir: Path, facts: NodeFacts) -> Finding:
    """Tell whether the node sees the working directory and can write there."""
    what = "node: working directory"
    if not facts.workdir_there:
        return problem(what, f"{workdir} is not there on {facts.host}.", SEVERAL_MACHINES)
    if not facts.folder_seen:
        return problem(
            what,
            f"{workdir} is there on {facts.host}, but it is another one: what was written here was not seen there "
            f"within "
            "a minute.",
            SEVERAL_MACHINES,
        )
    if not facts.written:
        return problem(
            what,
            f"{workdir} is seen on {facts.host}, but cannot be written to from there.",
            "Choose another working directory; is the disk full, or mounted read-only on the nodes?",
        )
    kind = f" ({facts.file_system})" if facts.file_system else ""
    return ok(what, f"The node sees it{kind} and writes to it.")


def judge_latency(latency: Latency | None, facts: NodeFacts) -> list[Finding]:
    """Tell how long files take to be seen on the other side, and whether the clocks are the same."""
    if not facts.written:
        return []
    if latency is None:
        return [
            warning(
                "node: latency",
                "Files written here were not seen on the node within a minute.",
                "Raise latency-wait in the profile to 120 or more, and tell the administrators.",
            )
        ]
    said = (
        f"A file of the node is seen here after {latency.to_here:.2f} s, one from here on the node after "
        f"{latency.to_node:.2f} s."
    )
    late = latency.worst > _LATE
    findings = [
        warning("node: latency", said, f"Set latency-wait: {latency_wait(latency)} in the profile.")
        if late
        else ok("node: latency", said)
    ]
    margin = f"give or take {latency.error:.2f} s"
    if latency.clocks_differ and abs(latency.ahead) - latency.error > _SKEWED:
        side = "ahead of" if latency.ahead > 0 else "behind"
        findings.append(
            warning(
                "node: clock",
                f"Its clock is {abs(latency.ahead):.2f} s {side} this machine's, {margin}: Snakemake compares the "
                f"times of "
                "files, and may make some again, or not.",
                "Ask the administrators to set the clocks (NTP).",
            )
        )
    else:
        findings.append(ok("node: clock", f"The same as here within {abs(latency.ahead) + latency.error:.2f} s."))
    return findings


def latency_wait(latency: Latency | None) -> int:
    """Give seconds to wait for files: ten times the longest that was seen, whole tens, and 30 at least."""
    worst = latency.worst if latency is not None else 12.0
    return max(30, -(-int(worst * 10) // 10) * 10)


def judge_folders(folders: Mapping[str, Path], facts: NodeFacts) -> list[Finding]:
    """Tell whether the libraries and the store are seen from the node; ``folders`` by the names the probe had."""
    said = {
        "missing": "is not there on the node",
        "closed": "cannot be read on the node",
        "empty": "is empty on the node, and is not here: it is not mounted there, or another one",
    }
    remedy = (
        "Ask the administrators to mount it on the compute nodes, or copy the images to a folder that they see and "
        "name "
        "that with --pbs-singularity-{option}."
    )
    findings = []
    for seen in facts.folders:
        path = folders.get(seen.name)
        if path is None:
            continue
        kind = "store" if seen.name == "store" else "library"
        what = f"node: {kind}"
        if seen.state == "there":
            findings.append(ok(what, f"{path} is seen from the node."))
        else:
            words = said.get(seen.state, "is not seen on the node")
            findings.append(problem(what, f"{path} {words}.", remedy.format(option=kind)))
    return findings


def judge_environment(facts: NodeFacts, asked_mem: int, python: Path | None) -> list[Finding]:
    """Tell what else a job finds there; ``asked_mem`` is MiB."""
    return [
        _judge_tmpdir(facts),
        judge_memory(facts, asked_mem),
        _judge_cores(facts),
        _judge_variables(facts),
        *([_judge_python(facts, python)] if python is not None else []),
        _judge_network(facts),
    ]


def _judge_tmpdir(facts: NodeFacts) -> Finding:
    what = "node: TMPDIR"
    named = facts.tmpdir or "/tmp (TMPDIR is not set)"  # noqa: S108 - it is only told
    if not facts.tmpdir_writable:
        return warning(
            what,
            f"{named} cannot be written to on the node.",
            "Jobs take the next that they can write to, /var/tmp or the working directory. To choose one, set tmpdir "
            "under default-resources in the profile.",
        )
    free = facts.tmpdir_free
    if free is None:
        return ok(what, f"{named}; how much room it has is not known.")
    room = size_in_words(free * 1024)
    if free < _LITTLE_ROOM:
        return warning(
            what,
            f"{named} has room for {room} only.",
            "Set tmpdir under default-resources in the profile, such as to a scratch folder.",
        )
    return ok(what, f"{named}, {room} free.")


def judge_memory(facts: NodeFacts, asked_mem: int) -> Finding:
    """Tell how a job's memory is kept to what it asked for, as far as a job can see that."""
    what = "node: memory"
    has = f"The node has {facts.memory // 1024:,} MiB. " if facts.memory else ""
    group = facts.cgroup_memory
    if group is not None and (facts.memory is None or group < facts.memory * 1024):
        return ok(
            what,
            f"{has}A job is kept to {group // 1024**2:,} MiB by its cgroup (asked for: {asked_mem:,}): mem_mb is "
            f"enforced.",
        )
    limits = [limit for limit in (facts.limit_v, facts.limit_d) if limit is not None]
    if limits:
        return ok(
            what,
            f"{has}A process is kept to {min(limits) // 1024:,} MiB by ulimit (asked for: {asked_mem:,}): a program "
            f"that asks "
            "for more is told that there is no memory.",
        )
    return ok(
        what,
        f"{has}Nothing on the node limits a job to what it asked for. Whether PBS kills one that uses more is not "
        f"known: "
        "give rules the mem_mb that they use.",
    )


def _judge_cores(facts: NodeFacts) -> Finding:
    if facts.ncpus is None:
        return ok("node: cores", "How many a job sees is not known.")
    if facts.ncpus == 1:
        return ok("node: cores", "A job sees the 1 core that it asked for.")
    return ok(
        "node: cores",
        f"A job that asked for 1 sees all {facts.ncpus}: tell programs {{threads}}, or they take more than their "
        f"share.",
    )


def _judge_variables(facts: NodeFacts) -> Finding:
    what = "node: job"
    if not facts.jobid:
        return warning(
            what,
            "PBS_JOBID is not set in jobs.",
            "Ask the administrators what removes it: containers are kept off login nodes by it, and MPI needs it.",
        )
    nodefile = "" if facts.nodefile else "; PBS_NODEFILE is not there, which MPI needs"
    return ok(what, f"PBS_JOBID is set{nodefile}. Login shell {facts.shell or 'not known'}, umask {facts.umask}.")


def _judge_python(facts: NodeFacts, python: Path) -> Finding:
    what = "node: Python"
    if facts.python_there:
        return ok(what, f"{python} is seen from the node.")
    return warning(
        what,
        f"{python} is not there on the node. Rules with shell: do not need it; script:, run:, wrapper: and other "
        f"rules that "
        "need Snakemake on the node fail.",
        "Install Snakemake and the plugin in a folder that the nodes see.",
    )


def _judge_network(facts: NodeFacts) -> Finding:
    what = "node: network"
    if facts.default_route is None:
        return ok(what, "Whether it has a way out is not known. None is needed.")
    if facts.default_route:
        return ok(what, "It has a route to other networks. None is needed: images are pulled on this machine.")
    return ok(
        what,
        "It has no route to other networks, and needs none: images are pulled on this machine. A rule that downloads "
        "something has to be one of localrules:.",
    )


def judge_setup(facts: NodeFacts) -> list[Finding]:
    """Tell whether the lines that run first on the node, if there are any, ended well."""
    if facts.setup_status is None:
        return []
    if facts.setup_status == 0:
        return [ok("node: setup", "The lines of node_setup ran well.")]
    return [
        problem(
            "node: setup",
            f"The lines of node_setup fail with exit status {facts.setup_status}: "
            f"{facts.setup_said or 'they say nothing'}.",
            "Correct --pbs-singularity-node-setup; /bin/sh runs it. `module` is defined if it is where it usually "
            "is; else "
            "its own file comes first: `. /where/it/is/init/sh; module load singularity`.",
        )
    ]
