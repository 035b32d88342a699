"""What the ledger answers: of reports, of jobs that were taken away, of requests, of agents before, of the disk."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pytest

from agents import last_word
from agents.errors import ConfigurationError, NodeUnfit
from agents.jobs import ledger as ledger_module
from agents.jobs.job import Job, Phase
from agents.jobs.ledger import Ledger, Report, ReportKind
from agents.jobs.ledger_stories import no_ledger, stories
from tests.unit.test_agent_ledger import job, report, words
from tests.waiting import until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    made = Ledger(path, now=iter(range(100, 1000)).__next__)
    yield made
    made.close()


def account(job_id: int) -> Report:
    return Report(job_id, ReportKind.ACCOUNT, "2026-01-02 03:04:05.000006", {"Status": "account"})


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def test_the_words_for_kinds_of_reports_stay_as_older_ledgers_have_them() -> None:
    assert [kind.value for kind in ReportKind] == ["status", "parameters", "reschedule", "account"]


# ---- reports ----


def test_a_report_is_read_back_whole(ledger: Ledger) -> None:
    said = Report(7, ReportKind.PARAMETERS, "2026-01-02 03:04:05.000006", {"CPU": "1", "é": "2"})
    ledger.save(job(7), [report(7), said])

    first, second = ledger.unsent()

    assert second == replace(said, number=2)
    assert first.number == 1


def test_accounts_wait_apart_from_what_the_wms_has_to_hear(ledger: Ledger) -> None:
    ledger.save(job(1), [account(1), report(1, "a")])
    ledger.save(job(2), [account(2), account(2)])

    assert words(ledger) == ["a"]
    assert [one.job_id for one in ledger.unsent_accounts(2)] == [1, 2]
    assert ledger.count_unsent() == 4
    assert (ledger.has_unsent(1), ledger.has_unsent(2)) == (True, False)


def test_so_many_reports_are_read_at_a_time(ledger: Ledger) -> None:
    ledger.save(job(1), [report(1, str(number)) for number in range(501)])

    assert words(ledger) == [str(number) for number in range(500)]
    assert [one.body["Status"] for one in ledger.unsent(2)] == ["0", "1"]


def test_what_was_sent_counts_no_more(ledger: Ledger) -> None:
    ledger.save(job(1), [report(1), account(1)])

    ledger.sent([*ledger.unsent(), *ledger.unsent_accounts(5)])

    assert (ledger.count_unsent(), ledger.unsent(), ledger.unsent_accounts(5)) == (0, [], [])


def test_a_moment_that_another_version_wrote_differently_is_none(path: Path, ledger: Ledger) -> None:
    ledger.save(job(1), [replace(report(1), moment="yesterday")])

    assert ledger.last_moment() is None


# ---- a job that was taken away ----


def test_of_a_disowned_job_nothing_is_said_any_more_but_its_account(ledger: Ledger) -> None:
    ledger.save(job(1), [report(1, "a"), account(1)])
    ledger.save(job(2), [report(2, "b")])

    ledger.disown(1)
    ledger.save(job(1), [report(1, "c")])
    ledger.save(job(2), [report(2, "d")])

    assert words(ledger) == ["b", "d"]
    assert [one.job_id for one in ledger.unsent_accounts(5)] == [1]
    assert [one.job_id for one in ledger.open_jobs()] == [1, 2]


def test_a_disowned_job_is_ours_again_from_its_next_attempt_on(ledger: Ledger) -> None:
    ledger.save(job(1), [report(1, "a")])
    ledger.disown(1)

    attempts = ledger.attempts(1)
    ledger.save(job(1, attempt=2), [report(1, "b")])

    assert (attempts, words(ledger)) == (1, ["b"])


# ---- jobs ----


def test_an_attempt_is_known_also_after_it_was_put_away(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "_KEPT_JOBS", 1)
    for job_id in (1, 2, 3):
        ledger.save(job(job_id).entering(Phase.CLOSED))

    assert [ledger.has(job_id, 1) for job_id in (1, 2, 3, 4)] == [True, True, True, False]
    assert not ledger.has(1, 2)
    assert [ledger.has_ended(job_id) for job_id in (1, 3, 4)] == [True, True, False]


def test_an_open_job_puts_no_other_away(path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "_KEPT_JOBS", 1)
    ledger.save(job(1).entering(Phase.CLOSED))
    ledger.save(job(2))

    assert rows(path, "SELECT job_id FROM job") == [(1,), (2,)]


def test_a_thousand_closed_jobs_can_be_explained() -> None:
    assert ledger_module._KEPT_JOBS == 1000


@pytest.mark.parametrize("phase", Phase)
def test_an_attempt_has_ended_when_everything_was_said(ledger: Ledger, phase: Phase) -> None:
    ledger.save(replace(job(1), phase=phase))

    assert ledger.has_ended(1) is (phase in (Phase.REPORTING, Phase.CLOSED))


def test_a_closed_job_is_told_of_and_no_other(ledger: Ledger) -> None:
    told: list[Job] = []
    ledger.notify(told.append)

    ledger.save(job(1))
    ledger.save(job(2).entering(Phase.CLOSED))

    assert [one.job_id for one in told] == [2]


def test_the_moments_of_an_unknown_attempt_are_none(ledger: Ledger) -> None:
    ledger.save(job(1))

    assert (ledger.moments(job(1)), ledger.moments(job(1, attempt=2))) == ("matched=100.000 ", "")


def test_stories_tell_what_was_said_and_what_was_not_accepted(path: Path, ledger: Ledger) -> None:
    ledger.save(job(1), [report(1, "a"), report(1, "b"), replace(report(1, "c"), kind=ReportKind.PARAMETERS)])
    ledger.save(job(2), [report(2, "d")])
    ledger.sent(ledger.unsent(1))

    first, second = stories(path)
    (only,) = stories(path, 2)

    assert (first.job, first.unsent) == (job(1), 2)
    assert [(one.number, one.kind, one.moment, one.body["Status"]) for one in first.reports] == [
        (1, ReportKind.STATUS, report(1).moment, "a"),
        (2, ReportKind.STATUS, report(1).moment, "b"),
        (3, ReportKind.PARAMETERS, report(1).moment, "c"),
    ]
    assert second == only
    assert (only.job.job_id, only.unsent, stories(path, 3)) == (2, 1, [])


def test_where_there_is_no_ledger_that_is_said(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no ledger; expected the work directory of an agent"):
        stories(path)
    path.write_bytes(b"not a ledger" * 1000)
    with pytest.raises(ConfigurationError, match="the ledger cannot be read: "):
        stories(path)


def test_an_agent_that_ended_before_it_had_a_ledger_left_its_last_word(path: Path) -> None:
    last_word.leave(path.parent, "it was too late", 6)

    assert "; the agent ended: it was too late" in str(no_ledger(path))


# ---- requests, facts, lives ----


def test_a_request_is_open_until_it_is_known_what_came_of_it(path: Path, ledger: Ledger) -> None:
    numbers = [ledger.begin_request(reference, {"CPUTime": 5, "At": Path("x")}) for reference in ("p", "q", "p")]
    ledger.end_requests(numbers[1:2])

    reopened = Ledger(path)

    assert numbers == [1, 2, 3]
    assert reopened.open_requests() == {1: "p", 3: "p"}
    assert json.loads(str(rows(path, "SELECT offer FROM request")[0][0])) == {"CPUTime": 5, "At": "x"}
    reopened.close()


def test_pilots_are_known_the_latest_first_and_each_once(path: Path, ledger: Ledger) -> None:
    lives = [ledger.begin_life({"pilot": pilot, "n": 1}) for pilot in ("a", "b", "a", "")]
    ledger.still_alive(2)
    ledger.still_alive(3, "told to end")

    assert ledger.pilots() == ["a", "b"]
    assert lives == [1, 2, 3, 4]
    assert rows(path, "SELECT number, started_s, seen_s, reason FROM life") == [
        (1, 100.0, 100.0, None),
        (2, 101.0, 104.0, None),
        (3, 102.0, 105.0, "told to end"),
        (4, 103.0, 103.0, None),
    ]


# ---- the disk ----


class Syncs:
    """What the disk was told to keep, and whether it can."""

    def __init__(self) -> None:
        self.paths: list[Path] = []
        self.error: OSError | None = None

    def __call__(self, path: Path) -> None:
        self.paths.append(path)
        if self.error:
            raise self.error


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> Syncs:
    made = Syncs()
    monkeypatch.setattr(ledger_module, "sync", made)
    return made


def test_what_was_written_is_brought_to_the_disk_once(path: Path, ledger: Ledger, syncs: Syncs) -> None:
    ledger.make_last()
    at_first = len(syncs.paths)
    ledger.save(job(1))
    ledger.make_last()
    ledger.make_last()
    after_one = len(syncs.paths)
    ledger.save(job(2))
    ledger.save(job(3))
    ledger.make_last()

    assert (at_first, after_one, syncs.paths) == (0, 1, [path, path])


def test_what_was_begun_early_is_not_brought_there_again(path: Path, ledger: Ledger, syncs: Syncs) -> None:
    ledger.begin_to_last()
    ledger.save(job(1))
    ledger.begin_to_last()
    ledger.begin_to_last()
    ledger.make_last()
    ledger.make_last()

    assert syncs.paths == [path]


def test_what_was_written_after_an_early_sync_is_brought_there_too(path: Path, ledger: Ledger, syncs: Syncs) -> None:
    ledger.save(job(1))
    ledger.begin_to_last()
    ledger.save(job(2))
    ledger.make_last()
    ledger.make_last()

    assert syncs.paths == [path, path]


def test_error_of_an_early_sync_is_met_by_who_waits_next(ledger: Ledger, syncs: Syncs) -> None:
    syncs.error = OSError(5, "Input/output error")
    ledger.save(job(1))
    ledger.begin_to_last()
    until(lambda: bool(syncs.paths))
    syncs.error = None  # the kernel tells of such an error once
    ledger.save(job(2))
    ledger.begin_to_last()
    ledger.make_last()
    ledger.begin_to_last()

    assert (ledger.lasts, len(syncs.paths)) == (False, 1)
    assert [one.job_id for one in ledger.open_jobs()] == [1, 2]


def test_where_no_thread_can_be_had_who_waits_does_it(
    path: Path, ledger: Ledger, syncs: Syncs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Thread, "start", refused)
    ledger.save(job(1))
    ledger.begin_to_last()
    ledger.make_last()

    assert syncs.paths == [path]


def test_on_a_disk_that_cannot_keep_it_goes_on_in_memory(ledger: Ledger, syncs: Syncs) -> None:
    ledger.save(job(1), [report(1, "a")])
    could = (ledger.lasts, ledger.has_space())
    syncs.error = OSError(5, "Input/output error")

    ledger.make_last()
    ledger.save(job(2))
    ledger.make_last()

    assert (could, ledger.lasts, ledger.has_space()) == ((True, True), False, False)
    assert ([one.job_id for one in ledger.open_jobs()], words(ledger)) == ([1, 2], ["a"])
    assert len(syncs.paths) == 1


def test_a_ledger_that_was_closed_is_one_sentence(ledger: Ledger) -> None:
    ledger.close()

    with pytest.raises(NodeUnfit, match="the ledger cannot be read or written"):
        ledger.open_jobs()
    with pytest.raises(NodeUnfit, match="the ledger cannot be read or written"):
        ledger.save(job(1))


def test_the_last_moment_is_read_as_utc(ledger: Ledger) -> None:
    ledger.save(job(1), [report(1)])

    assert ledger.last_moment() == datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
