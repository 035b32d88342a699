"""Statuses and parameters in DIRAC's words and widths, how jobs end, and what the Matcher's answer is worth."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from agents.errors import AccessDenied, BadAnswer, Blame, FailJob, HandBack, PilotRefused, Refused
from agents.jobs import outcome
from agents.jobs.job import IllegalTransition, Job, JobStatus, MatchedJob, Minor, Outcome
from agents.jobs.ledger import ReportKind
from agents.jobs.report import Moments, Reports, written
from agents.wms.matcher import Matcher
from agents.wms.service import Service
from agents.wms.testing import FakeTransport
from ce_backends.base import Limit, TaskState, TaskStatus

NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)
JOB = Job(matched=MatchedJob(job_id=7, jdl="", owner="", group=""), stamp="s")


def clock(*seconds: float) -> Callable[[], datetime]:
    return (NOON + timedelta(seconds=number) for number in seconds).__next__


def reports() -> Reports:
    return Reports("LAB", Moments(lambda: NOON))


def test_moments_never_repeat_nor_go_back() -> None:
    moments = Moments(clock(1.0, 1.0, 0.5))

    taken = [moments.next() for _ in range(3)]

    assert taken == [NOON + timedelta(seconds=1, milliseconds=extra) for extra in range(3)]


def test_moments_go_on_after_those_of_an_agent_whose_clock_was_ahead() -> None:
    moments = Moments(clock(-3600.0, 1.0), after=NOON)

    assert [moments.next() for _ in range(2)] == [NOON + timedelta(milliseconds=1), NOON + timedelta(seconds=1)]


def test_the_first_report_of_a_job_is_not_older_than_the_servers_latest_possible_stamp() -> None:
    moments = Moments(lambda: NOON, servers_ahead_at_most=lambda: timedelta(seconds=0.9))
    earlier = Reports("LAB", moments).by_agent(JOB)

    first = Reports("LAB", moments).received(JOB)

    assert earlier.moment == written(NOON)
    assert first.moment == written(NOON + timedelta(seconds=0.901))


def test_moments_are_written_as_dirac_writes_them() -> None:
    there = timezone(timedelta(hours=2))

    assert written(datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=there)) == "2026-01-02 01:04:05.000006"


def test_a_status_says_who_speaks() -> None:
    job = JOB.to(JobStatus.RUNNING, Minor.APPLICATION)

    assert reports().by_agent(job).body["Source"] == "JobAgent@LAB"
    assert reports().by_wrapper(job).body == {
        "Status": "Running",
        "MinorStatus": "Application",
        "Source": "JobWrapper@LAB",
    }


def test_texts_are_cut_to_the_widths_of_the_wms() -> None:
    report = reports().by_wrapper(JOB.to(JobStatus.FAILED, "m" * 200), application_status="ä" * 300)

    assert (len(report.body["MinorStatus"]), len(report.body["ApplicationStatus"])) == (128, 255)


def test_parameters_are_texts_and_what_is_unknown_is_left_out() -> None:
    report = reports().parameters(JOB, {"a": 0, "b": None, "c": "", "d": 1.5, "e": False})

    assert (report.kind, report.body) == (ReportKind.PARAMETERS, {"a": "0", "d": "1.5", "e": "False"})


@pytest.mark.parametrize(
    ("before", "after"),
    [(JobStatus.DONE, JobStatus.RUNNING), (JobStatus.MATCHED, JobStatus.DONE), (JobStatus.KILLED, JobStatus.FAILED)],
)
def test_a_move_that_the_wms_forbids_raises(before: JobStatus, after: JobStatus) -> None:
    job = Job(matched=JOB.matched, stamp="s", status=before)

    with pytest.raises(IllegalTransition, match=f"job 7: {before} -> {after}"):
        job.to(after)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (TaskStatus(state=TaskState.DONE, exit_code=0), Outcome(JobStatus.DONE, Minor.APPLICATION_SUCCESS)),
        (
            TaskStatus(state=TaskState.DONE, exit_code=3),
            Outcome(JobStatus.FAILED, Minor.APPLICATION_ERRORS, "Exit code 3", Blame.USER),
        ),
        (
            TaskStatus(state=TaskState.DONE, exit_code=137),
            Outcome(JobStatus.FAILED, Minor.APPLICATION_ERRORS, "Exit code 137: killed by SIGKILL", Blame.USER),
        ),
        (
            TaskStatus(state=TaskState.DONE, exit_code=255),
            Outcome(JobStatus.FAILED, Minor.APPLICATION_ERRORS, "Exit code 255", Blame.USER),
        ),
        (
            TaskStatus(state=TaskState.DONE, exit_code=127, reason="Application not found: x.sh"),
            Outcome(JobStatus.FAILED, Minor.APPLICATION_NOT_FOUND, "Application not found: x.sh", Blame.USER),
        ),
        (
            TaskStatus(state=TaskState.DONE, exit_code=127),
            Outcome(JobStatus.FAILED, Minor.APPLICATION_ERRORS, "Exit code 127", Blame.USER),
        ),
        (
            TaskStatus(state=TaskState.DONE, exit_code=222),
            Outcome(JobStatus.RESCHEDULED, Minor.GOING_TO_RESCHEDULE, "Exit code 222", Blame.USER),
        ),
        (
            TaskStatus(state=TaskState.DONE),
            Outcome(JobStatus.RESCHEDULED, Minor.PAYLOAD_LOST, "no exit code was left", Blame.SITE),
        ),
        (
            TaskStatus(state=TaskState.FAILED, reason="the node was lost"),
            Outcome(JobStatus.RESCHEDULED, Minor.PAYLOAD_LOST, "the node was lost", Blame.SITE),
        ),
        (
            TaskStatus(state=TaskState.FAILED, reason="memory limit of 5 MB exceeded", limit=Limit.MEMORY),
            Outcome(JobStatus.FAILED, Minor.MEMORY, "memory limit of 5 MB exceeded", Blame.USER),
        ),
        (
            TaskStatus(state=TaskState.FAILED, exit_code=143, reason="wall limit exceeded", limit=Limit.WALL),
            Outcome(JobStatus.FAILED, Minor.WALL_CLOCK, "wall limit exceeded", Blame.USER),
        ),
    ],
)
def test_a_task_that_ends_by_itself_decides_its_jobs_end(task: TaskStatus, expected: Outcome) -> None:
    assert outcome.decided(None, task) == expected


HANDED_BACK = outcome.handed_back("the slot goes away")


@pytest.mark.parametrize(
    ("before", "exit_code", "status"),
    [
        (outcome.KILLED, 0, JobStatus.KILLED),
        (outcome.KILLED, 143, JobStatus.KILLED),
        (HANDED_BACK, 143, JobStatus.RESCHEDULED),
        (HANDED_BACK, 0, JobStatus.DONE),
    ],
)
def test_what_was_decided_before_stands_but_a_success_is_not_run_again(
    before: Outcome, exit_code: int, status: JobStatus
) -> None:
    assert outcome.decided(before, TaskStatus(state=TaskState.DONE, exit_code=exit_code)).status is status


def test_a_job_that_did_not_start_fails_or_goes_back_by_its_error() -> None:
    failed = outcome.of_error(FailJob(Minor.BAD_JDL, "JDL line 1", blame=Blame.USER))
    back = outcome.of_error(HandBack("CE Submission Error", "", blame=Blame.SITE))

    assert failed == Outcome(JobStatus.FAILED, Minor.BAD_JDL, "JDL line 1", Blame.USER)
    assert back == Outcome(JobStatus.RESCHEDULED, "CE Submission Error", "CE Submission Error", Blame.SITE)


def matched(answer: object) -> MatchedJob | None:
    service = Service("Matcher", ["https://m"], FakeTransport(otherwise=answer))
    return Matcher(service, {"/CN=Known": "known"}.get).request_job({"Site": "X"})


MATCH = {"JDL": "[]", "JobID": 55, "Owner": "o", "Group": "g", "PilotInfoReportedFlag": True}


def test_a_match_is_a_job_with_whatever_the_server_added() -> None:
    job = matched({"OK": True, "Value": MATCH})

    assert job == MatchedJob(job_id=55, jdl="[]", owner="o", group="g", extra={"PilotInfoReportedFlag": True})


def test_a_match_of_dirac_8_names_its_owner_by_the_distinguished_name() -> None:
    job = matched({"OK": True, "Value": {"JDL": "[]", "JobID": 55, "DN": "/CN=Known", "Group": "g"}})

    assert job is not None
    assert (job.owner, job.owner_dn, job.group) == ("known", "/CN=Known", "g")


def test_a_job_number_may_be_a_text() -> None:
    job = matched({"OK": True, "Value": MATCH | {"JobID": "55"}})

    assert job is not None
    assert job.job_id == 55


def test_no_match_is_no_job_and_no_error() -> None:
    assert matched({"OK": False, "Errno": 1510, "Message": "No match found"}) is None


def test_a_wrong_release_is_a_refusal_of_the_pilot() -> None:
    with pytest.raises(PilotRefused, match="version"):
        matched({"OK": False, "Errno": 1511, "Message": "Pilot version does not match"})


def test_any_other_s_error_is_refused() -> None:
    with pytest.raises(Refused, match="Error requesting job"):
        matched({"OK": False, "Errno": 0, "Message": "Error requesting job"})


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (None, "expected a job, got None"),
        ([MATCH], "expected a job, got list"),
        ({}, "the match of job None has no JDL"),
        (MATCH | {"JDL": ""}, "the match of job 55 has no JDL"),
        (MATCH | {"Owner": 5}, "the match of job 55: its owner must be a text"),
        (MATCH | {"Owner": "", "DN": [1]}, "the match of job 55: its owner must be a text"),
        (MATCH | {"Owner": ""}, "the match of job 55 has no Owner"),
        (MATCH | {"Owner": "", "DN": "/CN=X"}, "the match of job 55 is of '/CN=X', whom the Registry does not know"),
        (MATCH | {"JDL": ["x"]}, "JDL and Group of job 55 must be texts"),
        (MATCH | {"JobID": True}, "JobID True is not a job number"),
        (MATCH | {"JobID": "5a"}, "JobID '5a' is not a job number"),
        (MATCH | {"JobID": "\u00b2"}, "JobID '\u00b2' is not a job number"),
        (MATCH | {"JobID": -5}, "JobID -5 is not a job number"),
        (MATCH | {"JobID": 5.0}, "JobID 5.0 is not a job number"),
        (MATCH | {"JobID": {}}, "the match of job {} has no JobID"),
    ],
)
def test_a_match_of_wrong_types_is_a_bad_answer_that_names_the_job(value: object, sentence: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        matched({"OK": True, "Value": value})

    assert str(caught.value) == f"Matcher.requestJob: {sentence}"


@pytest.mark.parametrize("answer", [BadAnswer("x"), AccessDenied("x"), {"OK": True, "Value": {}}])
def test_a_request_that_may_have_taken_a_job_is_never_sent_twice(answer: object) -> None:
    wire = FakeTransport(otherwise=answer)

    with pytest.raises((BadAnswer, AccessDenied)):
        Matcher(Service("Matcher", ["https://a", "https://b"], wire), str).request_job({})

    assert len(wire.calls) == 1
