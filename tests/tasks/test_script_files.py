"""What a direct task's script does with files before its command, as `Job.prepare` of Snakemake does."""

import threading
from pathlib import Path

from .run import PATH, Node, each_shell, own

# Old outputs


@each_shell
def test_old_outputs_and_logs_are_gone_when_the_command_starts(sh: str, node: Node) -> None:
    for name in ("out", "log"):
        (node.workdir / name).write_text("old")
    ended = node.run(node.direct("ls", outputs=("out",), logs=("log",)), sh)
    assert (ended.status, ended.log) == (0, "")


@each_shell
def test_folders_of_outputs_and_logs_are_there_when_the_command_starts(sh: str, node: Node) -> None:
    task = node.direct("touch a/b/c d/e/f; ls g", outputs=("a/b/c", "g/x"), logs=("d/e/f",))
    ended = node.run(task, sh)
    assert (ended.status, ended.log) == (0, "")


@each_shell
def test_an_empty_folder_in_the_place_of_an_output_is_removed(sh: str, node: Node) -> None:
    (node.workdir / "out").mkdir()
    assert node.run(node.direct("echo new >out", outputs=("out",)), sh).status == 0


@each_shell
def test_a_folder_that_is_not_empty_is_kept_unless_it_is_declared_a_directory(sh: str, node: Node) -> None:
    for name in ("kept", "declared"):
        (node.workdir / name).mkdir()
        (node.workdir / name / "file").write_text("old")
    ended = node.run(node.direct("ls", outputs=("kept", "declared"), directories=("declared",)), sh)
    assert ended.status == 0
    assert ended.log == "Kept the non-empty folder kept, which is not declared as directory().\nkept\n"


@each_shell
def test_only_the_link_is_removed_not_what_it_points_to(sh: str, node: Node) -> None:
    (node.workdir / "folder").mkdir()
    (node.workdir / "folder/file").write_text("old")
    (node.workdir / "out").symlink_to("folder")
    (node.workdir / "declared").symlink_to("folder")
    (node.workdir / "dangling").symlink_to("nowhere")
    task = node.direct("ls . folder", outputs=("out", "declared", "dangling"), directories=("declared",))
    ended = node.run(task, sh)
    assert (ended.status, ended.log) == (0, ".:\nfolder\n\nfolder:\nfile\n")


@each_shell
def test_the_null_device_survives_being_a_log(sh: str, node: Node) -> None:
    assert node.run(node.direct("test -c /dev/null", outputs=("/dev/null",), logs=("/dev/null",)), sh).status == 0
    assert Path("/dev/null").is_char_device()


@each_shell
def test_a_write_protected_output_is_refused_and_nothing_is_removed(
    sh: str, user_node: tuple[Node, int | None]
) -> None:
    node, user = user_node
    for name, mode in (("free", 0o644), ("done", 0o444)):
        path = node.workdir / name
        path.write_text("precious")
        own(path, user)
        path.chmod(mode)
    ended = node.run(node.direct("echo new >free", outputs=("free", "done")), sh, user=user)
    assert ended.record is not None
    assert ended.record.exit_status == ended.status == 1
    assert ended.log == "The output done is write-protected. Remove it, or its write protection, to make it again.\n"
    assert (node.workdir / "free").read_text() == "precious"


@each_shell
def test_a_link_is_never_write_protected(sh: str, user_node: tuple[Node, int | None]) -> None:
    node, user = user_node
    source = node.workdir / "source"
    source.write_text("precious")
    source.chmod(0o444)
    (node.workdir / "out").symlink_to("source")
    ended = node.run(node.direct("echo new >out", outputs=("out",)), sh, user=user)
    assert ended.status == 0, ended
    assert source.read_text() == "precious"


@each_shell
def test_a_task_fails_if_an_old_output_cannot_be_removed(sh: str, user_node: tuple[Node, int | None]) -> None:
    node, user = user_node
    folder = node.workdir / "folder"
    folder.mkdir()
    (folder / "out").write_text("old")
    own(folder / "out", user)
    folder.chmod(0o555)
    own(folder, user)
    ended = node.run(node.direct("echo ran", outputs=("folder/out",)), sh, user=user)
    folder.chmod(0o755)
    assert ended.record is not None
    assert ended.record.exit_status == 1
    assert "folder/out" in ended.log
    assert "ran" not in ended.log


@each_shell
def test_a_task_fails_if_a_folder_cannot_be_made(sh: str, node: Node) -> None:
    (node.workdir / "file").write_text("in the way")
    for task in (node.direct("echo ran", outputs=("file/out",)), node.direct("echo ran", tmpdir="file/tmp")):
        ended = node.run(task, sh)
        assert ended.record is not None
        assert ended.record.exit_status == 1
        assert "ran" not in ended.log


# Late inputs


@each_shell
def test_a_late_input_is_waited_for(sh: str, node: Node) -> None:
    timer = threading.Timer(0.3, (node.workdir / "late").write_text, ["here"])
    timer.start()
    ended = node.run(node.direct("cat late", inputs=("late",)), sh, latency_wait=20)
    timer.join()
    assert (ended.status, ended.log) == (0, "here")


@each_shell
def test_the_folder_of_a_late_input_is_listed_as_network_file_systems_then_look_again(sh: str, node: Node) -> None:
    ls = node.root / "bin/ls"
    ls.parent.mkdir()
    ls.write_text('#!/bin/sh\nprintf "%s\\n" "$2" >>../listed\ntouch late folder/late\n')
    ls.chmod(0o755)
    (node.workdir / "folder").mkdir()
    environment = {"PATH": f"{ls.parent}:{PATH}"}
    for token, path in (("a", "late"), ("b", "folder/late"), ("c", "/nosuch")):
        (node.workdir / "folder/late").unlink(missing_ok=True)
        node.run(node.direct(inputs=(path,), token=token), sh, latency_wait=1, environment=environment)
    assert (node.root / "listed").read_text().splitlines() == [".", "folder", "/"]


@each_shell
def test_a_link_is_no_input_before_its_target_is_there(sh: str, node: Node) -> None:
    (node.workdir / "link").symlink_to("late")
    timer = threading.Timer(0.3, (node.workdir / "late").write_text, ["here"])
    timer.start()
    ended = node.run(node.direct("cat link", inputs=("link",)), sh, latency_wait=20)
    timer.join()
    assert (ended.status, ended.log) == (0, "here")


@each_shell
def test_an_input_that_does_not_come_fails_the_task(sh: str, node: Node) -> None:
    ended = node.run(node.direct("echo ran", inputs=(r"a\nb",)), sh)
    assert ended.record is not None
    assert ended.record.exit_status == ended.status == 1
    assert ended.log == (
        "The input file a\\nb is not there after 0 seconds. Raise --latency-wait if it is only late.\n"
    )


def test_nothing_is_waited_for_that_is_there(node: Node) -> None:
    (node.workdir / "folder").mkdir()
    (node.workdir / "link").symlink_to("folder")
    assert node.run(node.direct(inputs=("folder", "link", "."))).status == 0
