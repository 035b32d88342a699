"""The log for people and the log for machines: whose each line is, and the shape that log stores expect."""

import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agents.log import EventLog, Whose, configure

TEMPLATE = Path(__file__).parents[2] / "configs" / "observability" / "index-template.json"
STAMP = "0123456789abcdef" * 2
log = EventLog("jobs")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the logs are; the logging module is left as it was."""
    loggers = (logging.getLogger("gridpilot"), logging.getLogger())
    before = [(one, list(one.handlers), one.level, one.propagate) for one in loggers]
    for one in loggers:  # another test's may be there
        one.handlers.clear()
    configure(
        "INFO",
        tmp_path / "agent.log",
        json_file=tmp_path / "agent.jsonl",
        whose=Whose(pilot="htcondorce://ce01/42", site="LAB.Site.ch"),
    )
    yield tmp_path
    for one, handlers, level, propagate in before:
        for handler in set(one.handlers) - set(handlers):
            handler.close()
        one.handlers[:], one.level, one.propagate = handlers, level, propagate


def objects(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "agent.jsonl").read_text(encoding="utf-8").splitlines()]


def lines(folder: Path) -> list[str]:
    return (folder / "agent.log").read_text(encoding="utf-8").splitlines()


def test_an_event_is_one_object_in_the_names_of_ecs(folder: Path) -> None:
    log.warning("submit.delayed", job_id=7, attempt=2, stamp=STAMP, times=3, cause=OSError("no room"))

    (seen,) = objects(folder)

    moment = datetime.fromisoformat(seen["@timestamp"])
    assert (moment.tzinfo, abs((datetime.now(UTC) - moment).total_seconds()) < 3600) == (UTC, True)
    assert list(seen)[:3] == ["@timestamp", "log.level", "message"]
    assert {name: seen[name] for name in ("log.level", "log.logger", "event.action", "error.message", "trace.id")} == {
        "log.level": "warning",
        "log.logger": "gridpilot.jobs",
        "event.action": "submit.delayed",
        "error.message": "no room",
        "trace.id": STAMP,
    }
    assert {name: value for name, value in seen.items() if name.startswith("gridpilot.")} == {
        "gridpilot.pilot": "htcondorce://ce01/42",
        "gridpilot.site": "LAB.Site.ch",
        "gridpilot.job_id": 7,
        "gridpilot.attempt": 2,
        "gridpilot.times": 3,
    }


def test_a_job_once_matched_is_named_with_its_attempt_and_pilot_in_both_logs(folder: Path) -> None:
    log.info("job.matched", job_id=7, attempt=2, stamp=STAMP)
    EventLog("reporter").info("report.delayed", job_id=7)
    log.info("job.started", job_id=8)

    assert [
        (one["gridpilot.job_id"], one.get("gridpilot.attempt"), one.get("trace.id")) for one in objects(folder)
    ] == [
        (7, 2, STAMP),
        (7, 2, STAMP),
        (8, None, None),
    ]
    assert [line.partition("] ")[2] for line in lines(folder)] == [
        f"job.matched job_id=7 attempt=2 stamp={STAMP} pilot=htcondorce://ce01/42",
        "report.delayed job_id=7 attempt=2 pilot=htcondorce://ce01/42",
        "job.started job_id=8 pilot=htcondorce://ce01/42",
    ]


def test_the_line_for_people_has_the_form_of_diracs_pilot(folder: Path) -> None:
    log.info("agent.ended", reason="no work")

    (line,) = lines(folder)

    assert re.match(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z INFO \[gridpilot\.jobs\] agent\.ended reason='no work' ", line
    )


def test_hostile_text_stays_one_object_on_one_line(folder: Path) -> None:
    log.info("thing.happened", note='line\nend "quoted" \x1b[31m \udc80 é', ids=(1, 2))

    (seen,) = objects(folder)

    assert seen["gridpilot.note"].startswith('line\nend "quoted" \x1b[31m')
    assert seen["gridpilot.ids"] == [1, 2]


def test_the_index_template_knows_the_type_of_every_field(folder: Path) -> None:
    log.info("job.matched", job_id=7, attempt=1, stamp=STAMP, owner="o", group="g")
    log.error("job.ended", job_id=7, exit_code=1, cause="x", seconds=1.5, reason="text", nothing=None)
    logging.getLogger("gridpilot").error("traceback", exc_info=ValueError("x"))
    mappings = json.loads(TEMPLATE.read_text(encoding="utf-8"))["template"]["mappings"]

    untyped = {name for one in objects(folder) for name, value in one.items() if not fits(mappings, name, value)}

    assert untyped == set()


KINDS = {"date": str, "keyword": str, "text": str, "long": int, "integer": int}


def fits(mappings: dict[str, Any], name: str, value: object) -> bool:
    """Tell whether a field has a type of its own that takes the value, or is one of ours with none."""
    found = mappings
    for part in name.split("."):
        found = found.get("properties", {}).get(part, {})
    return isinstance(value, KINDS[found["type"]]) if found else name.startswith("gridpilot.")
