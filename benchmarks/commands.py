"""PBS commands that are counted: small scripts, first on PATH, that note down a call and run the real command."""

import os
import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

COUNTED = ("qsub", "qstat", "qdel", "qselect", "qhold", "qrls", "qalter", "qmgr", "pbsnodes")

_NOTE = """\
#!/bin/sh
echo {name} >>{calls}
"""
_RUN = "exec {command} {arguments}\n"
_RUN_AND_KEEP_IDS = """\
ids=$({command} {arguments})
code=$?
if [ -n "$ids" ]; then
    echo "$ids" >>{ids}
    echo "$ids"
fi
exit $code
"""


@dataclass(frozen=True)
class Counting:
    """A folder with counting commands, and what they note down."""

    folder: Path
    """What to put first on PATH."""

    @property
    def calls(self) -> dict[str, int]:
        """Give how often each command was called so far."""
        return dict(Counter(_lines(self.folder / "calls")))

    @property
    def ids(self) -> set[str]:
        """Give the ids of all jobs and arrays that were submitted so far."""
        return set(_lines(self.folder / "ids"))


def install(folder: Path, real: Path) -> Counting:
    """Write counting commands into a new folder for those that there are in the folder ``real``."""
    folder.mkdir(parents=True)
    for name in COUNTED:
        command = real / name
        if not os.access(command, os.X_OK):
            continue
        text = (_NOTE + (_RUN_AND_KEEP_IDS if name == "qsub" else _RUN)).format(
            name=name,
            command=shlex.quote(str(command)),
            arguments='"$@"',
            calls=shlex.quote(str(folder / "calls")),
            ids=shlex.quote(str(folder / "ids")),
        )
        script = folder / name
        script.write_text(text)
        script.chmod(0o755)
    return Counting(folder)


def _lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []
