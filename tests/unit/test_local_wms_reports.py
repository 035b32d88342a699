"""Reports about jobs, and questions: the services called directly."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.local_wms.direct import STRANGER, THE_ADMIN, THE_PILOT, THE_USER, DirectWms
from agents.local_wms.services.base import Refusal


@pytest.fixture
def wms(tmp_path: Path) -> Iterator[DirectWms]:
    wms = DirectWms(tmp_path)
    yield wms
    wms.close()


def test_bulk_statuses_are_all_logged_and_the_last_one_counts(wms: DirectWms) -> None:
    job_id = wms.running()
    source = "JobWrapper@X"
    updates = {
        "2026-01-03 00:00:02.000000": {"Status": "Completing", "MinorStatus": "late", "Source": source},
        "2026-01-03 00:00:01.000000": {"MinorStatus": "early", "ApplicationStatus": "", "Source": source},
    }

    written = wms.call(THE_PILOT, "JobStateUpdate.setJobStatusBulk", job_id, updates, False)

    assert dict(zip(*written, strict=True)) == {"MinorStatus": "late", "Status": "Completing"}
    history = wms.call(THE_USER, "JobMonitoring.getJobLoggingInfo", job_id)
    assert [row[:2] for row in history[-2:]] == [["Running", "early"], ["Completing", "late"]]


def test_a_status_older_than_the_last_known_is_logged_only(wms: DirectWms) -> None:
    job_id = wms.running()

    written = wms.call(
        THE_PILOT, "JobStateUpdate.setJobStatusBulk", job_id, {"2020-01-01 00:00:00": {"Status": "Done"}}
    )

    assert written == ([], [])
    assert wms.status(job_id) == "Running"


def test_a_refused_move_is_no_error_and_changes_the_minor_status(wms: DirectWms) -> None:
    job_id = wms.running()
    wms.call(THE_PILOT, "JobStateUpdate.setJobStatus", job_id, "Done", "Execution Complete", "JobWrapper")

    written = wms.call(THE_PILOT, "JobStateUpdate.setJobStatus", job_id, "Running", "Application", "JobWrapper")

    assert written == (["Status", "MinorStatus"], ["Done", "Application"])
    assert wms.statuses(job_id) == ("Done", "Application")
    assert wms.call(THE_USER, "JobMonitoring.getJobLoggingInfo", job_id)[-1][-1] == "JobWrapper(SM)"


def test_force_asks_no_state_machine(wms: DirectWms) -> None:
    job_id = wms.submit()

    wms.call(THE_ADMIN, "JobStateUpdate.setJobStatus", job_id, "Done", "forced", "admin", None, True)

    assert wms.status(job_id) == "Done"


def test_start_end_and_sign_of_life_come_from_the_reports(wms: DirectWms) -> None:
    job_id = wms.running()
    times = {"2026-01-03 00:00:01.000000": {"Status": "Done", "Source": "JobWrapper"}}

    wms.call(THE_PILOT, "JobStateUpdate.setJobStatusBulk", job_id, times)

    job = wms.call(THE_USER, "JobMonitoring.getJobSummary", job_id)
    assert job["StartExecTime"].startswith("2026-01-02")
    assert (job["EndExecTime"], job["HeartBeatTime"]) == ("2026-01-03 00:00:01.000000",) * 2


def test_a_heart_beat_sets_running_whatever_it_was(wms: DirectWms) -> None:
    job_id = wms.running()
    wms.call(THE_PILOT, "JobStateUpdate.setJobStatus", job_id, "Done", "Execution Complete", "JobWrapper")

    commands = wms.call(
        THE_PILOT, "JobStateUpdate.sendHeartBeat", job_id, {"CPUConsumed": 0.5}, {"StandardOutput": "hi"}
    )

    assert commands == {}
    assert wms.status(job_id) == "Running"
    assert wms.call(THE_USER, "JobMonitoring.getJobHeartBeatData", job_id)[0][:2] == ["CPUConsumed", "0.5"]
    assert wms.call(THE_USER, "JobMonitoring.getJobParameter", job_id, "StandardOutput") == {"StandardOutput": "hi"}


@pytest.mark.parametrize("job_id", [1, 99])
def test_reports_about_other_peoples_jobs_are_refused_like_those_about_none(wms: DirectWms, job_id: int) -> None:
    wms.submit()

    with pytest.raises(Refusal, match=f"^Not authorized to modify job {job_id}$"):
        wms.call(STRANGER, "JobStateUpdate.setJobStatus", job_id, "Running", "x", "y")


def test_parameters_come_in_three_forms(wms: DirectWms) -> None:
    job_id = wms.running()

    wms.call(THE_PILOT, "JobStateUpdate.setJobParameter", job_id, "a", "1")
    wms.call(THE_PILOT, "JobStateUpdate.setJobParameters", job_id, [["b", 2], ["a", "3"]])
    wms.call(THE_PILOT, "JobStateUpdate.setJobsParameter", {str(job_id): ["c", "4"]})

    assert wms.call(THE_USER, "JobMonitoring.getJobParameters", job_id) == {job_id: {"a": "3", "b": "2", "c": "4"}}


def test_only_some_attributes_can_be_set(wms: DirectWms) -> None:
    job_id = wms.running()

    assert wms.call(THE_PILOT, "JobStateUpdate.setJobSite", job_id, "X") == 1

    with pytest.raises(Refusal, match="Owner can not be changed"):
        wms.call(THE_PILOT, "JobStateUpdate.setJobAttribute", job_id, "Owner", "me")
    assert wms.call(THE_USER, "JobMonitoring.getJobAttribute", job_id, "Site") == "X"


def test_jobs_are_selected_by_attributes_that_are_listed(wms: DirectWms) -> None:
    first, _ = wms.running(), wms.submit()

    assert wms.call(THE_USER, "JobMonitoring.getJobs", {"Status": ["Running", "Done"]}) == [str(first)]

    with pytest.raises(Refusal, match="selected by 1=1"):
        wms.call(THE_USER, "JobMonitoring.getJobs", {"1=1 --": "x"})


def test_a_transaction_that_fails_leaves_nothing(wms: DirectWms) -> None:
    mine, others = wms.running(), 99

    with pytest.raises(Refusal):
        wms.call(THE_USER, "JobStateUpdate.setJobsParameter", {mine: ["a", "1"], others: ["a", "1"]})

    assert wms.call(THE_USER, "JobMonitoring.getJobParameters", mine) == {}
