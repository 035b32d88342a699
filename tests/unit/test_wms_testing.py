"""The fake transport that is shipped: scripted answers and errors, a record of the calls."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from agents.errors import NoAnswer, Refused, Unreachable
from agents.wms.service import NoFile, Retry, Service, Transport
from agents.wms.testing import Call, FakeTransport, ok, refused
from tests.waiting import PATIENCE_S

URL = "https://h/WorkloadManagement/X"


def service(fake: Transport) -> Service:
    return Service("X", [URL], fake, Retry(attempts=1))


def test_a_method_is_answered_as_scripted_again_and_again() -> None:
    fake = FakeTransport({"ping": ok("pong"), "more": ok(2)})

    assert [service(fake).call("ping") for _ in range(2)] == ["pong", "pong"]
    assert service(fake).call("more") == 2


def test_an_answer_may_change_between_two_calls() -> None:
    fake = FakeTransport({"ping": ok(1)})
    before = service(fake).call("ping")
    fake.answers["ping"] = ok(2)

    assert (before, service(fake).call("ping")) == (1, 2)


def test_answers_come_in_turn_before_those_by_method_and_those_for_all_others() -> None:
    fake = FakeTransport({"a": ok("by method")}, in_turn=[ok(1), ok(2)], otherwise=ok("other"))

    assert [service(fake).call(method) for method in ("a", "b", "a", "b")] == [1, 2, "by method", "other"]


def test_an_error_is_raised_and_a_refusal_is_an_answer() -> None:
    fake = FakeTransport(in_turn=[NoAnswer("gone"), refused("No match found", 1510)])

    with pytest.raises(NoAnswer, match="gone"):
        service(fake).call("m")
    with pytest.raises(Refused, match="No match found") as caught:
        service(fake).call("m")
    assert caught.value.errno == 1510


def test_a_function_answers_by_the_arguments_and_may_answer_with_an_error() -> None:
    fake = FakeTransport({"double": lambda number: ok(2 * number) if number else Unreachable("nothing")})

    assert service(fake).call("double", 4) == 8
    with pytest.raises(Unreachable, match="nothing"):
        service(fake).call("double", 0)


def test_what_is_not_scripted_is_a_fault_of_the_test_and_no_error_of_a_service() -> None:
    with pytest.raises(AssertionError, match="requestJob was not expected"):
        service(FakeTransport({"ping": ok()}, in_turn=[])).call("requestJob")


def test_a_file_is_its_bytes_and_what_is_said_in_its_place_is_told_apart() -> None:
    fake = FakeTransport(in_turn=[b"packed", refused("No such file")])

    assert service(fake).download("streamToClient", "/x") == b"packed"
    assert fake.download(URL, "streamToClient", ["/y"]) == NoFile(refused("No such file"))


def test_calls_are_kept_in_order() -> None:
    fake = FakeTransport({"m": ok(), "n": NoAnswer("x"), "f": b"file"})

    service(fake).call("m", 1, "x")
    with pytest.raises(NoAnswer):
        service(fake).call("n")
    service(fake).download("f", "/x")

    assert fake.calls == [
        Call(URL, "m", [1, "x"]),
        Call(URL, "n", []),
        Call(URL, "f", ["/x"], is_download=True),
    ]
    assert fake.asked == [("m", [1, "x"]), ("n", []), ("f", ["/x"])]
    assert (fake.methods, fake.urls) == (["m", "n", "f"], [URL] * 3)


def test_a_record_can_begin_anew() -> None:
    fake = FakeTransport(otherwise=ok())
    service(fake).call("m")
    fake.forget_calls()
    service(fake).call("n")

    assert fake.methods == ["n"]


def test_many_threads_get_each_answer_once_and_each_call_is_kept() -> None:
    fake = FakeTransport(in_turn=[ok(number) for number in range(800)])

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda number: service(fake).call("m", number), range(800)))

    assert sorted(map(int, map(str, answers))) == list(range(800))
    assert sorted(int(str(call.arguments[0])) for call in fake.calls) == list(range(800))


def test_an_answer_that_takes_long_holds_up_no_other_call() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow() -> object:
        asked.set()
        assert go_on.wait(PATIENCE_S)
        return ok("at last")

    fake = FakeTransport({"slow": slow, "fast": ok("now")})
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(service(fake).call, "slow")
        assert asked.wait(PATIENCE_S)

        assert service(fake).call("fast") == "now"
        go_on.set()
        assert waiting.result(PATIENCE_S) == "at last"


def test_nothing_is_called_after_close() -> None:
    fake = FakeTransport(otherwise=ok())
    fake.close()

    with pytest.raises(AssertionError, match="m was called after close"):
        service(fake).call("m")
    assert fake.is_closed
