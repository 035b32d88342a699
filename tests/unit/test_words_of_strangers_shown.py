"""What strangers write never moves a cursor, hides a word or passes for a line of ours, wherever people read it."""

import logging
import re
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from agents import command_line
from agents.jobs.job import Job, JobStatus, MatchedJob, Outcome, Phase
from agents.jobs.ledger import Ledger
from agents.local_wms import __main__ as local_wms
from agents.log import EventLog, configure
from agents.observability.explain import explain, status
from agents.pages import parts
from ce_backends import __main__ as ce
from ce_backends.untrusted import text as foreign_text
from pilot import __main__ as pilot
from pilot import log as pilots_log
from pilot.doctor.examination import report
from pilot.doctor.finding import FAULT, Finding

FORGED = "a\n2026-01-01T00:00:00.000000Z ERROR forged\x1b[2J\x1b]0;title\x07\r\u202eeman\u2028b\x9b1m\ud800"
OF_TERMINALS = re.compile("[^ -~\n]")
OURS = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z (INFO|WARNING|ERROR) \[(gridpilot\.)?\w+\]|    \| |Traceback|  ")


@pytest.mark.parametrize("visible", [foreign_text.visible, pilots_log.visible], ids=["agent", "pilot"])
def test_what_is_not_printed_is_escaped(visible: Callable[[str], str]) -> None:
    seen = visible(FORGED)

    assert not OF_TERMINALS.search(seen)
    assert r"\x1b[2J" in seen
    assert r"\u202e" in seen
    assert visible("é\n 42 µs") == "é\n 42 µs"


def test_no_line_of_the_agents_log_is_a_strangers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loggers = (logging.getLogger("gridpilot"), logging.getLogger())
    before = [(one, list(one.handlers), one.level, one.propagate) for one in loggers]
    configure("DEBUG", tmp_path / "agent.log")
    try:
        EventLog("test").error("thing.failed", cause=ValueError(FORGED), note=FORGED, many=[FORGED])
        logging.getLogger("urllib3").warning("retrying %s", FORGED)
        logging.getLogger("gridpilot.test").error("ended by %s", FORGED, exc_info=ValueError(FORGED))
    finally:
        for one, handlers, level, propagate in before:
            for handler in set(one.handlers) - set(handlers):
                handler.close()
            one.handlers[:], one.level, one.propagate = handlers, level, propagate

    for written in ((tmp_path / "agent.log").read_text(encoding="utf-8"), capsys.readouterr().out):
        lines = written.rstrip("\n").split("\n")
        assert len(lines) > 2
        assert [line for line in lines if OF_TERMINALS.search(line)] == []
        assert [line for line in lines if line.startswith("2026-01-01")] == []
    assert len([line for line in lines if "forged" in line and not line.startswith("    | ")]) <= 1


def test_no_line_of_the_pilots_log_is_a_strangers() -> None:
    lines: list[str] = []

    pilots_log.Log([lines.append]).error("thing.failed", cause=FORGED)

    assert len(lines) == 1
    assert lines[0].count("\n") == 1
    assert not OF_TERMINALS.search(lines[0])


@pytest.mark.parametrize("show", [status, lambda folder, **how: explain(folder, 7, **how)], ids=["status", "explain"])
@pytest.mark.parametrize("as_json", [True, False])
def test_what_is_told_of_a_job_is_only_words(tmp_path: Path, show: Callable[..., str], as_json: bool) -> None:
    matched = MatchedJob(job_id=7, jdl="", owner=FORGED[:40], group="g")
    end = Outcome(JobStatus.FAILED, "Application Finished With Errors", FORGED[:-1])
    with closing(Ledger(tmp_path / "ledger.sqlite")) as ledger:
        ledger.save(Job(matched=matched, stamp="s", phase=Phase.REPORTING, status=JobStatus.FAILED, end=end), [])

    seen = show(tmp_path, as_json=as_json)

    assert "forged" in seen or show is status
    assert not OF_TERMINALS.search(seen)


@pytest.mark.parametrize(
    "say",
    [
        lambda: command_line.main(["run", "--cfg", f"/nowhere/{FORGED[:-1]}"]),
        lambda: ce.main(["describe", FORGED[:-1]]),
        lambda: ce.main(["validate", f"/nowhere/{FORGED[:-1]}.cfg"]),
        lambda: local_wms.main(["status", "--home", f"/nowhere/{FORGED[:-1]}"]),
        lambda: pilot._complain(FORGED[:-1]),
    ],
    ids=["agent", "ce describe", "ce validate", "local wms", "pilot"],
)
def test_sentences_of_commands_are_only_words(
    say: Callable[[], object], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with suppress(SystemExit):
        say()

    seen = capsys.readouterr()

    assert "forged" in seen.err
    assert not OF_TERMINALS.search(seen.err + seen.out)


def test_the_page_of_the_slot_shows_them_as_words() -> None:
    assert not OF_TERMINALS.search(parts.text(FORGED))


def test_the_doctors_findings_are_only_words(capsys: pytest.CaptureFixture[str]) -> None:
    found = [Finding("services", FAULT, FORGED, FORGED, 4)]

    print(pilots_log.visible(report(found, as_json=False)), report(found, as_json=True))

    assert not OF_TERMINALS.search(capsys.readouterr().out)
