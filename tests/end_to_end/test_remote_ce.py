"""The agent over a CE behind a queue: the local WMS, the agent, detached tasks, nothing faked."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.local_wms.client import Client, connect
from agents.local_wms.home import Endpoint
from agents.local_wms.testing import running
from tests.end_to_end.push import PushPilot, submit_many

JOBS = 20


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with running(tmp_path_factory.mktemp("wms")) as started:
        yield started


@pytest.fixture
def client(endpoint: Endpoint) -> Client:
    return connect(endpoint)


def options(tmp_path: Path) -> dict[str, object]:
    return {"BatchSystem": "Host", "SharedArea": tmp_path / "area", "MaxTotalJobs": 4, "StatusInterval": 0.2}


def statuses(client: Client, job_ids: list[int]) -> Counter[str]:
    return Counter(job["Status"] for job in client.call("JobMonitoring", "getJobsSummary", job_ids).values())


def test_jobs_of_a_remote_ce_end_once_though_the_agent_is_killed_and_stopped_between(
    endpoint: Endpoint, client: Client, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    trace.touch()
    job_ids = submit_many(client, tmp_path / "jobs", trace, JOBS)

    with PushPilot(endpoint, tmp_path, options(tmp_path)) as pilot:
        pilot.until(lambda: len(trace.read_text().split()) >= 3, "some jobs ran")
        pilot.kill_agent()
        pilot.until(lambda: len(trace.read_text().split()) >= 8, "more jobs ran")
        stopped = pilot.stop()
        handed_back = statuses(client, job_ids)["Rescheduled"]
        pilot.start()
        ended = pilot.ended()

    assert (stopped, ended, handed_back) == (0, 0, 0), pilot.written()
    assert statuses(client, job_ids) == {"Done": JOBS}, pilot.written()
    assert sorted(map(int, trace.read_text().split())) == sorted(job_ids)
    files = {path.name: path.read_text() for path in client.output(job_ids[0], tmp_path / "output")}
    assert files["result.txt"] == "from the owner\n1\n"
    assert not list((tmp_path / "area/tasks").iterdir())


def test_kill_of_the_owner_reaches_the_task_and_its_start_is_told_when_it_starts(
    endpoint: Endpoint, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "job.jdl").write_text('Executable = "/bin/sleep"; Arguments = "600"; StdOutput = "std.out";')
    (job_id,) = client.submit(tmp_path / "job.jdl")

    def summary() -> dict[str, str]:
        return dict(client.call("JobMonitoring", "getJobsSummary", [job_id])[str(job_id)])

    with PushPilot(endpoint, tmp_path, options(tmp_path)) as pilot:
        pilot.until(lambda: summary()["MinorStatus"] == "Application", "the payload runs")
        client.call("JobManager", "killJob", job_id)
        ended = pilot.ended()

    told = [row[2] for row in client.call("JobMonitoring", "getJobLoggingInfo", job_id)]
    assert ended == 0, pilot.written()
    assert summary()["Status"] == "Killed", pilot.written()
    assert "Waiting in the queue of the computing element" in told
