"""Calls to a service: what is repeated, how long, at which URL."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from agents.credentials.identity import Identity
from agents.errors import AccessDenied, BadAnswer, NoAnswer, Refused, ServiceError, ServiceMissing, Unreachable
from agents.wms.service import ByScheme, Clock, Retry, Service
from agents.wms.testing import Call, FakeTransport, ok
from agents.wms.transports import Transports

A, B, C = "https://a/X", "https://b/X", "https://c/X"
Answer = object | ServiceError


@dataclass
class Time:
    """A clock that only sleeping moves."""

    now: float = 0.0
    jitter: float = 1.0
    slept: list[float] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self.meanwhile()

    def clock(self) -> Clock:
        return Clock(monotonic=lambda: self.now, sleep=self.sleep, jitter=lambda: self.jitter)


def service(wire: FakeTransport, time: Time, urls: Sequence[str] = (A,), retry: Retry = Retry()) -> Service:
    return Service("Matcher", urls, wire, retry, time.clock())


def test_the_value_of_an_answer_is_returned() -> None:
    wire = FakeTransport(in_turn=[ok(7)])

    assert service(wire, Time()).call("m", 1, "x") == 7
    assert wire.calls == [Call(A, "m", [1, "x"])]


@pytest.mark.parametrize("error", [Unreachable("x"), NoAnswer("x"), BadAnswer("x")])
def test_a_repeatable_call_is_repeated_after_any_passing_failure(error: ServiceError) -> None:
    wire = FakeTransport(in_turn=[error, ok(7)])

    assert service(wire, Time()).call("m") == 7


def test_a_call_that_must_not_happen_twice_is_repeated_when_it_was_surely_not_received() -> None:
    wire = FakeTransport(in_turn=[Unreachable("x"), ok(7)])

    assert service(wire, Time()).call("requestJob", repeatable=False) == 7


@pytest.mark.parametrize("error", [NoAnswer("x"), BadAnswer("x")])
def test_a_call_that_must_not_happen_twice_is_not_repeated_when_it_may_have_been_received(error: ServiceError) -> None:
    wire = FakeTransport(in_turn=[error, ok(7)])

    with pytest.raises(type(error)):
        service(wire, Time()).call("requestJob", repeatable=False)

    assert len(wire.calls) == 1


@pytest.mark.parametrize("answer", [AccessDenied("x"), {"OK": False, "Message": "no", "Errno": 3}])
def test_a_clear_no_is_not_asked_again(answer: Answer) -> None:
    wire = FakeTransport(in_turn=[answer, ok()])

    with pytest.raises((AccessDenied, Refused)):
        service(wire, Time()).call("m")

    assert len(wire.calls) == 1


def test_the_last_error_is_raised_when_the_attempts_are_used_up() -> None:
    wire = FakeTransport(in_turn=[NoAnswer("first"), NoAnswer("last")])

    with pytest.raises(NoAnswer, match="last"):
        service(wire, Time(), retry=Retry(attempts=2)).call("m")


def test_waits_double_and_are_capped() -> None:
    time = Time()

    with pytest.raises(NoAnswer):
        service(FakeTransport(in_turn=[NoAnswer("x")] * 5), time, retry=Retry(base_s=1.0, cap_s=3.0)).call("m")

    assert time.slept == [1.0, 2.0, 3.0, 3.0]


def test_jitter_spreads_a_wait_over_its_whole_window() -> None:
    time = Time(jitter=0.25)

    service(FakeTransport(in_turn=[NoAnswer("x"), ok()]), time, retry=Retry(base_s=1.0)).call("m")

    assert time.slept == [0.25]


def test_no_attempt_begins_after_the_budget() -> None:
    wire, time = FakeTransport(in_turn=[NoAnswer("x")] * 9), Time()

    with pytest.raises(NoAnswer):
        service(wire, time, retry=Retry(attempts=9, base_s=1.0, cap_s=1.0, budget_s=2.5)).call("m")

    assert len(wire.calls) == 3


def test_a_server_that_asks_for_patience_gets_it() -> None:
    time = Time(jitter=0.0)

    service(FakeTransport(in_turn=[Unreachable("busy", retry_after_s=30.0), ok()]), time).call("m")

    assert time.slept == [30.0]


def test_those_who_were_asked_to_come_back_at_the_same_time_do_not() -> None:
    delays = [Retry(base_s=0.2).delay_s(0, 30.0, lambda chance=chance: chance) for chance in (0.0, 0.5, 1.0)]

    assert delays == [30.0, 37.5, 45.0]


def test_a_server_that_asks_for_more_than_the_budget_ends_the_call_at_once() -> None:
    time = Time()

    with pytest.raises(Unreachable):
        service(FakeTransport(in_turn=[Unreachable("busy", retry_after_s=3600.0)]), time).call("m")

    assert time.slept == []


def test_the_patience_that_one_server_asks_for_does_not_hold_up_another() -> None:
    wire, time = FakeTransport(in_turn=[Unreachable("busy", retry_after_s=3600.0), ok(7)]), Time()

    assert service(wire, time, [A, B], Retry(base_s=0.2)).call("m") == 7
    assert (wire.urls, time.slept) == ([A, B], [0.2])


def test_a_busy_server_is_not_asked_again_before_its_time_when_the_other_fails_too() -> None:
    wire, time = FakeTransport(in_turn=[Unreachable("busy", retry_after_s=30.0), NoAnswer("x"), ok()]), Time(jitter=0.0)

    service(wire, time, [A, B], Retry(base_s=1.0)).call("m")

    assert wire.urls == [A, B, A]
    assert time.now == 30.0


def test_urls_are_tried_in_turn_and_the_one_that_answered_is_asked_first_next_time() -> None:
    wire = FakeTransport(in_turn=[Unreachable("x"), Unreachable("x"), ok(), ok(), Unreachable("x"), ok()])
    asking = service(wire, Time(), [A, B, C])

    for _ in range(3):
        asking.call("m")

    assert wire.urls == [A, B, C, C, C, A]


def test_a_call_keeps_its_order_of_urls_while_another_changes_it() -> None:
    wire, time = FakeTransport(in_turn=[Unreachable("x"), Unreachable("x"), ok("other's"), ok("ours")]), Time()
    asking = service(wire, time, [A, B, C])

    def other() -> None:
        time.meanwhile = lambda: None
        asking.call("m")

    time.meanwhile = other

    assert asking.call("m") == "ours"
    assert wire.urls == [A, B, C, B]


@pytest.mark.parametrize("answer", [None, [], "text", 7, {}, {"Value": 1}, b"bytes"])
def test_an_answer_that_is_neither_ok_nor_error_is_a_bad_answer(answer: object) -> None:
    with pytest.raises(BadAnswer, match=r"Matcher\.m: expected S_OK or S_ERROR, got "):
        service(FakeTransport(in_turn=[answer] * 5), Time()).call("m")


@pytest.mark.parametrize(
    ("answer", "sentence", "errno"),
    [
        ({"OK": False, "Message": "No match found", "Errno": 1510}, "Matcher.m: No match found", 1510),
        ({"OK": False}, "Matcher.m: refused without a message", 0),
        ({"OK": False, "Message": "x", "Errno": "1510"}, "Matcher.m: x", 0),
        ({"OK": 0, "Message": ["a"]}, "Matcher.m: ['a']", 0),
    ],
)
def test_an_s_error_is_refused_with_its_message_and_number(answer: object, sentence: str, errno: int) -> None:
    with pytest.raises(Refused) as caught:
        service(FakeTransport(in_turn=[answer]), Time()).call("m")

    assert (str(caught.value), caught.value.errno) == (sentence, errno)


def test_a_download_is_the_raw_bytes() -> None:
    wire = FakeTransport(in_turn=[b"\x00packed"])

    assert service(wire, Time()).download("streamToClient", "/x") == b"\x00packed"
    assert wire.calls == [Call(A, "streamToClient", ["/x"], is_download=True)]


def test_an_s_error_in_place_of_a_file_is_refused_and_never_taken_for_the_file() -> None:
    with pytest.raises(Refused, match="No such file"):
        service(FakeTransport(in_turn=[{"OK": False, "Message": "No such file"}]), Time()).download(
            "streamToClient", "/x"
        )


def test_an_s_ok_in_place_of_a_file_is_a_bad_answer() -> None:
    with pytest.raises(BadAnswer, match="expected the content of a file, got dict"):
        service(FakeTransport(in_turn=[ok("x")]), Time()).download("streamToClient", "/x")


def test_a_url_without_a_transport_is_unreachable_with_what_is_known() -> None:
    with pytest.raises(Unreachable, match="gopher://h/X: no transport for 'gopher'; known: https"):
        ByScheme({"https": FakeTransport()}).call("gopher://h/X", "m", [])


@given(
    attempt=st.integers(0, 60),
    asked_s=st.none() | st.floats(0, 3600),
    jitter=st.floats(0, 1, exclude_max=True),
)
@examples(max_examples=100, deadline=None, database=None)
def test_a_wait_is_never_shorter_than_asked_nor_longer_than_the_cap_or_half_as_long_again(
    attempt: int, asked_s: float | None, jitter: float
) -> None:
    delay_s = Retry(cap_s=10.0).delay_s(attempt, asked_s, lambda: jitter)

    assert (asked_s or 0.0) <= delay_s <= (asked_s or 0.0) + max(10.0, (asked_s or 0.0) / 2)


def test_a_server_that_failed_is_asked_first_again_after_a_while() -> None:
    wire, time = FakeTransport(in_turn=[Unreachable("x"), ok(1), ok(2), ok(3)]), Time()
    asking = service(wire, time, [A, B])
    asking.call("m")

    asking.call("m")
    time.now += 301.0
    asking.call("m")

    assert wire.urls == [A, B, B, A]


def test_an_answer_that_is_none_of_a_dirac_service_is_asked_for_again() -> None:
    assert service(FakeTransport(in_turn=[["OK", True], {"no": "OK"}, ok(7)]), Time()).call("m") == 7


def test_a_ban_ends_after_five_minutes_or_with_the_first_good_answer() -> None:
    wire, time = FakeTransport(in_turn=[Unreachable("x"), ok(), ok(), Unreachable("x"), ok(), ok()]), Time(jitter=0.0)
    asking = service(wire, time, (A, B))

    asking.call("m")
    time.now = 299.0
    asking.call("m")
    asked_while_banned = wire.urls[-1]
    time.now = 301.0
    asking.call("m")
    asking.call("m")

    assert asked_while_banned == B
    assert wire.urls == [A, B, B, A, B, B]


def test_a_server_that_answers_again_is_banned_no_more() -> None:
    wire, time = (
        FakeTransport(in_turn=[Unreachable("x"), Unreachable("x"), ok(), Unreachable("x"), ok(), ok()]),
        Time(jitter=0.0),
    )
    asking = service(wire, time, (A, B))

    asking.call("m")  # A and B fail, A answers at its second time
    asking.call("m")

    assert wire.urls == [A, B, A, A, B]


def test_the_usual_patience_of_a_call() -> None:
    assert (Retry().attempts, Retry().base_s, Retry().cap_s, Retry().budget_s) == (5, 0.2, 10.0, 60.0)


@pytest.mark.parametrize(
    ("answer", "sentence", "errno"),
    [
        ({"OK": False}, "Matcher.m: refused without a message", 0),
        ({"OK": False, "Message": "", "Errno": "x"}, "Matcher.m: refused without a message", 0),
        ({"OK": False, "Message": "m" * 501, "Errno": 7}, f"Matcher.m: {'m' * 500}", 7),
    ],
)
def test_a_refusal_is_passed_on_up_to_500_characters(answer: object, sentence: str, errno: int) -> None:
    with pytest.raises(Refused) as refused:
        service(FakeTransport(in_turn=[answer]), Time()).call("m")

    assert (str(refused.value), refused.value.errno) == (sentence, errno)


def test_what_is_no_answer_is_shown_in_short() -> None:
    with pytest.raises(BadAnswer) as bad:
        service(FakeTransport(in_turn=["x" * 100] * 5), Time()).call("m")

    assert str(bad.value) == f"Matcher.m: expected S_OK or S_ERROR, got {'x' * 80!r}"


def test_a_service_is_where_it_is_published_first() -> None:
    assert service(FakeTransport(), Time(), ("https://h:1/WMS/Tornado", B)).url == "https://h:1/WMS/Tornado"


def test_urls_that_are_published_no_more_are_unreachable() -> None:
    def published() -> Sequence[str]:
        raise ServiceMissing("no Matcher")

    asking = Service("Matcher", published, FakeTransport(), Retry(), Time().clock())

    with pytest.raises(Unreachable, match="no Matcher"):
        asking.call("m")


def test_transports_are_closed_together() -> None:
    https, dips = FakeTransport(), FakeTransport()
    of_the_pilot = ByScheme({"https": https, "dips": dips})
    of_an_owner = FakeTransport()
    transports = Transports(Identity(certificate=Path("pilot.pem"), ca=Path("ca")), vo="lab", setup="None")
    transports._known = {None: of_the_pilot, Path("owner.pem"): of_an_owner}

    transports.close()

    assert https.is_closed
    assert dips.is_closed
    assert of_an_owner.is_closed


def test_a_call_goes_over_the_transport_of_its_urls_scheme() -> None:
    https, dips = FakeTransport(in_turn=[ok(1), b"raw"]), FakeTransport(in_turn=[ok(2)])
    both = ByScheme({"https": https, "dips": dips})

    answers = [both.call(url, "m", [5]) for url in ("https://h/X", "dips://h/X")]

    assert answers == [ok(1), ok(2)]
    assert both.download("https://h/X", "m", []) == b"raw"
    assert https.calls == [Call("https://h/X", "m", [5]), Call("https://h/X", "m", [], is_download=True)]
    assert dips.calls == [Call("dips://h/X", "m", [5])]
