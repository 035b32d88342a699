"""The SiteDirector dies by SIGKILL before a real HTCondor and a real ARC: no pilot lost, doubled or unknown.

One round at each moment here; `make faults-site-director` tries twenty. No pilot starts, so that all can be counted.
"""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from agents.local_wms.client import connect
from agents.local_wms.testing import running
from tests.end_to_end.director import pilots_known
from tests.systems.conftest import Have
from tests.systems.real_system import RealSystem
from tests.systems.slurm_queue import drained, empty
from tests.systems.user_director import QUEUE, STANDS_STILL, WAYS, AsUser, Way
from tests.waiting import PATIENCE_S

JDL = 'Executable = "/bin/true"; CPUTime = 100; Parameters = 2;'
ROUNDS = int(os.environ.get("GRIDPILOT_ROUNDS", "1"))  # of each moment
SEED = 20261201
MOMENTS = (  # the state in which a new pilot is seen, and how long after that at most, in seconds
    ("Decided", 0.0),
    ("Submitting", 0.0),
    ("Submitting", 0.1),
    ("Submitting", 0.5),
    ("Waiting", 0.0),
)
ROOM = {"MaxTotalJobs": 10_000, "MaxWaitingJobs": 10_000}
OVER = ("Done", "Failed", "Aborted")


class Killed(AsUser):
    """One that can be killed alone: what it has started goes on, a command that submits for example."""

    def killed_when(self, state: str, known: set[str], after_s: float) -> str:
        """Kill it so long after a new pilot is in a state, or in a later one; return that in which it was."""
        order, give_up_at = ("Decided", "Submitting", "Waiting"), time.monotonic() + PATIENCE_S
        while not any(order.index(now) >= order.index(state) for now in self._new(known)):
            assert time.monotonic() < give_up_at, f"no new pilot is {state}: {self.written()}"
            time.sleep(0.002)
        time.sleep(after_s)
        assert self.process
        below = psutil.Process(self.process.pid).children(recursive=True)
        for each in [*(one for one in below if _is_director(one)), self.process]:
            each.kill()
        self.process.wait()
        return min(self._new(known), key=order.index)

    def _new(self, known: set[str]) -> list[str]:
        return [state for stamp, state in self.states().items() if stamp not in known]

    def states(self) -> dict[str, str]:
        """Return the state of each pilot that has not ended, by stamp."""
        return {each["stamp"]: each["state"] for each in self.ledger() if each["state"] not in OVER}


def _is_director(process: psutil.Process) -> bool:
    """Tell whether it is the bundle's own Python, whatever that was started as."""
    return any(word in ("site-director", "agents.site_director") for word in process.cmdline())


@contextmanager
def standing_still(way: Way, have: Have) -> Iterator[RealSystem]:
    """Have a system in which nothing that is submitted starts."""
    if way.system == "arc":
        slurm = have("slurm")
        with drained(slurm):
            yield have("arc", GRIDPILOT_ARC_LRMS="slurm")
        empty(slurm)
    else:
        system = have(way.system)
        yield system
        system.admin(["condor_rm", "-all"])


def batch_jobs(way: Way, system: RealSystem) -> list[str]:
    """Return what the system has; of a job of ARC, its session directory without the files next to it."""
    return [word for word in system.run(way.left(system)).stdout.split() if not Path(word).suffix]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS, ids=[way.system for way in WAYS])
def test_a_director_that_is_killed_at_each_moment_leaves_each_pilot_known_once(
    way: Way, have: Have, bundle: Path, tmp_path: Path
) -> None:
    """Two jobs more in each round, and as many pilots: at the CE, in the ledger, and in the local WMS."""
    chance, wanted, deaths = random.Random(SEED), 0, Counter[str]()
    (tmp_path / "job.jdl").write_text(JDL, encoding="utf-8")
    with standing_still(way, have) as system, running(tmp_path / "wms") as endpoint, connect(endpoint) as client:
        options = {**way.options(system), **STANDS_STILL[way.system], "StatusInterval": 1, **ROOM}
        words = ["-y", way.ce_type, *(word for name, value in options.items() for word in ("-c", f"{name}={value}"))]
        there_before = len(batch_jobs(way, system))
        with Killed(system, endpoint, bundle, words) as director:
            director.until(lambda: "director.begins" in director.written(), "it began")
            for state, at_most_s in MOMENTS * ROUNDS:
                known = set(director.states())
                client.submit(tmp_path / "job.jdl")
                wanted += 2
                deaths[director.killed_when(state, known, chance.uniform(0.0, at_most_s))] += 1
                director.start()
                director.until(
                    lambda n=wanted: Counter(director.states().values()) == {"Waiting": n}, f"after a death, {state}"
                )  # type: ignore[misc]
                director.until(
                    lambda: json.loads(director.ask("status", "--json"))["unsent_reports"] == 0, "all is told"
                )
                stamps = set(director.states())
                there = batch_jobs(way, system)
                assert len(there) - there_before == wanted, f"{state}: {there}"
                assert pilots_known(endpoint, QUEUE, stamps) == stamps, state
            assert director.stop() == 0

    print(f"{way.system}: died while a new pilot was {dict(deaths)}; {wanted} jobs, {wanted} pilots")
    assert deaths["Submitting"] >= ROUNDS, f"control: it died in the midst of submissions: {deaths}"
