"""What the text behind ``container:`` refers to: a path, a name in a library, or a URI to pull.

Nothing here looks at the file system. The rules are Snakemake's where Snakemake has some: a value without
``://`` is a path, relative to the working directory, and ``~`` is the home directory, also after
``file://`` (seen with Snakemake 9.27, ``snakemake.common.parse_uri``). What is new is that a name which
is no such path is looked up in the site's libraries.
"""

import difflib
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .errors import ImageError

REGISTRY_SCHEMES = ("docker", "oras", "library", "shub", "http", "https")
"""Schemes whose images come over the network."""
ARCHIVE_SCHEMES = ("docker-archive", "oci-archive", "oci")
"""Schemes that name a file or folder to convert."""
SCHEMES = (*REGISTRY_SCHEMES, *ARCHIVE_SCHEMES, "docker-daemon")
"""What Singularity and Apptainer pull, one or the other version of them."""

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_SCHEME_WITH_ONE_COLON = re.compile(rf"({'|'.join((*SCHEMES, 'file'))}):(?!//)/?(.*)", re.DOTALL)


@dataclass(frozen=True)
class PathReference:
    """An image file, or an unpacked image, named by its path: absolute, ``~/…``, ``./…`` or ``../…``."""

    path: Path


@dataclass(frozen=True)
class LibraryReference:
    """A name relative to the working directory or to one of the libraries, with or without its ending."""

    name: str


@dataclass(frozen=True)
class UriReference:
    """An image to pull, ``scheme://rest``."""

    scheme: str
    rest: str

    @property
    def uri(self) -> str:
        """The URI as the container runtime wants it."""
        return f"{self.scheme}://{self.rest}"

    @property
    def public_rest(self) -> str:
        """What follows the scheme, without what may be secret: user and password, and the query."""
        if self.scheme in SCHEMES and self.scheme not in ("http", "https"):
            return self.rest
        host, slash, path = self.rest.partition("/")
        return host.rpartition("@")[2] + slash + re.split(r"[?#]", path, maxsplit=1)[0]

    @property
    def shown(self) -> str:
        """The URI for messages and file names: without what may be secret."""
        return f"{self.scheme}://{self.public_rest}"


Reference = PathReference | LibraryReference | UriReference


def parse_reference(value: str) -> Reference:
    """Tell what a ``container:`` value refers to.

    Raises ImageError for a value that can be none of the three: empty, with control characters, with an
    unknown scheme, with a scheme and nothing behind it, or a library name with ``..`` in it.
    """
    _refuse_odd_characters(value)
    uri = _URI.fullmatch(value)
    if uri is not None:
        scheme, rest = uri.groups()
        if scheme == "file":
            return _path_behind_file(rest, value)
        return _uri_reference(scheme, rest)
    one_colon = _SCHEME_WITH_ONE_COLON.fullmatch(value)
    if one_colon is not None:
        scheme, rest = one_colon.groups()
        slash = "/" if scheme in (*ARCHIVE_SCHEMES, "file") else ""
        raise ImageError(
            f"The image {value!r} has {scheme}: without two slashes.",
            f"Write {scheme}://{slash}{rest.lstrip('/')}.",
        )
    if value in (".", "..") or value.startswith(("/", "./", "../", "~")):
        return PathReference(Path(value))
    return _library_reference(value)


def _refuse_odd_characters(value: str) -> None:
    """Refuse what no image is called and no script should contain: control characters, outer blanks."""
    if not value.strip():
        raise ImageError(
            "The name of the image is empty.",
            "Give a path, a name from the image library, or a URI such as docker://ubuntu:22.04.",
        )
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in value):
        raise ImageError(
            f"The name of the image, {value!r}, contains a line break or another control character.",
            "Check how the value comes about; a name read from a file usually needs .strip().",
        )
    if value != value.strip():
        raise ImageError(f"The name of the image, {value!r}, begins or ends with a space.", "Remove it.")


def _path_behind_file(rest: str, value: str) -> PathReference:
    """Give the path of a ``file://`` value, as Snakemake reads it: literally, without %-escapes or a host."""
    if not rest:
        raise ImageError(f"There is no path in {value!r}.", "Write file:///path/to/image.sif, or just the path.")
    return PathReference(Path(rest))


def _uri_reference(scheme: str, rest: str) -> UriReference:
    reference = UriReference(scheme, rest)
    if scheme not in SCHEMES:
        near = difflib.get_close_matches(scheme.lower(), SCHEMES, n=1)
        raise ImageError(
            f"The image {reference.shown!r} has the unknown scheme {scheme}://.",
            (f"Did you mean {near[0]}://? " if near else "")
            + f"Known are {', '.join(f'{known}://' for known in SCHEMES)} and file://.",
        )
    if not rest.strip("/"):
        raise ImageError(f"The image {reference.uri!r} has nothing behind its scheme.", "Complete it.")
    if scheme in ARCHIVE_SCHEMES:
        if not rest.startswith("/"):
            raise ImageError(
                f"The path in {reference.uri!r} is not absolute.",
                f"Write {scheme}:///path/to/{rest.strip('/')}.",
            )
    elif re.search(r"\s", rest):
        raise ImageError(f"The image {reference.shown!r} contains a space.", "No registry has such names.")
    return reference


def _library_reference(value: str) -> LibraryReference:
    name = PurePosixPath(value)
    if ".." in name.parts:
        raise ImageError(
            f"The library name {value!r} contains '..', which could lead out of the library.",
            f"For a path relative to the working directory write ./{value}.",
        )
    return LibraryReference(str(name))
