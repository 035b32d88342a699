"""The SiteDirector dies by SIGKILL between the real DIRAC and a real Slurm: no pilot lost, doubled or unknown.

One round at each step here; `make faults-site-director` tries twenty.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.dirac_stack import Stack
from tests.system.pilot_scene import PilotScene, gone_at_last
from tests.systems.real_system import RealSystem, bring_up
from tests.systems.slurm_queue import drained

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start Slurm's daemons")
JDL = 'JobName = "waits"; Executable = "/bin/true"; CPUTime = 300; Parameters = 2;'
ROUNDS = int(os.environ.get("GRIDPILOT_ROUNDS", "1"))  # of each step
STEPS = ("Decided", "before-sbatch", "after-sbatch", "Waiting")
WAITING_S = 120.0


@pytest.fixture(scope="module")
def slurm() -> Iterator[RealSystem]:
    """No pilot starts."""
    system = bring_up("slurm", {"SLURM_ACCOUNTING": "0"})
    with drained(system):
        yield system
    system.down()


def test_a_director_that_is_killed_at_each_step_leaves_each_pilot_known_once(
    stack: Stack, slurm: RealSystem, tmp_path: Path
) -> None:
    """Two jobs more in each round, and as many pilots: in Slurm, in the ledger, and in DIRAC's PilotManager."""
    stack.client("pilot", "upload-proxy", str(Path(stack.endpoint["pilot_proxy"]).parent / "pilot"))
    scene, jobs = PilotScene(stack, slurm, tmp_path), list[int]()

    with scene.director as director, gone_at_last(stack, slurm, jobs):
        for number, step in enumerate(STEPS * ROUNDS, start=1):
            scene.begun(number)
            dies = scene.killed_by if step.endswith("sbatch") else scene.killed_when
            dies(step, lambda: jobs.extend(stack.submit(JDL)))
            director.start()
            director.until(lambda: _states(scene) == {"Waiting": len(jobs)}, f"after a death at {step}")
            director.until(lambda: '"unsent_reports": 0' in director.ask("status", "--json"), "all is told")
            there = {pilot["stamp"]: pilot["task_id"] for pilot in scene.ledger() if pilot["state"] == "Waiting"}
            registered = scene.registered()
            assert sorted(scene.in_slurm()) == sorted(there.values()), step
            assert Counter(info["Status"] for info in registered.values() if info["PilotStamp"] in there) == {
                "Waiting": len(jobs)
            }, step
        code = director.stop()

    assert code == 0
    assert len(jobs) == 2 * len(STEPS) * ROUNDS


def _states(scene: PilotScene) -> Counter[str]:
    """Return how the pilots stand that have not ended; those that were decided and never submitted have."""
    return Counter(p["state"] for p in scene.ledger() if p["state"] not in ("Done", "Failed", "Aborted"))
