"""A ``container:`` value becomes an image file on the shared file system. Knows nothing of PBS or Snakemake.

``resolve`` says what a value means: an image that is there, or one that is missing and its URI.
``ensure_pulled`` gets a missing one, once, however many ask for it. ``find_runtime`` finds the container
command of this site. All problems are ImageErrors, which say what to do; they do not name the rule, the
caller does.
"""

from .check import ImageKind, check_image
from .errors import ImageError
from .library import find_in_libraries
from .pull import ensure_pulled
from .pulls import Pulls
from .reference import LibraryReference, PathReference, Reference, UriReference, parse_reference
from .resolution import Explanation, Found, Missing, Resolved, explain, resolve
from .runtime import (
    Product,
    Runtime,
    check_runnable,
    environment_prefix,
    find_runtime,
    pull_arguments,
)
from .store import stored_path

__all__ = [
    "Explanation",
    "Found",
    "ImageError",
    "ImageKind",
    "LibraryReference",
    "Missing",
    "PathReference",
    "Product",
    "Pulls",
    "Reference",
    "Resolved",
    "Runtime",
    "UriReference",
    "check_image",
    "check_runnable",
    "ensure_pulled",
    "environment_prefix",
    "explain",
    "find_in_libraries",
    "find_runtime",
    "parse_reference",
    "pull_arguments",
    "resolve",
    "stored_path",
]
