"""Get Debian packages and unpack them into a folder: without root, without installing them.

apt-get works here with a state of its own (package index, empty list of installed packages, sources), so
nothing of the system is read but where its mirror is, its proxies and its trusted keys, and nothing is
changed. The packages are kept in the cache folder and their checksums compared at each use.
"""

import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from .cache import ToolError, cache_folder, locked, say

BASE = (
    "base-files",
    "base-passwd",
    "bash",
    "coreutils",
    "dash",
    "debianutils",
    "diffutils",
    "findutils",
    "grep",
    "gzip",
    "hostname",
    "libc-bin",
    "mawk",
    "ncurses-base",
    "procps",
    "sed",
    "tar",
    "util-linux",
)
"""What a root file system needs to feel like Debian: Debian's essential packages, less dpkg and Perl."""

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_INDEX_AGE = 24 * 3600.0
"""Seconds after which a package index is read again."""
_TIME_LIMIT = 1800.0
"""Seconds for one apt-get; a slow line needs minutes for a hundred packages."""
_LINKS = {"usr/bin/awk": "mawk", "usr/bin/sh": "dash", "usr/bin/which": "which.debianutils"}
"""Links that packages make when they are configured, and their targets."""


@dataclass(frozen=True)
class _Package:
    """A package file as the index describes it."""

    name: str
    """Of the file."""
    size: int
    """Bytes."""
    sha256: str


def unpack(
    packages: Sequence[str],
    destination: Path,
    *,
    suite: str | None = None,
    with_dependencies: bool = True,
    cache: Path | None = None,
) -> None:
    """Unpack packages, and all that they depend on unless told otherwise, into a folder.

    ``suite`` is a suite of Debian such as ``unstable``; None is this machine's own, with its updates. The
    dependencies are complete, down to libc6; recommended packages are left out. No maintainer script runs.
    All files belong to the caller. Links in the folder that lead to folders, such as ``bin`` to ``usr/bin``,
    stay.

    Raises ToolError if this is no Debian, the mirror does not answer, or a package is not in the suite.
    """
    files = fetch(packages, suite=suite, with_dependencies=with_dependencies, cache=cache)
    destination.mkdir(parents=True, exist_ok=True)
    say(f"Unpacking {_count(files)} …")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(lambda file: _extract(file, destination), files):
            pass


def bootstrap(
    packages: Sequence[str], destination: Path, *, suite: str | None = None, cache: Path | None = None
) -> None:
    """Make a root file system of packages and their dependencies, without configuring them.

    ``destination`` must not exist or be empty; if this fails, what is there is unfinished.

    It is good enough to run programs in, as in an Apptainer sandbox: with users, groups and the links that
    Debian makes at installation. Give ``[*BASE, …]`` for a usual Debian; without, there is nothing but the
    packages, not even a shell. Raises ToolError as unpack does.
    """
    for name in ("bin", "lib", "lib64", "sbin"):
        (destination / "usr" / name).mkdir(parents=True, exist_ok=True)
        (destination / name).symlink_to(f"usr/{name}")
    unpack([*packages, "usr-is-merged"], destination, suite=suite, cache=cache)
    for name in ("dev", "etc", "home", "mnt", "opt", "proc", "root", "run", "srv", "sys", "tmp", "var/tmp"):
        (destination / name).mkdir(parents=True, exist_ok=True)
    for name in ("tmp", "var/tmp"):
        (destination / name).chmod(0o1777)
    for source, target in (
        ("base-passwd/passwd.master", "etc/passwd"),
        ("base-passwd/group.master", "etc/group"),
        ("libc-bin/nsswitch.conf", "etc/nsswitch.conf"),
    ):
        master = destination / "usr/share" / source
        if master.is_file():
            shutil.copyfile(master, destination / target)
    for link, goal in _LINKS.items():
        path = destination / link
        if not path.exists() and (path.parent / goal).exists():
            path.unlink(missing_ok=True)
            path.symlink_to(goal)


def command(root: Path, program: str) -> list[str]:
    """Give the command that runs a program of a root file system, with the libraries of that root alone.

    So it runs whatever is installed on the machine. Raises ToolError if the root has no loader.
    """
    loader = only(root, "lib/*-linux-*/ld-linux*.so.*")
    return [str(loader), "--library-path", str(loader.parent), str(root / program)]


def only(root: Path, pattern: str) -> Path:
    """Give the one file of unpacked packages that a pattern means; raises ToolError if it is not one."""
    found = sorted(root.glob(pattern))
    if len(found) != 1:
        raise ToolError(f"Debian's packages are not as expected: {len(found)} times {pattern} in {root}.")
    return found[0]


