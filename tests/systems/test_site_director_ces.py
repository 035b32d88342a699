"""The SiteDirector before a real HTCondor and a real ARC: an unprivileged user's, from the bundle, its pilot too.

It is killed while its pilots are on their way, and its successor finds them.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.local_wms.client import connect
from agents.local_wms.home import Endpoint
from agents.local_wms.testing import running
from tests.end_to_end.director import QUICK_PILOT
from tests.systems.conftest import Have
from tests.systems.user_director import QUEUE, WAYS, AsUser, Way

JDL = 'Executable = "/bin/sleep"; Arguments = "2"; Parameters = 3; CPUTime = 100;'


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with running(tmp_path_factory.mktemp("wms")) as started:
        yield started


@pytest.mark.parametrize(
    "way", [pytest.param(way, marks=[pytest.mark.slow] * (way.system == "arc"), id=way.system) for way in WAYS]
)
def test_jobs_are_done_by_pilots_that_a_killed_director_finds_again(
    way: Way, have: Have, endpoint: Endpoint, bundle: Path, tmp_path: Path
) -> None:
    system, client = have(way.system), connect(endpoint)
    options = {**way.options(system), "StatusInterval": 1, "ExtraPilotOptions": QUICK_PILOT}
    words = ["-y", way.ce_type, *(word for name, value in options.items() for word in ("-c", f"{name}={value}"))]
    (tmp_path / "job.jdl").write_text(JDL, encoding="utf-8")

    def statuses(job_ids: list[int]) -> Counter[str]:
        summary: dict[str, Any] = client.call("JobMonitoring", "getJobsSummary", job_ids)
        return Counter(job["Status"] for job in summary.values())

    with AsUser(system, endpoint, bundle, words) as director:
        director.until(lambda: "director.begins" in director.written(), "it began")
        job_ids = client.submit(tmp_path / "job.jdl")
        director.until(lambda: bool(set(director.pilots(QUEUE)) & {"Waiting", "Running"}), "they are there")
        director.kill()
        director.start()
        director.until(lambda: statuses(job_ids) == {"Done": 3}, "all jobs are done")
        director.until(lambda: set(director.pilots(QUEUE)) == {"Done"}, "all pilots have ended")
        director.until(lambda: json.loads(director.ask("status", "--json"))["unsent_reports"] == 0, "all is told")
        number = director.pilots(QUEUE)["Done"]
        why = director.ask("why", QUEUE)
        one = director.ask("why", why.split()[0])
        director.until(lambda: system.run(way.left(system)).stdout.split() == [], "nothing of them is left there")
        code = director.stop()

    assert code == 0
    assert number <= 3, why
    assert "pilot.ended" in one, one  # its output was fetched
