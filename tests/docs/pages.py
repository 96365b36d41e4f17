"""The pages of the documentation, read."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "snakemake_executor_plugin_pbs_singularity"
README = ROOT / "README.md"
READMES = [README, ROOT / "README.zh-CN.md"]
ERRORS = ROOT / "docs/errors.md"
MNIST = ROOT / "workflows/mnist"
PAGES = [*READMES, *(ROOT / "docs").glob("*.md"), *MNIST.glob("README*.md")]


def section(page: Path, heading: str) -> str:
    """Give what stands below a heading, up to the next one of its level."""
    marks = heading.split()[0]
    return page.read_text().partition(f"\n{heading}\n")[2].partition(f"\n{marks} ")[0]


def rows(text: str) -> list[list[str]]:
    """Give the cells of all rows of all tables of a text, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    heads = {index - 1 for index, line in enumerate(lines) if set(line) <= set("|- ")}
    kept = [line for index, line in enumerate(lines) if index not in heads and index - 1 not in heads]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in kept]


def code_in(text: str) -> set[str]:
    """Give what stands between backquotes in a text, its blocks of code left out."""
    return set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)))


def anchors(page: Path) -> set[str]:
    """Give the anchors of the headings of a page, as they are made from their words."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def texts_of_code() -> list[str]:
    """Give all texts in the code of the package, each as `text_of` does."""
    trees = [ast.parse(file.read_text()) for file in PACKAGE.rglob("*.py")]
    return [
        text_of(node) for tree in trees for node in ast.walk(tree) if isinstance(node, ast.JoinedStr | ast.Constant)
    ]


def text_of(node: ast.AST) -> str:
    """Give the text of a string in the code; what is filled in at run time is … in it."""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) for part in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else "…"


def is_said(pattern: str, texts: list[str]) -> bool:
    """Tell whether a message is among some texts; `…` in it stands for anything."""
    pieces = [piece.strip() for piece in pattern.replace("`", "").split("…")]
    return any(_in_order(pieces, text.replace("`", "")) for text in texts)


def is_made_by(template: str, text: str) -> bool:
    """Tell whether a text is a template that is filled in where it has `…`."""
    first, *others = template.split("…")
    last = others[-1] if others else first
    return text.startswith(first) and text.endswith(last) and _in_order([first, *others], text)


def _in_order(pieces: list[str], text: str) -> bool:
    position = 0
    for piece in pieces:
        position = text.find(piece, position)
        if position < 0:
            return False
        position += len(piece)
    return True
