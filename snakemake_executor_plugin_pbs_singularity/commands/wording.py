"""What messages say of a rule and its resources, said in the options of the commands that are used by hand. Pure."""

from __future__ import annotations

import re

_OPTIONS = {
    "container_args": "--bind",
    "gpu": "--gpu",
    "gpu_model": "--gpu-model",
    "mem_mb": "--mem",
    "nodes": "--nodes",
    "pbs_account": "--account",
    "pbs_extra": "--extra",
    "pbs_project": "--project",
    "pbs_queue": "--queue",
    "pbs_storage": "--bind",
    "runtime": "--runtime",
    "tasks": "--tasks",
    "threads": "--threads",
}
"""Resources, and the options that stand for them; file systems are asked for by what is bound."""
_NAME = rf"\b(?:{'|'.join(sorted(_OPTIONS, reverse=True))})\b"
_CERTAIN = rf"\b(?:{'|'.join(name for name in sorted(_OPTIONS, reverse=True) if '_' in name)})\b"
"""Those that are no words of English too."""
_PHRASES = (
    (" or pbs_select)", ")"),
    ("nodes and tasks, or pbs_nodes", "--nodes and --tasks"),
    ("use instead pbs_place", "leave it out"),
    ("pbs_select", "--threads, --mem, --gpu, --nodes and --tasks"),
    ("the rule's log:", "a redirection, as all output comes here"),
    ("Snakemake's shell.executable()", "a shell as the command: sh -c '...'"),
    ("the Snakefile's envvars:", "env before the command: env NAME=VALUE COMMAND"),
    ("Give the rule", "Give it"),
    ("or name another with --directory", "or start in another"),
    ("or name one with --directory", "or start in one"),
    ("use {threads} of them", "use that many"),
)
"""What has no option of its own."""
_VIRTUAL_MEMORY = re.compile(r"Ask for more with the rule's pbs_select, such as `[^`]*`; if it [\w ]+, its queue")
"""No option asks for it."""
_REFERENCES = re.compile(
    rf"resources: (?P<shown>{_NAME})(?==)|the rule's (?P<listed>{_NAME}(?:(?:, | or | and |, and ){_NAME})*)"
    rf"|(?:the )?resource (?P<named>{_NAME})|(?P<before>use instead |less than )(?P<after>{_NAME})"
    rf"|(?P<alone>{_CERTAIN})"
)


def in_options(text: str) -> str:
    """Give a message with options in the place of resources: ``the rule's mem_mb`` is ``--mem``."""
    text = _VIRTUAL_MEMORY.sub("Its queue", text)
    for phrase, said in _PHRASES:
        text = text.replace(phrase, said)
    text = _REFERENCES.sub(_in_options, text)
    return text.replace("the rule's", "its").replace("the rule", "it")


def _in_options(found: re.Match[str]) -> str:
    names = next(found[name] for name in ("shown", "listed", "named", "after", "alone") if found[name])
    return (found["before"] or "") + re.sub(_NAME, lambda name: _OPTIONS[name[0]], names)
