import dataclasses
import json

import pytest

from pilot import ending
from pilot.agent import launch
from pilot.agent.launch import AgentReport
from pilot.agent.supervision import AgentEnd
from pilot.errors import NodeUnfit, UsageError
from tests.unit.test_pilot_offer import pilot

NOTHING = "Nothing to do for more than 10 requests"


@pytest.mark.parametrize(
    ("report", "restarts", "why"),
    [
        (AgentReport(NOTHING, matched=12, done=11, failed=1), 0, f"ran 12 jobs (11 done, 1 failed); {NOTHING}"),
        (AgentReport(NOTHING, matched=1, handed_back=1), 0, f"ran 1 job (1 handed back); {NOTHING}"),
        (AgentReport(NOTHING), 0, f"ran no job; {NOTHING}"),
        (AgentReport("x", matched=1, done=1), 2, "ran 1 job (1 done) since the agent's last restart (2 restarts); x"),
        (
            AgentReport(),
            1,
            "the agent ended with exit code 0 since the agent's last restart (1 restart), and did not say why",
        ),
    ],
)
def test_the_end_is_one_sentence_what_was_done_and_why_nothing_more(report, restarts, why):
    ended = dataclasses.replace(pilot(), agent_end=AgentEnd(0, restarts, 0))

    assert ending.why(ended, report) == why


def test_a_refused_configuration_is_told_in_the_agents_own_words(tmp_path):
    sentence = "unknown CE type Pol; did you mean Pool?"
    (tmp_path / launch.END_FILE).write_text(json.dumps({"reason": sentence, "exit_code": 2}))
    ended = dataclasses.replace(pilot(), agent_end=AgentEnd(2, 0, 0))

    assert ending.why(ended, launch.read_report(tmp_path)) == f"the agent ended with exit code 2: {sentence}"


def test_a_signal_that_came_before_the_agent_had_begun_is_named():
    ended = dataclasses.replace(pilot(), agent_end=AgentEnd(-15, 0, 15))

    assert ending.why(ended, AgentReport()) == "stopped by SIGTERM before the agent could say anything"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (NodeUnfit("3 MB of disk are free"), 'why="node unfit: 3 MB of disk are free" exit_code=6'),
        (UsageError("no site"), 'why="no site" exit_code=2'),
    ],
)
def test_the_last_line_of_the_log_says_why_and_with_which_code(monkeypatch, error, line):
    monkeypatch.setattr(ending, "PASSED_ON", ())  # this process still needs its signals
    lines = []

    code = ending.failed(pilot(lines=lines), error)

    assert code == error.exit_code
    assert lines[-1].endswith(f"ERROR [Pilot] pilot.ended {line}\n")
