"""A payload that dies with its slot, a moment before the agent hears of that, is handed back and did not fail."""

import pytest

from agents.runner import signal_deaths
from tests.unit.payload_signals import HEARD
from tests.unit.runner_scene import Scene, scene

__all__ = ["scene"]

CODES = [128 + number for number in HEARD]
FAILED = "JobWrapper: Failed / Application Finished With Errors"


@pytest.mark.parametrize("code", CODES)
def test_a_payload_that_died_before_the_agent_heard_of_it_is_handed_back(scene: Scene, code: int) -> None:
    scene.match()
    scene.end(code)
    assert scene.job.end is None

    scene.runner.hand_back_all("the slot ends")
    scene.runner.poll()

    assert scene.orders() == [7]
    assert FAILED not in scene.said()


@pytest.mark.parametrize("code", CODES)
def test_a_payload_that_died_by_a_signal_of_its_own_has_failed(
    scene: Scene, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.match()
    scene.end(code)
    scene.runner.poll()
    assert scene.job.end is None

    monkeypatch.setattr(signal_deaths, "_HEARS_WITHIN_S", 0.0)
    scene.runner.poll()

    assert scene.said()[-1] == FAILED
    assert scene.orders() == []


@pytest.mark.parametrize("code", [0, 1, 134, 137, 139])
def test_any_other_end_waits_for_nothing(scene: Scene, code: int) -> None:
    scene.match()

    scene.end(code)

    assert scene.job.end


def test_a_payload_that_was_ended_by_us_waits_for_nothing(scene: Scene) -> None:
    scene.match()
    scene.runner.hand_back_all("the slot ends")

    scene.end(143)

    assert scene.orders() == [7]
