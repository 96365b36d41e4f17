"""What the exit code of a command usually means, in words. Pure.

As seen with Apptainer 1.4 and Singularity 2.6: the codes of a command pass through a container, 126 and 127 are those
of the shell in it, and 255 is the runtime's own, for an image that it cannot read or that lacks the rule's shell.
"""

import re
import signal
from collections.abc import Sequence
from pathlib import Path

from ..pbs import JobStatus, Verdict, raise_memory, signal_name, used_in_words

_NOT_STARTED = re.compile(r"(?:FATAL: {3}|(?:ERROR|ABORT) {2}: )(?P<why>.+)")
"""How Apptainer, and Singularity 2.6, begin the line that says why they start no container; few programs do."""
_NO_SOURCE = re.compile(r"mount source (?P<source>.+) doesn't exist$")
"""What Apptainer then says of a bind of what the node does not have."""
_NO_SHELL = re.compile(r"/\.singularity\.d/actions/exec: .*\b(?P<shell>[\w.-]+): not found")
"""What a script in the image says, by which Singularity 2.6 starts commands, of a shell that is not there."""
_NO_RUNTIME = re.compile(
    r"The container command (?P<said>.+) is not on the node "
    r"|(?P<path>/\S*/(?:apptainer|singularity)): (?:not found|No such file)"
)
"""What our script says of a runtime that the node does not have, and what a shell says."""
_NO_SETUP = re.compile(r"The commands of --pbs-singularity-node-setup failed with (?P<status>.+) on the node ")
"""What it says of a node that the site's commands could not make ready."""
_NO_MEMORY = re.compile(
    r"\bMemoryError\b|Cannot allocate memory|std::bad_alloc|OutOfMemoryError|fatal error: .*\bout of memory\b"
    r"|runtime/cgo: pthread_create failed"
)
"""What programs say to whom the system gives no more memory; TORQUE makes `mem` such a limit. The last two are those of
Go, in which Apptainer is written: it begins with a hundred MiB and a thread for each core."""
_OF_THE_PROGRAM = "Its meaning is that of the command; look in the log."
_SIGNALS = {
    signal.SIGKILL: ("it was killed (signal 9), most often because memory ran out.", ""),
    signal.SIGSEGV: (
        "it crashed (signal 11, segmentation fault).",
        "That is a fault of the program or of one of its libraries; some do it when memory or stack runs out.",
    ),
    signal.SIGTERM: (
        "it was asked to end (signal 15), by the system or by another program.",
        "Look for the reason in its log.",
    ),
    signal.SIGILL: (
        "it used an instruction that the node's processor does not have (signal 4).",
        "It was built for another kind of processor: build it on such a node, or ask for other nodes (pbs_select).",
    ),
    signal.SIGPIPE: (
        "it wrote to a program that had ended already (signal 13), as in `... | head`.",
        "Rules run with `set -o pipefail`: have the last program of the pipe read all, or end the pipe with `|| true`.",
    ),
    signal.SIGXCPU: (
        "it used more processor time than it may (signal 24).",
        "Raise cput where it is set: in the rule's pbs_extra (`-l cput=3600`), or by the queue.",
    ),
    signal.SIGXFSZ: (
        "it wrote a file larger than it may (signal 25).",
        "Raise the limit of file sizes (`ulimit -f`), or ask the cluster's administrators.",
    ),
}


def explain_code(
    code: int, status: JobStatus | None = None, image: Path | None = None, log: Sequence[str] = ()
) -> Verdict | None:
    """Say what an exit code usually means; None for 0.

    With a status, what the job used is told. `image` is what its command ran in, None if that ran on the node itself;
    `log` the last lines of its log.
    """
    if code == 0:
        return None
    problem, remedy = _meaning(code, image, log)
    if code == 128 + signal.SIGKILL:
        remedy = raise_memory(status)
    elif any(_NO_MEMORY.search(line) for line in log):
        problem, remedy = ": its log says that it was given no more memory.", raise_memory(status)
    return Verdict(f"Exit code {code}{problem}{used_in_words(status)}", remedy)


