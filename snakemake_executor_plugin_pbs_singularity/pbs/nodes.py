"""What the nodes of a PBS have (``pbsnodes -a``), and what no node can ever give. Pure.

Of a host with several vnodes OpenPBS shows the sums, and ``<various>`` for what they differ in (pbsD_stathost.c).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .amounts import Amounts, parse_amount, parse_amounts
from .answers import parse_bytes
from .demand import Part, demand_of
from .misfits import in_words
from .request import Request
from .server import Server


@dataclass(frozen=True)
class Node:
    """One host, or one vnode of it. None is what PBS does not say."""

    name: str
    host: str
    ncpus: int | None = None
    mem: int | None = None
    """MiB, cut off. On TORQUE what the host itself reports, for want of anything better."""
    ngpus: int | None = None
    others: Amounts = field(default_factory=dict)
    """What else it has, by the names of the site, such as ``gpu_model``."""


def parse_nodes_listing(text: str) -> tuple[Node, ...]:
    """Read ``pbsnodes -a`` of OpenPBS, PBS Pro or TORQUE, whose layouts differ in the names only.

    A node begins with a line at the margin; its attributes are indented: ``     np = 4``. A block that is cut off is
    as good as whole.
    """
    nodes = []
    for block in re.split(r"\n(?=\S)", text):
        name, *lines = block.splitlines() or [""]
        pairs = (re.fullmatch(r"[ \t]+([A-Za-z_][\w.-]*) = ?(.*)", line) for line in lines)
        attributes = {pair[1]: pair[2].strip() for pair in pairs if pair}
        if attributes and re.fullmatch(r"\S+", name):
            nodes.append(_torque_node(name, attributes) if "np" in attributes else _openpbs_node(name, attributes))
    return tuple(nodes)


def _openpbs_node(name: str, attributes: Mapping[str, str]) -> Node:
    has = dict(parse_amounts(attributes, "resources_available"))
    return Node(
        name=name,
        host=str(has.pop("host", "") or attributes.get("Mom", "") or name),
        ncpus=_number(has.pop("ncpus", None)),
        mem=_number(has.pop("mem", None)),
        ngpus=_number(has.pop("ngpus", None)),
        others={resource: value for resource, value in has.items() if resource != "vnode"},
    )


def _torque_node(name: str, attributes: Mapping[str, str]) -> Node:
    status = dict(word.partition("=")[::2] for word in attributes.get("status", "").split(","))
    memory = parse_bytes(status.get("physmem", ""))
    gpus = attributes.get("gpus")
    return Node(
        name=name,
        host=name,
        ncpus=_number(parse_amount("ncpus", attributes["np"])),
        mem=None if memory is None else memory // 1024**2,
        ngpus=None if gpus is None else _number(parse_amount("gpus", gpus)),
    )


def _number(amount: int | str | None) -> int | None:
    return amount if isinstance(amount, int) else None


def impossible(
    request: Request, nodes: Iterable[Node], *, torque: bool = False, server: Server | None = None
) -> str | None:
    """Say why no node that PBS has, up or not, could ever run what one chunk asks for; None if one could, or may.

    OpenPBS takes such a job and says ``Can Never Run`` of it in a comment (transcript 05u); TORQUE refuses it. What
    is not reported by any node is not judged, nor is memory on TORQUE, whose own scheduler does not look at it.
    """
    demand = demand_of(request, torque=torque)
    hosts = [_total(group) for group in _by_host(nodes)]
    if not demand.parts or not hosts or any(host.ncpus is None for host in hosts):
        return None
    if torque and server is not None and "nodect" in server.available:  # the site lets jobs ask for more
        return None
    counted = _counted(hosts, torque=torque)
    needs = [(part, _needs(part, counted)) for part in demand.parts]
    place = demand.place.split(":")
    if "pack" in place:
        needs = [_packed(needs)]
    apart = torque or "scatter" in place
    if apart and demand.chunks > len(hosts):
        return f"{in_words('nodect', demand.chunks)} are asked for, and PBS has {len(hosts)}"
    for part, need in needs:
        able = [host for host in hosts if _has_model(host, part.gpu_model, request.gpu_model_resource, hosts)]
        problem = _shortage(part, need, able, apart=apart)
        if problem is not None:
            return problem
    return None


def _by_host(nodes: Iterable[Node]) -> list[list[Node]]:
    groups: dict[str, list[Node]] = {}
    for node in nodes:
        groups.setdefault(node.host, []).append(node)
    return list(groups.values())


def _total(vnodes: list[Node]) -> Node:
    """Add up the vnodes of a host; what one of them does not say is unknown for all, unless it has none of it."""

    def total(amounts: list[int | None]) -> int | None:
        return None if None in amounts else sum(amount or 0 for amount in amounts)

    gpus = [node.ngpus for node in vnodes]
    first = vnodes[0]
    return Node(
        first.host,
        first.host,
        ncpus=total([node.ncpus for node in vnodes]),
        mem=total([node.mem for node in vnodes]),
        ngpus=None if set(gpus) == {None} else sum(amount or 0 for amount in gpus),
        others=first.others if len(vnodes) == 1 else {name: "<various>" for node in vnodes for name in node.others},
    )


def _counted(hosts: list[Node], *, torque: bool) -> tuple[str, ...]:
    """Give the resources that nodes are asked for and tell about."""
    tells = {"mem": not torque, "ngpus": any(host.ngpus for host in hosts)}
    return ("ncpus", *(name for name, does in tells.items() if does))


def _needs(part: Part, counted: Iterable[str]) -> dict[str, int]:
    """Give what one chunk needs of a host."""
    amounts = {"ncpus": 1 if part.ncpus is None else part.ncpus, "mem": part.mem or 0, "ngpus": part.ngpus or 0}
    return {name: amounts[name] for name in counted if amounts[name]}


def _packed(needs: list[tuple[Part, dict[str, int]]]) -> tuple[Part, dict[str, int]]:
    """Give the one chunk that chunks on the same host come to."""
    sums: dict[str, int] = {}
    for part, need in needs:
        for name, amount in need.items():
            sums[name] = sums.get(name, 0) + part.count * amount
    models = {part.gpu_model for part, _ in needs}
    return Part(1, gpu_model=models.pop() if len(models) == 1 else None), sums


def _has(host: Node, name: str) -> int | None:
    """Give what a host has; of GPUs none if it tells of memory, but not of them."""
    amount: int | None = getattr(host, name)
    return 0 if name == "ngpus" and amount is None and host.mem is not None else amount


def _has_model(host: Node, model: str | None, resource: str, hosts: list[Node]) -> bool:
    """Tell whether a host may have such GPUs; every host may if none tells which it has."""
    if model is None or not any(resource in other.others for other in hosts):
        return True
    value = str(host.others.get(resource, "<various>" if host.mem is None else ""))
    return "<" in value or model in re.split(r"[,\s]+", value.strip("\"'"))


def _room(host: Node, need: Mapping[str, int]) -> int | None:
    """Give how many such chunks a host can hold; None if that cannot be told."""
    rooms = [_has(host, name) for name in need]
    if None in rooms:
        return None
    return min(((amount or 0) // wanted for amount, wanted in zip(rooms, need.values(), strict=True)), default=0)


def _shortage(part: Part, need: Mapping[str, int], able: list[Node], *, apart: bool) -> str | None:
    if not able:
        return f"no node has the GPU model {part.gpu_model!r}"
    which = f" with the GPU model {part.gpu_model!r}" if part.gpu_model else ""
    rooms = [_room(host, need) for host in able]
    if not need or None in rooms:
        return None
    room = sum(min(amount or 0, 1) if apart else amount or 0 for amount in rooms)
    if room >= part.count:
        return None
    words = " and ".join(in_words(name, amount) for name, amount in need.items())
    if room:
        places = "nodes" if apart else "such chunks at a time"
        return f"{words} on each of {part.count} {places} is asked for, and the nodes{which} have room for {room}"
    most = ", ".join(_most(name, amount, able) for name, amount in need.items() if _is_short(name, amount, able))
    return f"no node{which} has {words}{f' ({most})' if most else ' at once'}"


def _is_short(name: str, amount: int, able: list[Node]) -> bool:
    return all((_has(host, name) or 0) < amount for host in able)


def _most(name: str, amount: int, able: list[Node]) -> str:
    return f"at most {in_words(name, max(_has(host, name) or 0 for host in able))}"
