"""`site-director test`: the queues of a CE tried as the director uses them."""

import json
from pathlib import Path

import pytest

from agents.errors import ConfigurationError
from agents.site_director import ce_trial
from agents.site_director.queues import PilotQueue

BROKEN = {"SharedArea": "/proc/nowhere"}  # where nobody can make a directory


def queue(name: str, tmp_path: Path, **options: object) -> PilotQueue:
    ce, _, of_ce = name.partition("/")
    return PilotQueue(
        name=name,
        site="LCG.Site.ch",
        ce=ce,
        queue=of_ce,
        ce_type="Local",
        options={"BatchSystem": "Host", "SharedArea": str(tmp_path / "area"), "StatusInterval": 0.1, **options},
        processors=1,
        most_total=1,
        most_waiting=1,
        matcher={},
    )


def test_a_ce_is_well_when_a_task_of_each_queue_comes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    queues = [queue("a.ce/one", tmp_path), queue("a.ce/two", tmp_path), queue("b.ce/one", tmp_path, **BROKEN)]

    assert ce_trial.test(queues, "a.ce", as_json=False) == 0
    said = capsys.readouterr().out
    assert said.count("gridpilot ran on") == said.count("2 of 2 clauses kept, 0 broken") == 2
    assert "b.ce" not in said


def test_a_queue_that_fails_is_told_and_the_others_are_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queues = [queue("a.ce/full", tmp_path, **BROKEN), queue("a.ce/host", tmp_path)]

    assert ce_trial.test(queues, "a.ce", as_json=True) == 1
    told = json.loads(capsys.readouterr().out)["queues"]
    assert not told["a.ce/full"]["is_well"]
    assert "/proc/nowhere" in told["a.ce/full"]["trouble"]
    assert told["a.ce/host"]["is_well"]
    assert [result["passed"] for result in told["a.ce/host"]["results"]] == [True, True]


@pytest.mark.parametrize(("subject", "words"), [("a.ec", "did you mean a.ce"), ("", "expected a CE or CE/QUEUE")])
def test_a_ce_that_the_director_does_not_have_is_refused(subject: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=words):
        ce_trial.test([queue("a.ce/one", tmp_path)], subject, as_json=False)
