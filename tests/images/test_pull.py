"""Pulls that go wrong as no real registry can be made to: a runtime that fails, hangs or is killed."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.images import (
    ImageError,
    Missing,
    Product,
    Runtime,
    ensure_pulled,
    pull,
    resolve,
)

from . import made

URI = "docker://registry.example/tool:1.0"


class Site:
    """A store and a runtime whose pulls do what a shell script says; $2 is the destination, $3 the URI."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "my store"
        self.reports: list[str] = []
        self.image = made.write(folder / "registry/image")
        self.command = folder / "bin/apptainer"
        self.command.parent.mkdir()
        self.runtime = Runtime(self.command, Product.APPTAINER, (1, 4, 5))
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder / "home")}
        (folder / "home").mkdir()
        self.runs('cp "$IMAGE" "$2"')

    def runs(self, script: str) -> None:
        self.command.write_text(f"#!/bin/sh\necho run >> '{self.folder}/runs'\nIMAGE='{self.image}'\n{script}\n")
        self.command.chmod(0o755)

    def is_pulling(self) -> bool:
        """Tell whether a runtime has written its process id, for scripts that do."""
        return (self.folder / "pid").exists() and bool((self.folder / "pid").read_text())

    @property
    def run_count(self) -> int:
        return (self.folder / "runs").read_text().count("run") if (self.folder / "runs").exists() else 0

    @property
    def destination(self) -> Path:
        missing = resolve(URI, libraries=[], store=self.store, workdir=self.folder)
        assert isinstance(missing, Missing)
        return missing.destination

    def pull(self, time_limit: float = 60) -> Path:
        return ensure_pulled(
            URI,
            self.store,
            self.runtime,
            self.reports.append,
            environment=self.environment,
            time_limit=time_limit,
            first_pause=0.01,
        )

    def leftovers(self) -> list[str]:
        """Everything in the store but images, what is known of them, and locks."""
        return [
            str(path)
            for path in self.store.glob("*/*")
            if path.suffix not in (".lock", ".toml") and (path.name.startswith(".") or path.suffix != ".sif")
        ]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


PULL_IN_A_PROCESS = """
import sys
from pathlib import Path
from snakemake_executor_plugin_pbs_singularity.images import Product, Runtime, ensure_pulled
command, store, uri = sys.argv[1:]
print(ensure_pulled(uri, Path(store), Runtime(Path(command), Product.APPTAINER, (1, 4, 5)), print))
"""


