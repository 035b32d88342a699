"""Disk that hides: it counts for whom uses it, and nobody else is ended for it."""

import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ce_backends.base import Limit
from ce_backends.containment.cell import Consumption
from ce_backends.linux.disk_usage import disk_use
from ce_backends.linux.removal import remove_tree
from ce_backends.pool.monitor import Bounds, Monitor
from ce_backends.pool.observation import Observation
from ce_backends.pool.running_task import Excess, RunningTask
from ce_backends.task.directory import TaskDir
from ce_backends.task.log_limit import Cap

MB = 10**6


def me() -> list[int]:
    return [os.getpid()]


IS_ROOT = os.geteuid() == 0


@pytest.fixture
def top(tmp_path: Path) -> Path:
    (tmp_path / "top").mkdir()
    return tmp_path / "top"


def full(path: Path, size: int = 3 * MB) -> None:
    path.write_bytes(b"x" * size)


def test_a_file_without_a_name_counts_while_it_is_open(top: Path) -> None:
    full(top / "big")
    with (top / "big").open("rb"):
        (top / "big").unlink()

        assert disk_use(top, me()).size_bytes >= 3 * MB
        assert disk_use(top).size_bytes < MB

    assert disk_use(top, me()).size_bytes < MB


def test_a_file_that_never_had_a_name_counts(top: Path) -> None:
    fd = os.open(top, os.O_TMPFILE | os.O_RDWR)
    os.write(fd, b"x" * 3 * MB)

    assert disk_use(top, me()).size_bytes >= 3 * MB

    os.close(fd)


def test_a_file_that_is_open_twice_counts_once(top: Path) -> None:
    full(top / "big")
    with (top / "big").open("rb"), (top / "big").open("rb"):
        (top / "big").unlink()

        assert disk_use(top, me() * 2).size_bytes < 4 * MB


def test_a_file_with_a_name_counts_once_though_it_is_open(top: Path) -> None:
    full(top / "big (deleted)")
    with (top / "big (deleted)").open("rb"):
        assert disk_use(top, me()).size_bytes < 4 * MB


@pytest.mark.skipif(not IS_ROOT, reason="only root may look into what others have mapped")
def test_a_file_that_is_only_mapped_counts(top: Path) -> None:
    full(top / "big")
    with (top / "big").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    (top / "big").unlink()

    assert disk_use(top, me()).size_bytes >= 3 * MB

    mapped.close()


@pytest.fixture
def deep(top: Path) -> Iterator[Path]:
    """A tree that no path reaches the end of, with three megabytes there."""
    fd = os.open(top, os.O_RDONLY)
    for _ in range(40):
        os.mkdir("d" * 200, dir_fd=fd)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    big = os.open("big", os.O_WRONLY | os.O_CREAT, dir_fd=fd)
    os.write(big, b"x" * 3 * MB)
    os.close(big)
    os.close(fd)
    yield top
    remove_tree(top)


def test_what_lies_behind_a_path_longer_than_any_counts(deep: Path) -> None:
    assert disk_use(deep).size_bytes >= 3 * MB


def test_what_lies_deeper_than_is_looked_is_said_to_be_there(top: Path) -> None:
    (top / ("d/" * 160)).mkdir(parents=True)

    assert disk_use(top).unread == 1


@pytest.mark.skipif(IS_ROOT, reason="root reads all; tests/faults tries it as a plain user")
@pytest.mark.parametrize("mode", [0o000, 0o311, 0o600, 0o400])
def test_a_locked_directory_is_looked_into_and_stays_locked(top: Path, mode: int) -> None:
    (top / "d/e").mkdir(parents=True)
    full(top / "d/e/big")
    (top / "d/e").chmod(mode)
    (top / "d").chmod(mode)

    found = disk_use(top)

    assert (found.unread, found.size_bytes >= 3 * MB) == (0, True)
    assert (top / "d").stat().st_mode & 0o777 == mode
    (top / "d").chmod(0o700)
    assert (top / "d/e").stat().st_mode & 0o777 == mode
    (top / "d/e").chmod(0o700)


