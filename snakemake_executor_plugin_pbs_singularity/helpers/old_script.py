"""The `#PBS` lines of a job script that people already have become `resources:` of a rule.

They are read as OpenPBS reads them (qsub(1B), pbs_resources(7B)), and TORQUE's notation as OpenPBS converts it. What
would change which machine a job gets is never dropped in silence.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from snakemake_interface_common.exceptions import WorkflowError

from ..tasks.request import check_extra
from .notation import mebibytes, minutes, text, whole_number, word
from .request import PbsResources, Value, parse_select

_TAKEN_OVER_ELSEWHERE = {
    "C": "it has no counterpart",
    "D": "TORQUE's root directory has no counterpart",
    "I": "the plugin submits batch jobs",
    "J": "write a wildcard in the rule for what the index chose",
    "N": "the plugin names the jobs",
    "R": "the plugin keeps the logs",
    "S": "Snakemake has shell.executable()",
    "T": "TORQUE's scripts of the site have no counterpart",
    "V": "name what the job needs in the Snakefile's envvars:",
    "X": "the plugin submits batch jobs",
    "d": "jobs run in Snakemake's working directory",
    "e": "use the rule's log:",
    "f": "the plugin waits for qsub",
    "j": "use the rule's log:",
    "k": "use the rule's log:",
    "o": "use the rule's log:",
    "t": "write a wildcard in the rule for what the index chose",
    "v": "name what the job needs in the Snakefile's envvars:",
    "w": "jobs run in Snakemake's working directory",
    "z": "the plugin reads the job id",
}
_PASSED_ON = set("acmMpruhW")
_FLAGS = set("fhIVXz")
_WITH_VALUE = {*"lqAP", *_PASSED_ON, *_TAKEN_OVER_ELSEWHERE} - _FLAGS
_IN_CHUNKS = ("host", "vnode", "arch")
_NOT_FOR_THE_WHOLE_JOB = {"vmem": "OpenPBS takes no vmem beside select", "pvmem": "use mem", "pmem": "use mem"}


@dataclass(frozen=True)
class _Option:
    where: str
    """The file, the line and the option, for messages."""
    letter: str
    value: str


@dataclass(frozen=True)
class _Chunk:
    count: int
    wanted: dict[str, str]
    where: str


class OldScript(PbsResources):
    """What an old script asks for, and what of it could not be taken over."""

    def __init__(self, values: dict[str, Value], threads: int, notes: tuple[str, ...]) -> None:
        super().__init__(values, threads)
        self.notes = notes
        """Sentences with file and line."""


def pbs_script(path: str | Path) -> OldScript:
    """Give what the `#PBS` lines of a job script ask for: `resources: **old` and `threads: old.threads`.

    The path is relative to the working directory. Both notations are read: `-l select=1:ncpus=4:mem=8gb` and TORQUE's
    `-l nodes=1:ppn=4,mem=8gb`, where mem is that of all nodes and is divided among them. What is simple becomes
    `mem_mb`, `gpu`, `nodes` and `tasks`, which other executors know too; what is not, such as properties of nodes,
    becomes `pbs_select`, and `pbs_nodes` for a TORQUE if it was written for one. Names of jobs, places of logs and the
    like are left out; Snakemake's log says so.

    Raises WorkflowError with file and line for what cannot be read, or cannot be meant.
    """
    file = Path(path)
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise WorkflowError(
            f"pbs_script({str(path)!r}): the script cannot be read ({error.strerror}). Its path is relative to the "
            f"working directory, {Path.cwd()}."
        ) from error
    notes: list[str] = []
    options = _options(lines, str(path), notes)
    values: dict[str, Value] = {}
    wanted: dict[str, _Option] = {}
    extra: list[str] = []
    for option in options:
        letter, value, where = option.letter, option.value, option.where
        if letter == "l":
            wanted |= _resources(option)
        elif letter in "qAP":
            name = {"q": "pbs_queue", "A": "pbs_account", "P": "pbs_project"}[letter]
            values[name] = word(value, where)
        elif letter == "W" and value.strip().lower().startswith("depend"):
            notes.append(f"{where} is left out: Snakemake derives the order of jobs from their files.")
        elif letter in _PASSED_ON:
            passed = [f"-{letter}", *([text(value, where)] if value else [])]
            try:
                check_extra("that uses it", shlex.join(passed))
            except WorkflowError as error:
                raise WorkflowError(f"{where} cannot be taken over: take it out of a copy. {error}") from error
            extra += passed
        else:
            notes.append(f"{where} is left out: {_TAKEN_OVER_ELSEWHERE[letter]}.")
    threads = _fill(values, wanted, extra, notes)
    if extra:
        values["pbs_extra"] = shlex.join(extra)
    if threads > 1:
        notes.append(f"{path}: it asks for {threads} cores: write 'threads: {threads}' in the rule.")
    script = OldScript(values, threads, tuple(notes))
    _tell(script.notes)
    return script


def _options(lines: list[str], path: str, notes: list[str]) -> list[_Option]:
    """Give the options of the `#PBS` lines, as far as PBS reads: up to the first command."""
    options: list[_Option] = []
    command_at = None
    for number, line in enumerate(lines, start=1):
        directive = re.match(r"#PBS(\s.*)?$", line)
        if directive is None:
            if (
                command_at is None
                and line.strip()
                and not line.lstrip().startswith("#")
                and not (number == 1 and line[0] == ":")
            ):
                command_at = number
        elif command_at is not None:
            notes.append(
                f"{path}, line {number}: PBS never read this line: it comes after the command in line {command_at}."
            )
        else:
            options += _options_of_line(directive[1] or "", f"{path}, line {number}")
    return options


def _options_of_line(rest: str, where: str) -> list[_Option]:
    try:
        words = shlex.split(re.sub(r"(^|\s)#.*", "", rest))
    except ValueError as error:
        raise WorkflowError(f"{where}: {rest.strip()!r} cannot be split into options ({error}).") from error
    options: list[_Option] = []
    while words:
        first = words.pop(0)
        letter, value = first[1:2], first[2:]
        if first[:1] != "-" or letter not in _WITH_VALUE | _FLAGS or (letter in _FLAGS and value):
            raise WorkflowError(
                f"{where}: {first!r} is no option of qsub that is known here. Correct it, or take it out of a copy."
            )
        if letter in _WITH_VALUE and not value:
            if not words:
                raise WorkflowError(f"{where}: -{letter} has no value. Complete it, or take it out of a copy.")
            value = words.pop(0)
        options.append(_Option(f"{where}: -{letter}{' ' if value else ''}{value}", letter, value))
    return options


def _resources(option: _Option) -> dict[str, _Option]:
    wanted: dict[str, _Option] = {}
    for pair in option.value.split(","):
        name, equals, value = pair.strip().partition("=")
        if not re.fullmatch(r"[A-Za-z][\w.-]*", name) or not equals or not value:
            raise WorkflowError(f"{option.where}: {pair!r} is no resource. Write NAME=VALUE, joined by commas.")
        wanted[name] = _Option(option.where, "l", value)
    return wanted


def _fill(values: dict[str, Value], wanted: dict[str, _Option], extra: list[str], notes: list[str]) -> int:
    """Translate the resources of `-l`; gives the cores for each process."""
    rest = dict(wanted)
    chunks = _chunks(rest, notes)
    if walltime := rest.pop("walltime", None):
        values["runtime"] = minutes(walltime.value, walltime.where)
    if place := rest.pop("place", None):
        values["pbs_place"] = word(place.value, place.where)
    for name, option in rest.items():
        if name in _NOT_FOR_THE_WHOLE_JOB:
            notes.append(f"{option.where}: {name} is left out: {_NOT_FOR_THE_WHOLE_JOB[name]}.")
        elif name in ("procs", "size"):
            raise WorkflowError(f"{option.where}: {name} does not say on how many nodes. Write nodes=N:ppn=M.")
        else:
            extra += ["-l", f"{name}={option.value}"]
    threads = _fill_chunks(values, chunks) if chunks else 1
    if "pbs_select" in values and (nodes := wanted.get("nodes")):
        values["pbs_nodes"] = word(nodes.value, nodes.where)
        if mem := chunks[0].wanted.get("mem"):
            values["mem_mb"] = mebibytes(mem, nodes.where)  # TORQUE's nodes say nothing of it
    if "nodes" in values:
        values.setdefault("pbs_place", "free")  # as PBS places what a script says nothing of
    return threads


def _chunks(rest: dict[str, _Option], notes: list[str]) -> list[_Chunk]:
    """Take the chunks out of the resources, from `select`, else `nodes`, else single resources."""
    select, nodes = rest.pop("select", None), rest.pop("nodes", None)
    single = {name: rest.pop(name) for name in ("ncpus", "mem", "ngpus", "gpus", *_IN_CHUNKS) if name in rest}
    if select and nodes:
        raise WorkflowError(f"{nodes.where}: nodes and select exclude each other. Take one out of a copy.")
    if select:
        for name, option in single.items():
            raise WorkflowError(f"{option.where}: PBS takes no {name} beside select. Move it into select.")
        return [_Chunk(count, dict(chunk), select.where) for count, chunk in parse_select(select.value, select.where)]
    if "gpus" in single:
        single.setdefault("ngpus", single.pop("gpus"))
    if nodes:
        chunks = [_node_chunk(part, nodes.where) for part in nodes.value.split("+")]
        if len(chunks) == 1 and chunks[0].count == 1:
            chunks[0].wanted.pop("mpiprocs", None)  # ppn=4 on one node is how one asks for four cores
        elif "place" not in rest:
            rest["place"] = _Option(nodes.where, "l", "scatter")
        if "ncpus" in single:
            raise WorkflowError(f"{single['ncpus'].where}: ncpus beside nodes is not read here. Write nodes=N:ppn=M.")
    elif single:
        chunks = [_Chunk(1, {}, next(iter(single.values())).where)]
    else:
        return []
    count = sum(chunk.count for chunk in chunks)
    for name, option in single.items():
        value = option.value
        if name == "mem":
            whole = mebibytes(value, option.where)
            value = f"{-(-whole // count)}mb"
            if count > 1:
                notes.append(f"{option.where}: mem is that of {count} nodes, so each gets {value}.")
        for chunk in chunks:
            chunk.wanted.setdefault(name, value)
    return chunks


def _node_chunk(part: str, where: str) -> _Chunk:
    """Give a part of `-l nodes=` as OpenPBS converts it (pbs_resources(7B), BACKWARD COMPATIBILITY).

    A property `fat` is asked for as `fat=true`. With ppn, ncpus counts for each process.
    """
    words = part.split(":")
    count = whole_number(words.pop(0), where, 1) if words[0].isdigit() else 1
    wanted: dict[str, str] = {}
    for index, item in enumerate(words):
        name, equals, value = item.partition("=")
        if name in ("ppn", "ncpus") and equals:
            number = whole_number(value, f"{where}: {name}", 1)
            wanted["ncpus"] = str(number * int(wanted.get("ncpus", "1")))
            if name == "ppn":
                wanted["mpiprocs"] = str(number)
        elif name in ("gpus", "ngpus") and equals:
            wanted["ngpus"] = str(whole_number(value, f"{where}: {name}", 0))
        elif equals or not re.fullmatch(r"[A-Za-z][\w.-]*", name):
            raise WorkflowError(f"{where}: {item!r} in nodes cannot be read. Write nodes=COUNT:ppn=CORES:PROPERTY.")
        elif index == 0 and not part[0].isdigit():
            raise WorkflowError(
                f"{where}: {name!r} may be a host or a property. Write nodes=1:{name} for a property; for a host, "
                f"select=1:ncpus=1:host={name}."
            )
        else:
            wanted[name] = "true"
    wanted.setdefault("ncpus", "1")
    return _Chunk(count, wanted, where)


def _fill_chunks(values: dict[str, Value], chunks: list[_Chunk]) -> int:
    """Say with Snakemake's names what chunks ask for, or with `pbs_select` where these do not suffice."""
    first = chunks[0]
    cores = whole_number(first.wanted.get("ncpus", "1"), f"{first.where}: ncpus", 1)
    processes = whole_number(first.wanted.get("mpiprocs", "1"), f"{first.where}: mpiprocs", 1)
    tasks = first.count * processes if "mpiprocs" in first.wanted else 0
    threads = cores // processes
    simple = (
        len(chunks) == 1
        and set(first.wanted) <= {"ncpus", "mem", "ngpus", "mpiprocs", "ompthreads"}
        and (not tasks or cores % processes == 0)
        and first.wanted.get("ompthreads", str(threads)) == str(threads)
    )
    if not simple:
        values["pbs_select"] = "+".join(
            ":".join([str(chunk.count), *(f"{name}={value}" for name, value in chunk.wanted.items())])
            for chunk in chunks
        )
        parse_select(values["pbs_select"], first.where)
        return max(threads, 1)
    if "mem" in first.wanted:
        values["mem_mb"] = mebibytes(first.wanted["mem"], first.where)
    if "ngpus" in first.wanted:
        values["gpu"] = whole_number(first.wanted["ngpus"], f"{first.where}: ngpus", 0)
    if first.count > 1:
        values["nodes"] = first.count
    if tasks:
        values["tasks"] = tasks
    return threads


def _tell(notes: tuple[str, ...]) -> None:
    from .container import in_main_process

    if in_main_process():
        from snakemake.logging import logger

        for note in notes:
            logger.info(note)