def _meaning(code: int, image: Path | None, log: Sequence[str]) -> tuple[str, str]:
    if any(_NO_SETUP.match(line) for line in log):
        return (
            ": the commands that make the node ready failed.",
            "Correct --pbs-singularity-node-setup: the log says what is wrong with it.",
        )
    where = f"in the image {image}" if image else "on the node"
    if code == 126:
        return (
            f": a command was found {where}, but could not be executed.",
            "The log names it. If it is a file of yours, make it executable (chmod +x); check that it is a program for "
            "this kind of machine.",
        )
    if code == 127:
        return _not_found(where, image, log)
    if code == 255 and image is not None:
        return _no_container(image, log)
    if code == 255:
        return (": what ssh and many programs say when they cannot do their work.", "The reason is in the log.")
    number = code - 128
    if number in _SIGNALS:
        problem, remedy = _SIGNALS[signal.Signals(number)]
        return f": {problem}", remedy
    name = signal_name(number)
    return (f": it was ended by signal {number} ({name}).", "") if name else (".", _OF_THE_PROGRAM)


def _not_found(where: str, image: Path | None, log: Sequence[str]) -> tuple[str, str]:
    missing = next((match["said"] or match["path"] for line in log if (match := _NO_RUNTIME.search(line))), None)
    if image is not None and missing is not None:
        return (
            f": the node has no {missing}, so the container could not start.",
            "Say what the nodes have with --pbs-singularity-container-command, and what loads it with"
            " --pbs-singularity-node-setup, such as 'module load singularity'; `pbs-singularity doctor` asks one.",
        )
    shell = next((match["shell"] for line in log if (match := _NO_SHELL.match(line))), None)
    if image is not None and shell is not None:
        return _no_shell(image, f"{shell} is not found")
    remedy = (
        "or choose an image that has it: what is installed on the nodes is not in there."
        if image is not None
        else "and that the compute nodes have it on their PATH: they can have less than the login node. Or give the "
        "rule a container."
    )
    return (f": a command was not found {where}.", f"The log names it. Check its spelling, {remedy}")


def _no_shell(image: Path, why: str) -> tuple[str, str]:
    return (
        f": the image {image} lacks the shell that the rule's command runs in: {why.rstrip('.')}.",
        'Choose an image with bash, or name a shell that it has, as in `resources: shell_exec="sh"`.',
    )


def _is_gone(image: Path) -> bool:
    """Tell whether an image is not there; one that cannot be looked at, as its folder was closed, may be."""
    try:
        image.stat()
    except OSError as error:
        return isinstance(error, FileNotFoundError | NotADirectoryError)
    return False


def _no_container(image: Path, log: Sequence[str]) -> tuple[str, str]:
    why = next((match["why"] for line in log if (match := _NOT_STARTED.match(line))), None)
    if _is_gone(image):
        return (
            f": the container could not start: its image {image} is not there any more.",
            "Put it back, or start the same command again: what can be pulled is pulled again.",
        )
    if why is None:
        return (
            f": the container of the image {image} could not start, or a program in it ended with this code, as some "
            "do for any error.",
            "The reason is in the log.",
        )
    if missing := _NO_SOURCE.search(why):
        return (
            f": the container of the image {image} could not start: the node has no {missing['source']}, which it is "
            "to see.",
            "Correct the bind (--pbs-singularity-bind, container_args), or ask for nodes that have it.",
        )
    if "executable file not found" in why or "Failed to execvp()" in why:
        return _no_shell(image, why)
    return (
        f": the container of the image {image} could not start: {why.rstrip('.')}.",
        "Check that the image is whole and that you may read it on the compute nodes. `pbs-singularity images verify` "
        "reads those that were pulled; remove one that is damaged, and it is pulled again.",
    )
