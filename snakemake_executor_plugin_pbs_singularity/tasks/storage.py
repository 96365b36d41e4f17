"""The file systems that a job uses, named as a site wants them named: ``-l storage=gdata/ab12+scratch/cd34``.

Some sites mount a file system on a node only for jobs that ask for it, others hold jobs back while one is away.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from snakemake_interface_common.exceptions import WorkflowError

from .binds import followed

_RESOURCE = re.compile(r"([A-Za-z][\w-]*)([^\w\s,='\"-]?)", re.ASCII)
_NAME = re.compile(r"[\w./@-]+", re.ASCII)
_OPTION = "--pbs-singularity-storage"


@dataclass(frozen=True)
class Storage:
    """What a site calls the folders of its file systems."""

    resource: str
    separator: str
    """Between the names of several."""
    names: tuple[tuple[tuple[str, ...], str], ...]
    """Parts of a folder's path and its name; `*` stands for any one part, in the name too."""

    def of(self, paths: Iterable[str | Path], more: str | None = None) -> tuple[tuple[str, str], ...]:
        """Give what a job that uses these absolute paths must ask for, links followed, and what a rule adds."""
        named = [name for name in (more or "").split(self.separator) if name]
        used = paths if self.names else ()  # most sites name none: then no path need be looked at
        places = {place for path in used for place in followed(Path(os.path.abspath(path)))}  # noqa: PTH100
        found = {name for place in places if (name := self._name_of(place.parts)) is not None}
        value = self.separator.join([*dict.fromkeys([*named, *sorted(found)])])
        return ((self.resource, value),) if value else ()

    def _name_of(self, parts: tuple[str, ...]) -> str | None:
        for folder, name in self.names:
            if len(parts) >= len(folder) and all(
                want in ("*", part) for want, part in zip(folder, parts, strict=False)
            ):
                stars = (part for want, part in zip(folder, parts, strict=False) if want == "*")
                given = "".join(next(stars) if piece == "*" else piece for piece in re.split(r"(\*)", name))
                return given if _NAME.fullmatch(given) else None  # such a folder can be no file system's
        return None


def parse_storage(text: str | None, resource: str) -> Storage:
    """Read the options ``--pbs-singularity-storage`` and ``--pbs-singularity-storage-resource``.

    Raises WorkflowError for what cannot be read, with an example.
    """
    match = _RESOURCE.fullmatch(resource)
    if match is None:
        raise WorkflowError(
            f"{_OPTION}-resource: {resource!r} is not the name of a resource, with the sign between names of several "
            "after it. Write such as storage+ or filesystems:"
        )
    names = []
    for pair in (text or "").split(","):
        folder, equals, name = (part.strip() for part in pair.partition("="))
        if not pair.strip():
            continue
        parts = PurePosixPath(folder).parts
        known = [part for part in parts if part != "*"]
        if (
            not (equals and folder.startswith("/") and len(known) > 1)
            or any("*" in part for part in known)
            or not _NAME.fullmatch(name.replace("*", "x"))
            or name.count("*") > len(parts) - len(known)
        ):
            raise WorkflowError(
                f"{_OPTION}: {pair.strip()!r} does not say which folder has which name. Write FOLDER=NAME, where * "
                "stands for any one folder, such as /g/data/*=gdata/*"
            )
        names.append((parts, name))
    return Storage(match[1], match[2] or "+", tuple(names))


NO_STORAGE = parse_storage(None, "storage+")
"""Of a site where jobs ask for no file system."""
