"""Pull an image into the store: once, checked, whole or not at all.

Apptainer alone does none of that: two pulls at once both work (transcript apptainer/144), a destination
that cannot be written is found out after the whole conversion (59), a killed pull leaves hundreds of
megabytes and a running ``mksquashfs`` (69), and a killed ``build`` a truncated image under the final name
(65). So the runtime works in a hidden folder beside the destination, under a lock, in a process group of
its own; only a finished image that passed its check is renamed to its final name.
"""

import contextlib
import os
import re
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_attempt,
    stop_when_event_set,
    wait_exponential,
)

from .check import ImageKind, check_image
from .checksum import file_checksum
from .errors import ImageError
from .failures import PassingError, explain
from .group import Watch, bytes_handled, run_group
from .lockfile import LockedImage
from .nodes import of_store
from .record import now, record_path, write_record
from .reference import UriReference, parse_reference
from .registry_name import fixed_digest
from .room import check_room
from .runtime import Runtime, check_pullable, pull_arguments, setting_prefix
from .sif import take_out_file_system
from .store import PULLING, locked, prepare_store, remove_leftovers, remove_tree, remove_unowned_leftovers, stored_path

Report = Callable[[str], None]
"""Takes a line for the user."""
AskDigest = Callable[[UriReference], str | None]
AskSize = Callable[[UriReference], int | None]
"""Gives what a URI means in its registry now; None where that is not known."""

TIME_LIMIT = 4 * 3600.0
"""Seconds for one pull. Packing 1.5 GB takes 150 s; the largest images over a slow line stay below this."""
ATTEMPTS = 3
FIRST_PAUSE = 10.0
"""Seconds before the second attempt; each further pause is three times as long."""
NO_PROGRESS_LIMIT = 600.0
"""Seconds without a byte read or written after which a pull counts as stuck."""
REPORT_EVERY = 15.0
"""Seconds between two lines about a pull under way."""
_LOOK_EVERY = 5.0


def ensure_pulled(
    uri: str,
    store: Path,
    runtime: Runtime,
    report: Report,
    *,
    environment: Mapping[str, str] | None = None,
    time_limit: float = TIME_LIMIT,
    first_pause: float = FIRST_PAUSE,
    stop: threading.Event | None = None,
    nodes: Runtime | None = None,
    ask_digest: AskDigest = fixed_digest,
    ask_size: AskSize = lambda reference: None,
) -> Path:
    """Give the image file of a URI in the store, pulling it if it is not there.

    An image that is there and passes its check is given back without lock and network, so a store that
    others filled may be read-only. Otherwise one process pulls, under a lock beside the image, and
    whoever else asks waits for it. Rate limits and cut connections are tried again, a few times.

    ``environment`` is what the runtime gets, the process's own if None; proxies and settings such as
    ``APPTAINER_NOHTTPS`` or ``APPTAINER_CACHEDIR`` count. Without an ``APPTAINER_TMPDIR`` or
    ``SINGULARITY_TMPDIR`` in it, images are unpacked within the store, as ``/tmp`` is often too small.

    Where ``ask_size`` knows how many bytes the layers have, it is seen to that there is room before anything is done.

    ``nodes`` is the runtime of the compute nodes, as this machine's if None. Where that is Singularity 2, which runs no
    SIF, the file system is taken out of what was pulled.

    Once ``stop`` is set, a pull under way is ended, also by an ImageError.

    What was pulled is noted down beside the image, see record.py; with its digest if ``ask_digest`` gives the same
    before and after, as a tag can move meanwhile.

    Raises ImageError if the URI is none, the store cannot be written or the pull fails; with the last
    lines that the runtime wrote. Interrupted by an exception such as KeyboardInterrupt, or in the main
    thread by SIGTERM or SIGHUP where nobody else handles them, it ends every process that it started and
    removes what is unfinished.
    """
    reference = parse_reference(uri)
    if not isinstance(reference, UriReference):
        raise ImageError(f"{uri!r} is no URI, so it cannot be pulled.")
    destination = stored_path(reference, store, of_store(runtime, nodes or runtime)).absolute()
    if _is_good(destination):
        remove_unowned_leftovers(destination)
        return destination
    check_pullable(runtime, reference.scheme)
    prepare_store(store.absolute(), destination.parent)
    environment = os.environ if environment is None else environment
    stop = stop or threading.Event()
    with locked(destination, reference, report, time_limit, stop):
        if not _is_good(destination):
            remove_leftovers(destination)
            if destination.exists():
                report(f"{destination} is damaged: pulling {reference.shown} again.")
            attempts = Retrying(
                retry=retry_if_exception_type(PassingError),
                stop=stop_after_attempt(ATTEMPTS) | stop_when_event_set(stop),
                sleep=sleep_using_event(stop),
                wait=wait_exponential(multiplier=first_pause, exp_base=3),
                before_sleep=lambda state: _report_pause(state, report),
                reraise=True,
            )
            with _termination_as_exit():
                attempts(
                    _pull, reference, destination, runtime, report, environment, time_limit, stop, ask_digest, ask_size
                )
    return destination


