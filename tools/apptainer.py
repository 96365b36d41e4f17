"""Put Apptainer into a folder of its own where there is none: ``python3 -m tools.apptainer [PREFIX]``.

Debian 12 has no package of it; unstable has one, which needs a newer libc. So that package is unpacked with
the libc of its own suite, and its two programs are told to use that. The programs that it calls, such as
``mksquashfs``, come from this machine's own suite, with all their libraries. Nothing of the system is used or
changed, so it works as an ordinary user and on a machine with nothing installed.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .cache import ToolError, cache_folder, locked, new_folder, say
from .debian import bootstrap, command, only, unpack

_PROGRAM = ("apptainer", "libc6", "libseccomp2", "libsqlite3-0")
_SUITE = "unstable"
_HELPERS = {
    "mksquashfs": "squashfs-tools",
    "unsquashfs": "squashfs-tools",
    "squashfuse_ll": "squashfuse",
    "fuse-overlayfs": "fuse-overlayfs",
    "fuse2fs": "fuse2fs",
    "gocryptfs": "gocryptfs",  # without it every start says that it is missing
}
"""What Apptainer calls, and the packages that have it."""

_LAYOUT = "3"
"""To be changed when what is built here changes, so that an older folder is built anew."""

_WRAPPER = """\
#!/bin/sh
# An image is a file system in a file. Who may open /dev/fuse can mount it, and root by a loop device; for all
# others Apptainer can unpack it at each start.
if [ -z "${{APPTAINER_UNSQUASH-}}" ] && ! [ -w /dev/fuse ] && ! [ -w /dev/loop-control ]; then
    export APPTAINER_UNSQUASH=1
fi
# A machine with no certificates would trust no registry.
if [ -z "${{SSL_CERT_DIR-}}${{SSL_CERT_FILE-}}" ] && [ ! -e /etc/ssl/certs/ca-certificates.crt ]; then
    export SSL_CERT_DIR={certificates}
fi
exec {program} "$@"
"""


def install(prefix: Path, *, cache: Path | None = None) -> Path:
    """See to it that Apptainer is in ``prefix`` and works; give the folder to put on PATH, ``prefix/bin``.

    There it is called ``apptainer`` and ``singularity``. If it is there already, this returns at once.
    ``prefix`` must be where it stays, for the programs know their libraries by absolute paths; it appears
    only when it is complete. The packages are kept in ``cache``, cache_folder() if None.

    Raises ToolError if ``prefix`` holds something else or has blanks or quotes in its path, the packages cannot be
    had, or no container can be started on this machine, with Apptainer's own words.
    """
    prefix = prefix.absolute()
    if not re.fullmatch(r"[\w/.+@%=~-]+", str(prefix)):  # unsquashfs is not found by a path with blanks or commas
        raise ToolError(
            f"Apptainer cannot work in {str(prefix)!r}: choose a folder with only letters, digits, dots and dashes in"
            " its path. The cache is in $XDG_CACHE_HOME if that is set."
        )
    with locked(prefix.with_name(f".{prefix.name}.lock")):
        if not _is_complete(prefix):
            if prefix.exists() and any(prefix.iterdir()) and not _mark(prefix).exists():
                raise ToolError(f"{prefix} is not empty and not Apptainer's. Choose another folder.")
            with new_folder(prefix) as work:
                _build(work, prefix, cache)
            try:
                _try_out(prefix)
            except ToolError:
                shutil.rmtree(prefix)
                raise
        _allow_capabilities(prefix)
    return prefix / "bin"


def path_with_apptainer(*, cache: Path | None = None) -> str:
    """Give this process's PATH if it leads to an Apptainer or Singularity, else with one put in front.

    That one is in ``cache``, cache_folder() if None; the first time takes ten seconds. Errors are install's.
    """
    path = os.environ.get("PATH", os.defpath)
    if shutil.which("apptainer") or shutil.which("singularity"):
        return path
    return f"{install((cache or cache_folder()) / 'apptainer', cache=cache)}{os.pathsep}{path}"


def _mark(prefix: Path) -> Path:
    return prefix / "layout"


def _is_complete(prefix: Path) -> bool:
    """Tell whether this is what we would build; it is not if the folder was moved."""
    mark = _mark(prefix)
    return mark.is_file() and mark.read_text() == f"{_LAYOUT}\n{prefix}\n"


def _build(work: Path, prefix: Path, cache: Path | None) -> None:
    """Fill ``work``, which is to become ``prefix``."""
    helpers = work / "helpers"
    packages = sorted({*_HELPERS.values(), "busybox-static", "ca-certificates", "patchelf"})
    bootstrap(packages, helpers, cache=cache)
    unpacked = work / "unpacked"
    unpack(_PROGRAM, unpacked, suite=_SUITE, with_dependencies=False, cache=cache)
    program = work / "apptainer"
    (unpacked / "usr").rename(program)
    for name in ("etc", "var"):
        (unpacked / name).rename(program / name)
    shutil.rmtree(unpacked)
    for name in (
        "bin",
        "etc",
        "var",
    ):  # the starter takes lib for its prefix
        (program / "lib" / name).symlink_to(f"../{name}")
    starter = only(program, "lib/*/apptainer/bin/starter")
    _patch([program / "bin/apptainer", starter], program, work, prefix)
    real = [only(helpers, f"usr/*bin/{name}") for name in _HELPERS]
    _patch(real, helpers, work, prefix)
    for path in real:  # beside the starter is where Apptainer looks first
        link = starter.parent / path.name
        link.symlink_to(os.path.relpath(path, link.parent))
    _configure(program / "etc/apptainer/apptainer.conf")
    (work / "bin").mkdir()
    wrapper = work / "bin/apptainer"
    wrapper.write_text(
        _WRAPPER.format(
            program=shlex.quote(f"{prefix}/apptainer/bin/apptainer"),
            certificates=shlex.quote(f"{prefix}/helpers/usr/share/ca-certificates/mozilla"),
        )
    )
    wrapper.chmod(0o755)
    (work / "bin/singularity").symlink_to("apptainer")
    _mark(work).write_text(f"{_LAYOUT}\n{prefix}\n")


def _patch(programs: list[Path], root: Path, work: Path, prefix: Path) -> None:
    """Let programs use the loader and libraries of a root, as they will be once ``work`` is ``prefix``."""
    loader = only(root, "lib/*-linux-*/ld-linux*.so.*")
    libraries = prefix / loader.parent.relative_to(work)
    for path in programs:
        if b"ld-linux" not in path.read_bytes()[:4096]:
            continue  # a static program has no loader
        options = [
            "--set-interpreter",
            str(libraries / loader.name),
            "--force-rpath",
            "--set-rpath",
            str(libraries),
        ]
        _run([*command(work / "helpers", "usr/bin/patchelf"), *options, str(path)])


def _configure(path: Path) -> None:
    """Change what Apptainer expects of a machine and a bare one has not.

    Root asks for all capabilities otherwise, which it has not in a container or a sandbox (transcript
    apptainer/00), and files of the machine are to be seen in every container that may not be there.
    """
    before, after = "root default capabilities = full", "root default capabilities = file"
    text = path.read_text()
    if before not in text:
        raise ToolError(f"Debian's packages are not as expected: no line {before!r} in {path}.")
    lines = text.replace(before, after).splitlines()
    kept = [line for line in lines if not line.startswith("bind path = /") or Path(line.split(" = ")[1]).exists()]
    path.write_text("\n".join([*kept, ""]))


def _allow_capabilities(prefix: Path) -> None:
    """Write down which capabilities root has here, for root's containers."""
    path = prefix / "apptainer/etc/apptainer/capability.json"
    text = json.dumps({"users": {"root": _capabilities()}, "groups": {}})
    if path.read_text() != text and os.access(path, os.W_OK):
        path.write_text(text)


