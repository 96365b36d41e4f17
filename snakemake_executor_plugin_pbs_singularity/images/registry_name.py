"""The parts of an image's name in an OCI registry: ``docker://`` and ``oras://`` URIs."""

import re
from dataclasses import dataclass, replace

from .errors import ImageError
from .reference import UriReference

OCI_SCHEMES = ("docker", "oras")
"""Schemes whose registries know images by the SHA-256 of their manifest, the digest."""
DOCKER_HUB = "docker.io"

_NAME = re.compile(r"(?:([^/]*[.:][^/]*|localhost)/)?([^:@/]+(?:/[^:@/]+)*)(?::([^:@/]+))?(?:@([^@]+))?")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


@dataclass(frozen=True)
class RegistryName:
    """What an image is called in a registry."""

    scheme: str
    host: str | None
    """With its port; None where the URI names none and means Docker Hub."""
    repository: str
    tag: str | None
    digest: str | None
    """``sha256:`` and 64 digits, or sha512. An image named by it cannot change."""

    @property
    def uri(self) -> str:
        """The URI; with a digest it has no tag, as Apptainer refuses to have both."""
        host = f"{self.host}/" if self.host else ""
        version = f"@{self.digest}" if self.digest else f":{self.tag}" if self.tag else ""
        return f"{self.scheme}://{host}{self.repository}{version}"

    def at(self, digest: str) -> "RegistryName":
        """Give the name of the image that has this digest."""
        return replace(self, tag=None, digest=digest)


def registry_name(reference: UriReference) -> RegistryName | None:
    """Give the parts of a URI; None for schemes whose servers know no digests.

    Raises ImageError for what can be no name in a registry, and for a digest that is none.
    """
    if reference.scheme not in OCI_SCHEMES:
        return None
    match = _NAME.fullmatch(reference.rest)
    if match is None:
        raise ImageError(
            f"{reference.shown} is no name of an image in a registry.",
            f"Write {reference.scheme}://HOST/NAME:TAG or {reference.scheme}://HOST/NAME@sha256:DIGITS.",
        )
    host, repository, tag, digest = match.groups()
    if digest is not None and not is_digest(digest):
        raise ImageError(
            f"The digest in {reference.shown} is none: it needs sha256: and 64 digits of 0 to 9 and a to f.",
            "Copy it again.",
        )
    return RegistryName(reference.scheme, host, repository, tag, digest)


def is_digest(text: str) -> bool:
    """Tell whether a text is a digest as registries give it."""
    return _DIGEST.fullmatch(text) is not None


def fixed_digest(reference: UriReference) -> str | None:
    """Give the digest in a URI, by which it names one image for ever; None if it has none.

    Raises ImageError as registry_name does.
    """
    name = registry_name(reference)
    return name.digest if name is not None else None