def start_pull(site: Site) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PULL_IN_A_PROCESS, str(site.command), str(site.store), URI],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def lives_on(pid: int) -> bool:
    """Tell whether a process is still there after five seconds: a signal that was sent takes a moment."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            if "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return False
        except OSError:
            return False
        time.sleep(0.01)
    return True


def test_a_pulled_image_is_where_it_was_promised_and_nothing_else_is_left(site: Site) -> None:
    destination = site.destination
    assert site.pull() == destination
    assert destination.read_bytes() == made.SIF
    assert site.leftovers() == []


def test_start_and_end_are_reported_with_size_and_seconds(site: Site) -> None:
    site.pull()
    assert site.reports[0].startswith(f"Pulling {URI} with Apptainer 1.4.5")
    assert site.reports[1] == f"Pulled {URI}: 0 MB in 0 s."


def test_an_image_that_is_there_needs_neither_runtime_nor_lock_nor_a_writable_store(site: Site) -> None:
    path = site.pull()
    site.command.unlink()
    path.with_name(f".{path.name}.lock").unlink()
    before = sorted(site.store.rglob("*"))
    assert site.pull() == path
    assert sorted(site.store.rglob("*")) == before


def test_a_damaged_image_in_the_store_is_replaced(site: Site) -> None:
    destination = made.write(site.destination, made.SIF[:50_000])
    assert site.pull() == destination
    assert destination.read_bytes() == made.SIF
    assert "is damaged" in site.reports[0]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o755), (0o027, 0o750), (0o077, 0o700)])
def test_colleagues_can_read_an_image_as_the_umask_says(umask: int, mode: int, site: Site) -> None:
    before = os.umask(umask)
    try:
        path = site.pull()
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == mode
    assert path.parent.stat().st_mode & 0o777 == mode


def test_in_a_shared_store_everybody_can_lock_write_and_read_whatever_the_umask(site: Site) -> None:
    site.store.mkdir()
    site.store.chmod(0o2770)
    before = os.umask(0o077)
    try:
        path = site.pull()
    finally:
        os.umask(before)
    assert path.parent.stat().st_mode & 0o7777 == 0o2770
    assert path.stat().st_mode & 0o777 == 0o750
    assert path.with_name(f".{path.name}.lock").stat().st_mode & 0o777 == 0o660


def test_two_processes_that_want_the_same_image_pull_it_once(site: Site) -> None:
    site.runs('sleep 0.5; cp "$IMAGE" "$2"')
    processes = [start_pull(site) for _ in range(2)]
    said = [process.communicate(timeout=20)[0] for process in processes]
    assert site.run_count == 1
    assert all(output.endswith(f"{site.store / 'docker'}/{Path(output.strip()).name}\n") for output in said)
    assert sum("Waiting for another process that is pulling" in output for output in said) == 1


def test_two_threads_that_want_the_same_image_pull_it_once(site: Site) -> None:
    site.runs('sleep 0.2; cp "$IMAGE" "$2"')
    threads = [threading.Thread(target=site.pull) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert site.run_count == 1


def test_who_waited_for_a_pull_that_failed_tries_for_himself(site: Site) -> None:
    site.runs(
        f'if [ -e {site.folder}/failed ]; then cp "$IMAGE" "$2"; exit; fi\n'
        f"touch {site.folder}/failed; sleep 0.3; exit 255"
    )
    errors = []

    def first() -> None:
        with contextlib.suppress(ImageError):
            site.pull()
            errors.append("no error")

    thread = threading.Thread(target=first)
    thread.start()
    wait_until(lambda: site.run_count == 1)
    assert site.pull().exists()
    thread.join(20)
    assert errors == []


def test_waiting_for_another_pull_has_an_end(site: Site) -> None:
    site.runs("sleep 60")
    with holding_the_lock(site), pytest.raises(ImageError, match="Another process has been pulling"):
        site.pull(time_limit=0.2)


@contextlib.contextmanager
def holding_the_lock(site: Site) -> Iterator[None]:
    lock = site.destination.with_name(f".{site.destination.name}.lock")
    lock.parent.mkdir(parents=True)
    script = (
        "import fcntl, sys; file = open(sys.argv[1], 'a'); fcntl.flock(file, fcntl.LOCK_EX); print(flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


def test_a_pull_that_fails_leaves_nothing_and_gives_the_last_words(site: Site) -> None:
    site.runs('head -c 1000 "$IMAGE" > "$2"; echo "INFO: Starting" >&2; echo "FATAL: it broke" >&2; exit 255')
    with pytest.raises(ImageError, match=r"(?s)exit status 255\..*FATAL: it broke") as error:
        site.pull()
    assert "INFO" not in str(error.value)
    assert not site.destination.exists()
    assert site.leftovers() == []


def test_a_folder_for_unpacking_that_cannot_be_made_is_an_error_in_words(site: Site) -> None:
    site.store = site.folder / "it's"  # where Apptainer cannot unpack: it takes one in the home
    (site.folder / "file").touch()
    site.environment = {**site.environment, "HOME": str(site.folder / "file")}
    with pytest.raises(ImageError, match=r"cannot be pulled to .*file.*Check that there is room"):
        site.pull()
    assert site.leftovers() == []


def test_a_full_disk_is_not_tried_again_and_the_remedy_names_what_to_set(site: Site) -> None:
    site.runs('echo "FATAL: write /x: no space left on device" >&2; exit 255')
    with pytest.raises(ImageError, match=r"no room left(?s:.*)APPTAINER_TMPDIR"):
        site.pull()
    assert site.run_count == 1


def test_a_connection_that_is_cut_is_tried_again(site: Site) -> None:
    site.runs(
        f'if [ $(wc -l < {site.folder}/runs) = 3 ]; then cp "$IMAGE" "$2"; exit; fi\n'
        "echo 'FATAL: error writing layer: unexpected EOF' >&2; exit 255"
    )
    assert site.pull().exists()
    assert site.run_count == 3
    assert sum("Trying again in" in line for line in site.reports) == 2


def test_a_connection_that_stays_cut_is_an_error_after_a_few_attempts(site: Site) -> None:
    site.runs("echo 'FATAL: error writing layer: unexpected EOF' >&2; exit 255")
    with pytest.raises(ImageError, match="connection to the registry was cut"):
        site.pull()
    assert site.run_count == 3


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo '<!DOCTYPE html>' > \"$2\"", "was pulled, but: the pulled file is not an image: it seems"),
        ('head -c 50000 "$IMAGE" > "$2"', "the pulled file is cut off"),
        ("exit 0", "the pulled file does not exist"),
    ],
)  # fmt: skip
def test_what_is_no_image_does_not_get_into_the_store(script: str, says: str, site: Site) -> None:
    site.runs(script)
    with pytest.raises(ImageError) as error:
        site.pull()
    assert says in str(error.value)
    assert not site.destination.exists()
    assert site.leftovers() == []


def test_a_pull_that_takes_too_long_is_ended_with_all_its_processes(site: Site) -> None:
    site.runs(f"(trap '' TERM; sleep 60) & echo $! > {site.folder}/child; wait")
    with pytest.raises(ImageError, match=r"longer than 0\.3 seconds"):
        site.pull(time_limit=0.3)
    assert not lives_on(int((site.folder / "child").read_text()))
    assert site.leftovers() == []


def test_a_pull_that_is_not_wanted_any_more_is_ended(site: Site) -> None:
    site.runs(f"echo $$ > {site.folder}/pid; sleep 60")
    stop = threading.Event()
    threading.Thread(target=lambda: (wait_until(site.is_pulling), stop.set())).start()
    with pytest.raises(ImageError, match="interrupted"):
        ensure_pulled(URI, site.store, site.runtime, site.reports.append, environment=site.environment, stop=stop)
    assert not lives_on(int((site.folder / "pid").read_text()))
    assert site.leftovers() == []


def test_waiting_for_another_pull_ends_when_it_is_not_wanted_any_more(site: Site) -> None:
    site.runs(f"echo $$ > {site.folder}/pid; sleep 60")
    first, second = threading.Event(), threading.Event()
    errors: list[str] = []

    def pull(stop: threading.Event) -> None:
        try:
            ensure_pulled(URI, site.store, site.runtime, site.reports.append, environment=site.environment, stop=stop)
        except ImageError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=pull, args=[stop]) for stop in (first, second)]
    threads[0].start()
    wait_until(site.is_pulling)
    threads[1].start()
    wait_until(lambda: any(line.startswith("Waiting") for line in site.reports))
    for stop, thread in zip((second, first), reversed(threads), strict=True):
        stop.set()
        thread.join(20)
    assert [error.split()[0] for error in errors] == ["Waiting", "Pulling"]


def test_a_pull_that_does_nothing_is_ended_and_tried_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "NO_PROGRESS_LIMIT", 0.2)
    monkeypatch.setattr(pull, "_LOOK_EVERY", 0.05)
    site.runs('[ -e tried ] || cd ..; if [ -e tried ]; then cp "$IMAGE" "$2"; else touch tried; sleep 60; fi')
    site.pull()
    assert any("no progress" in line for line in site.reports)


def test_a_long_pull_says_what_it_does_and_how_far_it_is(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "REPORT_EVERY", 0.2)
    site.runs('echo "INFO:    Extracting OCI image..."; head -c 3000000 /dev/zero > part; sleep 1; cp "$IMAGE" "$2"')
    site.pull()
    assert any("extracting OCI image, 3 MB so far, " in line for line in site.reports)


def test_a_runtime_may_clean_up_before_it_is_ended(site: Site) -> None:
    site.runs(f"trap 'touch {site.folder}/cleaned; exit 1' TERM; sleep 60 & wait")
    with pytest.raises(ImageError, match="longer than"):
        site.pull(time_limit=0.3)
    assert (site.folder / "cleaned").exists()


def test_processes_that_outlive_a_runtime_that_died_are_ended(site: Site) -> None:
    site.runs(f"(trap '' TERM; sleep 60) & echo $! > {site.folder}/child; kill -9 $$")
    with pytest.raises(ImageError, match="exit status -9"):
        site.pull()
    wait_until(lambda: not lives_on(int((site.folder / "child").read_text())))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_pull_that_is_interrupted_leaves_no_process_and_no_file(number: signal.Signals, site: Site) -> None:
    site.runs(
        f'mkdir -p "$APPTAINER_TMPDIR/rootfs/locked"; touch "$APPTAINER_TMPDIR/rootfs/locked/x";'
        f' chmod 500 "$APPTAINER_TMPDIR/rootfs/locked"; echo half > "$2";'
        f" sleep 60 & echo $! > {site.folder}/child; touch {site.folder}/started; wait"
    )
    process = start_pull(site)
    wait_until((site.folder / "started").exists)
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode != 0
    wait_until(lambda: not lives_on(int((site.folder / "child").read_text())))
    assert site.leftovers() == []
    assert not site.destination.exists()


def test_what_a_killed_process_left_is_removed_by_the_next_pull(site: Site) -> None:
    destination = site.destination
    leftover = destination.with_name(f".{destination.name}.abcd1234.pulling")
    made.write(leftover / "tmp/rootfs/x")
    other = made.write(destination.with_name(".other-87654321.sif.abcd1234.pulling") / "x")
    site.pull()
    assert not leftover.exists()
    assert other.exists()


def test_the_users_handlers_are_as_before(site: Site) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)]
    site.pull()
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)] == handlers


@pytest.mark.parametrize(
    ("product", "version", "environment", "expected"),
    [
        (Product.APPTAINER, (1, 4, 5), {"APPTAINER_TMPDIR": "/scratch"}, "APPTAINER_TMPDIR=/scratch"),
        (Product.APPTAINER, (1, 4, 5), {"SINGULARITY_TMPDIR": "/scratch"}, "APPTAINER_TMPDIR=/scratch"),
        (Product.SINGULARITY, (3, 8, 7), {"APPTAINER_TMPDIR": "/scratch"}, "SINGULARITY_TMPDIR=/scratch"),
        (Product.APPTAINER, (1, 4, 5), {"APPTAINER_NOHTTPS": "1"}, "APPTAINER_NOHTTPS=1"),
    ],
)
def test_the_runtime_gets_the_users_settings(
    product: Product, version: tuple[int, ...], environment: dict[str, str], expected: str, site: Site
) -> None:
    site.runtime = Runtime(site.command, product, version)
    site.environment |= environment
    site.runs(f'env > {site.folder}/env; cp "$IMAGE" "$2"')
    site.pull()
    assert expected in (site.folder / "env").read_text().splitlines()


def test_images_are_unpacked_in_the_store_unless_the_user_says_where(site: Site) -> None:
    site.runs(f'env > {site.folder}/env; test -d "$APPTAINER_TMPDIR" && cp "$IMAGE" "$2"')
    site.pull()
    assert f"APPTAINER_TMPDIR={site.store}/docker/." in (site.folder / "env").read_text()


def test_a_store_with_quotes_in_its_path_is_not_unpacked_in_because_apptainer_fails_there(site: Site) -> None:
    site.store = site.folder / "it's mine"
    site.runs(f'env > {site.folder}/env; test -d "$APPTAINER_TMPDIR" && cp "$IMAGE" "$2"')
    site.pull()
    assert f"APPTAINER_TMPDIR={site.folder}/home/.cache/pulling-" in (site.folder / "env").read_text()
    assert list((site.folder / "home/.cache").iterdir()) == []


def test_the_runtime_cannot_ask_for_a_password_and_wait(site: Site) -> None:
    site.runs('read line && exit 3; cp "$IMAGE" "$2"')
    process = start_pull(site)
    process.communicate("password\n", timeout=20)
    assert process.returncode == 0


def test_a_store_that_cannot_be_written_is_found_out_before_the_pull(site: Site) -> None:
    site.store.write_text("in the way")
    with pytest.raises(ImageError, match="cannot be written"):
        site.pull()
    assert site.run_count == 0


def test_a_store_closed_to_us_is_found_out_before_the_pull(site: Site) -> None:
    site.store.mkdir(mode=0o555)
    with made.as_somebody(), pytest.raises(ImageError, match="cannot be written: Permission denied"):
        site.pull()
    assert site.run_count == 0


@pytest.mark.parametrize("status", [0, 255])
def test_a_store_that_vanishes_midway_is_an_error(status: int, site: Site) -> None:
    site.runs(f"rm -rf '{site.store}'; exit {status}")
    with pytest.raises(ImageError, match=r"cannot be pulled|was pulled, but: The image the pulled file does not exist"):
        site.pull()


def test_a_store_in_a_folder_that_is_not_there_is_refused(site: Site) -> None:
    site.store = site.folder / "mnt/dta/images"
    with pytest.raises(ImageError, match="mnt/dta is not there"):
        site.pull()
    assert site.run_count == 0


def test_a_runtime_that_is_gone_is_an_error(site: Site) -> None:
    site.command.unlink()
    with pytest.raises(ImageError, match="No such file or directory"):
        site.pull()
    assert site.leftovers() == []


def test_what_is_no_uri_is_not_pulled(site: Site) -> None:
    with pytest.raises(ImageError, match="is no URI"):
        ensure_pulled("tools/bwa", site.store, site.runtime, site.reports.append)
