"""The agent's voice: order, merging, patience; nothing blocks the others."""

import time

import pytest

from agents.errors import (
    AccessDenied,
    BadAnswer,
    Busy,
    CredentialError,
    NoAnswer,
    Refused,
    ServiceError,
    ServiceMissing,
    StopAgent,
    Unreachable,
)
from agents.jobs.job import Job, MatchedJob
from agents.jobs.ledger import Report, ReportKind
from agents.reporting import reporter
from agents.wms.job_state import Heartbeat
from tests.unit.reporter_scene import Scene, _no_thread_is_left, parameters, reschedule, scene
from tests.waiting import PATIENCE_S

__all__ = ["_no_thread_is_left", "scene"]


def test_the_statuses_of_a_job_go_out_in_one_call_in_order(scene: Scene) -> None:
    scene.say(1, "Matched", "Running", "Done")

    assert scene.run()
    assert scene.wms.told == [("statuses", 1, ["0 Matched", "1 Running", "2 Done"])]
    assert scene.accepted == [1]


def test_each_job_gets_its_own_calls(scene: Scene) -> None:
    scene.say(1, "Matched")
    scene.say(2, "Matched")
    scene.say(1, "Running")

    scene.run()

    assert [(call, job_id) for call, job_id, _ in scene.wms.told] == [("statuses", 1), ("statuses", 2)]


def test_a_job_is_rescheduled_only_after_its_status_was_taken(scene: Scene) -> None:
    scene.put(reschedule(1), Report(1, ReportKind.STATUS, "0", {"Status": "Rescheduled"}), parameters(1, a="b"))

    scene.run()

    assert [call for call, _, _ in scene.wms.told] == ["parameters", "statuses", "reschedule"]


@pytest.mark.parametrize("error", [Unreachable("x"), NoAnswer("x"), BadAnswer("x"), AccessDenied("x")])
def test_what_could_not_be_delivered_is_delivered_later_and_once(scene: Scene, error: ServiceError) -> None:
    troubles = iter([error])
    scene.wms.trouble = lambda call, job_id: next(troubles, None)
    scene.say(1, "Matched", "Running")

    assert scene.run()
    assert scene.wms.told == [("statuses", 1, ["0 Matched", "1 Running"])]
    assert scene.accepted == [1]


def test_what_was_said_meanwhile_goes_out_with_what_was_delayed(scene: Scene) -> None:
    def first_fails(call: str, job_id: int) -> ServiceError | None:
        if scene.ledger.attempts(1) and len(scene.ledger.unsent()) == 1:
            scene.ledger.save(
                Job(matched=MatchedJob(job_id=1, jdl="", owner="", group=""), stamp="s"),
                [Report(1, ReportKind.STATUS, "1", {"Status": "Running"})],
            )
            return Unreachable("x")
        return None

    scene.wms.trouble = first_fails
    scene.say(1, "Matched")

    assert scene.run()
    assert scene.wms.told == [("statuses", 1, ["0 Matched", "1 Running"])]


def test_a_refused_report_is_given_up_and_blocks_nothing(scene: Scene) -> None:
    scene.wms.trouble = lambda call, job_id: Refused("Not authorized to modify job 1") if job_id == 1 else None
    scene.say(1, "Running")
    scene.say(2, "Running")

    assert scene.run()
    assert [(call, job_id) for call, job_id, _ in scene.wms.told] == [("statuses", 2)]
    assert scene.accepted == [1, 2]


def test_a_report_over_which_the_service_stumbles_blocks_no_other_job(scene: Scene) -> None:
    scene.wms.trouble = lambda call, job_id: BadAnswer("HTTP 500") if job_id == 1 else None
    scene.say(1, "Running")
    scene.say(2, "Done")

    scene.reporter.start()

    assert not scene.reporter.flush(0.05)
    assert scene.accepted == [2]


def test_parameters_over_which_the_service_stumbles_do_not_hold_up_the_status(scene: Scene) -> None:
    scene.wms.trouble = lambda call, job_id: BadAnswer("HTTP 500") if call == "parameters" else None
    scene.put(parameters(1, odd="x"), Report(1, ReportKind.STATUS, "0", {"Status": "Done"}))

    scene.reporter.start()

    assert not scene.reporter.flush(0.05)
    assert [call for call, _, _ in scene.wms.told] == ["statuses"]
    assert scene.accepted == []


def test_a_job_whose_status_was_not_taken_is_not_rescheduled(scene: Scene) -> None:
    scene.wms.trouble = lambda call, job_id: BadAnswer("HTTP 500") if call == "statuses" else None
    scene.put(Report(1, ReportKind.STATUS, "0", {"Status": "Rescheduled"}), reschedule(1))

    scene.reporter.start()

    assert not scene.reporter.flush(0.05)
    assert scene.wms.told == []


def test_while_the_wms_is_away_it_is_not_asked_about_every_job(scene: Scene) -> None:
    asked: list[int] = []
    scene.wms.before = lambda call, job_id: asked.append(job_id)
    scene.wms.trouble = lambda call, job_id: Unreachable("x")
    for job_id in (1, 2, 3):
        scene.say(job_id, "Running")

    scene.reporter.start()

    assert not scene.reporter.flush(0.05)
    assert set(asked) == {1}


