"""The page of a slot and its numbers, against the ledger from which they come; tests/web looks at it with a browser."""

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.__main__ import main
from agents.errors import Blame, ConfigurationError
from agents.jobs.job import JobStatus, Outcome
from agents.observability import explain, slot_report
from agents.observability.explain import status
from agents.observability.history import LEDGER
from tests.unit.slot_scene import START_S, Course, busy, write

DEAD = Course(1, (0,), 10.0, 12.0, None, exit_code=None, cpu=None)
TWO_JOBS = [
    Course(7, (0, 1), 1.0, 3.0, 103.0, 105.0, 106.0, cpu=0.5),
    Course(
        8, (1,), 110.0, 111.0, 121.0, 121.5, 122.0, cpu=1.0,
        end=Outcome(JobStatus.FAILED, "Application Finished With Errors", "Exit code 2", Blame.USER), exit_code=2,
    ),
]  # fmt: skip


def told(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(slot_report.as_json(folder))
    return found


def test_each_core_second_of_the_slot_is_counted_once(tmp_path: Path) -> None:
    write(tmp_path, TWO_JOBS, processors=2, end_s=200.0, reason="no work")

    found = told(tmp_path)

    assert found["core_time_s"] == {
        "total": 400.0,
        "cpu": 100.0 + 10.0,
        "waiting": 100.0,
        "unknown": 0.0,
        "staging": 4.0 + 1.0,
        "idle": 400.0 - 110.0 - 100.0 - 5.0,
    }
    assert (found["used_fraction"], found["cpu_efficiency"]) == (0.5375, round(110 / 210, 4))


def test_status_rounds_the_wall_time_for_people_and_not_for_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    write(tmp_path, [Course(7, (0,), 1.0, 3.0, 3.0348489284, 105.0)], processors=1, end_s=200.0, reason="no work")

    row = status(tmp_path, as_json=False).splitlines()[2]
    (told_exactly,) = json.loads(status(tmp_path, as_json=True))

    assert row.split()[-4:] == ["1", "0.0", "0", "0"]
    assert told_exactly["wall_s"] == 3.0348489284 - 3.0


def test_each_phase_of_a_job_is_told(tmp_path: Path) -> None:
    write(tmp_path, TWO_JOBS, processors=2, end_s=200.0, reason="no work")

    first, _ = told(tmp_path)["jobs"]

    assert first["phases_s"] == {"match": 0.2, "stage in": 2.0, "run": 100.0, "stage out": 2.0, "report": 1.0}
    assert (first["from_s"], first["run_s"], first["to_s"]) == (1.0, 3.0, 103.0)


def test_causes_name_who_has_to_act_and_what_was_lost(tmp_path: Path) -> None:
    write(tmp_path, TWO_JOBS, processors=2, end_s=200.0, reason="no work")

    assert told(tmp_path)["causes"] == [
        {
            "status": "Failed",
            "minor_status": "Application Finished With Errors",
            "blame": "user",
            "jobs": [8],
            "core_s": 11.0,
            "example": "Exit code 2",
        }
    ]


def test_an_agent_that_was_killed_leaves_its_jobs_in_hand_and_their_time_unknown(tmp_path: Path) -> None:
    write(tmp_path, [DEAD], processors=1, end_s=60.0, reason=None)

    found = told(tmp_path)

    assert (found["slot"]["state"], found["slot"]["seconds"], found["outcomes"]["in hand"]) == ("lost", 60.0, 1)
    assert (found["core_time_s"]["unknown"], found["core_time_s"]["idle"]) == (48.0, 10.0)
    assert found["jobs"][0]["phases_s"] == {"match": 0.2, "stage in": 2.0}


def test_a_job_whose_inputs_did_not_come_has_no_run(tmp_path: Path) -> None:
    lost = Outcome(JobStatus.RESCHEDULED, "Failed Downloading InputSandbox", "no answer", Blame.SERVER)
    course = Course(3, (0,), 1.0, None, 5.0, 5.0, 6.0, end=lost, exit_code=None)
    write(tmp_path, [course], processors=1, end_s=10.0, reason="x")

    found = told(tmp_path)

    assert found["jobs"][0]["phases_s"] == {"match": 0.2, "stage in": 4.0, "report": 1.0}
    assert (found["core_time_s"]["staging"], found["outcomes"]["Rescheduled"]) == (4.0, 1)


def test_of_pilots_one_after_another_in_a_directory_the_last_one_is_told(tmp_path: Path) -> None:
    write(tmp_path, TWO_JOBS, processors=2, end_s=200.0, reason="no work")
    with closing(sqlite3.connect(tmp_path / LEDGER)) as db, db:
        body = json.dumps({"pilot_started_s": START_S + 5000, "processor_ids": [0], "site": "LAB"})
        row = (START_S + 5001, START_S + 5011, "no work", body)
        db.execute("INSERT INTO life (started_s, seen_s, reason, body) VALUES (?, ?, ?, ?)", row)

    found = told(tmp_path)

    assert (found["slot"]["seconds"], found["jobs"], found["core_time_s"]["idle"]) == (10.0, [], 10.0)


def test_a_ledger_of_the_version_before_is_told_as_far_as_it_goes(tmp_path: Path) -> None:
    write(tmp_path, TWO_JOBS, processors=2, end_s=200.0, reason="no work")
    with closing(sqlite3.connect(tmp_path / LEDGER)) as db, db:
        bodies = [json.loads(body) for (body,) in db.execute("SELECT body FROM job")]
        db.executescript("DROP TABLE past; DROP TABLE life; ALTER TABLE job DROP COLUMN moments")
        for body in bodies:
            body["started_at"] = "2026-01-02T03:04:05+00:00"
            del body["matched"]["match_s"]
            db.execute("UPDATE job SET body = ? WHERE job_id = ?", (json.dumps(body), body["matched"]["job_id"]))

    found = told(tmp_path)

    assert (len(found["jobs"]), found["slot"]["processor_ids"], found["slot"]["seconds"]) == (2, [0, 1], 100.0)


def test_no_ledger_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no ledger; expected the work directory of an agent"):
        slot_report.as_json(tmp_path)


def test_the_command_writes_the_page_into_the_work_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, TWO_JOBS, processors=2, end_s=200.0, reason="no work")

    exit_code = main(["report", "--work-dir", str(tmp_path)])

    assert exit_code == 0
    assert capsys.readouterr().out == (
        f"{tmp_path}/slot.html\n"
        "jobs: 2 (1 Done, 1 Failed); jobs held 53.8 % of 0.11 core hours; CPU efficiency: 52.4 %\n"
    )
    assert (tmp_path / "slot.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_page_that_cannot_be_written_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, TWO_JOBS, processors=2, end_s=200.0, reason="no work")

    exit_code = main(["report", "--work-dir", str(tmp_path), "-O", str(tmp_path / "no" / "page.html")])

    assert exit_code == 2
    assert (
        "page.html: the page cannot be written: No such file or directory; name another: -O" in capsys.readouterr().err
    )


def test_a_page_that_cannot_be_left_costs_a_line_of_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, TWO_JOBS, processors=2, end_s=200.0, reason="no work")

    with caplog.at_level("WARNING", "gridpilot"):
        slot_report.leave(tmp_path, tmp_path / "no", "ref/42")

    assert caplog.messages[0].startswith("slot_report.not_written cause=")


