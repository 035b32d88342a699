"""The main job over a real batch system: local WMS, pilot and agent, Slurm, Done."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.local_wms.client import connect
from agents.local_wms.home import Endpoint
from agents.local_wms.testing import running
from tests.end_to_end.push import PushPilot, submit_many
from tests.systems.conftest import Have
from tests.systems.real_system import RealSystem

JOBS = 100


@pytest.fixture(scope="module")
def slurm(have: Have) -> RealSystem:
    return have("slurm")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with running(tmp_path_factory.mktemp("wms")) as started:
        yield started


def test_hundred_jobs_go_through_slurm_once_each_though_the_agent_is_killed_and_the_pilot_stopped(
    endpoint: Endpoint, slurm: RealSystem, tmp_path: Path
) -> None:
    trace = slurm.home / "trace"
    trace.touch()
    client = connect(endpoint)
    job_ids = submit_many(client, tmp_path / "jobs", trace, JOBS)
    area = slurm.home / "push-area"
    options = {"BatchSystem": "SLURM", "Queue": "grid", "SharedArea": area, "MaxTotalJobs": 30, "StatusInterval": 1}

    with PushPilot(endpoint, tmp_path, options, **slurm.env) as pilot:
        pilot.until(lambda: len(trace.read_text().split()) >= JOBS // 10, "some jobs ran")
        pilot.kill_agent()
        pilot.until(lambda: len(trace.read_text().split()) >= JOBS // 3, "a third of the jobs ran")
        stopped = pilot.stop()
        pilot.start()
        ended = pilot.ended()

    summary = client.call("JobMonitoring", "getJobsSummary", job_ids)
    files = {path.name: path.read_text() for path in client.output(job_ids[-1], tmp_path / "output")}
    assert (stopped, ended) == (0, 0), pilot.written()
    assert Counter(job["Status"] for job in summary.values()) == {"Done": JOBS}, pilot.written()
    assert sorted(map(int, trace.read_text().split())) == sorted(job_ids)
    assert files["result.txt"] == "from the owner\n1\n"
    assert not list((area / "tasks").iterdir())
