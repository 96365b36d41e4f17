"""The Snakemake profile that the doctor writes for a site. Pure but for ``write_profile``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from ...images import Runtime
from ...pbs.server import Queue
from ...settings import ExecutorSettings
from .latency import Latency
from .node_findings import latency_wait
from .pbs_findings import queue_in_words

_OF_NODES = ("container_command", "container_version", "node_setup")
_EXPLAINED = frozenset(("account", "bind", "library", "pbs", "project", "queue", "storage", "store", *_OF_NODES))
"""Settings that have a place of their own in the profile."""


@dataclass(frozen=True)
class SiteValues:
    """What is particular to a site."""

    settings: ExecutorSettings
    """Those that the doctor was given."""
    pbs: str
    """Kind and version, in words."""
    date: str
    queues: Mapping[str, Queue]
    default_queue: str | None
    libraries: tuple[Path, ...]
    store: Path | None
    """None for the default, in the working directory."""
    command: str | None
    """Of containers on the nodes, if it has to be named."""
    version: str | None
    node: Runtime | None
    """What was found there."""
    latency: Latency | None
    max_array_size: int | None


def profile_text(site: SiteValues) -> str:
    """Give the profile, with a comment on each value."""
    return (
        "\n".join([*_head(site), *_running(site), *_where(site), *_containers(site), *_others(site), *_resources(site)])
        + "\n"
    )


def write_profile(file: Path, text: str) -> None:
    """Write a profile. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def _head(site: SiteValues) -> list[str]:
    return [
        "# How to run Snakemake workflows on this site. Written by `pbs-singularity doctor --write-profile` on",
        f"# {site.date}, for {site.pbs}. Change what you like.",
        "#",
        "# profiles/default beside the Snakefile, or where snakemake is started, is taken by itself. Elsewhere name "
        "the",
        "# folder: snakemake --workflow-profile FOLDER, or --profile FOLDER.",
        "",
    ]


def _running(site: SiteValues) -> list[str]:
    settings = site.settings
    if site.latency is not None:
        measured = (
            f"seconds that a file may be late; seen were {site.latency.to_here:.2f} s from a node to here and "
            f"{site.latency.to_node:.2f} s back"
        )
    else:
        measured = "seconds that a file may be late; not measured"
    lines = [
        "executor: pbs-singularity # every job a PBS job, its command in the rule's container",
        *([_line("pbs-singularity-pbs", settings.pbs, "which PBS")] if settings.pbs != "auto" else []),
        "jobs: 100 # jobs that are with PBS at the same time",
        "max-jobs-per-timespan: 1000/1s # Snakemake itself hands over 100; more make larger job arrays",
        "retries: 1 # a second try for a job that fails",
        "rerun-incomplete: true # after a crash: what was left half made is made again",
        f"latency-wait: {latency_wait(site.latency)} # {measured}",
        "printshellcmds: true",
        "",
    ]
    if site.max_array_size is not None and site.max_array_size < 50 and settings.bundle == 1:
        lines += [
            f"# Job arrays have {site.max_array_size} subjobs at most here: let so many short jobs share one.",
            "# pbs-singularity-bundle: 10",
            "",
        ]
    return lines


def _where(site: SiteValues) -> list[str]:
    settings = site.settings
    lines = ["# The queues of this site:"]
    lines += [
        f"#   {_comment(name)}{' (default)' if name == site.default_queue else ''}: {_comment(queue_in_words(queue))}"
        for name, queue in sorted(site.queues.items())
    ] or ["#   not known"]
    if settings.queue:
        lines.append(_line("pbs-singularity-queue", settings.queue, "unless a rule has the resource pbs_queue"))
    else:
        example = site.default_queue or next(iter(sorted(site.queues)), "workq")
        lines.append(f"# pbs-singularity-queue: {_comment(example)} # else the server's default queue")
    for option, value, what in (
        ("account", settings.account, "qsub -A"),
        ("project", settings.project, "qsub -P"),
        ("storage", settings.storage, "file systems that jobs ask for"),
    ):
        if value:
            lines.append(_line(f"pbs-singularity-{option}", value, what))
        elif option != "storage":
            lines.append(f"# pbs-singularity-{option}: NAME # {what}, where the site wants it")
    return [*lines, ""]


def _containers(site: SiteValues) -> list[str]:
    lines = ["# Images: the site's own, and where others are pulled to. A folder of the group serves everybody in it."]
    if site.libraries:
        folders = ":".join(map(str, site.libraries))
        comment = "searched in this order" if len(site.libraries) > 1 else ""
        lines.append(_line("pbs-singularity-library", folders, comment))
    else:
        lines.append("# pbs-singularity-library: /mnt/data/container_library")
    if site.store is not None:
        lines.append(_line("pbs-singularity-store", str(site.store)))
    else:
        lines.append("# pbs-singularity-store: /mnt/data/my_group/images # else .snakemake/pbs-singularity/images")
    lines.append(
        _line("pbs-singularity-bind", site.settings.bind)
        if site.settings.bind
        else "# pbs-singularity-bind: /mnt/data # what containers see too"
    )
    lines += [
        "",
        f"# What runs containers on the nodes{f': {_comment(str(site.node))} was found there' if site.node else ''}.",
    ]
    for option, value in (
        ("container-command", site.command),
        ("container-version", site.version),
        ("node-setup", site.settings.node_setup),
    ):
        if value:
            lines.append(_line(f"pbs-singularity-{option}", value))
    return [*lines, ""]


def _others(site: SiteValues) -> list[str]:
    """Give what else was set: without it the site would not be as the doctor has seen it."""
    given = ((field, getattr(site.settings, field.name)) for field in fields(site.settings))
    changed = {field.name: value for field, value in given if field.name not in _EXPLAINED and value != field.default}
    lines = [_line(f"pbs-singularity-{name.replace('_', '-')}", value) for name, value in changed.items()]
    return ["# What else was set.", *lines, ""] if lines else []


def _resources(site: SiteValues) -> list[str]:
    queue = site.queues.get(site.settings.queue or site.default_queue or "")
    most = queue.maxima.get("walltime") if queue is not None else None
    runtime = min(60, most // 60) if isinstance(most, int) and most >= 60 else 60
    return [
        "# What a job asks for whose rule says nothing.",
        "default-resources:",
        "  mem_mb: 1000 # MB on each node",
        f"  runtime: {runtime} # minutes",
    ]


def _line(key: str, value: str | float, comment: str = "") -> str:
    """Give a line of YAML, the value in quotes, which JSON and YAML share."""
    quoted = json.dumps(value).replace("\x7f", "\\u007f")
    return f"{key}: {quoted}{f' # {comment}' if comment else ''}"


def _comment(text: str) -> str:
    """Give text as part of a comment."""
    return "".join(character if character.isprintable() else "?" for character in text)
