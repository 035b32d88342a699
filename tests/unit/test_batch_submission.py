""" "Surely nothing was submitted" is never said after something was, in any order of answers, with any failure."""

import itertools
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest

from ce_backends.arc.delegation import Delegation
from ce_backends.arc.rest import Answer
from ce_backends.arc.system import Arc
from ce_backends.base import Accepted, Rejected, Submission, TaskSpec, Uncertain
from ce_backends.batch.ce import BatchCE, Bounds
from ce_backends.batch.options import Needs
from ce_backends.batch.spool import Spool
from ce_backends.batch.system import BatchJob
from ce_backends.batch.task_book import TaskBook
from ce_backends.batch.transport import Done, Local
from ce_backends.errors import CEBroken, CEError, CEUnavailable
from ce_backends.pool.ce import Pool
from ce_backends.task.log_limit import Cap
from tests.unit.answering import Answering
from tests.unit.test_arc import STAMPS, CapturedRest, job
from tests.unit.test_batch_ce import NEVER_S, FakeSystem, task

Said = Submission | CEError


class Nowhere(Answering):
    """A host on which all goes well and nothing is done."""

    def __init__(self) -> None:
        super().__init__({"/bin/sh": Done(0, "/area\n", "")})

    def put(self, source: Path, target: str, *, timeout_s: float) -> None:
        """Taken."""


class Told(FakeSystem):
    """A batch system whose submit command answers as told, one answer after the other; arrays of two."""

    array_limit = 2

    def __init__(self, answers: Sequence[Said]) -> None:
        super().__init__()
        self.answers = list(answers)
        self.taken: list[str] = []

    def submit(self, job: BatchJob) -> Submission:
        said = self.answers.pop(0)
        if isinstance(said, CEError):
            raise said
        if not isinstance(said, Rejected):
            self.taken.append(job.name)
        return said

    def element(self, job_id: str, number: int, size: int) -> str:
        return f"{job_id}_{number}"


@pytest.fixture
def make(tmp_path: Path) -> Callable[[Sequence[Said]], tuple[BatchCE, Told]]:
    def made(answers: Sequence[Said]) -> tuple[BatchCE, Told]:
        system = Told(answers)
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        spool = Spool(Nowhere(), str(folder / "area"), folder / "moving", cap=Cap(1_000_000))
        ce = BatchCE("Fake", system, Local(), spool, TaskBook(folder / "book.sqlite"), Bounds(interval_s=NEVER_S))
        return ce, system

    return made


KINDS: Sequence[Callable[[int], Said]] = (
    lambda at: Accepted(str(at)),
    lambda at: Uncertain("no answer"),
    lambda at: Rejected("never"),
    lambda at: CEUnavailable("the controller is down"),
)


