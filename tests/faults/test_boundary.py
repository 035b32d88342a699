"""Payloads that go for what keeps them: their control group, and what the pool has written down of them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import invariants
from tests.faults.box import is_alive
from tests.faults.payloads import once
from tests.faults.scene import Scene
from tests.faults.test_containment import LEVELS, contained, hostile, noted
from tests.waiting import within

END = (
    '{"state": "Done", "native": "", "reason": "", "exit_code": 0, "usage": {"wall_s": 1, "cpu_s": 1, '
    '"memory_peak_mb": null}, "limit": null, "activity": null, "is_stuck": false}'
)
RECORD = (
    '{"processors": -100, "outputs": ["/etc/passwd"], "memory_mb": 0, "wall_s": "x", "capped": [5], '
    '"joins": ["/sys/fs/cgroup/cgroup.procs"], "disk_mb": 0, "cpu_s": 0, "is_enclosed": false}'
)
SPOILS = {
    "types": f"echo '{RECORD}' > $note.task",
    "depth": "head -c 200000 /dev/zero | tr '\\0' '[' > $note.task; echo >> $note.task",
    "an end": f"echo '{END}' >> $note.task",
    "no claim": "rm -f $note.started",
    "nothing": "rm -rf $note*",
}


@pytest.mark.quick
@pytest.mark.scenario(13, "a daemon enters the topmost control groups, with a cleared environment, as root")
def test_daemon_that_has_left_its_group_is_dead_within_5_s_of_its_jobs_end(
    scene: Scene, need: Callable[[str, bool, str], None]
) -> None:
    need("root", os.geteuid() == 0 and bool(scene.box.groups), "only root may leave a control group")
    pids = scene.folder / "daemon"
    job_id = scene.submit(hostile("leaves_group", pids))
    agent = scene.agent(contained("V2"))
    scene.until(lambda: job_id in scene.books.ends(), "the payload ends")
    (pid,) = noted(pids)

    assert within(5, lambda: not is_alive(pid))

    assert agent.ended() == 0
    assert scene.statuses()[job_id] == "Done"
    invariants.check(scene)


@pytest.mark.scenario(1, "the payload spoils the pool's notes of it; SIGKILL of the agent, another one comes")
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
def test_job_whose_record_is_spoiled_runs_once_and_its_end_is_told(scene: Scene, level: str, spoil: str) -> None:
    go = scene.folder / "go"
    notes = scene.work_dir / "tasks/.notes"
    body = f"note={notes}/$GRIDPILOT_TASK\n{spoil}\n: > {go}.spoiled\nuntil [ -e {go} ]; do sleep 0.1; done"
    job_id = scene.submit(once(body))
    first = scene.agent(contained(level))
    scene.until(Path(f"{go}.spoiled").exists, "the payload has spoiled it")

    first.killed()
    again = scene.agent(contained(level))
    scene.until(lambda: scene.is_running(job_id), "it is followed on", 20)
    go.touch()

    scene.until(lambda: invariants.reported_ends(scene, job_id), "its end is told", 20)
    assert again.ended() == 0
    invariants.check(scene)