def fetch(
    packages: Sequence[str],
    *,
    suite: str | None = None,
    with_dependencies: bool = True,
    cache: Path | None = None,
) -> list[Path]:
    """Give the files of packages in the cache, downloading those that are not there or are damaged.

    Parameters and errors are those of unpack; ``cache`` is cache_folder() if None.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise ToolError(
            "There is no apt-get here, so Debian's packages cannot be had."
            " Use Debian 12 or later, or install what is needed (Apptainer, a registry) and put it on PATH."
        )
    cache = cache or cache_folder()
    state = cache / "apt" / (suite or "own")
    archive = cache / "debs"
    with locked(cache / "apt.lock"):
        archive.mkdir(parents=True, exist_ok=True)
        is_new = _prepare(state, suite)
        try:
            return _download(packages, state, archive, with_dependencies)
        except ToolError:
            if is_new:
                raise
            _update(state, suite)  # an old index names files that the mirror no longer has
            return _download(packages, state, archive, with_dependencies)


def _download(packages: Sequence[str], state: Path, archive: Path, with_dependencies: bool) -> list[Path]:
    names = _with_dependencies(packages, state) if with_dependencies else list(packages)
    wanted = parse_uris(_apt(state, "download", "--print-uris", *names))
    missing = [package for package in wanted if not _is_good(archive / package.name, package)]
    if missing:
        megabytes = sum(package.size for package in missing) / 1e6
        say(f"Downloading {_count(missing)} ({megabytes:.0f} MB) from this machine's Debian mirror …")
        for package in missing:
            (archive / package.name).unlink(missing_ok=True)  # apt-get takes a file of the right size for good
        _apt(state, "download", *(specifier(package.name) for package in missing), folder=archive)
    for package in missing:
        if not _is_good(archive / package.name, package):
            raise ToolError(f"{archive / package.name} was downloaded and is damaged. Try again.")
    return [archive / package.name for package in wanted]


def _with_dependencies(packages: Sequence[str], state: Path) -> list[str]:
    """Give the names and versions of packages and of all that they need, as ``name=version``."""
    plan = _apt(state, "install", "--simulate", "--no-install-recommends", *packages)
    return [f"{name}={version}" for name, version in re.findall(r"^Inst (\S+) \((\S+) ", plan, re.MULTILINE)]


def parse_uris(text: str) -> list[_Package]:
    """Read what ``apt-get download --print-uris`` prints: ``'URI' FILE SIZE SHA256:…`` a line."""
    found = re.findall(r"^'[^']+' (\S+) (\d+) SHA256:([0-9a-f]{64})$", text, re.MULTILINE)
    return [_Package(name, int(size), sha256) for name, size, sha256 in found]


def specifier(name: str) -> str:
    """Give what to ask apt-get for to get the file of this name: ``a_1%3a2.0_all.deb`` is ``a=1:2.0``."""
    package, version, _ = unquote(name).split("_", 2)
    return f"{package}={version}"


def _is_good(file: Path, package: _Package) -> bool:
    if not file.is_file() or file.stat().st_size != package.size:
        return False
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest() == package.sha256


def _prepare(state: Path, suite: str | None) -> bool:
    """See to it that there is a package index, and tell whether it was read just now."""
    stamp = state / "updated"
    if stamp.is_file() and 0 <= time.time() - stamp.stat().st_mtime < _INDEX_AGE:
        return False
    _update(state, suite)
    return True


def _update(state: Path, suite: str | None) -> None:
    for name in ("lists/partial", "cache/archives/partial", "parts"):
        (state / name).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    (state / "sources.list").write_text(_sources(suite))
    (state / "apt.conf").write_text(_configuration(state))
    say(f"Reading the package index of Debian {suite or _codename()} …")
    _apt(state, "update")
    (state / "updated").touch()


def _sources(suite: str | None) -> str:
    """Give the lines of a sources.list for a suite, or for the machine's own suites if None."""
    known = mirrors(_run(["apt-get", "update", "--print-uris"]))
    if not known:
        raise ToolError("This machine's apt knows no mirror of Debian. Its sources in /etc/apt have to name one first.")
    if suite is not None:
        main = [uri for uri, _ in known if "security" not in uri]
        known = [(main[0], suite)] if main else []
    key = f"[signed-by={_KEYRING}] " if _KEYRING.is_file() else ""
    return "".join(f"deb {key}{uri} {name} main\n" for uri, name in known)


