"""Jobs from submission to a pilot, and their killing and rescheduling: the services called directly."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.local_wms.direct import JDL, SLOT, STRANGER, THE_ADMIN, THE_PILOT, THE_USER, DirectWms, caller
from agents.local_wms.registry import VO
from agents.local_wms.services.base import Caller, Refusal
from agents.local_wms.state_machine import NEXT, JobStatus, following


@pytest.fixture
def wms(tmp_path: Path) -> Iterator[DirectWms]:
    wms = DirectWms(tmp_path)
    yield wms
    wms.close()


def test_every_state_has_its_row_in_the_table() -> None:
    assert set(NEXT) == set(JobStatus)


@pytest.mark.parametrize(
    ("current", "wanted", "then"),
    [
        ("Matched", "Running", "Running"),
        ("Matched", "Done", "Matched"),
        ("Done", "Running", "Done"),
        ("Completing", "Rescheduled", "Completing"),
        ("Running", "Rescheduled", "Rescheduled"),
        ("Running", "Nonsense", "Running"),
    ],
)
def test_a_move_that_the_table_lacks_leaves_the_status(current: str, wanted: str, then: str) -> None:
    assert following(current, wanted) == then


def test_a_submitted_job_waits(wms: DirectWms) -> None:
    job_id = wms.submit()

    assert wms.statuses(job_id) == ("Waiting", "Pilot Agent Submission")


@pytest.mark.parametrize(
    "jdl",
    [
        "Executable = ;",
        'CPUTime = "long"',
        "Parameters = -1",
        'Arguments = "x"',
        'Executable = "x"; MaxRAM = "2 GB"',
        'Executable = "x"; StdOutput = "/etc/x"',
    ],
)
def test_a_malformed_jdl_is_refused_and_leaves_no_job(wms: DirectWms, jdl: str) -> None:
    with pytest.raises(Refusal, match="JDL") as refused:
        wms.submit(jdl)

    assert refused.value.errno == 1501
    assert wms.call(THE_USER, "JobMonitoring.getJobs") == []


def test_what_was_written_without_quotes_is_stored_with_them(wms: DirectWms) -> None:
    job_id = wms.submit("Executable = dirac-jobexec;\n  # no comment\nOutputSandbox = {*.log};\nmy-name = %j;")

    stored = wms.call(THE_USER, "JobMonitoring.getJobJDL", job_id, False)

    assert 'Executable = "dirac-jobexec";' in stored
    assert 'OutputSandbox = "*.log";' in stored
    assert f"my-name = {job_id};" in stored


@pytest.mark.parametrize("who", [THE_PILOT, caller("localuser", f"{VO}_user", is_limited=True)])
def test_pilots_and_limited_proxies_may_not_submit(wms: DirectWms, who: Caller) -> None:
    with pytest.raises(Refusal) as refused:
        wms.call(who, "JobManager.submitJob", JDL)

    assert refused.value.text.startswith("Job submission error ( 1503 : ")


def test_the_matched_jdl_has_what_dirac_adds(wms: DirectWms) -> None:
    job_id = wms.submit(JDL + "MinNumberOfProcessors = 1; MaxNumberOfProcessors = 2;")

    match = wms.call(THE_PILOT, "Matcher.requestJob", SLOT)

    assert match["JobID"] == job_id
    assert (match["Owner"], match["Group"], match["PilotInfoReportedFlag"]) == ("localuser", "localvo_user", True)
    for line in ('JobName = "j1";', "JobID = 1;", 'Owner = "localuser";', 'Tags = "MultiProcessor";', "CPUTime = 360;"):
        assert line in match["JDL"]


def test_a_job_is_given_once(wms: DirectWms) -> None:
    wms.submit()
    wms.call(THE_PILOT, "Matcher.requestJob", SLOT)

    with pytest.raises(Refusal) as refused:
        wms.call(THE_PILOT, "Matcher.requestJob", SLOT)

    assert (refused.value.errno, refused.value.text) == (1510, "No match found ( 1510 : )")


def test_higher_priority_goes_first_then_the_older_job(wms: DirectWms) -> None:
    ids = [
        wms.submit(JDL + f"Priority = {priority}; NumberOfProcessors = {n}") for priority, n in ((1, 1), (5, 2), (5, 1))
    ]

    given = [wms.call(THE_PILOT, "Matcher.requestJob", SLOT)["JobID"] for _ in ids]

    assert given == [ids[1], ids[2], ids[0]]


def test_a_job_too_big_for_the_slot_says_so(wms: DirectWms) -> None:
    job_id = wms.submit(JDL + "NumberOfProcessors = 64")

    with pytest.raises(Refusal):
        wms.call(THE_PILOT, "Matcher.requestJob", SLOT)

    parameters = wms.call(THE_USER, "JobMonitoring.getJobParameters", [job_id])
    assert parameters == {job_id: {"WhyWaiting": "it needs 64 processors, the slot has 2"}}


@pytest.mark.parametrize("resource", [{"CPUTime": 10}, {"Site": "X"}])
def test_a_resource_that_cannot_be_matched_is_an_error_without_number(wms: DirectWms, resource: Any) -> None:
    with pytest.raises(Refusal) as refused:
        wms.call(THE_PILOT, "Matcher.requestJob", resource)

    assert (refused.value.errno, refused.value.text) == (0, "Error requesting job")


def test_a_user_gets_only_own_jobs(wms: DirectWms) -> None:
    wms.submit()

    with pytest.raises(Refusal):
        wms.call(STRANGER, "Matcher.requestJob", SLOT)

    assert wms.call(THE_USER, "Matcher.requestJob", SLOT)["JobID"] == 1


def test_a_benchmark_sent_as_text_breaks_off_after_the_match(wms: DirectWms) -> None:
    job_id = wms.submit()

    with pytest.raises(ValueError, match="format code 'f'"):
        wms.call(THE_PILOT, "Matcher.requestJob", {**SLOT, "PilotReference": "p", "PilotBenchmark": "10"})

    assert wms.status(job_id) == "Matched"


def test_matching_task_queues_count_their_jobs(wms: DirectWms) -> None:
    wms.submit()
    wms.submit()
    wms.submit(JDL + "NumberOfProcessors = 64")

    queues = wms.call(THE_PILOT, "Matcher.getMatchingTaskQueues", SLOT)

    assert [(queue["Jobs"], queue["CPUTime"], queue["Owner"]) for queue in queues.values()] == [(2, 360, "localuser")]


def test_the_match_is_noted_for_a_registered_pilot(wms: DirectWms) -> None:
    wms.call(THE_PILOT, "PilotManager.addPilotReferences", ["p1"], VO, "DIRAC", {"p1": "stamp"})
    job_id = wms.submit()

    wms.call(THE_PILOT, "Matcher.requestJob", {**SLOT, "PilotReference": "p1", "PilotBenchmark": 10.5})

    pilot = wms.call(THE_PILOT, "PilotManager.getPilotInfo", "p1")["p1"]
    assert (pilot["Status"], pilot["BenchMark"], pilot["Jobs"]) == ("Running", 10.5, [job_id])
    assert list(wms.call(THE_ADMIN, "PilotManager.getPilots", job_id)) == ["p1"]


def test_an_unknown_pilot_has_its_own_error_number(wms: DirectWms) -> None:
    with pytest.raises(Refusal) as refused:
        wms.call(THE_PILOT, "PilotManager.getPilotInfo", "nobody")

    assert refused.value.errno == 1550


def test_a_pilot_status_keeps_what_is_not_told(wms: DirectWms) -> None:
    wms.call(THE_PILOT, "PilotManager.addPilotReferences", ["p1"], VO)
    wms.call(THE_PILOT, "PilotManager.setPilotStatus", "p1", "Running", "ce", "started", "SITE", "q")

    wms.call(THE_PILOT, "PilotManager.setPilotStatus", "p1", "Done")

    pilot = wms.call(THE_PILOT, "PilotManager.getPilotInfo", ["p1"])["p1"]
    assert [pilot[k] for k in ("Status", "DestinationSite", "StatusReason", "GridSite", "Queue")] == [
        *("Done", "ce", "started", "SITE", "q")
    ]


def test_a_running_job_is_killed_by_a_command_delivered_once(wms: DirectWms) -> None:
    job_id = wms.running()
    wms.call(THE_USER, "JobManager.killJob", job_id)
    assert wms.status(job_id) == "Killed"

    beats = [wms.call(THE_PILOT, "JobStateUpdate.sendHeartBeat", job_id, {}, {}) for _ in range(2)]

    assert beats == [{"Kill": ""}, {}]


def test_a_waiting_job_is_killed_at_once_and_never_matched(wms: DirectWms) -> None:
    job_id = wms.submit()

    assert wms.call(THE_USER, "JobManager.killJob", [job_id]) == [job_id]

    assert wms.status(job_id) == "Killed"
    with pytest.raises(Refusal):
        wms.call(THE_PILOT, "Matcher.requestJob", SLOT)


@pytest.mark.parametrize("who", [STRANGER, THE_PILOT])
def test_only_owner_and_administrators_kill(wms: DirectWms, who: Caller) -> None:
    job_id = wms.submit()

    with pytest.raises(Refusal) as refused:
        wms.call(who, "JobManager.killJob", job_id)

    assert refused.value.further == {"NonauthorizedJobIDs": [job_id]}


def test_killing_a_job_that_does_not_exist_names_it(wms: DirectWms) -> None:
    answer = wms.methods["JobManager"]["killJob"](THE_USER, [99])

    assert (answer.value, answer.further["InvalidJobIDs"]) == ([], [99])


def test_a_done_job_is_not_killed_but_deleted(wms: DirectWms) -> None:
    job_id = wms.running()
    wms.call(THE_PILOT, "JobStateUpdate.setJobStatus", job_id, "Done", "Execution Complete", "JobWrapper")

    wms.call(THE_USER, "JobManager.killJob", job_id)
    assert wms.status(job_id) == "Done"
    wms.call(THE_USER, "JobManager.deleteJob", job_id)

    assert wms.status(job_id) == "Deleted"


def test_a_job_is_rescheduled_three_times_and_then_fails(wms: DirectWms) -> None:
    job_id = wms.running()
    for _ in range(3):
        assert wms.call(THE_PILOT, "JobManager.rescheduleJob", job_id) == [job_id]
        assert wms.status(job_id) == "Waiting"

    with pytest.raises(Refusal, match="Maximum number of reschedulings is reached: 3"):
        wms.call(THE_PILOT, "JobManager.rescheduleJob", job_id)

    assert wms.statuses(job_id) == ("Failed", "Maximum of reschedulings reached")


def test_a_rescheduled_job_is_not_hit_by_an_old_kill(wms: DirectWms) -> None:
    job_id = wms.running()
    wms.call(THE_USER, "JobManager.killJob", job_id)
    wms.call(THE_PILOT, "JobManager.rescheduleJob", job_id)
    wms.call(THE_PILOT, "Matcher.requestJob", SLOT)

    assert wms.call(THE_PILOT, "JobStateUpdate.sendHeartBeat", job_id, {}, {}) == {}


def test_rescheduling_a_job_that_does_not_exist_is_refused(wms: DirectWms) -> None:
    with pytest.raises(Refusal) as refused:
        wms.call(THE_PILOT, "JobManager.rescheduleJob", [77])

    assert refused.value.further == {"InvalidJobIDs": [77]}


def test_parametric_jobs_wait_for_their_confirmation(wms: DirectWms) -> None:
    ids = wms.call(THE_USER, "JobManager.submitJob", JDL + "Parameters = 2")
    assert {wms.status(job_id) for job_id in ids} == {"Submitting"}

    assert wms.call(THE_USER, "JobManager.confirmBulkSubmission", ids) == ids

    assert {wms.status(job_id) for job_id in ids} == {"Waiting"}
