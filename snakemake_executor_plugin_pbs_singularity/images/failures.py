"""What the words of a failed pull mean, and what to do about it.

Apptainer and Singularity end every failed pull with the same exit status (255); only their words tell a
wrong tag from a full disk. The words are those of the transcripts apptainer/50 to 57 and 80 to 89 and
singularity-2.6.1/20 and 21, and of Docker Hub's documentation for its rate limit.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..text import without_colours
from .errors import ImageError
from .reference import UriReference
from .runtime import Runtime, login_words, pull_arguments, setting_prefix


class PassingError(ImageError):
    """A pull failed for a reason that may be gone in a moment: trying again is reasonable."""


@dataclass(frozen=True)
class _Cause:
    """A known reason. The texts may use the names that ``explain`` fills in."""

    words: re.Pattern[str]
    problem: str
    remedy: str
    passing: bool = False


def _cause(words: str, problem: str, remedy: str, *, passing: bool = False) -> _Cause:
    return _Cause(re.compile(words, re.IGNORECASE), problem, remedy, passing)


# The first that matches counts, so the more special come first.
_CAUSES = (
    _cause(
        r"no space left on device|disk quota exceeded",
        "there is no room left where it unpacks or writes",
        "Make room in the folder that the message names, or choose another: {prefix}TMPDIR for unpacking,"
        " {prefix}CACHEDIR for downloads (in the home directory if not set), another store than {store}.",
    ),
    _cause(
        r"OCI manifest found, but accept header does not support OCI",
        "the registry has the image in the OCI format, which {runtime} cannot read",
        "Make a sandbox of it elsewhere with a newer version, and name that by its path.",
    ),
    _cause(
        r"/usr/bin/env: .python",
        "{runtime} needs a command named python, and looks for it in /usr/bin and /usr/local/bin only",
        "Ask the site for one there, or pull with a newer version, or Apptainer, if the site has it.",
    ),
    _cause(
        r"toomanyrequests|too many requests|rate limit|status(?: code)?:? 429|\b429\b.*\bToo Many",
        "the registry limits how much may be pulled and the limit is reached",
        "Wait, or log in, which raises the limit: {login}.",
        passing=True,
    ),
    _cause(
        r"MANIFEST_UNKNOWN|manifest unknown|NAME_UNKNOWN|repository name not known|no such image"
        r"|image does not exist|status(?: code)?:? 404|404 not found",
        "the registry has no such image or tag",
        "Check the spelling of the name and the tag.",
    ),
    _cause(
        r"UNAUTHORIZED|requested access to the resource is denied|authentication required|access forbidden"
        r"|Authentication error, exiting"
        r"|status(?: code)?:? 40[13]|\b(?:401 Unauthorized|403 Forbidden)",
        "the registry refuses access, which also is what it says to a name that it does not know",
        "Check the spelling of the name. If the image is private, log in: {login}.",
    ),
    _cause(
        r"no default remote with library client",
        "{runtime} has no library:// server configured",
        "Add one: `{command} remote add --no-login SylabsCloud cloud.sycloud.io` and"
        " `{command} remote use SylabsCloud`; or take the image from another place, such as docker://.",
    ),
    _cause(
        r"singularity.?hub",
        "Singularity Hub does not answer; it takes no new images since 2021",
        "Take the image from another place, such as docker://.",
    ),
    _cause(
        r"server gave HTTP response to HTTPS client",
        "the registry speaks plain http",
        "If that is meant to be, set {prefix}NOHTTPS=1.",
    ),
    _cause(
        r"x509:|certificate signed by unknown authority",
        "the registry's certificate is not trusted on this machine",
        "Ask the site for the certificate of its registry or web proxy.",
    ),
    _cause(
        r"connection refused|no such host|network is unreachable|no route to host|name resolution"
        r"|dial tcp.*i/o timeout|proxyconnect|Name or service not known",
        "the registry cannot be reached from this machine",
        "This needs the network: run on the login node, or `{by_hand}` elsewhere and put the file at {destination}.",
    ),
    _cause(
        r"unexpected EOF|connection reset|broken pipe|TLS handshake timeout|i/o timeout|deadline exceeded"
        r"|status(?: code)?:? 50[0234]|\b50[234] (?:Bad Gateway|Service Unavailable|Gateway Time)|http2: ",
        "the connection to the registry was cut",
        "Try again; if it stays so, run `{by_hand}` elsewhere and put the file at {destination}.",
        passing=True,
    ),
)

_UNKNOWN = _Cause(
    re.compile(""),
    "{command} ended with exit status {status}",
    "Try it by hand: `{by_hand}`.",
)


def explain(output: str, status: int, reference: UriReference, runtime: Runtime, destination: Path) -> ImageError:
    """Make an error from what a failed pull wrote: its last words, their meaning and the remedy.

    The error is a PassingError if trying again is reasonable. Secrets of the URI are taken out.
    """
    lines = last_words(output.replace(reference.rest, reference.public_rest))
    cause = next((cause for cause in _CAUSES if cause.words.search("\n".join(lines))), _UNKNOWN)
    names = {
        "by_hand": shlex.join(pull_arguments(runtime, Path("FILE"), reference.shown)),
        "command": runtime.command,
        "destination": destination,
        "login": login_words(runtime, _registry(reference)),
        "prefix": setting_prefix(runtime),
        "runtime": runtime,
        "status": status,
        "store": destination.parent,
        "uri": reference.shown,
    }
    problem = f"{reference.shown} cannot be pulled: {cause.problem.format_map(names)}."
    said = "".join(f"\n  {line}" for line in lines)
    error = PassingError if cause.passing else ImageError
    return error(f"{problem}{said}\n" if said else problem, cause.remedy.format_map(names))


def _registry(reference: UriReference) -> str:
    """Give the registry of an image; a first part that is no host name means Docker Hub."""
    host = reference.rest.partition("/")[0]
    is_host = "/" in reference.rest and ("." in host or ":" in host or host == "localhost")
    return host if is_host else "docker.io"


_CHATTER = re.compile(r"INFO:|WARNING:|DEBUG\b|\d{4}/\d\d/\d\d [\d:]+ +(?:info|warn)\b|Cleaning up")


def last_words(output: str, most: int = 5) -> Sequence[str]:
    """Give the last lines that say something: without progress, warnings and the codes of a terminal."""
    text = without_colours(output.replace("\r", "\n"))
    lines = ["".join(filter(str.isprintable, line)).strip() for line in text.splitlines()]
    spoken = [line for line in lines if line]
    telling = [line for line in spoken if not _CHATTER.match(line)]
    return (telling or spoken)[-most:]