def _is_good(image: Path) -> bool:
    try:
        check_image(image)
    except ImageError:
        return False
    return True


def _report_pause(state: RetryCallState, report: Report) -> None:
    error = state.outcome.exception() if state.outcome is not None else None
    pause = state.next_action.sleep if state.next_action is not None else 0
    problem = error.problem.rstrip() if isinstance(error, ImageError) else error
    report(f"{problem}\nTrying again in {pause:.0f} s ({state.attempt_number} of {ATTEMPTS} attempts failed).")


def _pull(
    reference: UriReference,
    destination: Path,
    runtime: Runtime,
    report: Report,
    environment: Mapping[str, str],
    time_limit: float,
    stop: threading.Event,
    ask_digest: AskDigest,
    ask_size: AskSize,
) -> None:
    """Pull once, to a temporary folder beside the destination, and rename the image if it is good."""
    size = ask_size(reference)
    of_size = f" ({size / 1e6:.0f} MB)" if size is not None else ""
    report(f"Pulling {reference.shown}{of_size} with {runtime} to {destination}.")
    start = time.monotonic()
    with contextlib.ExitStack() as left_behind:
        try:
            work = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", suffix=PULLING, dir=destination.parent))
            left_behind.callback(remove_tree, work)
            tmpdir, ours = _unpacking_folder(environment, work)
            if ours:
                left_behind.callback(remove_tree, tmpdir)
            image = work / f"image{destination.suffix}"
            arguments = pull_arguments(runtime, image, reference.uri)
            if size is not None and tmpdir.is_dir():
                check_room(reference.shown, size, work, tmpdir)
            digest = ask_digest(reference)
            watch = _watcher(reference.shown, work, report, time_limit, stop)
            # Singularity does not know APPTAINER_TMPDIR, so the setting goes by the runtime's own name.
            variables = {**environment, f"{setting_prefix(runtime)}TMPDIR": str(tmpdir)}
            status = run_group(arguments, variables, work, work / "log", watch)
            if status != 0:
                raise explain((work / "log").read_text(errors="replace"), status, reference, runtime, destination)
            kind = _accept(image, reference)
            if kind is ImageKind.SIF and destination.suffix != ".sif":  # Singularity 2 is to run it
                image = take_out_file_system(image, work / "taken-out")
            _note_down(image, destination, reference, digest if ask_digest(reference) == digest else None, runtime)
            _finish(image, destination)
        except OSError as error:
            raise ImageError(
                f"{reference.shown} cannot be pulled to {destination}: {error}.",
                f"Check that there is room and that {runtime.command} can be executed.",
            ) from error
    written = destination.stat().st_size / 1e6
    report(f"Pulled {reference.shown}: {written:.0f} MB in {time.monotonic() - start:.0f} s.")


