"""Scenarios 6 to 8: another boot, a damaged ledger, a second agent."""

import json
import shutil
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import invariants
from tests.faults.box import read_proc, send
from tests.faults.payloads import once, sleeps
from tests.faults.scene import AGENT, BACK, FINAL, Options, Scene
from tests.waiting import within

BOOT_ID = "/proc/sys/kernel/random/boot_id"
ON_ANOTHER_BOOT = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'


def on_another_boot(scene: Scene) -> list[str]:
    """Return a command that shows another boot id to what it runs, in a mount namespace of its own."""
    other = scene.folder / "boot_id"
    other.write_text("00000000-1111-2222-3333-444444444444\n", encoding="ascii")
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", ON_ANOTHER_BOOT, "sh", str(other), BOOT_ID]


@pytest.mark.quick
@pytest.mark.scenario(6, "the node is rebooted while a job runs; its pid is now a stranger's")
def test_stranger_with_the_pid_of_a_task_lives_and_the_job_is_given_back(
    scene: Scene, need: Callable[[str, bool, str], None]
) -> None:
    need("root", bool(scene.box.groups), "another boot id is shown through a mount namespace")
    job_id = scene.submit(sleeps(600))
    agent = scene.agent()
    scene.until(lambda: scene.is_running(job_id), "the payload runs")
    agent.killed()
    assert within(10, lambda: [send(pid, signal.SIGKILL) for pid in scene.box.pids()] == [])
    (pid_file,) = (scene.work_dir / "tasks/.notes").glob("*.started")
    boot = Path(BOOT_ID).read_text(encoding="ascii").strip()
    stranger = scene.canary.process.pid
    pid_file.write_text(f"{stranger} {boot} {read_proc(stranger, 'stat').decode('ascii')}", encoding="ascii")

    only_once = {f"{AGENT}/MaxCycles": "1", f"{AGENT}/FillingModeFlag": "no"}
    scene.agent(Options(before=on_another_boot(scene), more=only_once))
    scene.until(lambda: invariants.reported_ends(scene, job_id), "its end is told", 20)

    assert scene.canary.is_alive(), "the stranger was killed"
    assert invariants.reported_ends(scene, job_id)[0] == "Rescheduled"
    scene.processes[-1].signal(signal.SIGTERM)
    assert scene.processes[-1].ended() == 0
    scene.client.call("JobManager", "killJob", job_id)
    invariants.check(scene)


def empty(path: Path) -> None:
    """Leave nothing of a file."""
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    """Leave half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def bit_flipped(path: Path) -> None:
    """Turn bits over in the middle of every page."""
    content = bytearray(path.read_bytes())
    for start in range(0, len(content), 4096):
        for place in range(start, min(start + 512, len(content))):
            content[place] ^= 0x55
    path.write_bytes(content)


def garbage(path: Path) -> None:
    """Put something in its place that is no database."""
    path.write_bytes(b"no database at all\n" * 1000)


def unreadable_job(path: Path) -> None:
    """Spoil the one row."""
    with sqlite3.connect(path) as db:
        db.execute("UPDATE job SET body = '{\"half\": '")
    db.close()


def directory(path: Path) -> None:
    """Put a directory in its place."""
    path.unlink()
    path.mkdir()


@pytest.mark.scenario(7, "the ledger is empty, cut, bit-flipped, garbage, a directory, or has an unreadable job")
@pytest.mark.parametrize("damage", [empty, truncated, bit_flipped, garbage, unreadable_job, directory])
def test_agent_with_a_damaged_ledger_starts_and_no_job_is_forgotten(
    scene: Scene, damage: Callable[[Path], None]
) -> None:
    first = scene.submit(once(sleeps(600)))
    agent = scene.agent()
    scene.until(lambda: scene.is_running(first), "the payload runs")
    agent.killed()
    fold_log(scene.work_dir / "ledger.sqlite")
    damage(scene.work_dir / "ledger.sqlite")
    second = scene.submit(sleeps(0.2))

    agent = scene.agent()
    scene.until(lambda: scene.statuses()[second] == "Done", "the agent works", 20)

    assert agent.ended() == 0, agent.written()
    assert "ledger." in agent.written(), "nothing was said of the damage"
    assert scene.statuses()[first] in (*BACK, *FINAL), scene.history(first)
    scene.client.call("JobManager", "killJob", first)
    invariants.check(scene)


def fold_log(path: Path) -> None:
    """Write the write-ahead log back into the file, so that the damage meets everything."""
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


@pytest.mark.scenario(7, "the ledger is empty, cut, bit-flipped, garbage, a directory, or has an unreadable job")
@pytest.mark.parametrize("damage", [bit_flipped, pytest.param(garbage, marks=pytest.mark.quick)])
def test_agent_with_a_damaged_ledger_starts_and_takes_new_jobs(scene: Scene, damage: Callable[[Path], None]) -> None:
    first = scene.submit(sleeps(0.1))
    assert scene.agent().ended() == 0
    damage(scene.work_dir / "ledger.sqlite")
    second = scene.submit(sleeps(0.1))

    agent = scene.agent()

    assert agent.ended() == 0, agent.written()
    assert "ledger.quarantined" in agent.written()
    assert scene.statuses() == {first: "Done", second: "Done"}
    shutil.rmtree(scene.work_dir / "ledger.sqlite", ignore_errors=True)
    invariants.check(scene)


@pytest.mark.quick
@pytest.mark.scenario(8, "a second agent is started in the same directory")
def test_second_agent_in_a_directory_stops_with_one_sentence(scene: Scene) -> None:
    go = scene.folder / "go"
    job_id = scene.submit(f"until [ -e {go} ]; do sleep 0.1; done")
    first = scene.agent()
    scene.until(lambda: scene.is_running(job_id), "the payload runs")

    second = scene.agent()

    assert second.ended(10) == 2
    go.touch()
    assert len(second.written().strip().splitlines()) == 1
    assert "another agent works in this directory" in second.written()
    assert first.ended() == 0
    assert json.loads((scene.work_dir / "agent_end.json").read_text(encoding="utf-8"))["matched"] == 1
    invariants.check(scene)
