"""Scenario 2: the agent dies at every single step of its ledger."""

import os
import signal
from pathlib import Path

import pytest

from agents.local_wms.home import Endpoint
from tests.faults import invariants
from tests.faults.payloads import FAILS, SHORT
from tests.faults.scene import ROOT, Options, Scene

CRASH_POINT = Path(__file__).parent / "crash_point"
MOST_STEPS = 40
FIRST = {"before": 2, "after": 1}  # before the first one is a test of its own
KINDS = {
    "plain": (SHORT, False, "Done"),
    "sandboxes": (f"{SHORT}; echo result >result.txt", True, "Done"),
    "failing": (FAILS, False, "Failed"),
}


def crashing(number: int, when: str) -> Options:
    """Return how to start an agent that dies at a step."""
    return Options(
        environment={
            "PYTHONPATH": os.pathsep.join([str(CRASH_POINT), str(ROOT)]),
            "GRIDPILOT_CRASH_AT": f"{number}:{when}",
        }
    )


def dies_and_is_started_again(scene: Scene, kind: str, number: int, when: str) -> bool:
    """Run one job through an agent that dies at a step, and a second one; False when there is no such step."""
    body, sandboxes, wanted = KINDS[kind]
    outputs = ['OutputSandbox = {"std.out", "result.txt"};'] if sandboxes else []
    job_id = scene.submit(body, *outputs, sandbox=sandboxes)
    died = scene.agent(crashing(number, when)).ended() == -signal.SIGKILL
    if died:
        assert scene.agent().ended() == 0, scene.processes[-1].written()
    at = f"{kind} job, {when} step {number}"
    if scene.books.begins()[job_id] == 0 and scene.statuses()[job_id] == "Waiting":  # given back before it began
        scene.client.call("JobManager", "killJob", job_id)
    else:
        assert scene.status(job_id)["Status"] == wanted, f"{at}: {scene.history(job_id)}"
    if sandboxes and wanted == scene.statuses()[job_id]:
        names = {path.name for path in scene.client.output(job_id, scene.folder / f"output-{number}")}
        assert names == {"std.out", "result.txt"}, at
    invariants.check(scene)
    return died


@pytest.mark.quick
@pytest.mark.scenario(2, "SIGKILL of the agent at some steps of its ledger (quick form)")
@pytest.mark.parametrize("number", [4])
def test_job_survives_the_agents_death_at_one_step(scene: Scene, number: int) -> None:
    dies_and_is_started_again(scene, "sandboxes", number, "after")


@pytest.mark.quick
@pytest.mark.scenario(2, "SIGKILL of the agent when a job was matched and nothing is written yet")
def test_job_is_not_lost_when_the_agent_dies_before_it_wrote_anything(scene: Scene) -> None:
    dies_and_is_started_again(scene, "plain", 1, "before")


@pytest.mark.long
@pytest.mark.scenario(2, "SIGKILL of the agent at every step of its ledger, before and after it")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["sandboxes", "failing"])  # a plain job has no step that these have not
def test_job_survives_the_agents_death_at_every_step(endpoint: Endpoint, tmp_path: Path, kind: str, when: str) -> None:
    steps = 0
    for number in range(FIRST[when], MOST_STEPS):
        folder = tmp_path / str(number)
        folder.mkdir()
        scene = Scene(endpoint, folder)
        try:
            if not dies_and_is_started_again(scene, kind, number, when):
                break
        finally:
            scene.close()
        steps += 1
    assert 5 <= steps < MOST_STEPS - 1, f"{steps} steps were found: the ledger is not written where it should be"