def _unpacking_folder(environment: Mapping[str, str], work: Path) -> tuple[Path, bool]:
    """Give a folder for unpacking that is large enough, and whether it was made here, to be removed.

    The user's choice counts. Else it is one within the store, unless Apptainer would fail there at the end of all
    its work: it passes the folder's name through a shell without quoting (``could not inspect container``, seen
    with 1.4.5).
    """
    chosen = environment.get("APPTAINER_TMPDIR") or environment.get("SINGULARITY_TMPDIR")
    if chosen:
        return Path(chosen), False
    if re.search(r"[^\w /.,:=+@%$-]", str(work)):
        cache = Path(environment.get("HOME") or Path.home(), ".cache")
        cache.mkdir(exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="pulling-", dir=cache)), True
    (work / "tmp").mkdir()
    return work / "tmp", True


def _watcher(shown: str, work: Path, report: Report, time_limit: float, stop: threading.Event) -> Watch:
    """Give what keeps an eye on a pull: reports how it goes, and ends it if it is stuck, too late or not wanted."""
    next_report = REPORT_EVERY
    handled, moved_at, next_look = -1, 0.0, 0.0

    def watch(group: int, seconds: float) -> None:
        nonlocal next_report, handled, moved_at, next_look
        if stop.is_set():
            raise ImageError(f"Pulling {shown} was interrupted.")
        if seconds > time_limit:
            raise ImageError(
                f"Pulling {shown} took longer than {time_limit:g} seconds and was ended.",
                "Ask the site about its network.",
            )
        if seconds >= next_look:
            next_look = seconds + _LOOK_EVERY
            now = bytes_handled(group)
            if now != handled:
                handled, moved_at = now, seconds
            elif seconds - moved_at > NO_PROGRESS_LIMIT:
                raise PassingError(
                    f"Pulling {shown} made no progress for {NO_PROGRESS_LIMIT:g} seconds and was ended.",
                    "Ask the site about its network.",
                )
        if seconds >= next_report:
            next_report = seconds + REPORT_EVERY
            report(f"Pulling {shown}: {_doing(work / 'log')}, {_size(work) / 1e6:.0f} MB so far, {seconds:.0f} s.")

    return watch


def _doing(log: Path) -> str:
    """Give what a runtime said last that it is doing, such as "extracting OCI image"."""
    lines = [line.split(":", 1)[-1].strip(" .\r") for line in log.read_text(errors="replace").splitlines()]
    said = next((line for line in reversed(lines) if line), "starting")
    return said[:1].lower() + said[1:80]


def _size(folder: Path) -> int:
    """Give the bytes in a folder whose files come and go."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118
    return total


def _accept(image: Path, reference: UriReference) -> ImageKind:
    """Give the kind of what was pulled, or raise ImageError if it is no image, such as a web server's log-in page."""
    try:
        return check_image(image)
    except ImageError as error:
        reason = error.problem.replace(str(image), "the pulled file")
        raise ImageError(
            f"{reference.shown} was pulled, but: {reason}", "Check that the URI leads to an image."
        ) from error


def _note_down(image: Path, destination: Path, reference: UriReference, digest: str | None, runtime: Runtime) -> None:
    """Keep what an image is, before it has its final name: what is there is always known."""
    size = image.stat().st_size
    record = LockedImage(reference.shown, digest, file_checksum(image), size, now(), runtime.name)
    write_record(image, record, 0o600 | destination.parent.stat().st_mode & 0o044)
    record_path(image).replace(record_path(destination))


def _finish(image: Path, destination: Path) -> None:
    """Bring a finished image to its final name, so that it survives a crash and colleagues can read it.

    Its permissions are those of the store, which the user's umask or its owner gave it: a shared store is to
    hold no image that only one can read.
    """
    image.chmod(0o700 | destination.parent.stat().st_mode & 0o055)
    with image.open("rb") as file:
        os.fsync(file.fileno())
    image.replace(destination)
    folder = os.open(destination.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def _termination_as_exit() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise SystemExit, so that cleaning up happens before the process ends.

    Only in the main thread, where Python handles signals, and only for signals that would end the process
    without a word: a handler that is there stays.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ending = (signal.SIGTERM, signal.SIGHUP)
    unhandled = [number for number in ending if signal.getsignal(number) is signal.SIG_DFL]
    for number in unhandled:
        signal.signal(number, _exit)
    try:
        yield
    finally:
        for number in unhandled:
            signal.signal(number, signal.SIG_DFL)


def _exit(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
