"""What keeps a late word from doing harm: reading back, the servers' clock, accounts in bulk."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agents.errors import AccessDenied, NoAnswer, Unreachable
from agents.jobs.job import Job, JobStatus, MatchedJob, Minor, Phase
from agents.jobs.ledger import Ledger, Report, ReportKind
from agents.jobs.report import written
from agents.reporting.accounting import Accounting
from agents.reporting.ownership import Ownership
from agents.wms.job_monitoring import JobMonitoring
from agents.wms.server_clock import ServerClock
from agents.wms.service import Clock, Retry, Service
from agents.wms.testing import FakeTransport, ok

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


def wms_with(**answers: object) -> FakeTransport:
    """A WMS that answers by method."""
    return FakeTransport({name: one if isinstance(one, Exception) else ok(one) for name, one in answers.items()})


def service(wms: FakeTransport) -> Service:
    clock = Clock(monotonic=lambda: 0.0, sleep=lambda _: None, jitter=lambda: 0.0)
    return Service("Any", ["https://h/S/X"], wms, Retry(attempts=1), clock)


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    opened = Ledger(tmp_path / "ledger.sqlite")
    yield opened
    opened.close()


def job(job_id: int) -> Job:
    matched = MatchedJob(job_id=job_id, jdl="[]", owner="user", group="lab_user")
    return Job(matched=matched, stamp=f"{job_id:032x}", phase=Phase.RUNNING)


def said(job_id: int, kind: ReportKind = ReportKind.STATUS, at: datetime = NOW, **body: str) -> Report:
    return Report(job_id, kind, written(at), body)


def ownership(wms: FakeTransport, ledger: Ledger, lost: list[int]) -> Ownership:
    return Ownership(JobMonitoring(service(wms)), ledger, lost.append, now=lambda: NOW)


def statuses(**by_id: str) -> dict[str, dict[str, str]]:
    return {name.removeprefix("job"): {"Status": status} for name, status in by_id.items()}


def test_jobs_of_a_former_agent_are_asked_about_once_and_in_bulk(ledger: Ledger) -> None:
    for number in (1, 2):
        ledger.save(job(number))
    wms, lost = wms_with(getJobsStatus=statuses(job1="Running", job2="Matched")), []

    asking = ownership(wms, ledger, lost)
    asking.settle()
    asking.settle()

    assert wms.asked == [("getJobsStatus", [[1, 2]])]
    assert lost == []


@pytest.mark.parametrize("status", ["Done", "Failed", "Killed", "Deleted", "Rescheduled", "Received", "Waiting"])
def test_nothing_more_is_said_of_a_job_that_was_taken_away(ledger: Ledger, status: str) -> None:
    ledger.save(job(1), [said(1, Status="Done")])
    ledger.save(job(2), [said(2, Status="Done")])
    lost: list[int] = []

    asking = ownership(wms_with(getJobsStatus=statuses(job1=status, job2="Running")), ledger, lost)

    assert asking.settle() == {1}
    assert lost == [1]
    assert [report.job_id for report in ledger.unsent()] == [2]
    ledger.save(job(1), [said(1, Status="Failed")])
    assert [report.job_id for report in ledger.unsent()] == [2]


@pytest.mark.parametrize(("end", "is_lost"), [(JobStatus.DONE, False), (JobStatus.FAILED, True)])
def test_an_end_that_we_have_told_ourselves_has_not_taken_the_job_away(
    ledger: Ledger, end: JobStatus, is_lost: bool
) -> None:
    ledger.save(replace(job(1), phase=Phase.REPORTING, status=end), [said(1, Status=end)])

    taken_away = ownership(wms_with(getJobsStatus=statuses(job1="Done")), ledger, []).settle()

    assert taken_away == ({1} if is_lost else set())


def test_a_new_attempt_at_a_job_that_was_taken_away_is_ours(ledger: Ledger) -> None:
    ledger.save(job(1))
    ownership(wms_with(getJobsStatus=statuses(job1="Waiting")), ledger, []).settle()

    assert ledger.attempts(1) == 1
    ledger.save(job(1), [said(1, Status="Matched")])

    assert len(ledger.unsent()) == 1


def test_a_job_that_we_put_back_ourselves_still_gets_its_order(ledger: Ledger) -> None:
    ledger.save(job(1), [said(1, ReportKind.RESCHEDULE)])

    taken_away = ownership(wms_with(getJobsStatus=statuses(job1="Rescheduled")), ledger, []).settle()

    assert taken_away == set()
    assert len(ledger.unsent()) == 1


@pytest.mark.parametrize(("age", "is_asked"), [(timedelta(minutes=9), False), (timedelta(minutes=11), True)])
def test_reports_that_an_outage_made_old_are_asked_about(ledger: Ledger, age: timedelta, is_asked: bool) -> None:
    wms = wms_with(getJobsStatus=statuses(job1="Running"))
    asking = ownership(wms, ledger, [])
    ledger.save(job(1), [said(1, at=NOW - age)])

    asking.settle()

    assert bool(wms.asked) is is_asked


OURS, ANOTHER = "https://ce/1", "https://ce/2"


@pytest.mark.parametrize(("pilot", "is_lost"), [(OURS, False), (ANOTHER, True), ("", False)])
def test_a_job_that_another_pilot_runs_is_not_ours(ledger: Ledger, pilot: str, is_lost: bool) -> None:
    ledger.save(job(1))
    parameters = {"1": {"Pilot_Reference": pilot}} if pilot else {}
    wms = wms_with(getJobsStatus=statuses(job1="Running"), getJobParameters=parameters)

    taken_away = Ownership(JobMonitoring(service(wms)), ledger, lambda _: None, OURS).settle()

    assert taken_away == ({1} if is_lost else set())


def test_a_job_is_ours_while_the_wms_has_not_heard_that_it_is(ledger: Ledger) -> None:
    ledger.save(job(1), [said(1, ReportKind.PARAMETERS, Pilot_Reference=OURS)])
    wms = wms_with(getJobsStatus=statuses(job1="Matched"), getJobParameters={"1": {"Pilot_Reference": ANOTHER}})

    assert Ownership(JobMonitoring(service(wms)), ledger, lambda _: None, OURS).settle() == set()


def test_a_lost_heartbeat_raises_a_doubt(ledger: Ledger) -> None:
    lost: list[int] = []
    asking = ownership(wms_with(getJobsStatus=statuses(job1="Failed")), ledger, lost)
    ledger.save(job(1))

    asking.about(1)

    assert asking.settle() == {1}


def test_a_doubt_that_cannot_be_settled_stays(ledger: Ledger) -> None:
    ledger.save(job(1))
    wms = wms_with(getJobsStatus=Unreachable("h: refused"))
    asking = ownership(wms, ledger, [])
    with pytest.raises(Unreachable):
        asking.settle()

    wms.answers["getJobsStatus"] = ok(statuses(job1="Failed"))

    assert asking.settle() == {1}


def test_a_wms_that_lets_us_not_ask_holds_nothing_up(ledger: Ledger) -> None:
    ledger.save(job(1), [said(1)])

    assert ownership(wms_with(getJobsStatus=AccessDenied("h: 401")), ledger, []).settle() == set()
    assert len(ledger.unsent()) == 1


@pytest.mark.parametrize(("minor", "is_marked"), [("Marked for termination", True), ("Application", False)])
def test_an_order_to_kill_leaves_its_mark(minor: str, is_marked: bool) -> None:
    wms = wms_with(getJobsMinorStatus={"1": {"MinorStatus": minor}})

    assert JobMonitoring(service(wms)).is_marked_for_termination(1) is is_marked


# ---- the servers' clock ----


def heard(clock: ServerClock, ahead_s: float, at_s: float, took_s: float = 0.1) -> None:
    """One exchange at a moment of ours, with servers whose clock is ahead of it."""
    received = NOW + timedelta(seconds=at_s)
    date = (received - timedelta(seconds=took_s / 2) + timedelta(seconds=ahead_s)).replace(microsecond=0)
    clock.observe(date, sent=received - timedelta(seconds=took_s), received=received)


def test_nothing_is_corrected_before_anything_was_heard() -> None:
    assert ServerClock().ahead() == timedelta(0)


@pytest.mark.parametrize("ahead_s", [0.0, 0.3, -0.3])
def test_a_clock_that_may_be_right_is_left_alone(ahead_s: float) -> None:
    clock = ServerClock(now=lambda: NOW)
    for step in range(2):
        heard(clock, ahead_s, at_s=0.5 + step)

    assert clock.ahead() == timedelta(0)


@pytest.mark.parametrize("ahead_s", [90.0, -90.0, 7200.4, -3600.7])
def test_a_clock_that_is_wrong_is_corrected_to_less_than_a_second(ahead_s: float) -> None:
    clock = ServerClock(now=lambda: NOW)
    heard(clock, ahead_s, at_s=0.2)

    assert abs(clock.ahead().total_seconds() - ahead_s) < 1.1


def test_many_answers_narrow_the_difference_down() -> None:
    clock = ServerClock(now=lambda: NOW + timedelta(seconds=20))
    for step in range(20):
        heard(clock, 5.37, at_s=step * 1.05)

    assert abs(clock.ahead().total_seconds() - 5.37) < 0.2


def test_a_clock_that_was_set_meanwhile_is_believed_anew() -> None:
    clock = ServerClock(now=lambda: NOW)
    heard(clock, 90.0, at_s=0.0)

    heard(clock, 0.0, at_s=60.0)

    assert clock.ahead() == timedelta(0)


@pytest.mark.parametrize(
    ("date", "is_heard"),
    [
        ("Sun, 22 Nov 2026 03:10:00 GMT", True),
        ("", False),
        ("soon", False),
        ("Sun, 22 Nov 2026 03:10:00", False),
        ("Fri, 31 Dec 9999 23:59:59 GMT", False),
        ("Sun, 22 Nov 2026 03:10:00 +99999999999999999999", False),
    ],
)
def test_an_answer_without_a_usable_date_says_nothing(date: str, is_heard: bool) -> None:
    clock = ServerClock(now=lambda: NOW)

    clock.heard(date, sent=NOW)

    assert (clock.ahead() == timedelta(minutes=10)) is is_heard


def test_a_thread_that_gets_no_processor_after_the_answer_does_not_make_the_servers_slow() -> None:
    now = iter([NOW + timedelta(seconds=at_s) for at_s in (0.95, 40.0, 40.0)])
    clock = ServerClock(now=lambda: next(now))

    clock.heard(f"{NOW:%a, %d %b %Y %H:%M:%S GMT}", sent=clock.now())

    assert clock.ahead_at_most() == timedelta(seconds=0.05)


def test_what_a_server_has_stamped_is_never_later_than_is_held_for_possible() -> None:
    clock = ServerClock(now=lambda: NOW + timedelta(seconds=30))
    for step in range(20):
        heard(clock, 0.9, at_s=step * 1.05)

    assert clock.ahead() <= timedelta(seconds=0.9) <= clock.ahead_at_most()
    assert clock.ahead_at_most() - clock.ahead() < timedelta(seconds=0.2)


def test_old_answers_prove_less_and_less() -> None:
    clock = ServerClock(now=lambda: NOW + timedelta(hours=1))
    for step in range(20):
        heard(clock, 5.0, at_s=step * 1.05)

    assert clock.ahead() < timedelta(seconds=3.5) < timedelta(seconds=6.5) < clock.ahead_at_most()


# ---- accounts ----


def account(job_id: int, **more: str) -> Report:
    start = {"start": written(NOW - timedelta(seconds=60)), "User": "user", "UserGroup": "lab_user"}
    return said(job_id, ReportKind.ACCOUNT, **start, **more)


def ended(ledger: Ledger, *records: Report) -> None:
    for record in records:
        ledger.save(job(record.job_id).to(JobStatus.RUNNING, Minor.APPLICATION), [record])


def test_accounts_go_in_one_call_in_the_columns_of_dirac(ledger: Ledger) -> None:
    ended(ledger, account(1, CPUTime="12.6", ExecTime="120.4", Site="LAB", FinalMajorStatus="Done"), account(2))
    wms = wms_with(commitRegisters="ok")

    Accounting(ledger, service(wms)).send()

    ((method, (entries,)),) = wms.asked
    assert (method, len(entries)) == ("commitRegisters", 2)
    kind, start, end, values = entries[0]
    assert (kind, start, end) == ("Job", NOW - timedelta(seconds=60), NOW)
    assert values[:9] == ["user", "lab_user", "unknown", "unknown", "unknown", "unknown", "LAB", "Done", "unknown"]
    assert values[9:12] == [13, 0, 120]
    assert len(values) == 20
    assert ledger.unsent_accounts(10) == []


def test_keys_are_cut_to_the_widths_of_the_columns(ledger: Ledger) -> None:
    ended(ledger, account(1, JobType="t" * 50))
    wms = wms_with(commitRegisters="ok")

    Accounting(ledger, service(wms)).send()

    assert wms.asked[0][1][0][0][3][3] == "t" * 32


@pytest.mark.parametrize(("failure", "is_kept"), [(Unreachable("h: refused"), True), (NoAnswer("h: silence"), False)])
def test_accounts_are_sent_again_only_when_they_surely_did_not_arrive(
    ledger: Ledger, failure: Exception, is_kept: bool
) -> None:
    ended(ledger, account(1))

    Accounting(ledger, service(wms_with(commitRegisters=failure))).send()

    assert bool(ledger.unsent_accounts(10)) is is_kept


def test_without_a_datastore_accounts_are_put_aside(ledger: Ledger) -> None:
    ended(ledger, account(1))

    Accounting(ledger, None).send()

    assert ledger.unsent_accounts(10) == []


def test_no_job_waits_for_its_account(ledger: Ledger) -> None:
    ended(ledger, account(1))

    assert not ledger.has_unsent(1)
    assert ledger.unsent() == []