@pytest.mark.parametrize("kinds", list(itertools.product(KINDS, repeat=3)))
def test_nothing_was_submitted_is_said_only_if_nothing_was(
    kinds: Sequence[Callable[[int], Said]], make: Callable[[Sequence[Said]], tuple[BatchCE, Told]]
) -> None:
    ce, system = make([kind(at) for at, kind in enumerate(kinds)])
    tasks = [replace(task(), processors=1 + at // 2) for at in range(6)]  # three arrays
    try:
        answers = ce.submit(tasks)
    except CEUnavailable:
        answers = {}
    ce.close()

    assert not (system.taken and not answers)
    assert set(answers) in ({task.stamp for task in tasks}, set())
    sure = {stamp for stamp, answer in answers.items() if isinstance(answer, Rejected)}
    assert not sure & set(system.taken)


def test_one_of_an_array_is_at_fault_and_the_third_finds_the_controller_down(
    make: Callable[[Sequence[Said]], tuple[BatchCE, Told]],
) -> None:
    down = CEUnavailable("down")
    ce, _ = make([CEError("takes only some"), Accepted("1"), down])
    tasks = [task(), task()]

    answers = ce.submit(tasks)
    ce.close()

    assert [type(answers[one.stamp]) for one in tasks] == [Accepted, Uncertain]


def test_a_book_that_cannot_be_written_after_a_job_was_taken_leaves_it_uncertain(
    make: Callable[[Sequence[Said]], tuple[BatchCE, Told]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ce, system = make([Accepted("1")])
    real = Told.submit

    def and_then_the_disk_is_full(self: Told, job: BatchJob) -> Submission:
        book = ce._book  # the disk, not the book, is what fails; there is no other way to it from here
        monkeypatch.setattr(book, "_opened", FullDisk(book._opened))
        return real(self, job)

    monkeypatch.setattr(Told, "submit", and_then_the_disk_is_full)
    spec = task()

    answer = ce.submit([spec])[spec.stamp]

    assert system.taken == [spec.stamp]
    assert isinstance(answer, Uncertain)


class FullDisk:
    """A connection to a file on a disk that is full."""

    def __init__(self, real: sqlite3.Connection | None) -> None:
        assert real is not None
        real.close()

    def __enter__(self) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    def __exit__(self, *_: object) -> None:
        """Never entered."""

    def close(self) -> None:
        """It is."""


def test_a_stamp_that_is_handed_over_twice_in_one_call_is_submitted_once(
    make: Callable[[Sequence[Said]], tuple[BatchCE, Told]],
) -> None:
    ce, system = make([Accepted("1")])
    spec = task()

    answers = ce.submit([spec, spec])
    ce.close()

    assert (answers, system.taken) == ({spec.stamp: Accepted("1_1")}, [spec.stamp])


@pytest.mark.parametrize(
    "answer", [Answer(201, b'{"job":[{"status-code":"201","rea'), Answer(200, b""), Answer(302, b"<html>")]
)
def test_arc_whose_answer_is_cut_may_have_taken_the_jobs(answer: Answer, tmp_path: Path) -> None:
    arex = _arex({"POST /jobs?action=new": answer}, tmp_path)

    assert isinstance(arex.submit(job()), Uncertain)


def test_arc_that_takes_half_of_an_array_and_does_not_forget_it_is_uncertain(tmp_path: Path) -> None:
    half = b'{"job":[{"status-code":"201","id":"x1"},{"status-code":"500","reason":"full"}]}'
    arex = _arex({"POST /jobs?action=new": Answer(201, half), "POST /jobs?action=kill": CEError("no answer")}, tmp_path)

    assert isinstance(arex.submit(job(size=2)), Uncertain)


def _arex(answers: dict[str, Answer | CEError | str], area: Path) -> Arc:
    (area / "jobs").mkdir()
    (area / "jobs" / f"{STAMPS[0]}.tasks").write_text("".join(f"{stamp}\n" for stamp in STAMPS))
    return Arc(CapturedRest(answers), area, Needs(), None)


def test_a_pool_that_refuses_the_second_task_for_now_does_not_say_so_of_the_first(tmp_path: Path) -> None:
    class Unsteady(Pool):
        def trouble(self) -> str:
            return "no container can be started" if self.slots().running else ""

    pool = Unsteady(tmp_path, processors=4)
    first, second = TaskSpec(stamp="a" * 32, script="sleep 5\n"), TaskSpec(stamp="b" * 32, script=":\n")

    answers = pool.submit([first, second])
    pool.kill([first.stamp])
    while not pool.poll([first.stamp])[first.stamp].state.is_final:  # else its control group stays
        time.sleep(0.01)
    pool.close()

    assert [type(answers[one.stamp]) for one in (first, second)] == [Accepted, Uncertain]


def test_what_nobody_foresaw_in_the_thread_that_looks_reaches_whoever_polls(
    make: Callable[[Sequence[Said]], tuple[BatchCE, Told]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ce, _ = make([Accepted("1")])
    heard: list[bool] = []
    crash = KeyError("a field that no version ever left out")
    monkeypatch.setattr(Told, "states", lambda *_: (_ for _ in ()).throw(crash))
    spec = task()
    ce.notify(lambda: heard.append(True))
    ce.submit([spec])
    ce._loop.wake()  # the next look is far away
    ce._loop._thread.join(5)

    with pytest.raises(CEBroken, match="no version ever"):
        ce.poll(["1_1"])
    ce.close()

    assert heard


class DelegatingRest(CapturedRest):
    """A CE that knows one delegation, and forgets it when told to."""

    def __init__(self) -> None:
        super().__init__({})
        self.known = "d1"

    def call(self, method: str, path: str, *, body: bytes | IO[bytes] = b"", kind: str = "application/json") -> Answer:
        self.requests.append(f"{method} {path}")
        if "action=new" in path:
            return Answer(201, b"request", f"https://ce/delegations/{self.known}")
        if path.partition("?")[0] != f"/delegations/{self.known}":
            return Answer(404, b"No delegation found")
        return Answer(200, b"request")


@pytest.fixture
def delegation(monkeypatch: pytest.MonkeyPatch) -> tuple[Delegation, DelegatingRest]:
    monkeypatch.setattr("ce_backends.arc.delegation.sign", lambda request, proxy, *, days: b"chain")
    monkeypatch.setattr("ce_backends.arc.delegation.end_of", lambda proxy: time.time() + 5000)
    rest = DelegatingRest()
    return Delegation(rest, Path("/proxy"), renew_before_s=60), rest


def test_a_delegation_that_the_ce_has_lost_is_made_anew(delegation: tuple[Delegation, DelegatingRest]) -> None:
    ours, rest = delegation
    first = ours.current()
    rest.known, ours._ends_at = "d2", 1.0  # lost, and to be renewed

    assert (first, ours.current()) == ("d1", "d2")
    assert rest.requests[-2:] == ["POST /delegations?action=new", "PUT /delegations/d2"]


def test_a_job_that_is_refused_for_its_delegation_waits_for_a_new_one(
    delegation: tuple[Delegation, DelegatingRest], tmp_path: Path
) -> None:
    ours, rest = delegation
    refused = b'{"job":{"status-code":"500","reason":"Failed to find delegation d1"}}'
    arex = _arex({"POST /jobs?action=new": Answer(201, refused)}, tmp_path)
    arex._delegation = ours

    with pytest.raises(CEUnavailable, match="delegation d1"):
        arex.submit(job())
    rest.known = "d2"

    assert ours.current() == "d2"
