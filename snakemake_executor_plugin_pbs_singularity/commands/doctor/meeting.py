"""The doctor's folder in the working directory, where the probe job and this machine write to each other."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...tracking.run_folder import STATE, new_token, write_private
from .facts import NodeFacts, parse_facts
from .latency import Round


class Meeting:
    """What was exchanged so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = secrets.token_hex(8)
        self._seen: dict[int, tuple[float, float]] = {}
        write_private(folder / "token", f"{self.token}\n")

    @property
    def script(self) -> Path:
        """Give the file of the job script."""
        return self.folder / "probe.sh"

    @property
    def output(self) -> Path:
        """Give the file for what PBS brings of the job's output."""
        return self.folder / "output"

    @property
    def has_begun(self) -> bool:
        """Tell whether the node was seen to write."""
        return bool(self._seen)

    def look(self) -> bool:
        """Answer what the node has written; tell whether there was anything new."""
        now = time.time()
        new = [number for name in self._names() if (number := _round_number(name)) and number not in self._seen]
        for number in new:
            (self.folder / f"reply.{number}").touch(mode=0o600)
            self._seen[number] = (now, time.time())
        return bool(new)

    def facts(self) -> NodeFacts:
        """Give what the node has told so far, by its own file or in what PBS has brought."""
        for file in (self.folder / "answers", self.output):
            with suppress(FileNotFoundError):
                facts = parse_facts(file.read_text(errors="replace"))
                if facts.host:
                    return facts
        return NodeFacts()

    def rounds(self, facts: NodeFacts) -> list[Round]:
        """Give the rounds of which both sides have told."""
        return [
            Round(told.sent, *self._seen[number], told.noticed)
            for number, told in enumerate(facts.rounds, 1)
            if number in self._seen and told.noticed is not None
        ]

    def _names(self) -> list[str]:
        return [path.name for path in self.folder.iterdir()]


@contextmanager
def make_meeting(workdir: Path) -> Iterator[Meeting]:
    """Make a private folder below a working directory, and remove it and what had to be made for it afterwards."""
    folder = workdir / STATE / f"doctor-{new_token()}"
    made = [parent for parent in (folder.parent, folder.parent.parent) if not parent.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    try:
        yield Meeting(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for parent in made:
            with suppress(OSError):  # a run may have begun meanwhile
                parent.rmdir()


def _round_number(name: str) -> int | None:
    hello, _, number = name.partition(".")
    return int(number) if hello == "hello" and number.isdecimal() else None
