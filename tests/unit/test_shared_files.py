"""Files that many tasks have alike: brought to a spool once, linked for each, copied where no link can be had."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ce_backends.base import TaskSpec
from ce_backends.batch.spool import Spool
from ce_backends.batch.system import BatchJob
from ce_backends.batch.transport import Local
from ce_backends.errors import CEError, CEUnavailable
from ce_backends.task.log_limit import Cap

CONTENT = b"a bundle" * 100


class Counting(Local):
    """This machine; it counts what is brought."""

    def __init__(self) -> None:
        self.bytes_brought: list[int] = []
        self.before_unpacking: Callable[[], object] = lambda: None

    def put(self, source: Path, target: str, *, timeout_s: float) -> None:
        self.bytes_brought.append(source.stat().st_size)
        super().put(source, target, timeout_s=timeout_s)
        if target.endswith(".tar"):
            self.before_unpacking()


class Scene:
    """A spool, and tasks with a bundle."""

    def __init__(self, top: Path) -> None:
        self.transport = Counting()
        self.spool = Spool(self.transport, str(top / "spool"), top / "scratch", cap=Cap(1000))
        self.root, self.bundle = top / "spool", top / "gridpilot.pyz"
        self.bundle.write_bytes(CONTENT)
        self._number = 0

    def lay_out(self, tasks: int = 2) -> list[Path]:
        """Lay out one job; return where the bundle lies in the directories of its tasks."""
        stamps = [f"{self._number + each:032x}" for each in range(tasks)]
        self._number += tasks
        job: dict[str, Any] = {"processors": 1, "memory_mb": 0, "gpus": 0, "wall_s": 0}
        name = stamps[0]
        specs = [TaskSpec(stamp=stamp, script="true", shared=[self.bundle]) for stamp in stamps]
        self.spool.lay_out(BatchJob(name=name, size=tasks, script=f"/s/{name}", log="/l", **job), specs, [], [])
        return [self.root / "tasks" / stamp / "work" / "gridpilot.pyz" for stamp in stamps]

    def shared(self) -> list[Path]:
        return list((self.root / "shared").iterdir())


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_a_shared_file_is_brought_once_for_all_tasks_of_all_jobs(scene: Scene) -> None:
    places = [*scene.lay_out(), *scene.lay_out()]

    assert scene.transport.bytes_brought.count(len(CONTENT)) == 1
    assert {place.read_bytes() for place in places} == {CONTENT}
    assert {place.stat().st_ino for place in places} == {scene.shared()[0].stat().st_ino}


def test_another_spool_in_the_same_directory_finds_it_there(scene: Scene, tmp_path: Path) -> None:
    scene.lay_out()
    other = Scene(tmp_path)
    other._number = 10

    (place, _) = other.lay_out()

    assert len(CONTENT) not in other.transport.bytes_brought
    assert place.read_bytes() == CONTENT


def test_a_file_with_other_content_is_another_one_and_tasks_keep_theirs(scene: Scene) -> None:
    (old, _) = scene.lay_out()
    scene.bundle.write_bytes(b"newer")

    (new, _) = scene.lay_out()

    assert (old.read_bytes(), new.read_bytes()) == (CONTENT, b"newer")
    assert len(scene.shared()) == 2


def test_what_no_task_has_and_nobody_has_wanted_for_long_is_removed(scene: Scene) -> None:
    (old, second) = scene.lay_out()
    (kept,) = scene.shared()
    os.utime(kept, (1, 1))
    scene.bundle.write_bytes(b"newer")
    scene.lay_out()
    are_both_there = len(scene.shared()) == 2

    for place in (old, second):
        place.unlink()
    scene.bundle.write_bytes(b"newest")
    scene.lay_out()

    assert are_both_there, "tasks had it"
    assert kept not in scene.shared()


def test_a_shared_file_that_somebody_removes_costs_one_refusal(scene: Scene) -> None:
    scene.lay_out()
    scene.shared()[0].unlink()

    with pytest.raises(CEUnavailable):
        scene.lay_out()
    (place, _) = scene.lay_out()

    assert place.read_bytes() == CONTENT


def test_where_links_cannot_be_had_each_task_gets_a_copy(scene: Scene) -> None:
    """As if the file system knew none: what they lead to is never there."""
    scene.transport.before_unpacking = lambda: [path.unlink() for path in scene.shared()]
    for _ in range(2):
        with pytest.raises(CEUnavailable):
            scene.lay_out()

    places = scene.lay_out()

    assert [place.read_bytes() for place in places] == [CONTENT] * 2


def test_a_shared_file_that_is_not_here_is_one_sentence(scene: Scene) -> None:
    scene.bundle.unlink()

    with pytest.raises(CEError, match=r"input .*gridpilot\.pyz cannot be copied: No such file or directory"):
        scene.lay_out()
