"""What the probe job tells of a compute node, read from its ``name=value`` lines. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_ROUND = re.compile(r"round\d+")


@dataclass(frozen=True)
class NodeRound:
    """One time that the node wrote a file and waited for another: the node's clock, in seconds since the epoch."""

    sent: float
    noticed: float | None
    """None if it waited in vain."""


@dataclass(frozen=True)
class Folder:
    """A folder of this machine, looked for on the node."""

    name: str
    """As the probe was told: ``library1``, ``store``."""
    state: str
    """``there``, ``missing``, ``closed`` (not readable), ``empty`` (without what it has here)."""


@dataclass(frozen=True)
class NodeFacts:
    """What is known of a node; None, or an empty text, is what it did not say."""

    host: str = ""
    kernel: str = ""
    shell: str = ""
    umask: str = ""
    jobid: str = ""
    nodefile: bool = False
    tmpdir: str = ""
    tmpdir_writable: bool = False
    tmpdir_free: int | None = None
    """KiB."""
    workdir_there: bool = False
    folder_seen: bool = False
    """Whether what this machine wrote was seen there."""
    written: bool = False
    """Whether the node could write into the working directory."""
    file_system: str = ""
    rounds: tuple[NodeRound, ...] = ()
    folders: tuple[Folder, ...] = ()
    image_there: bool | None = None
    python_there: bool = False
    ncpus: int | None = None
    memory: int | None = None
    """KiB that the node has."""
    limit_v: int | None = None
    """KiB of virtual memory; None for no limit. So is ``limit_d``, for data."""
    limit_d: int | None = None
    cgroup_memory: int | None = None
    """Bytes."""
    user_namespaces: int | None = None
    """How many there may be."""
    userns_forbidden: bool = False
    """Whether ordinary users may make none."""
    fuse: str = ""
    """``open``, ``closed`` (not readable and writable) or ``missing``."""
    default_route: bool | None = None
    setup_status: int | None = None
    """Of the lines that run first; None if there are none."""
    setup_said: str = ""
    runtime: str = ""
    """The container command, as it was found."""
    runtime_status: int | None = None
    runtime_said: str = ""
    """Its answer to ``--version``."""
    setuid: bool = False
    """Whether it has a starter that runs as root."""
    container_status: int | None = None
    """None if none was run."""
    container_said: str = ""
    ended: bool = False
    """Whether these are all of its answers."""


def parse_facts(text: str) -> NodeFacts:
    """Read the answers of the probe, all or the first of them; other lines, as of a login script, are passed over."""
    values: dict[str, str] = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))

    def said(name: str) -> str:
        return values.get(name, "").strip()

    return NodeFacts(
        host=said("host"),
        kernel=said("kernel"),
        shell=said("shell"),
        umask=said("umask"),
        jobid=said("jobid"),
        nodefile=said("nodefile") == "yes",
        tmpdir=said("tmpdir"),
        tmpdir_writable=said("tmpdir_writable") == "yes",
        tmpdir_free=_number(said("tmpdir_free")),
        workdir_there=said("workdir") == "there",
        folder_seen=said("folder") == "yes",
        written=said("written") == "yes",
        file_system=said("file_system"),
        rounds=_rounds(values),
        folders=tuple(Folder(name.removeprefix("look_"), said(name)) for name in values if name.startswith("look_")),
        image_there=said("image") == "there" if "image" in values else None,
        python_there=said("python") == "there",
        ncpus=_number(said("ncpus")),
        memory=_number(said("memory")),
        limit_v=_number(said("limit_v")),
        limit_d=_number(said("limit_d")),
        cgroup_memory=_number(said("cgroup_memory")),
        user_namespaces=_number(said("user_namespaces")),
        userns_forbidden=said("userns_clone") == "0" or said("userns_apparmor") == "1",
        fuse=said("fuse"),
        default_route={"yes": True, "no": False}.get(said("route")),
        setup_status=_number(said("setup")),
        setup_said=said("setup_said"),
        runtime=said("runtime"),
        runtime_status=_number(said("runtime_status")),
        runtime_said=said("runtime_said"),
        setuid=said("setuid") == "yes",
        container_status=_number(said("container_status")),
        container_said=said("container_said"),
        ended="ended" in values,
    )


def parse_time(text: str) -> float | None:
    """Read what ``date +%s.%N`` printed, in seconds; an old ``date`` gives no fraction, and prints the N."""
    match = re.fullmatch(r"(\d{1,12})(?:\.(\d{1,9})|\.%?N|\.)?", text, re.ASCII)
    return float(f"{match[1]}.{match[2] or 0}") if match is not None else None


def _rounds(values: Mapping[str, str]) -> tuple[NodeRound, ...]:
    rounds = []
    for name in sorted(filter(_ROUND.fullmatch, values)):
        sent, _, noticed = values[name].strip().partition(" ")
        at = parse_time(sent)
        if at is not None:
            rounds.append(NodeRound(at, parse_time(noticed)))
    return tuple(rounds)


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\d{1,19}", text, re.ASCII) else None
