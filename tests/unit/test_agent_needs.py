"""Jobs that need what the agent cannot do: handed back with the reason before anything of them runs."""

import pytest

from agents.errors import Blame, HandBack
from agents.jobs.jdl import describe
from agents.jobs.needs import check
from tests.unit.runner_scene import START, Scene, scene

__all__ = ["scene"]


def refusal(attributes: str) -> str:
    description = describe(f'[ JobID = 7; Executable = "x.sh"; {attributes} ]')
    with pytest.raises(HandBack) as caught:
        check(description, moves_data=False)
    assert (caught.value.minor_status, caught.value.blame) == ("Job needs what this agent cannot do", Blame.SITE)
    return caught.value.detail


@pytest.mark.parametrize(
    ("attributes", "needed"),
    [
        ('OutputData = {"hist*.root"};', "output data (hist*.root)"),
        ('OutputData = "LFN:/vo/user/o/out.root";', "output data (LFN:/vo/user/o/out.root)"),
        ('InputData = {"LFN:/vo/a", "LFN:/vo/b"};', "input data (LFN:/vo/a, LFN:/vo/b)"),
        ('InputData = "/vo/a";', "input data (/vo/a)"),
        (
            'InputSandbox = {"SB:Store|/x.tar", "lfn:/vo/x"};',
            "files of a catalogue in its input sandbox (lfn:/vo/x)",
        ),
        (
            'InputData = "LFN:/vo/a"; OutputData = "b";',
            "input data (LFN:/vo/a); output data (b)",
        ),
        (
            'OutputData = {"a", "b", "c", "d", "e", "f", "g"};',
            "output data (a, b, c, d, e, and 2 more)",
        ),
    ],
)
def test_what_a_job_needs_is_named(attributes: str, needed: str) -> None:
    assert refusal(attributes) == f"This agent cannot do what the job needs: {needed}"


@pytest.mark.parametrize(
    "attributes",
    ["", 'InputSandbox = {"SB:Store|/x.tar", "x.sh"};', 'OutputSandbox = "a"; OutputData = {}; InputData = "";'],
)
def test_a_job_without_data_passes(attributes: str) -> None:
    check(describe(f'[ JobID = 7; Executable = "x.sh"; {attributes} ]'), moves_data=False)


def test_data_passes_where_it_is_moved() -> None:
    check(describe('[ JobID = 7; Executable = "x"; OutputData = "a"; InputData = "/b"; ]'), moves_data=True)


def test_output_data_is_handed_back_before_the_job_holds_or_runs_anything(scene: Scene) -> None:
    scene.match('OutputData = "hist.root"; OutputSandbox = "out";')

    assert scene.said() == [START[0], "JobWrapper: Rescheduled / Job needs what this agent cannot do"]
    assert scene.orders() == [7]
    assert (scene.ce.tasks, scene.workers.waiting, scene.slot.is_all_free) == ({}, [], True)
    assert scene.runner.tally.host_failures_in_a_row == 1


def test_the_reason_is_told(scene: Scene) -> None:
    scene.match('InputData = "LFN:/vo/a";')

    said = [one.body.get("ApplicationStatus") for one in scene.ledger.unsent() if "Status" in one.body]
    assert said[-1] == "This agent cannot do what the job needs: input data (LFN:/vo/a)"
