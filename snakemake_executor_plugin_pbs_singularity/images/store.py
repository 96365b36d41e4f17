"""Where pulled images go: one file for each URI, under a name that a person recognises."""

import hashlib
import re
from pathlib import Path

from .reference import UriReference
from .runtime import Runtime, image_ending

_LONGEST_NAME = 120


def stored_path(reference: UriReference, store: Path, runtime: Runtime | None = None) -> Path:
    """Give the file in the store for a URI, such as ``docker/ubuntu_22.04-9859e0c0.sif``.

    The same URI always gives the same file. The digits are from the SHA-256 of the whole URI, so that
    URIs that differ only in what a file name cannot hold, or in what may be secret and is left out, stay
    apart. The scheme and the name are plain ASCII, with no leading dot or dash. The runtime decides the
    ending only.
    """
    digits = hashlib.sha256(reference.uri.encode()).hexdigest()[:8]
    readable = re.sub(r"[^A-Za-z0-9.+-]+", "_", reference.public_rest).strip("._-") or "image"
    readable = readable.removesuffix(".sif").removesuffix(".simg")[:_LONGEST_NAME]
    return store / reference.scheme / f"{readable}-{digits}{image_ending(runtime)}"