def test_what_is_mounted_there_is_not_even_asked_for_its_size(top: Path) -> None:
    (top / "d").mkdir()
    full(top / "d/other")
    full(top / "d/mine")

    found = disk_use(top, mounts={f"{top}/d/other"})

    assert 3 * MB <= found.size_bytes < 4 * MB


@dataclass
class Cell:
    """A cell of nobody."""

    pids: Sequence[int] = ()

    def members(self) -> list[int]:
        return list(self.pids)

    def consumption(self, *, with_causes: bool = True) -> Consumption:
        return Consumption()


@dataclass
class Node:
    """Tasks on a disk of which there is never enough, and who was ended."""

    place: Path
    processors: int = 2
    tasks: list[RunningTask] = field(default_factory=list)
    ended: list[tuple[str, Excess]] = field(default_factory=list)

    def begin(self, stamp: str, *, processors: int = 1) -> Path:
        directory = TaskDir(self.place / stamp)
        directory.work.mkdir(parents=True)
        record: Any = SimpleNamespace(processors=processors, disk_mb=0, capped=(), memory_mb=0, cpu_s=0)
        cell: Any = Cell()
        self.tasks.append(RunningTask(stamp=stamp, directory=directory, record=record, cell=cell, since_s=0.0))
        return directory.work

    def look(self, monkeypatch: pytest.MonkeyPatch, disk_mb: int) -> list[tuple[str, Limit]]:
        """Make one round on a disk of so many megabytes, all of them taken."""
        disk = SimpleNamespace(f_blocks=disk_mb, f_frsize=MB, f_bavail=0, f_files=10_000, f_favail=9000)
        monkeypatch.setattr(os, "statvfs", lambda _: disk)
        bounds = Bounds(output=Cap(MB), least_disk_mb=10, processors=self.processors)
        Monitor(
            self.place, bounds, tasks=lambda: self.tasks, end=lambda stamp, excess: self.ended.append((stamp, excess))
        ).go(self.tasks)
        return [(stamp, excess.limit) for stamp, excess in self.ended]


def test_on_a_full_disk_who_is_over_his_share_is_ended_also_beside_larger_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(tmp_path, processors=8)
    full(node.begin("large", processors=7) / "data", 8 * MB)
    full(node.begin("small") / "data", 4 * MB)

    assert node.look(monkeypatch, 20) == [("small", Limit.DISK)]


def test_on_a_full_disk_nobody_within_his_share_is_ended_for_a_neighbour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(tmp_path)
    full(node.begin("one") / "data", 4 * MB)
    full(node.begin("other") / "data", 3 * MB)

    assert node.look(monkeypatch, 20) == []


def test_who_is_alone_on_a_full_disk_goes_where_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(tmp_path)
    full(node.begin("one") / "data", 4 * MB)

    assert node.look(monkeypatch, 20) == [("one", Limit.NODE_DISK)]


def test_who_takes_the_inodes_is_ended_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(tmp_path, processors=100)
    full(node.begin("one", processors=50) / "data", 4 * MB)
    work = node.begin("files")
    for number in range(120):
        (work / str(number)).touch()

    assert node.look(monkeypatch, 1000) == [("files", Limit.DISK)]


def test_a_task_with_a_limit_and_a_directory_that_nobody_can_look_into_is_full(top: Path) -> None:
    (top / ("d/" * 160)).mkdir(parents=True)
    record: Any = SimpleNamespace(disk_mb=50)
    cell: Any = Cell()
    task = RunningTask(stamp="s", directory=TaskDir(top), record=record, cell=cell, since_s=0.0)

    excess = Observation(task).look_at_disk()

    assert excess is not None
    assert excess.sentence == "disk limit of 50 MB exceeded (used 1 MB, and not all directories can be looked into)"
