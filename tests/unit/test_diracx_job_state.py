"""Reports to DiracX: its words, moments with a zone, and what it has really applied."""

from datetime import UTC, datetime, timedelta

import pytest

from agents.errors import BadAnswer, NoAnswer, Refused
from agents.wms.diracx.job_state import DiracXJobState
from agents.wms.job_state import Heartbeat
from agents.wms.service import Retry
from tests.unit.diracx_scene import Scene, authority, scene
from tests.unit.diracx_stand_in import Asked, Said

__all__ = ["authority", "scene"]

STATUS, HEARTBEAT = "PATCH /api/jobs/status", "PATCH /api/jobs/heartbeat"
RUNNING = {"Status": "Running", "MinorStatus": "Application", "Source": "JobWrapper@LAB.Local.ch"}
WHEN = "2026-11-30 09:02:21.500000"


def state(scene: Scene) -> DiracXJobState:
    scene.retry = Retry(attempts=1)
    return DiracXJobState(scene.rest, scene.clock)


def applied(status: str | None) -> Said:
    return Said(200, {"success": {"7": {"Status": status, "MinorStatus": None}}, "failed": {}})


def test_statuses_go_in_one_call_with_their_zone(scene: Scene) -> None:
    scene.diracx.on(STATUS, applied("Running"))

    state(scene).set_statuses(7, {WHEN: RUNNING, "2026-11-30 09:02:21.501000": {"ApplicationStatus": "step 2"}})

    (asked,) = scene.diracx.asked
    assert asked.json == {
        "7": {
            "2026-11-30T09:02:21.500000+00:00": RUNNING,
            "2026-11-30T09:02:21.501000+00:00": {"ApplicationStatus": "step 2"},
        }
    }


def test_a_step_that_came_too_late_by_our_clock_is_told_again_by_theirs(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """A node whose clock is behind: DiracX answers 200 and applies nothing."""
    scene.diracx.on(
        STATUS,
        Said(200, {"success": {"7": {"Status": None}}, "failed": {}}, {"Date": "Mon, 30 Nov 2099 09:02:25 GMT"}),
        applied("Running"),
    )

    state(scene).set_statuses(7, {WHEN: RUNNING})

    first, second = (next(iter(asked.json["7"])) for asked in scene.diracx.asked)  # type: ignore[index]
    assert first.startswith("2026")
    assert datetime.fromisoformat(second) > datetime.now(UTC) + timedelta(days=1000)
    assert "status.too_old" in caplog.text
    assert "not_applied" not in caplog.text


def test_what_may_be_known_already_is_not_told_with_another_moment(scene: Scene) -> None:
    """A repetition after a lost answer gets the same null as a step that is too old."""
    scene.diracx.on(STATUS, Said(cut=True), applied(None))
    told = state(scene)

    with pytest.raises(NoAnswer):
        told.set_statuses(7, {WHEN: RUNNING})
    told.set_statuses(7, {WHEN: RUNNING})

    assert len(scene.diracx.asked) == 2
    assert scene.diracx.asked[0].body == scene.diracx.asked[1].body


def test_a_step_that_diracx_s_rules_forbid_is_seen(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.diracx.on(STATUS, applied("Killed"))

    state(scene).set_statuses(7, {WHEN: RUNNING})

    assert "status.not_applied" in caplog.text
    assert "holds=Killed" in caplog.text


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Said(200, {"success": {}, "failed": {"7": {"detail": "not found"}}}), Refused),
        (Said(404, {"detail": "no job was found"}), Refused),
        (Said(200, {"success": {}, "failed": {}}), BadAnswer),
        (Said(200, []), BadAnswer),
        (Said(200, {"success": {"7": []}}), BadAnswer),
    ],
)
def test_a_job_that_diracx_does_not_take_is_refused_for_good(scene: Scene, answer: Said, kind: type[Exception]) -> None:
    scene.diracx.on(STATUS, answer)

    with pytest.raises(kind) as caught:
        state(scene).set_statuses(7, {WHEN: RUNNING})

    assert not isinstance(caught.value, Refused) or caught.value.is_final


def test_a_heartbeat_brings_the_commands_of_its_job(scene: Scene) -> None:
    scene.diracx.on(
        HEARTBEAT,
        Said(200, [{"job_id": 7, "command": "Kill", "arguments": ""}, {"job_id": 8, "command": "Kill"}]),
    )
    beat = Heartbeat(job_id=7, dynamic={"LoadAverage": 1, "Vsize": 2.5}, static={"StandardOutput": "text"})

    assert state(scene).heartbeat(beat) == {"Kill": ""}
    assert scene.diracx.asked[0].json == {"7": {"LoadAverage": 1.0, "Vsize": 2.5, "StandardOutput": "text"}}


@pytest.mark.parametrize("answer", [{}, [7], [{"job_id": "x"}], [{"job_id": 7, "command": 5}]])
def test_nonsense_instead_of_commands_is_a_bad_answer(scene: Scene, answer: object) -> None:
    scene.diracx.on(HEARTBEAT, Said(200, answer))

    with pytest.raises(BadAnswer):
        state(scene).heartbeat(Heartbeat(job_id=7))


def test_parameters_are_texts_and_an_order_to_reschedule_is_given_once(scene: Scene) -> None:
    scene.diracx.on("PATCH /api/jobs/metadata", Said(204))
    scene.diracx.on("POST /api/jobs/reschedule", Said(500, b"x"))

    state(scene).set_parameters(7, [("HostName", "node"), ("ExitCode", "0")])
    with pytest.raises(BadAnswer):
        state(scene).reschedule(7)

    parameters, order = scene.diracx.asked
    assert parameters.json == {"7": {"HostName": "node", "ExitCode": "0"}}
    assert order.json == {"job_ids": [7]}
    assert isinstance(order, Asked)