@pytest.mark.parametrize("name", ["slot-a-pilot.html", ".slot-a-pilot.html.new"])
def test_a_link_that_a_neighbour_has_put_at_its_name_is_not_written_through(name: str, tmp_path: Path) -> None:
    write(tmp_path, TWO_JOBS, processors=2, end_s=200.0, reason="no work")
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / name).symlink_to(tmp_path / "victim")

    slot_report.leave(tmp_path, tmp_path / "pages", "a/pilot")

    assert (tmp_path / "victim").read_text() == "mine"
    assert (tmp_path / "pages/slot-a-pilot.html").read_text().startswith("<!DOCTYPE html>")


def test_the_command_tells_programs_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, TWO_JOBS, processors=2, end_s=200.0, reason="no work")
    slot_report.write(tmp_path, tmp_path / "slot.html")

    main(["report", "--work-dir", str(tmp_path), "--json"])

    held = held_by(tmp_path / "slot.html")
    assert held.pop("explains")["7/1"] == explain.of_jobs(tmp_path, 9)["7/1"]  # for a click on its row
    assert json.loads(capsys.readouterr().out) == held


def held_by(page: Path) -> dict[str, Any]:
    """Return the numbers that a page holds."""
    text = page.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="told">(.*?)</script>', text, re.S)
    assert found
    held: dict[str, Any] = json.loads(found[1])
    return held


