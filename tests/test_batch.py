"""Which tasks are submitted together, and what PBS is given of them."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tasks.made import task

from snakemake_executor_plugin_pbs_singularity.batch import Batch, form_batches, pbs_log, write_batch
from snakemake_executor_plugin_pbs_singularity.pbs import Pbs
from snakemake_executor_plugin_pbs_singularity.task import Task
from snakemake_executor_plugin_pbs_singularity.tasks.script import DirectTask, Surroundings
from snakemake_executor_plugin_pbs_singularity.tracking.run_folder import RunFolder, make_run_folder

PBS = Pbs(Path("/"), {}, "")


def formed(tasks: list[Task], limit: int = 1000) -> list[list[list[str]]]:
    """Form batches and give the tokens in their bundles."""
    return [
        [[task.token for task in bundle] for bundle in batch.bundles] for batch in form_batches(tasks, lambda _: limit)
    ]


def tokens(tasks: list[Task]) -> list[str]:
    return [task.token for task in tasks]


# Forming


def test_tasks_that_ask_for_the_same_are_one_batch_in_their_order() -> None:
    tasks = [task("a"), task("b", image="/a.sif"), task("a", nested=True)]
    assert formed(tasks) == [[[token] for token in tokens(tasks)]]


def test_other_requests_are_other_batches() -> None:
    others = [
        task(),
        task(select="1:ncpus=2"),
        task(walltime=60),
        task(queue="long"),
        task(account="lab"),
        task(project="genomes"),
        task(place="excl"),
        task(extra=("-p", "3")),
    ]
    alike = [task(), task(queue="long")]
    batches = formed([*others, *alike])
    expected = [[[one.token]] for one in others]
    expected[0].append([alike[0].token])
    expected[3].append([alike[1].token])
    assert batches == expected


@pytest.mark.parametrize(("limit", "sizes"), [(1, [1] * 7), (2, [2, 2, 2, 1]), (3, [3, 3, 1]), (7, [7]), (8, [7])])
def test_a_batch_is_cut_to_the_limit(limit: int, sizes: list[int]) -> None:
    tasks = [task() for _ in range(7)]
    batches = formed(tasks, limit)
    assert [len(batch) for batch in batches] == sizes
    assert [token for batch in batches for (token,) in batch] == tokens(tasks)


def test_each_request_has_its_own_limit() -> None:
    tasks = [task(queue=queue) for queue in ("short", "long") for _ in range(4)]
    batches = form_batches(tasks, lambda request: {"short": 1, "long": 3}[request.queue or ""])
    assert [(batch.request.queue, len(batch.bundles)) for batch in batches] == [
        *[("short", 1)] * 4,
        *[("long", 3), ("long", 1)],
    ]


def test_no_tasks_are_no_batches() -> None:
    assert form_batches([], lambda _: 10) == []


def test_short_tasks_are_bundled_and_the_limit_counts_bundles() -> None:
    tasks = [task(bundle=3) for _ in range(8)]
    a, b, c, d, e, f, g, h = tokens(tasks)
    assert formed(tasks) == [[[a, b, c], [d, e, f], [g, h]]]
    assert formed(tasks, 2) == [[[a, b, c], [d, e, f]], [[g, h]]]


def test_bundles_of_other_sizes_are_other_batches_as_they_ask_for_other_times() -> None:
    tasks = [task(bundle=1), task(bundle=2), task(bundle=1), task(bundle=2)]
    a, b, c, d = tokens(tasks)
    assert formed(tasks) == [[[a], [c]], [[b, d]]]


def test_tasks_of_one_container_share_a_bundle_whatever_their_order() -> None:
    tasks = [
        task(bundle=2, image="/a.sif"),
        task(bundle=2, image="/b.sif"),
        task(bundle=2, nested=True),
        task(bundle=2),
        task(bundle=2, image="/a.sif"),
        task(bundle=2, image="/b.sif"),
        task(bundle=2, nested=True),
        task(bundle=2),
        task(bundle=2, image="/a.sif"),
    ]
    a, b, nested, plain, a2, b2, nested2, plain2, a3 = tokens(tasks)
    assert formed(tasks) == [[[a, a2], [a3], [b, b2], [nested, nested2], [plain, plain2]]]


def test_each_batch_has_a_name_of_its_own() -> None:
    batches = form_batches([task() for _ in range(50)], lambda _: 1)
    assert len({batch.token for batch in batches}) == 50


made = st.builds(
    task,
    st.sampled_from("ab"),
    select=st.sampled_from(["1:ncpus=1", "1:ncpus=2"]),
    queue=st.sampled_from([None, "long"]),
    bundle=st.integers(1, 3),
    image=st.sampled_from([None, "/a.sif", "/b.sif"]),
    nested=st.booleans(),
)


@given(tasks=st.lists(made, max_size=30), limit=st.integers(1, 5))
def test_every_task_is_in_one_batch_of_its_like_within_all_limits(tasks: list[Task], limit: int) -> None:
    batches = form_batches(tasks, lambda _: limit)
    assert Counter(one.token for batch in batches for one in batch.tasks) == Counter(tokens(tasks))
    places = {token: place for place, token in enumerate(tokens(tasks))}
    for batch in batches:
        assert len(batch.bundles) <= limit
        assert {one.request for one in batch.tasks} == {batch.request}
        assert len({one.bundle for one in batch.tasks}) == 1
        for bundle in batch.bundles:
            assert 1 <= len(bundle) <= bundle[0].bundle
            assert [places[one.token] for one in bundle] == sorted(places[one.token] for one in bundle)
            assert len({one.work.container if isinstance(one.work, DirectTask) else "nested" for one in bundle}) == 1


@given(tasks=st.lists(made, max_size=30))
def test_no_two_batches_could_be_one(tasks: list[Task]) -> None:
    batches = form_batches(tasks, lambda _: 1000)
    assert len({(batch.request, batch.tasks[0].bundle) for batch in batches}) == len(batches)


# What is known of a batch


def test_a_batch_is_called_by_its_task_or_by_its_rules() -> None:
    def title(*rules: str) -> str:
        return Batch("x", tuple((task(rule),) for rule in rules)).title

    alone = task("a")
    assert Batch("x", ((alone,),)).title == alone.label
    assert title("a", "a") == "2 tasks of a"
    assert title("b", "a", "b") == "3 tasks of b, a"
    assert title("a", "b", "c") == "3 tasks of a, b, c"
    assert title(*"abcdee") == "6 tasks of a, b, c and others"


def test_a_batch_that_is_refused_as_an_array_is_taken_apart_by_bundles() -> None:
    bundles = ((task(), task()), (task(),))
    singles = Batch("x", bundles).cut(1)
    assert [single.bundles for single in singles] == [(bundles[0],), (bundles[1],)]
    assert len({"x", *(single.token for single in singles)}) == 3


# What PBS is given


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return make_run_folder(tmp_path / "state")


def surroundings(folder: RunFolder, tmp_path: Path) -> Surroundings:
    return Surroundings(tmp_path, folder.records, folder.ended, 0o022, {"DECLARED": "a secret"}, 5)


def test_an_array_is_told_its_size_and_a_file_for_what_pbs_writes_of_each_subjob(
    folder: RunFolder, tmp_path: Path
) -> None:
    batch = Batch("0123456789", tuple((task("map reads", log=tmp_path / "a" / f"{n}.log"),) for n in range(3)))
    submission = write_batch(batch, surroundings(folder, tmp_path), folder, PBS, max_running=2)
    assert submission.script == folder.submitted_script("0123456789")
    assert submission.name == "map_reads-0123456789"
    assert submission.output == folder.pbs / "0123456789.log"
    assert (submission.size, submission.max_running, submission.workdir) == (3, 2, tmp_path)
    logs = [pbs_log(batch, index, folder) for index in range(3)]
    assert logs == [folder.pbs / f"0123456789.log-{index}" for index in range(3)]


def test_a_lone_bundle_is_a_plain_job(folder: RunFolder, tmp_path: Path) -> None:
    batch = Batch("0123456789", ((task(log=tmp_path / "a.log"), task(log=tmp_path / "b.log")),))
    submission = write_batch(batch, surroundings(folder, tmp_path), folder, PBS)
    assert (submission.size, submission.output) == (1, folder.pbs / "0123456789.log")
    assert pbs_log(batch, 0, folder) == submission.output


def test_a_batch_asks_for_the_time_of_its_largest_bundle(folder: RunFolder, tmp_path: Path) -> None:
    tasks = [task(walltime=60, bundle=3, log=tmp_path / "a.log") for _ in range(5)]
    (batch,) = form_batches(tasks, lambda _: 10)
    assert write_batch(batch, surroundings(folder, tmp_path), folder, PBS).arguments[-2:] == ("-l", "walltime=180")
    (batch,) = form_batches(tasks[:2], lambda _: 10)
    assert write_batch(batch, surroundings(folder, tmp_path), folder, PBS).arguments[-2:] == ("-l", "walltime=120")


def test_a_batch_of_any_size_has_two_private_files_of_which_the_server_gets_the_small_one(
    folder: RunFolder, tmp_path: Path
) -> None:
    batch = Batch("0123456789", tuple((task(log=tmp_path / "a.log"),) for _ in range(2_000)))
    write_batch(batch, surroundings(folder, tmp_path), folder, PBS)
    files = {path.name: path for path in folder.run.rglob("*") if path.is_file() and path.name != "lock"}
    assert set(files) == {"0123456789.pbs", "0123456789.sh"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files.values())
    given_to_server, own = files["0123456789.pbs"].read_text(), files["0123456789.sh"].read_text()
    assert len(given_to_server.encode()) < 4096
    assert "secret" not in given_to_server
    assert "DECLARED" not in given_to_server
    assert own.count("secret") == 1


def test_folders_of_logs_are_there_and_private_before_anything_is_submitted(folder: RunFolder, tmp_path: Path) -> None:
    tasks = [task(rule, log=folder.log(rule, f"x={n}", "0123456789")) for rule in ("a", "b") for n in range(2)]
    write_batch(Batch("x", tuple((one,) for one in tasks)), surroundings(folder, tmp_path), folder, PBS)
    assert sorted(path.name for path in folder.logs.iterdir()) == ["a", "b"]
    assert {path.stat().st_mode & 0o777 for path in folder.logs.iterdir()} == {0o700}
