"""What the ledger keeps for the page of the slot: when phases began, jobs closed long ago, the agent's lives."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from agents.jobs import ledger as ledger_module
from agents.jobs import ledger_record as written
from agents.jobs.job import Job, MatchedJob, Phase
from agents.jobs.ledger import Ledger, Report, ReportKind

# The tables as the version before wrote them.
FORMER = """
CREATE TABLE job (
    job_id INTEGER, attempt INTEGER, phase TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (job_id, attempt));
CREATE INDEX job_open ON job (phase) WHERE phase <> 'closed';
CREATE TABLE report (
    number INTEGER PRIMARY KEY AUTOINCREMENT, job_id INTEGER NOT NULL, kind TEXT NOT NULL, moment TEXT NOT NULL,
    body TEXT NOT NULL, is_accepted INTEGER NOT NULL DEFAULT 0);
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Clock:
    """A second passes at each look."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        self.now_s += 1.0
        return self.now_s


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    made = Ledger(path, now=Clock())
    yield made
    made.close()


def job(job_id: int, attempt: int = 1, phase: Phase = Phase.MATCHED) -> Job:
    matched = MatchedJob(job_id=job_id, jdl="[ long ]", owner="o", group="g")
    return Job(matched=matched, stamp="s", attempt=attempt, phase=phase)


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def test_the_moment_at_which_each_phase_began_is_kept_and_only_that(ledger: Ledger) -> None:
    one = job(7)
    for phase in (Phase.MATCHED, Phase.STAGING, Phase.STAGING, Phase.RUNNING):
        ledger.save(one.entering(phase))

    assert ledger.moments(one) == "matched=1001.000 staging=1002.000 running=1004.000 "


def test_each_attempt_has_moments_of_its_own(ledger: Ledger) -> None:
    ledger.save(job(7, 1, Phase.CLOSED))
    ledger.save(job(7, 2))

    assert (ledger.moments(job(7, 2)), ledger.moments(job(8))) == ("matched=1002.000 ", "")


def test_a_ledger_of_the_version_before_is_read_on(path: Path) -> None:
    body = written.to_json(job(7, 1, Phase.RUNNING))
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(FORMER)
        db.execute("INSERT INTO job VALUES (7, 1, 'running', ?)", (body,))
        db.execute("INSERT INTO report (job_id, kind, moment, body) VALUES (7, 'status', 'm', '{}')")

    with closing(Ledger(path, now=Clock())) as opened:
        (found,) = opened.open_jobs()
        opened.save(found.entering(Phase.DELIVERING))

        assert (found, len(opened.unsent())) == (job(7, 1, Phase.RUNNING), 1)
        assert opened.moments(found) == "delivering=1001.000 "


def test_a_job_closed_long_ago_leaves_its_description_and_reports_and_stays_in_short(
    path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "_KEPT_JOBS", 2)
    for number in range(1, 6):
        ledger.save(job(number), [Report(number, ReportKind.STATUS, "m", {})])
        ledger.save(job(number, 1, Phase.CLOSED))

    assert rows(path, "SELECT job_id FROM job") == [(4,), (5,)]
    assert rows(path, "SELECT job_id FROM report") == [(4,), (5,)]
    assert [row[0] for row in rows(path, "SELECT job_id FROM past")] == [1, 2, 3]
    ((body, moments),) = rows(path, "SELECT body, moments FROM past WHERE job_id = 2")
    assert "[ long ]" not in str(body)
    assert str(moments).split() == ["matched=1003.000", "closed=1004.000"]


def test_an_attempt_in_hand_outlives_an_attempt_at_the_same_job_closed_long_ago(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "_KEPT_JOBS", 2)
    ledger.save(job(7, 1, Phase.CLOSED))
    again = replace(job(7, 2), phase=Phase.RUNNING)
    ledger.save(again, [Report(7, ReportKind.STATUS, "m", {})])
    for number in range(10, 14):
        ledger.save(job(number, 1, Phase.CLOSED))

    assert ledger.open_jobs() == [again]
    assert ledger.has_unsent(7)


def test_attempts_at_a_job_are_counted_on_after_it_was_put_away(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "_KEPT_JOBS", 1)
    for number in (7, 8, 9):
        ledger.save(job(number, 1, Phase.CLOSED))

    assert (ledger.attempts(7), ledger.attempts(10)) == (1, 0)


def test_lives_of_agents_are_kept_with_their_slot_and_their_end(path: Path, ledger: Ledger) -> None:
    first = ledger.begin_life({"site": "LAB"})
    ledger.still_alive(first)
    second = ledger.begin_life({"site": "LAB"})
    ledger.still_alive(second, "drained")

    assert rows(path, "SELECT number, started_s, seen_s, reason, body FROM life") == [
        (1, 1001.0, 1002.0, None, '{"site": "LAB"}'),
        (2, 1003.0, 1004.0, "drained", '{"site": "LAB"}'),
    ]
