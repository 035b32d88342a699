"""Scenario 47: the power goes, or what a task has kept is gone. What was not on the disk is not there afterwards."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults import invariants
from tests.faults.box import send
from tests.faults.payloads import sleeps
from tests.faults.scene import AGENT, BACK, Options, Scene
from tests.faults.test_ledger_damage import on_another_boot
from tests.waiting import within

MOST_COPIES = 10
ONCE = {f"{AGENT}/MaxCycles": "1", f"{AGENT}/FillingModeFlag": "no"}


class Disk:
    """A file system whose unwritten pages are lost when the power goes; of root."""

    def __init__(self, folder: Path) -> None:
        self.mount = folder / "disk"
        self._image, self._copy = folder / "disk.img", folder / "disk.copy"

    def open(self) -> "Disk":
        """Make and mount it."""
        self.mount.mkdir()
        with self._image.open("wb") as image:
            image.truncate(64 << 20)
        _run("mkfs.ext4", "-q", "-F", "-J", "size=4", str(self._image))
        self._take(self._image)
        return self

    def copy_what_is_written(self) -> None:
        """Keep what is on the disk now; what the kernel still holds is not, unless somebody called sync(2) meanwhile.

        Whoever did so has brought to the disk what was there until then, so that it is tried with something newer.
        """
        for number in range(MOST_COPIES):
            newest = self.mount / f"unwritten-{number}"
            newest.write_text("x" * 10_000)
            _run("cp", "--sparse=always", str(self._image), str(self._copy))
            if self._has_lost(newest.name):
                return
        raise AssertionError("nothing was lost: this was no power failure")

    def come_back(self) -> None:
        """Be what was kept."""
        self.close()
        self._take(self._copy)

    def _has_lost(self, name: str) -> bool:
        """Tell whether the copy, as it is after a start of the machine, has nothing of a file."""
        place = self.mount.with_name("looked-at")
        place.mkdir(exist_ok=True)
        _run("mount", "-o", "loop", str(self._copy), str(place))
        try:
            return not (place / name).exists() or (place / name).read_bytes() == b""
        finally:
            _run("umount", str(place))

    def close(self) -> None:
        """Unmount it."""
        subprocess.run(["umount", "-l", str(self.mount)], check=False, stderr=subprocess.DEVNULL)

    def _take(self, image: Path) -> None:
        _run("mount", "-o", "loop,data=writeback,commit=60", str(image), str(self.mount))


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)


def kill_all(scene: Scene) -> None:
    """SIGKILL everything of the scene, until nothing is left."""
    assert within(10, lambda: [send(pid, signal.SIGKILL) for pid in scene.box.pids()] == [])
    for process in scene.processes:
        process.process.wait(10)


@pytest.fixture
def disk(scene: Scene, need: Callable[[str, bool, str], None]) -> Iterator[Disk]:
    need("root", os.geteuid() == 0 and bool(shutil.which("mkfs.ext4")), "a file system of its own is mounted")
    try:
        made = Disk(scene.folder).open()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no loop device here: {error}")
    yield made
    scene.end_processes()
    made.close()


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.scenario(47, "the power goes while a job runs; un-synced pages are lost, another boot")
def test_a_job_is_not_run_twice_after_the_power_went(scene: Scene, disk: Disk, told: bool) -> None:
    job_id = scene.submit(sleeps(600))
    scene.agent(Options(work_dir=disk.mount / "work"))
    seen = scene.is_running if told else scene.has_begun
    scene.until(lambda: seen(job_id), "the payload runs")
    for pid in scene.box.pids():
        send(pid, signal.SIGSTOP)
    disk.copy_what_is_written()
    kill_all(scene)

    disk.come_back()
    scene.agent(Options(work_dir=disk.mount / "work", before=on_another_boot(scene), more=ONCE))
    scene.until(lambda: scene.statuses()[job_id] in BACK or scene.books.begins()[job_id] > 1, "it is given back", 90)

    ends = invariants.reported_ends(scene, job_id)
    assert ends[:1] == ["Rescheduled"]
    assert scene.books.begins()[job_id] <= invariants.matches(scene, job_id)
    scene.processes[-1].signal(signal.SIGTERM)
    assert scene.processes[-1].ended() == 0
    scene.client.call("JobManager", "killJob", job_id)
    invariants.check(scene)


@pytest.mark.scenario(47, "agent, wrapper and payload are killed, and the task's directory is removed")
def test_a_task_of_which_nothing_is_left_is_given_back(scene: Scene) -> None:
    job_id = scene.submit(sleeps(600))
    scene.agent()
    scene.until(lambda: scene.is_running(job_id), "the payload runs")
    kill_all(scene)
    shutil.rmtree(scene.work_dir / "tasks")

    scene.agent(Options(more=ONCE))
    scene.until(lambda: invariants.reported_ends(scene, job_id), "its end is told", 30)

    assert invariants.reported_ends(scene, job_id)[0] == "Rescheduled"
    scene.processes[-1].signal(signal.SIGTERM)
    assert scene.processes[-1].ended() == 0
    scene.client.call("JobManager", "killJob", job_id)
    invariants.check(scene)
