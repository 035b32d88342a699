"""The agent's memory: order, one transaction, damage, and a kill at any instant."""

import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agents.errors import Blame, NodeUnfit
from agents.jobs.energy import Energy
from agents.jobs.job import Grant, Job, JobStatus, MatchedJob, Minor, Outcome, Phase
from agents.jobs.ledger import Ledger, Report, ReportKind
from agents.jobs.ledger_stories import stories
from tests.waiting import PATIENCE_S

REPOSITORY = Path(__file__).parents[2]
FULL = Job(
    matched=MatchedJob(job_id=7, jdl="[ é ]", owner="o", group="g", extra={"InputData": ["a"]}),
    stamp="a" * 32,
    attempt=2,
    phase=Phase.RUNNING,
    status=JobStatus.RUNNING,
    minor_status=Minor.APPLICATION,
    grant=Grant(processor_ids=(0, 3), memory_mb=10, whole_node=True),
    task_id="t",
    exit_code=1,
    started_at=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    wall_s=1.5,
    energy=Energy(3.5, "RAPL", is_measured=True, co2_g=0.1),
    end=Outcome(JobStatus.FAILED, "m", "a", Blame.USER),
)


def job(job_id: int, attempt: int = 1) -> Job:
    return Job(matched=MatchedJob(job_id=job_id, jdl="", owner="", group=""), stamp="s", attempt=attempt)


def report(job_id: int, word: str = "x") -> Report:
    return Report(job_id, ReportKind.STATUS, "2026-01-02 03:04:05.000006", {"Status": word})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    made = Ledger(path)
    yield made
    made.close()


def words(ledger: Ledger) -> list[str]:
    return [one.body["Status"] for one in ledger.unsent()]


def ids_after_opening(path: Path) -> list[int]:
    opened = Ledger(path)
    try:
        return [one.job_id for one in opened.open_jobs()]
    finally:
        opened.close()


@pytest.mark.parametrize("one", [FULL, job(7), replace(FULL, end=Outcome(JobStatus.DONE, "m"), grant=None)])
def test_a_job_is_read_back_by_the_next_agent_as_it_was(path: Path, ledger: Ledger, one: Job) -> None:
    ledger.save(one)
    ledger.close()

    reopened = Ledger(path)

    assert reopened.open_jobs() == [one]
    reopened.close()


def test_jobs_come_back_in_the_order_in_which_they_came(ledger: Ledger) -> None:
    for job_id in (9, 3, 5):
        ledger.save(job(job_id))
    ledger.save(job(9).entering(Phase.RUNNING))

    assert [one.job_id for one in ledger.open_jobs()] == [9, 3, 5]


def test_a_closed_job_is_not_open_and_still_counts_as_an_attempt(ledger: Ledger) -> None:
    ledger.save(job(7, attempt=1).entering(Phase.CLOSED))
    ledger.save(job(7, attempt=2))

    assert [one.attempt for one in ledger.open_jobs()] == [2]
    assert (ledger.attempts(7), ledger.attempts(8)) == (2, 0)


def test_reports_keep_their_order_across_jobs_and_openings(path: Path, ledger: Ledger) -> None:
    ledger.save(job(1), [report(1, "a"), report(1, "b")])
    ledger.save(job(2), [report(2, "c")])
    ledger.close()

    reopened = Ledger(path)
    reopened.save(job(1), [report(1, "d")])

    assert words(reopened) == ["a", "b", "c", "d"]
    reopened.close()


def test_a_report_that_was_sent_is_forgotten_and_the_others_stay(ledger: Ledger) -> None:
    ledger.save(job(1), [report(1, "a"), report(1, "b"), report(1, "c")])

    ledger.sent(ledger.unsent(2))

    assert words(ledger) == ["c"]
    assert (ledger.has_unsent(1), ledger.has_unsent(2)) == (True, False)


def test_the_last_moment_is_that_of_the_latest_report_also_when_it_was_sent(ledger: Ledger) -> None:
    before = ledger.last_moment()
    later = replace(report(1), moment="2026-01-02 03:04:06.000000")
    ledger.save(job(1), [later, report(1)])
    ledger.sent(ledger.unsent())

    assert (before, ledger.last_moment()) == (None, datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC))


def test_a_number_of_a_report_is_never_used_again(ledger: Ledger) -> None:
    ledger.save(job(1), [report(1, "a")])
    first = ledger.unsent()
    ledger.sent(first)
    ledger.save(job(1), [report(1, "b")])

    ledger.sent(first)

    assert words(ledger) == ["b"]


def test_a_job_is_not_written_without_its_reports(ledger: Ledger) -> None:
    broken = Report(1, ReportKind.STATUS, None, {})  # type: ignore[arg-type] # the column does not take it

    with pytest.raises(NodeUnfit):
        ledger.save(job(1), [report(1), broken])

    assert (ledger.open_jobs(), ledger.unsent()) == ([], [])


def test_a_fact_stays_as_it_was_first_written(path: Path, ledger: Ledger) -> None:
    ledger.fact("first_start", "1")
    ledger.close()

    reopened = Ledger(path)

    assert reopened.fact("first_start", "2") == "1"
    reopened.close()


