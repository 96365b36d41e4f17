"""The settings of a local PBS: one file, ``settings.json`` in its home, all of it optional.

Server and commands read it each time they do something, so a change holds at once. Change it with
``pbs-singularity local --set NAME=VALUE``, with ``change`` or with an editor.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType

FILE_NAME = "settings.json"


class SettingsError(Exception):
    """A setting that does not exist or a value that it cannot have; the text names both."""


@dataclass(frozen=True)
class Queue:
    """One queue.

    Refused are jobs over ``max_walltime`` (seconds), more than ``max_queued`` jobs and subjobs that are not over, and
    arrays of more than ``max_array_size`` subjobs.
    """

    enabled: bool = True
    started: bool = True
    max_walltime: int | None = None
    max_queued: int | None = None
    max_array_size: int | None = None
    closed: bool = False
    """Whether its access list leaves this user out."""
    resources_max: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The most of each resource that a job may ask for, as ``{"mem": "4gb"}``; so for ``resources_min``."""
    resources_min: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    resources_default: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Shown; a walltime is given to jobs that name none."""
    acl_users: tuple[str, ...] = ()
    """Who may use it, as ``joan@*``; if nobody is named, everybody. So for ``acl_groups``."""
    acl_groups: tuple[str, ...] = ()
    priority: int = 0


@dataclass(frozen=True)
class Settings:
    """All settings. None means: take what the machine has."""

    ncpus: int | None = None
    mem_mb: int | None = None
    """Memory that jobs may ask for together, MiB."""
    ngpus: int | None = None
    """With 0 the resource ngpus does not exist, as in an OpenPBS that nobody configured."""
    queues: Mapping[str, Queue] = field(default_factory=lambda: MappingProxyType({"workq": Queue()}))
    """The first one is the default queue."""
    max_array_size: int = 10_000
    history_hours: float = 336
    """How long a finished job stays known; 0 turns history off, so that a finished job is unknown."""
    face: str = "openpbs"
    """What the commands take and answer: as ``openpbs`` or as ``torque`` does. Jobs keep to the one they began with."""
    keep_completed: float = 300
    """Seconds that a finished job stays known on ``torque``, which has no history."""
    enforce_mem: bool = False
    """Whether a job that uses more memory than it asked for is killed. A default OpenPBS does not."""
    login_shell: bool = False
    """Whether jobs begin in a login shell, as on a real node: it reads the user's profile, which sets PATH. Off,
    jobs start quickly and alike on every machine."""
    kill_grace: float = 10
    """Seconds between TERM and KILL."""
    idle: float = 60
    """Seconds without requests and running jobs after which the server ends."""
    server: str = "up"
    """``up``; ``away``: commands say connection refused, nothing is scheduled, jobs run on; ``hung``: commands
    get no answer until it is up again, then all that was asked is done."""
    answer_delay: float = 0
    """Seconds by which a command's answer is late; what it asked for is done at once."""
    lost: tuple[str, ...] = ()
    """Ids of jobs that vanish: killed, and the server knows nothing of them any more."""

    @property
    def remembers(self) -> float:
        """Give the seconds that a finished job stays known."""
        return self.keep_completed if self.face == "torque" else self.history_hours * 3600


_QUEUE_TYPES: Mapping[str, type] = {
    **dict.fromkeys(("enabled", "started", "closed"), bool),
    **dict.fromkeys(("resources_max", "resources_min", "resources_default"), dict),
    **dict.fromkeys(("acl_users", "acl_groups"), list),
}
FACES = ("openpbs", "torque")
_SERVER_STATES = ("up", "away", "hung")


def load(home: Path) -> Settings:
    """Read the settings of a home. Raises SettingsError for what makes no sense."""
    path = home / FILE_NAME
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError:
        return Settings()
    except ValueError as error:
        raise SettingsError(f"{path} is not JSON: {error}. Correct it or remove it.") from error
    if not isinstance(values, dict):
        raise SettingsError(f"{path} does not hold a JSON object. Correct it or remove it.")
    return _from_json(values, path)


def change(home: Path, **changes: object) -> Settings:
    """Change settings of a home, given as JSON values by name, and give all of them.

    None takes a setting back to its default. Raises SettingsError for what makes no sense.
    """
    path = home / FILE_NAME
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError:
        values = {}
    for name, value in changes.items():
        values[name] = value
    values = {name: value for name, value in values.items() if value is not None}
    settings = _from_json(values, path)
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps(values, indent=2) + "\n")
    unfinished.rename(path)
    return settings


def _from_json(values: Mapping[str, object], path: Path) -> Settings:
    known = {item.name for item in fields(Settings)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise SettingsError(f"{path}: there is no setting {unknown[0]!r}; there are {', '.join(sorted(known))}.")
    checked = {name: _checked(name, value, path) for name, value in values.items() if value is not None}
    return Settings(**checked)  # type: ignore[arg-type]


def _checked(name: str, value: object, path: Path) -> object:
    number = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    wrong = SettingsError(f"{path}: the setting {name} cannot be {value!r}.")
    if name == "queues":
        if not isinstance(value, dict) or not value:
            raise wrong
        return MappingProxyType({queue: _queue(queue, options, path) for queue, options in value.items()})
    if name == "lost":
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise wrong
        return tuple(value)
    if name == "server" and value not in _SERVER_STATES:
        raise SettingsError(f"{path}: the setting server is {value!r}, not one of {', '.join(_SERVER_STATES)}.")
    if name == "face" and value not in FACES:
        raise SettingsError(f"{path}: the setting face is {value!r}, not one of {', '.join(FACES)}.")
    if name in ("enforce_mem", "login_shell") and not isinstance(value, bool):
        raise wrong
    if name in ("ncpus", "mem_mb", "ngpus", "max_array_size") and not (number and isinstance(value, int)):
        raise wrong
    if name in ("history_hours", "keep_completed", "kill_grace", "idle", "answer_delay") and not number:
        raise wrong
    return value


def _queue(name: str, options: object, path: Path) -> Queue:
    known = {item.name: item.type for item in fields(Queue)}
    if not isinstance(options, dict) or not set(options) <= set(known):
        raise SettingsError(f"{path}: queue {name!r} has an unknown option; there are {', '.join(known)}.")
    values = {}
    for option, value in options.items():
        wanted = _QUEUE_TYPES.get(option, int)
        items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        if value is not None and (type(value) is not wanted or not all(isinstance(item, str) for item in items)):
            raise SettingsError(f"{path}: {option} of queue {name!r} cannot be {value!r}.")
        values[option] = tuple(value) if isinstance(value, list) else value
    return Queue(**{option: value for option, value in values.items() if value is not None})  # type: ignore[arg-type]
