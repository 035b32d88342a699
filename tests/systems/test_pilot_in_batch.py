"""The pilot's bundle inside a real batch job: its name, its processors, its time, and the end that the site makes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agents.local_wms.client import Client, connect
from agents.local_wms.home import Endpoint
from agents.local_wms.testing import running
from tests.systems.batch_job import PROCESSORS, Arc, BatchSystem, GridEngine, HTCondor, Slurm, SlurmTimeLimit, said
from tests.systems.batch_slot import Slot
from tests.systems.conftest import Have
from tests.systems.real_system import RealSystem

OVERHEAD_S = 60  # from the job's start to the pilot's question, on a busy machine
WAYS: tuple[BatchSystem, ...] = (Slurm(), SlurmTimeLimit(), GridEngine(), HTCondor(), Arc())
KILLS: tuple[BatchSystem, ...] = (Slurm(), GridEngine(notice=False), HTCondor(), Arc())
QUICK = """
    Executable = "/bin/sh"; Arguments = "-c 'echo $DIRAC_JOB_PROCESSORS'"; CPUTime = 100;
    StdOutput = "std.out"; OutputSandbox = {"std.out"};
"""
LONG = 'Executable = "/bin/sleep"; Arguments = "3600"; CPUTime = 100;'
# what a pilot writes about itself, in the work folder that goes away with its slot
RECORDS = {"pilot.cfg", "configuration.json", "pilot.log", "agent.log", "agent.lock", "agent_end.json"}
RECORDS |= {"ledger.sqlite", "ledger.reserve", "benchmark.json"}
EMPTY_FOLDERS = {"jobs", "tasks"}


@dataclass(frozen=True)
class Life:
    """What was seen of a pilot, from its submission to the end that the batch system made.

    Attributes:
        how: it was submitted and ended.
        expected_reference: the name that the submitter knows.
        pilots: that the WMS knows to have run the first job, by reference.
        processors: that the pilot had, and that its first job was told.
        seconds_left: until the slot's end, when the batch system had told it.
        told: status and minor status of all that the WMS was told of the second job, which ran when the slot was taken.
        processes: left of the slot.
        files: left of the slot.
        written: the pilot's log.
    """

    how: BatchSystem
    expected_reference: str
    pilots: dict[str, dict[str, str]]
    processors: tuple[int, int]
    seconds_left: int
    told: list[tuple[str, str]]
    processes: list[str]
    files: list[str]
    written: str


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with running(tmp_path_factory.mktemp("wms")) as started:
        yield started


def given(have: Have, how: BatchSystem) -> RealSystem:
    if how.name == "arc":
        have("slurm")  # to which it submits
    return have(how.name, **how.variables)


@pytest.fixture(scope="module", params=WAYS, ids=lambda how: how.case)
def life(
    request: pytest.FixtureRequest,
    have: Have,
    endpoint: Endpoint,
    bundle: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Life:
    slot = Slot(given(have, request.param), request.param, endpoint)
    with connect(endpoint) as user, connect(replace(endpoint, user_proxy=endpoint.admin_proxy)) as operator:
        return live(slot, bundle, user, operator, tmp_path_factory.mktemp("jobs"))


def live(slot: Slot, bundle: Path, user: Client, operator: Client, folder: Path) -> Life:
    """Let a pilot run one job to its end and another until the batch system takes the slot."""
    quick = submit(user, folder, QUICK)
    batch_job = slot.start(bundle)
    try:
        slot.until(lambda: status(user, quick)["Status"] == "Done", "the first job is done")
        slot.until(lambda: slot.time_left()[0] == slot.how.told_by, f"{slot.how.told_by} tells the slot's end")
        seconds_left = slot.time_left()[1]
        long = started(slot, user, folder)
        if batch_job.end:
            said(slot.system, *batch_job.end)
        slot.until(lambda: "pilot.ended" in slot.written() and not slot.processes(), "the slot has ended")
        processes, files = slot.processes(), slot.files()
    finally:
        slot.end(batch_job)
    user.call("JobManager", "killJob", long)  # it waits for another pilot
    (output,) = user.output(quick, folder / "output")
    return Life(
        how=slot.how,
        expected_reference=batch_job.reference,
        pilots=operator.call("PilotManager", "getPilots", quick),
        processors=(slot.processors(), int(output.read_text())),
        seconds_left=seconds_left,
        told=[(row[0], row[1]) for row in user.call("JobMonitoring", "getJobLoggingInfo", long)],
        processes=processes,
        files=files,
        written=slot.written(),
    )


def started(slot: Slot, client: Client, folder: Path) -> int:
    job_id = submit(client, folder, LONG)
    slot.until(lambda: status(client, job_id)["MinorStatus"] == "Application", "a long job runs")
    return job_id


def submit(client: Client, folder: Path, jdl: str) -> int:
    (folder / "job.jdl").write_text(jdl, encoding="utf-8")
    (job_id,) = client.submit(folder / "job.jdl")
    return job_id


def status(client: Client, job_id: int) -> dict[str, str]:
    return dict(client.call("JobMonitoring", "getJobsSummary", [job_id])[str(job_id)])


def test_the_wms_knows_the_pilot_by_the_name_that_the_submitter_was_given(life: Life) -> None:
    assert list(life.pilots) == [life.expected_reference], life.written


def test_the_processors_are_those_of_the_batch_job_and_not_of_the_node(life: Life) -> None:
    assert life.processors == (PROCESSORS, PROCESSORS), life.written


def test_the_time_left_is_that_of_the_batch_job(life: Life) -> None:
    assert life.how.limit_s - OVERHEAD_S <= life.seconds_left <= life.how.limit_s, life.written


def test_the_job_that_runs_when_the_batch_system_takes_the_slot_is_rescheduled_with_that_cause(life: Life) -> None:
    assert ("Rescheduled", life.how.cause) in life.told, (life.told, life.written)
    assert not {"Failed", "Stalled"} & {job_status for job_status, _ in life.told}


def test_the_pilot_says_why_it_ended(life: Life) -> None:
    (pilot,) = life.pilots.values()
    assert (pilot["Status"], pilot["StatusReason"]) == ("Done", f"ran 2 jobs (1 done, 1 handed back); {life.how.cause}")


def test_no_process_is_left_when_the_batch_system_has_taken_the_slot(life: Life) -> None:
    assert life.processes == []


def test_only_the_pilots_own_records_are_left_when_the_batch_system_has_taken_the_slot(life: Life) -> None:
    assert set(life.files) - {f"work/{name}" for name in RECORDS | EMPTY_FOLDERS} == set()


@pytest.mark.parametrize("how", KILLS, ids=lambda how: how.name)
def test_no_process_is_left_when_the_batch_system_kills_without_notice(
    how: BatchSystem, have: Have, endpoint: Endpoint, bundle: Path, tmp_path: Path
) -> None:
    slot = Slot(given(have, how), how, endpoint)
    batch_job = slot.start(bundle)
    try:
        with connect(endpoint) as user:
            job_id = started(slot, user, tmp_path)
            said(slot.system, *batch_job.kill)
            slot.until(lambda: not slot.processes(), "the slot has ended")
            user.call("JobManager", "killJob", job_id)
    finally:
        slot.end(batch_job)