@pytest.mark.parametrize("content", [b"", b"not a database at all, but long enough " * 100, b"SQLite format 3\0" * 300])
def test_a_file_that_is_no_ledger_does_not_stop_the_agent(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    assert ids_after_opening(path) == []


def test_a_file_that_is_no_ledger_is_kept_aside(path: Path) -> None:
    path.write_bytes(b"precious" * 1000)

    ids_after_opening(path)

    aside = [other for other in path.parent.iterdir() if ".unreadable-" in other.name]
    assert [other.read_bytes() for other in aside] == [b"precious" * 1000]


def test_a_directory_in_its_place_is_put_aside(path: Path) -> None:
    path.mkdir()

    assert ids_after_opening(path) == []


@pytest.mark.parametrize("kept_bytes", [100, 4096, 10000])
def test_a_truncated_ledger_is_put_aside(path: Path, ledger: Ledger, kept_bytes: int) -> None:
    for job_id in range(1, 40):
        ledger.save(job(job_id), [report(job_id, "x" * 500)])
    ledger.close()
    path.write_bytes(path.read_bytes()[:kept_bytes])

    assert ids_after_opening(path) == []


def test_a_damaged_page_is_found_when_it_is_opened_and_not_later(path: Path, ledger: Ledger) -> None:
    for job_id in range(1, 40):
        ledger.save(job(job_id), [report(job_id, "x" * 500)])
    ledger.close()
    content = bytearray(path.read_bytes())
    content[8192:12288] = b"\xaa" * 4096
    path.write_bytes(content)

    assert ids_after_opening(path) == []


def test_another_programs_database_is_put_aside(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE job (unlike TEXT)")
    other.commit()
    other.close()

    assert ids_after_opening(path) == []


def test_a_job_that_another_version_wrote_differently_does_not_hide_the_others(path: Path, ledger: Ledger) -> None:
    ledger.save(job(1))
    ledger.save(job(2))
    other = sqlite3.connect(path)
    other.execute("UPDATE job SET body = '{\"matched\": 7}' WHERE job_id = 1")
    other.commit()
    other.close()

    assert [one.job_id for one in ledger.open_jobs()] == [2]


def test_a_ledger_that_another_program_has_locked_is_left_in_place(path: Path, ledger: Ledger) -> None:
    ledger.save(job(1))
    ledger.close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(NodeUnfit, match="the ledger cannot be opened: database is locked"):
        Ledger(path, busy_s=0.05)

    other.close()
    assert ids_after_opening(path) == [1]


def test_a_directory_that_is_missing_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(NodeUnfit, match=r"no/ledger: the ledger cannot be opened: unable to open database file"):
        Ledger(tmp_path / "no" / "ledger")


def test_on_a_disk_that_stays_full_it_goes_on_in_memory_and_leaves_the_file_alone(ledger: Ledger, path: Path) -> None:
    ledger.save(job(1))
    ledger._db.execute("PRAGMA max_page_count = 1")

    ledger.save(job(2), [report(2, "x" * 100_000)])

    assert (ledger.lasts, ledger.has_space()) == (False, False)
    assert [one.job_id for one in ledger.open_jobs()] == [1, 2]
    assert [story.job.job_id for story in stories(path)] == [1]


WRITER = """
import sys
from pathlib import Path
from agents.jobs.job import Job, MatchedJob
from agents.jobs.ledger import Ledger, Report, ReportKind
from agents.jobs.ledger_stories import stories

ledger = Ledger(Path(sys.argv[1]))
for number in range(1, 10**9):
    job = Job(matched=MatchedJob(job_id=number, jdl="x" * 3000, owner="", group=""), stamp="s")
    ledger.save(job, [Report(number, ReportKind.STATUS, "m", {"n": str(i)}) for i in range(5)])
    print(number, flush=True)
"""


def test_a_kill_in_the_middle_of_writing_leaves_each_job_with_all_its_reports_or_none(path: Path) -> None:
    argv = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(argv, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) == 200:
                child.send_signal(signal.SIGKILL)
                break
        told = [line for line in child.stdout if line.endswith("\n")]
        child.wait(PATIENCE_S)
    last_told = int(told[-1]) if told else 200

    ledger = Ledger(path)
    jobs, reports = ledger.open_jobs(), ledger.unsent(10**6)
    ledger.close()

    assert len(jobs) in (last_told, last_told + 1)
    assert [one.job_id for one in reports] == [one.job_id for one in jobs for _ in range(5)]


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def test_what_is_written_makes_no_file_longer_that_a_sync_waits_for(path: Path, ledger: Ledger) -> None:
    size_bytes = log_of(path).stat().st_size

    for number in range(300):
        ledger.save(replace(FULL, wall_s=float(number)))

    assert log_of(path).stat().st_size == size_bytes
    assert log_of(path).stat().st_blocks * 512 >= size_bytes > 1_000_000


def test_a_log_with_room_behind_it_is_read_to_its_end_after_a_power_failure(path: Path, ledger: Ledger) -> None:
    ledger.save(FULL)
    after = path.with_name("after")
    after.mkdir()
    for file in (path, log_of(path)):
        shutil.copy(file, after)
    assert (after / log_of(path).name).read_bytes().endswith(bytes(100_000))

    assert ids_after_opening(after / path.name) == [7]


def test_a_log_that_got_no_room_grows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    ledger = Ledger(path)

    ledger.save(FULL)

    assert ledger.lasts
    assert ledger.open_jobs() == [FULL]
    ledger.close()
