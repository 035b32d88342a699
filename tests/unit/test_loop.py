"""A long-lived thread: turns, rests, waking, closing, and an error that nobody foresaw."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from ce_backends.errors import CEBroken
from ce_backends.linux.loop import Loop
from tests.waiting import PATIENCE_S, until

NEVER_S = 1000.0


class Turns:
    """A turn that counts, and rests as long as it is told."""

    def __init__(self, *rests: float | None) -> None:
        self._rests = list(rests)
        self.count = 0
        self.taken = threading.Semaphore(0)

    def __call__(self) -> float | None:
        self.count += 1
        self.taken.release()
        return self._rests.pop(0) if self._rests else None


@pytest.fixture
def loops() -> Iterator[Callable[..., Loop]]:
    made: list[Loop] = []

    def make(*arguments: object, **more: object) -> Loop:
        made.append(Loop(*arguments, **more))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for loop in made:
        loop.close(PATIENCE_S)


def odd() -> float | None:
    raise TypeError("what nobody foresaw")


def until_ended(loop: Loop) -> None:
    until(lambda: not loop.is_running)


# ---- turns ----


def test_nothing_happens_before_the_start(loops: Callable[..., Loop]) -> None:
    turns = Turns()
    loop = loops(turns, "looker")

    loop.wake()

    assert (turns.count, loop.is_running) == (0, False)


def test_turns_are_taken_in_a_daemon_thread_of_that_name(loops: Callable[..., Loop]) -> None:
    found: list[threading.Thread] = []
    seen = threading.Event()

    def turn() -> None:
        found.append(threading.current_thread())
        seen.set()

    loops(turn, "looker").start()

    assert seen.wait(PATIENCE_S)
    assert [(thread.name, thread.daemon) for thread in found] == [("looker", True)]


def test_a_turn_follows_when_its_rest_is_over(loops: Callable[..., Loop]) -> None:
    turns = Turns(0.0, 0.001)
    loops(turns, "looker").start()

    assert all(turns.taken.acquire(timeout=PATIENCE_S) for _ in range(3))
    assert not turns.taken.acquire(timeout=0.02)  # the third rests until it is woken


@pytest.mark.parametrize("rest_s", [None, NEVER_S])
def test_waking_ends_a_rest(loops: Callable[..., Loop], rest_s: float | None) -> None:
    turns = Turns(rest_s)
    loop = loops(turns, "looker")
    loop.start()
    assert turns.taken.acquire(timeout=PATIENCE_S)

    loop.wake()

    assert turns.taken.acquire(timeout=PATIENCE_S)


def test_who_wakes_it_during_a_turn_is_heard_by_the_next_one(loops: Callable[..., Loop]) -> None:
    turns: list[int] = []
    second = threading.Event()

    def turn() -> None:
        turns.append(len(turns))
        if len(turns) == 1:
            loop.wake()
        else:
            second.set()

    loop = loops(turn, "looker")
    loop.start()

    assert second.wait(PATIENCE_S)


def test_one_thread_takes_turns_however_often_it_is_started(loops: Callable[..., Loop]) -> None:
    loop = loops(Turns(), "only one")
    starting = [threading.Thread(target=loop.start) for _ in range(8)]
    for thread in starting:
        thread.start()
    for thread in starting:
        thread.join()

    assert [thread.name for thread in threading.enumerate()].count("only one") == 1


# ---- pauses within a turn ----


def test_waking_does_not_cut_a_pause_that_is_waited_out(loops: Callable[..., Loop]) -> None:
    took_s: list[float] = []
    begun, over = threading.Event(), threading.Event()

    def turn() -> None:
        if not took_s:
            began = time.monotonic()
            begun.set()
            assert not loop.wait_out(0.1)
            took_s.append(time.monotonic() - began)
            over.set()
            return
        over.clear()  # a second turn

    loop = loops(turn, "looker")
    loop.start()
    assert begun.wait(PATIENCE_S)
    loop.wake()

    assert over.wait(PATIENCE_S)
    assert took_s[0] >= 0.1
    time.sleep(0.02)
    assert over.is_set()  # the turn that waited has heard it


def test_closing_cuts_a_pause_that_is_waited_out(loops: Callable[..., Loop]) -> None:
    begun = threading.Event()
    is_closing: list[bool] = []

    def turn() -> None:
        begun.set()
        is_closing.append(loop.wait_out(NEVER_S))

    loop = loops(turn, "looker")
    loop.start()
    assert begun.wait(PATIENCE_S)

    assert loop.close(PATIENCE_S)
    assert is_closing == [True]


def test_a_turn_may_rest_in_its_middle(loops: Callable[..., Loop]) -> None:
    begun, woken = threading.Event(), threading.Event()

    def turn() -> None:
        begun.set()
        loop.rest(NEVER_S)
        woken.set()

    loop = loops(turn, "looker")
    loop.start()
    assert begun.wait(PATIENCE_S)
    loop.wake()

    assert woken.wait(PATIENCE_S)


# ---- the end ----


def test_closing_ends_a_rest_and_waits_for_the_thread(loops: Callable[..., Loop]) -> None:
    turns = Turns(None)
    loop = loops(turns, "looker")
    loop.start()
    assert turns.taken.acquire(timeout=PATIENCE_S)

    assert loop.close()
    assert (loop.is_running, loop.is_closing, turns.count) == (False, True, 1)


def test_a_turn_that_hangs_is_not_waited_for_longer_than_said(loops: Callable[..., Loop]) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def turn() -> None:
        begun.set()
        go_on.wait(PATIENCE_S)

    loop = loops(turn, "looker")
    loop.start()
    assert begun.wait(PATIENCE_S)

    assert not loop.close(0.01)
    go_on.set()
    assert loop.close(PATIENCE_S)


def test_what_never_began_can_be_closed_and_does_not_begin_after_that(loops: Callable[..., Loop]) -> None:
    turns = Turns()
    loop = loops(turns, "looker")

    assert loop.close()
    loop.start()

    assert (turns.count, loop.is_running) == (0, False)


def test_a_turn_that_waits_for_something_of_its_own_is_woken_its_own_way(loops: Callable[..., Loop]) -> None:
    bell = threading.Semaphore(0)
    turns = threading.Semaphore(0)

    def turn() -> float:
        turns.release()
        bell.acquire()
        return 0.0

    loop = loops(turn, "looker", waken=bell.release)
    loop.start()
    assert turns.acquire(timeout=PATIENCE_S)
    loop.wake()
    assert turns.acquire(timeout=PATIENCE_S)

    assert loop.close(PATIENCE_S)


def test_who_never_began_is_not_woken_its_own_way(loops: Callable[..., Loop]) -> None:
    woken: list[bool] = []
    loop = loops(Turns(), "looker", waken=lambda: woken.append(True))

    loop.wake()
    loop.close()

    assert woken == []


# ---- what nobody foresaw ----


def test_an_error_that_ends_it_is_raised_for_who_asks_next(loops: Callable[..., Loop]) -> None:
    told: list[bool] = []
    loop = loops(odd, "looker", broken=lambda: told.append(True))
    loop.check()
    loop.start()
    until_ended(loop)

    with pytest.raises(CEBroken, match="the thread looker has ended: TypeError: what nobody foresaw") as raised:
        loop.check()
    assert isinstance(raised.value.__cause__, TypeError)
    assert told == [True]


def test_an_error_of_which_nobody_is_told_goes_where_those_of_all_threads_go(
    loops: Callable[..., Loop], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda happened: seen.append(happened.exc_value))
    loop = loops(odd, "looker")
    loop.start()
    until_ended(loop)

    assert [type(error) for error in seen] == [TypeError]
    with pytest.raises(CEBroken):
        loop.check()


def test_one_that_an_error_has_ended_can_be_closed(loops: Callable[..., Loop]) -> None:
    loop = loops(odd, "looker", broken=lambda: None)
    loop.start()

    assert loop.close(PATIENCE_S)


def test_also_the_end_of_the_interpreter_is_an_end_that_is_seen(loops: Callable[..., Loop]) -> None:
    def leave() -> None:
        raise SystemExit(3)  # of which threading.excepthook would never hear

    loop = loops(leave, "looker", broken=lambda: None)
    loop.start()
    until_ended(loop)

    with pytest.raises(CEBroken, match="SystemExit"):
        loop.check()