def test_a_report_that_comes_just_when_everything_was_sent_is_flushed_too(scene: Scene) -> None:
    late = iter(["Done"])

    def accepted(job_id: int) -> None:
        for word in late:
            scene.say(1, word)

    scene.reporter._accepted = accepted
    scene.say(1, "Running")

    assert scene.run()
    assert [said for _, _, said in scene.wms.told] == [["0 Running"], ["0 Done"]]


def test_flushing_gives_up_when_the_wms_stays_away_and_everything_is_kept(scene: Scene) -> None:
    scene.wms.trouble = lambda call, job_id: Unreachable("x")
    scene.say(1, "Done")
    scene.reporter.start()

    assert not scene.reporter.flush(0.05)
    assert len(scene.ledger.unsent()) == 1


def test_a_ledger_that_fails_does_not_end_the_reporter(scene: Scene) -> None:
    scene.ledger._db.execute("ALTER TABLE report RENAME TO away")
    scene.reporter.start()
    assert not scene.reporter.flush(0.05)

    scene.ledger._db.execute("ALTER TABLE away RENAME TO report")
    scene.say(1, "Done")

    assert scene.reporter.flush(PATIENCE_S)


def test_a_reporter_stops_in_the_middle_of_its_patience(scene: Scene) -> None:
    scene.wms.trouble = lambda call, job_id: Unreachable("x")
    scene.say(1, "Done")
    scene.reporter.start()
    scene.reporter.flush(0.02)

    scene.reporter.stop()

    assert not scene.reporter._loop.is_running


def test_an_order_to_reschedule_whose_answer_was_lost_waits_until_it_cannot_be_under_way(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporter, "_LATE_S", 0.3)
    tried: list[float] = []

    def trouble(call: str, job_id: int) -> ServiceError | None:
        if call == "reschedule":
            tried.append(time.monotonic())
        return NoAnswer("x") if call == "reschedule" and len(tried) == 1 else None

    scene.wms.trouble = trouble
    scene.put(Report(1, ReportKind.RESCHEDULE, "1", {}))
    scene.say(2, "Running")

    assert scene.run()
    assert tried[1] - tried[0] >= 0.3
    assert [(call, job_id) for call, job_id, _ in scene.wms.told] == [("statuses", 2), ("reschedule", 1)]


def test_an_order_that_was_surely_not_received_is_given_again_at_once(scene: Scene) -> None:
    troubles = iter([Unreachable("x")])
    scene.wms.trouble = lambda call, job_id: next(troubles, None)
    scene.put(Report(1, ReportKind.RESCHEDULE, "1", {}))

    assert scene.run()
    assert scene.wms.told == [("reschedule", 1, None)]


def test_what_puts_a_job_back_waits_for_a_sign_of_life_that_was_given_up(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporter, "_LATE_S", 0.3)
    tried: list[tuple[str, float]] = []
    scene.wms.before = lambda call, job_id: tried.append((call, time.monotonic()))
    scene.wms.trouble = lambda call, job_id: NoAnswer("x") if call == "beat" else None
    scene.reporter.beat(Heartbeat(job_id=1))
    assert scene.run()

    scene.put(Report(1, ReportKind.STATUS, "0", {"Status": "Rescheduled"}), reschedule(1))

    assert scene.reporter.flush(PATIENCE_S)
    assert [call for call, _ in tried] == ["beat", "statuses", "reschedule"]
    assert tried[1][1] - tried[0][1] >= 0.3


@pytest.mark.parametrize("error", [ServiceMissing("publishes no URL"), CredentialError("proxy.pem: expired")])
def test_nothing_that_would_stop_the_agent_elsewhere_ends_the_thread_or_loses_a_report(
    scene: Scene, error: StopAgent
) -> None:
    """A service that is published no more while the agent runs, a proxy that cannot be read: both may come back."""
    failing = [error, error]

    def before(_call: str, _job_id: int) -> None:
        if failing:
            raise failing.pop()

    scene.wms.before = before
    scene.say(1, "Running", "Done")

    assert scene.run()
    assert scene.wms.told == [("statuses", 1, ["0 Running", "1 Done"])]
    assert not failing


def test_a_report_that_is_refused_for_good_is_not_made_again(scene: Scene) -> None:
    calls: list[str] = []

    def trouble(call: str, _job_id: int) -> ServiceError | None:
        calls.append(call)
        return Refused("DiracX: PATCH /api/jobs/metadata: HTTP 422", is_final=True) if call == "parameters" else None

    scene.wms.trouble = trouble
    scene.put(Report(1, ReportKind.PARAMETERS, "0", {"a": "b"}))
    scene.say(1, "Done")

    assert scene.run()
    assert calls == ["parameters", "statuses"]


def test_a_wms_that_asks_for_patience_is_left_alone_for_so_long(scene: Scene) -> None:
    moments: list[float] = []

    def busy(_call: str, _job_id: int) -> ServiceError | None:
        moments.append(time.monotonic())
        return Busy("busy", retry_after_s=1.0) if len(moments) == 1 else None

    scene.wms.trouble = busy
    scene.say(1, "Running")

    assert scene.run()
    assert moments[1] - moments[0] >= 0.5, "a second, and with this chance up to half of one less"