_CAPABILITIES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE"
    " NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT"
    " SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE"
    " AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ"
    " PERFMON BPF CHECKPOINT_RESTORE"
)
"""In the order of their numbers, see ``linux/capability.h``."""


def _capabilities() -> list[str]:
    """Give the names of the capabilities that this process may use."""
    status = Path("/proc/self/status").read_text()
    permitted = int(status.split("CapPrm:")[1].split()[0], 16)
    return [f"CAP_{name}" for number, name in enumerate(_CAPABILITIES.split()) if permitted & 1 << number]


def _try_out(prefix: Path) -> None:
    """Build the smallest image there is and run it; raises ToolError with Apptainer's words if that fails."""
    say("Trying out Apptainer …")
    _allow_capabilities(prefix)
    program = str(prefix / "bin/apptainer")
    with tempfile.TemporaryDirectory(prefix="apptainer-") as folder:
        root = Path(folder, "root")
        (root / "bin").mkdir(parents=True)
        shutil.copy(prefix / "helpers/bin/busybox", root / "bin/busybox")
        image = f"{folder}/image.sif"
        _run([program, "build", image, str(root)])
        _run([program, "exec", image, "/bin/busybox", "true"])


def _run(arguments: list[str]) -> None:
    try:
        result = subprocess.run(
            arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"`{shlex.join(arguments)}` did not end in {error.timeout:g} seconds.") from error
    if result.returncode != 0:
        raise ToolError(
            f"`{shlex.join(arguments)}` failed with exit status {result.returncode}:\n"
            f"{result.stderr.strip() or result.stdout.strip()}\n"
            "If it is about mounts or namespaces, this machine does not let you start containers: ask for"
            " unprivileged user namespaces (as root: for the capability SYS_ADMIN)."
        )


def main() -> int:
    """Install Apptainer into the folder that is given and print what to put on PATH."""
    parser = argparse.ArgumentParser(prog="python3 -m tools.apptainer", description=install.__doc__)
    parser.add_argument("prefix", nargs="?", type=Path, default=cache_folder() / "apptainer")
    prefix: Path = parser.parse_args().prefix
    try:
        print(install(prefix))
    except ToolError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
