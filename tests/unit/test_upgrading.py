"""What the versions before have written is read on, or refused in a sentence: docs/upgrading.md."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agents.jobs.job import JobStatus, Phase
from agents.jobs.ledger import Ledger
from agents.observability import explain, history
from agents.site_director.ledger import NAME, PilotLedger
from agents.site_director.pilots import State

WRITTEN = Path(__file__).parents[1] / "captures" / "ledgers"


def laid(captured: str, into: Path) -> Path:
    with closing(sqlite3.connect(into)) as db, db:
        db.executescript((WRITTEN / captured).read_text(encoding="utf-8"))
    return into


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return laid("agent-2026-11-22.sql", tmp_path / "ledger.sqlite")


def test_jobs_and_reports_of_the_first_version_go_on(ledger: Path) -> None:
    with closing(Ledger(ledger)) as opened:
        running, reporting = opened.open_jobs()
        unsent = opened.unsent()

        assert (running.job_id, running.phase, running.grant and running.grant.processor_ids) == (
            11,
            Phase.RUNNING,
            (0, 1),
        )
        assert (reporting.job_id, reporting.end and reporting.end.status) == (12, JobStatus.FAILED)
        assert [report.body["Status"] for report in unsent] == ["Running", "Failed"]
        opened.sent(unsent)
        opened.save(running.entering(Phase.CLOSED))

        assert (opened.unsent(), opened.attempts(13)) == ([], 1)
    assert list(ledger.parent.glob("*.unreadable-*")) == []


def test_what_was_is_told_of_the_first_version_too(ledger: Path) -> None:
    Ledger(ledger).close()

    assert explain.status(ledger.parent, as_json=False).splitlines()[0].endswith("holding 2 processors; 1 closed")
    told = " ".join(explain.explain(ledger.parent, 12, as_json=False).split())
    assert "Exit code 3; user has to act" in told
    assert [one.job.job_id for one in history.read(ledger.parent).jobs] == [11, 12, 13]


def test_a_job_of_a_version_to_come_is_left_out_and_the_others_go_on(ledger: Path) -> None:
    with closing(sqlite3.connect(ledger)) as db, db:
        db.execute("UPDATE job SET body = json_set(body, '$.of_a_version_to_come', 1) WHERE job_id = 11")

    with closing(Ledger(ledger)) as opened:
        assert [job.job_id for job in opened.open_jobs()] == [12]


def test_a_file_that_is_no_ledger_is_put_aside_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"not a ledger" * 1000)

    with closing(Ledger(path)) as opened:
        assert opened.open_jobs() == []

    (aside,) = tmp_path.glob("*.unreadable-*")
    assert aside.read_bytes().startswith(b"not a ledger")


def test_pilots_of_the_first_site_director_go_on(tmp_path: Path) -> None:
    with closing(PilotLedger(laid("site-director-2026-11-30.sql", tmp_path / NAME))) as opened:
        assert [(pilot.stamp[0], pilot.state) for pilot in opened.open()] == [
            ("a", State.RUNNING),
            ("b", State.SUBMITTING),
        ]
        assert ([pilot.jobs for pilot in opened.ended(9)], len(opened.unsent())) == ([3], 1)
        assert opened.holds() == {"ce.example.org/short": "by hand"}