def mirrors(text: str) -> list[tuple[str, str]]:
    """Give the mirrors and suites of Debian itself in what ``apt-get update --print-uris`` prints.

    They are known by the ends of their addresses, ``/debian`` and ``/debian-security``: that an index is
    Debian's own, its signature shows later.
    """
    found = re.findall(r"^'([^']*/debian(?:-security)?(?:\.list)?)/+dists/([^']+)/InRelease'", text, re.MULTILINE)
    return list(dict.fromkeys((unquote(uri), suite) for uri, suite in found))


def _configuration(state: Path) -> str:
    """Give an apt.conf in which only proxies and the like, and trusted keys, are the machine's own.

    The hooks of the machine's configuration are left out: some empty its package cache.
    """
    kept = [
        line
        for line in _run(["apt-config", "dump"]).splitlines()
        if line.startswith("Acquire::") and not line.startswith("Acquire::IndexTargets")
    ]
    architecture = _run(["dpkg", "--print-architecture"]).strip()
    own = {
        "APT::Architecture": architecture,
        "APT::Sandbox::User": "root",  # the user _apt may not enter a folder of ours
        "Acquire::Check-Valid-Until": "false",  # a mirror's unstable can be past its date
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "Dir::Cache": f"{state}/cache",
        "Dir::Cache::srcpkgcache": "",  # a large file that saves a second at best
        "Dir::Etc::main": "/dev/null",
        "Dir::Etc::parts": f"{state}/parts",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": f"{state}/parts",
        "Dir::Etc::sourcelist": f"{state}/sources.list",
        "Dir::Etc::sourceparts": f"{state}/parts",
        "Dir::State": f"{state}",
        "Dir::State::lists": f"{state}/lists",
        "Dir::State::status": f"{state}/status",
    }
    lines = [*kept, f'APT::Architectures {{ "{architecture}"; }};']
    return "\n".join([*lines, *(f'{key} "{value}";' for key, value in own.items()), ""])


def _apt(state: Path, *arguments: str, folder: Path | None = None) -> str:
    return _run(
        ["apt-get", "--quiet=2", *arguments],
        environment={"APT_CONFIG": str(state / "apt.conf")},
        folder=folder or state,
    )


def _run(command: list[str], *, environment: dict[str, str] | None = None, folder: Path | None = None) -> str:
    """Run a command of apt's and give its output; raises ToolError with its words if it fails."""
    shown = " ".join(command[:3])
    try:
        result = subprocess.run(
            command,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIME_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"`{shown}` took longer than {_TIME_LIMIT:g} seconds. Try again.") from error
    errors = [line for line in result.stderr.splitlines() if line.startswith("E:")]
    unread = "Some index files failed" in result.stderr  # which apt-get counts as a success
    if result.returncode != 0 or unread:
        said = "\n".join(errors or result.stderr.splitlines()[-5:])
        raise ToolError(f"`{shown}` failed:\n{said}\n{_remedy(result.stderr)}")
    return result.stdout


def _remedy(words: str) -> str:
    if re.search(r"resolve|connect|Network is unreachable|Connection failed|timed out", words):
        return "Check that this machine reaches its Debian mirror: this needs the network once."
    if "Unable to locate package" in words:
        return "Check the name, and that the suite has the package for this architecture."
    if "NO_PUBKEY" in words or "not signed" in words:
        return "Install debian-archive-keyring, whose keys the signature is checked with."
    return "Try again; if it stays, look at the sources in /etc/apt."


def _extract(file: Path, destination: Path) -> None:
    """Unpack one package. Not with ``dpkg-deb -x``, which replaces links to folders by folders."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", file], stdout=subprocess.PIPE) as source:
        tar = subprocess.run(
            ["tar", "-xpf", "-", "--keep-directory-symlink", "--no-same-owner", "-C", destination],
            stdin=source.stdout,
            capture_output=True,
            text=True,
            timeout=_TIME_LIMIT,
            check=False,
        )
    if tar.returncode != 0 or source.returncode != 0:
        raise ToolError(f"{file} cannot be unpacked into {destination}: {tar.stderr.strip()}")


def _codename() -> str:
    text = Path("/etc/os-release").read_text() if Path("/etc/os-release").is_file() else ""
    found = re.search(r"^VERSION_CODENAME=(\S+)", text, re.MULTILINE)
    return found[1] if found else "of this machine"


def _count(things: Sequence[object]) -> str:
    return "1 package" if len(things) == 1 else f"{len(things)} packages"
