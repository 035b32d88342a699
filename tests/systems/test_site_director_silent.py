"""A real HTCondor or ARC that answers nobody any more: the SiteDirector's other CE takes over, and is not held up."""

import json
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from agents.local_wms.client import connect
from agents.local_wms.home import Endpoint
from agents.local_wms.testing import running
from tests.end_to_end.director import QUICK_PILOT, SECTION
from tests.systems.conftest import Have
from tests.systems.real_system import RealSystem
from tests.systems.user_director import WAYS, AsUser, Way, sites

FAR, HERE = "far.ce/grid", "host.ce/grid"
JDL = 'Executable = "/bin/true"; Parameters = 3; CPUTime = 100;'
DAEMONS = {"htcondor": "condor_schedd", "arc": "arched"}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with running(tmp_path_factory.mktemp("wms")) as started:
        yield started


def daemons(system: RealSystem, name: str) -> list[psutil.Process]:
    """Return the processes of the system with this name."""
    mark = system.mark.partition("=")
    found = [process for process in psutil.process_iter(["name"]) if process.info["name"] == name]
    return [process for process in found if process.environ().get(mark[0]) == mark[2]]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS, ids=[way.system for way in WAYS])
def test_a_ce_that_is_silent_costs_another_one_nothing(
    way: Way, have: Have, endpoint: Endpoint, bundle: Path, tmp_path: Path
) -> None:
    """The far one is the cheaper one and is asked first; its daemons are stopped, and go on when the jobs are done."""
    system, client = have(way.system), connect(endpoint)
    known = {"CEType": way.ce_type, "CommandTimeout": 5, "ExitCodeWait": 5, "StatusInterval": 1}
    here = {
        "CEType": "Local",
        "BatchSystem": "Host",
        "SharedArea": system.home / "here",
        "MaxTotalJobs": 4,
        "Price": 10,
    }
    both = {"far.ce": {**known, **way.options(system)}, "host.ce": here}
    told = system.home / f"sites-{way.system}.cfg"
    told.write_text(sites({ce: {**options, "ExtraPilotOptions": QUICK_PILOT} for ce, options in both.items()}))
    system.own(told)
    (tmp_path / "job.jdl").write_text(JDL, encoding="utf-8")

    def statuses(job_ids: list[int]) -> Counter[str]:
        summary: dict[str, Any] = client.call("JobMonitoring", "getJobsSummary", job_ids)
        return Counter(job["Status"] for job in summary.values())

    stopped = daemons(system, DAEMONS[way.system])
    words = ["--cfg", str(told), "-o", f"{SECTION}/CEs=far.ce,host.ce"]
    with AsUser(system, endpoint, bundle, words) as director:
        director.until(lambda: "director.begins" in director.written(), "it began")
        try:
            for daemon in stopped:
                daemon.send_signal(signal.SIGSTOP)
            job_ids = client.submit(tmp_path / "job.jdl")
            director.until(lambda: statuses(job_ids) == {"Done": 3}, "the jobs are done all the same")
            seen = json.loads(director.ask("status", "--json"))["queues"]
        finally:
            for daemon in stopped:
                daemon.send_signal(signal.SIGCONT)
        director.until(lambda: not _open(director), "what the far one has got after all is gone too")
        director.until(lambda: system.run(way.left(system)).stdout.split() == [], "nothing is left there")
        code = director.stop()

    assert stopped, "control: there was somebody to stop"
    assert code == 0
    assert seen[FAR]["trouble"], seen
    assert not seen[HERE]["trouble"], seen
    assert sum(seen[HERE]["pilots"].values()) >= 1


def _open(director: AsUser) -> int:
    """Return how many pilots have not ended."""
    counts = sum((director.pilots(queue) for queue in (FAR, HERE)), Counter[str]())
    return sum(number for state, number in counts.items() if state not in ("Done", "Failed", "Aborted"))
