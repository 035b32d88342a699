"""Output of a task: how much of it is kept, on disk and when it is fetched, and which files are no log."""

import os
import sys
from pathlib import Path

import pytest

from ce_backends.base import Limit, TaskState
from ce_backends.conformance.subject import task
from ce_backends.task.directory import TaskDir
from ce_backends.task.log_limit import Cap
from ce_backends.task.outputs import copy_outputs
from tests.unit.ce_limits_scene import MB, blocks, make_pool, written
from tests.unit.pool_scene import MakePool, begin, ended
from tests.waiting import until

__all__ = ["make_pool"]


def test_middle_of_too_much_output_takes_no_disk_and_its_ends_stay(tmp_path: Path) -> None:
    log = written(tmp_path / "log", 4 * MB)
    before = log.read_bytes()

    problem = Cap(MB).trim(log, tmp_path)

    assert problem == ""
    assert log.stat().st_size == 4 * MB
    assert blocks(log) < 1.1 * MB
    assert log.read_bytes()[: MB // 2] == before[: MB // 2]
    assert log.read_bytes()[-MB // 2 :] == before[-MB // 2 :]


def test_of_too_much_output_head_and_tail_are_copied_and_a_line_tells_the_rest(tmp_path: Path) -> None:
    content = written(tmp_path / "log", 4 * MB).read_bytes()

    copy_outputs(tmp_path, ["log"], tmp_path / "into", cap=Cap(MB), capped=["log"])

    copy = (tmp_path / "into/log").read_bytes()
    assert copy == content[: MB // 2] + b"\n[3000000 bytes left out]\n" + content[-MB // 2 :]


def test_output_that_is_no_log_is_copied_whole(tmp_path: Path) -> None:
    content = written(tmp_path / "data", 4 * MB).read_bytes()

    copy_outputs(tmp_path, ["data"], tmp_path / "into", cap=Cap(MB), capped=["log"])

    assert (tmp_path / "into/data").read_bytes() == content


def test_output_of_exactly_the_limit_is_copied_whole(tmp_path: Path) -> None:
    content = written(tmp_path / "log", MB).read_bytes()

    copy_outputs(tmp_path, ["log"], tmp_path / "into", cap=Cap(MB), capped=["log"])

    assert (tmp_path / "into/log").read_bytes() == content


@pytest.mark.parametrize("name", ["nothing", "pipe", "link", "folder"])
def test_what_is_no_file_has_nothing_to_trim(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    large = written(tmp_path / "large", 4 * MB)
    (tmp_path / "link").symlink_to(large)

    assert Cap(MB).trim(tmp_path / name, tmp_path) == ""
    assert blocks(large) >= 4 * MB


def test_file_that_has_another_name_is_not_touched(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    others = written(tmp_path / "others", 4 * MB)
    (work / "log").hardlink_to(others)

    assert Cap(MB).trim(work / "log", work) == "it has several names"
    assert blocks(others) >= 4 * MB


def test_file_of_a_directory_outside_is_not_touched(tmp_path: Path) -> None:
    work, others = tmp_path / "work", tmp_path / "others"
    work.mkdir()
    others.mkdir()
    written(others / "log", 4 * MB)
    (work / "way").symlink_to(others)

    assert Cap(MB).trim(work / "way/log", work).endswith("leads outside the work directory")
    assert blocks(others / "log") >= 4 * MB


BABBLE = f"""exec {sys.executable} -c "
import sys
out = sys.stdout.buffer
out.write(b'first words')
for _ in range(40):
    out.write(bytes(10**6)); out.flush()
out.write(b'last words'); out.flush()
open('said', 'w').close()
import time; time.sleep(600)"
"""


@pytest.mark.parametrize(("redirect", "name"), [("", "stdout"), ("exec > std.out\n", "std.out")])
def test_task_that_babbles_takes_little_disk_while_it_runs_and_can_be_peeked(
    make_pool: MakePool, tmp_path: Path, redirect: str, name: str
) -> None:
    pool = make_pool()
    task_id = begin(pool, task(redirect + BABBLE, capped=["std.out"], outputs=["std.out"]))
    until(lambda: pool.has_file(task_id, "said"))

    directory = TaskDir(tmp_path / "pool" / task_id)
    log = (directory.path if name == "stdout" else directory.work) / name
    until(lambda: blocks(log) < 1.1 * MB)

    assert log.stat().st_size > 40 * MB
    assert pool.peek(task_id, name, 10) == b"last words"


def test_fetch_brings_head_and_tail_of_a_task_that_babbled(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool()
    script = "exec > std.out\necho first; head -c 3000000 /dev/zero; echo last\n"
    task_id = begin(pool, task(script, capped=["std.out"], outputs=["std.out"]))
    ended(pool, task_id)

    pool.fetch(task_id, tmp_path / "fetched")

    content = (tmp_path / "fetched/outputs/std.out").read_bytes()
    assert content.startswith(b"first\n")
    assert content.endswith(b"\0last\n")
    assert content.count(b"bytes left out]") == 1
    assert len(content) < 1.1 * MB


def test_task_whose_output_cannot_be_kept_small_is_ended(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool()
    script = "ln std.out another; exec > std.out; head -c 3000000 /dev/zero; sleep 600\n"

    end = ended(pool, begin(pool, task("touch std.out; " + script, capped=["std.out"])))

    assert end.state is TaskState.FAILED
    assert end.limit is Limit.OUTPUT
    assert end.reason == "std.out has more than 1 MB and cannot be kept small: it has several names"
