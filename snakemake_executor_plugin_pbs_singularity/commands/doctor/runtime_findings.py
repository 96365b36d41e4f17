"""What to think of the container runtime, here and on a compute node. Pure."""

from __future__ import annotations

from pathlib import Path

from ...images import Runtime
from ...images.nodes import Nodes
from ...images.runtime import parse_version
from .facts import NodeFacts
from .findings import Finding, ok, problem, warning


def runtime_of(facts: NodeFacts) -> Runtime | None:
    """Give the runtime that answered on the node; None if none did."""
    parsed = parse_version(facts.runtime_said) if facts.runtime and facts.runtime_status == 0 else None
    return Runtime(Path(facts.runtime), *parsed) if parsed is not None else None


def judge_here(here: Runtime | str, planned: Runtime | str, node: Runtime | None) -> Finding:
    """Tell of the runtime of this machine, which pulls images, and from which that of the nodes is guessed.

    ``planned`` is the one that tasks would start. Text in the place of a runtime is why there is none.
    """
    what = "container runtime"
    if isinstance(here, Runtime):
        return ok(what, f"{here}.")
    if isinstance(planned, Runtime):
        return warning(
            what,
            f"None on this machine; the nodes are said to have {planned}.",
            "Images that are there can be run. To pull others (docker://...), load the runtime's module here, too.",
        )
    if node is not None:
        return problem(
            what,
            f"None on this machine: {here}",
            f"{_settings(node)}. To pull images, load its module here, too.",
        )
    return problem(
        what,
        f"None on this machine: {here}",
        "Load its module before starting, such as `module load apptainer` or `module load singularity`; ask the site "
        "where it is.",
    )


def judge_node(planned: Runtime | str, nodes: Nodes, facts: NodeFacts) -> Finding:
    """Tell whether the node has the runtime that tasks would start, and in the version that is counted on."""
    what = "node: runtime"
    node = runtime_of(facts)
    asked = str(planned.command) if isinstance(planned, Runtime) else ""
    if not facts.runtime:
        looked = " and ".join([*([asked] if "/" in asked else []), "apptainer or singularity on PATH"])
        return problem(
            what,
            f"None on the node: looked for {looked}{', after node_setup' if nodes.setup else ''}.",
            "If the site has a module for it, name that with --pbs-singularity-node-setup 'module load singularity' "
            "and "
            "the command with --pbs-singularity-container-command singularity; else ask the administrators to "
            "install it on the nodes.",
        )
    if node is None:
        return problem(
            what,
            f"`{facts.runtime} --version` failed on the node (exit status {facts.runtime_status}): "
            f"{facts.runtime_said}",
            "Name another one with --pbs-singularity-container-command, or what it needs with "
            "--pbs-singularity-node-setup.",
        )
    if isinstance(planned, str):
        return ok(what, f"{node}.")
    if not _is(planned, node):
        return problem(what, f"{asked} is not there on the node, but {node} is.", f"{_settings(node)}.")
    if not planned.version:
        return warning(
            what,
            f"{node}. Which version it is, nobody has said.",
            f"Set pbs-singularity-container-version: {node.name} (--write-profile writes it), so that what it cannot "
            f"do is "
            "refused before anything is submitted.",
        )
    if (planned.product, planned.version) != (node.product, node.version):
        return warning(
            what,
            f"{node}, but {planned.name} is counted on.",
            f"Set pbs-singularity-container-version: {node.name} (--write-profile writes it), so that what it cannot "
            f"do is "
            "refused before anything is submitted.",
        )
    return ok(what, f"{node}, as {'the settings say' if nodes.version else 'here'}.")


def _is(planned: Runtime, node: Runtime) -> bool:
    """Tell whether the command of a task is the one that was found: by its path, or by its name if it has none."""
    return node.command == planned.command or (
        not planned.command.is_absolute() and node.command.name == planned.command.name
    )


def settings_for(planned: Runtime | str, nodes: Nodes, node: Runtime | None) -> tuple[str | None, str | None]:
    """Give the command and the version that a profile has to name, each None if it need not."""
    if node is None:
        return nodes.command, nodes.version
    if not isinstance(planned, Runtime) or not _is(planned, node):
        return str(node.command), node.name
    if (planned.product, planned.version) != (node.product, node.version):
        return nodes.command, node.name
    return nodes.command, nodes.version


def _settings(node: Runtime) -> str:
    return (
        f"Set pbs-singularity-container-command: {node.command} and pbs-singularity-container-version: {node.name} "
        "(--write-profile writes both)"
    )


def judge_container(facts: NodeFacts, image: Path | None, why_none: str) -> Finding:
    """Tell whether a container ran on the node, or what speaks for it or against."""
    what = "node: container"
    if facts.container_status == 0 and "container-runs" in facts.container_said:
        if "temporary sandbox" in facts.container_said:
            return warning(
                what,
                f"{image} runs there, but is unpacked for it each time ({_means(facts)}): that takes time, and room "
                f"in TMPDIR.",
                _container_remedy(facts),
            )
        return ok(what, f"{image} runs there ({_means(facts)}).")
    if facts.container_status is not None:
        return problem(
            what,
            f"{image} does not run there: exit status {facts.container_status}, "
            f"{facts.container_said or 'without a word'}",
            _container_remedy(facts),
        )
    if facts.image_there is False:
        return problem(
            what, f"The image {image} is not seen from the node.", "Name one on the shared file system with --image."
        )
    if not facts.setuid and (facts.user_namespaces == 0 or facts.userns_forbidden):
        return problem(what, f"None was run ({why_none}), but it could not: {_means(facts)}.", _container_remedy(facts))
    return warning(
        what,
        f"None was run: {why_none}. {_means(facts).capitalize()}.",
        "Name an image file with --image to have one run.",
    )


def _means(facts: NodeFacts) -> str:
    """Say by which means a container can start."""
    starter = "with a setuid starter" if facts.setuid else "without a setuid starter"
    if facts.user_namespaces is None:
        spaces = "user namespaces not known"
    elif facts.user_namespaces == 0:
        spaces = "user namespaces off"
    else:
        spaces = "user namespaces closed to ordinary users" if facts.userns_forbidden else "user namespaces on"
    fuse = {"open": "/dev/fuse open", "closed": "/dev/fuse closed to you", "missing": "no /dev/fuse"}.get(
        facts.fuse, "/dev/fuse not known"
    )
    return f"{starter}, {spaces}, {fuse}"


def _container_remedy(facts: NodeFacts) -> str:
    if "Unknown image format" in facts.container_said:
        return "Singularity 2.6 runs .simg files: name one with --image, and have your images in that format."
    if not facts.setuid and (facts.user_namespaces == 0 or facts.userns_forbidden):
        return (
            "Ask the administrators to allow user namespaces (sysctl user.max_user_namespaces), or to install the "
            "runtime "
            "with its setuid starter."
        )
    if not facts.setuid and facts.fuse != "open":
        return (
            "Ask the administrators for /dev/fuse with mode 0666, or for the setuid starter; images that are "
            "unpacked for good, as folders, do without."
        )
    return "Try the same in a job by hand: what the runtime says names the reason."