def test_the_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    write(tmp_path, TWO_JOBS, processors=2, end_s=200.0, reason="no work")
    slot_report.write(tmp_path, tmp_path / "slot.html")

    text = (tmp_path / "slot.html").read_text(encoding="utf-8")

    assert re.findall(r"""(?:src|href)\s*=|url\(|@import|https?://""", text) == []
    assert "default-src 'none'" in text


HOSTILE = "</script><img src=x onerror=alert(1)>\"'&<!-- \u2028"


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    end = Outcome(JobStatus.FAILED, HOSTILE, f"{HOSTILE} password=Tr0ub4dor", Blame.USER)
    write(tmp_path, [replace(TWO_JOBS[0], end=end, owner=HOSTILE)], processors=2, end_s=200.0, reason=HOSTILE)
    slot_report.write(tmp_path, tmp_path / "slot.html")

    text = (tmp_path / "slot.html").read_text(encoding="utf-8")

    assert text.count("</script>") == 2
    assert "<img" not in text
    assert "Tr0ub4dor" not in text
    held = held_by(tmp_path / "slot.html")
    assert list(held.pop("explains")) == ["7/1"]
    assert held == told(tmp_path)


# ---- sums ----


@pytest.fixture(scope="module", params=[(10, 8), (2000, 16)], ids=["10 jobs", "2000 jobs"])
def slot(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slot's work directory with its page."""
    jobs, processors = request.param
    folder = tmp_path_factory.mktemp("slot")
    courses = busy(jobs, processors)
    write(folder, courses, processors=processors, end_s=_end_s(courses) + 60, reason="no work")
    slot_report.write(folder, folder / "slot.html")
    return folder


def _end_s(courses: Sequence[Course]) -> float:
    return max(course.end_s or 0.0 for course in courses)


def test_the_sums_are_those_of_the_ledger(slot: Path) -> None:
    found, jobs = told(slot), list(_from_ledger(slot))

    core_time = found["core_time_s"]
    assert core_time["total"] == pytest.approx(sum(core_time[name] for name in core_time if name != "total"), abs=0.01)
    held_s = core_time["total"] - core_time["idle"]
    assert held_s == pytest.approx(sum(job["held_s"] for job in jobs), abs=0.01 * len(jobs))
    assert core_time["cpu"] == pytest.approx(sum(job["cpu_s"] for job in jobs), rel=1e-3)
    ended = {name: count for name, count in found["outcomes"].items() if count}
    assert ended == dict(Counter(job["status"] for job in jobs))
    assert sum(len(cause["jobs"]) for cause in found["causes"]) == sum(job["status"] != "Done" for job in jobs)


def _from_ledger(folder: Path) -> list[dict[str, Any]]:
    """Read the ledger by hand."""
    with closing(sqlite3.connect(folder / LEDGER)) as db:
        rows = db.execute("SELECT body, moments FROM past UNION ALL SELECT body, moments FROM job").fetchall()
    jobs = []
    for text, moments in rows:
        body, began = (
            json.loads(text),
            {key: float(at) for key, _, at in (each.partition("=") for each in moments.split())},
        )
        freed_s = began.get("delivering", began.get("reporting", 0.0))
        held_s = (freed_s - began["staging"]) * len(body["grant"]["processor_ids"])
        jobs.append({"status": body["end"]["status"], "held_s": held_s, "cpu_s": body["cpu_s"]})
    return jobs
