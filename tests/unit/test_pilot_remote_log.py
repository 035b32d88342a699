import json
import threading

from pilot.errors import ServiceUnreachable
from pilot.log import Log
from pilot.remote_log import RemoteLog

WAIT_S = 20


class Logging:
    """A logging service that fails so many times before it takes messages."""

    def __init__(self, failures=0):
        self.taken = []
        self.tried = threading.Event()
        self._failures = failures

    def send(self, method, message):
        self.tried.set()
        if self._failures:
            self._failures -= 1
            raise ServiceUnreachable("down")
        self.taken.append((method, json.loads(message)))

    @property
    def lines(self):
        return [line for method, lines in self.taken if method == "sendMessage" for line in lines]


def test_lines_written_before_the_start_are_sent_and_the_log_is_finalised():
    remote, service = RemoteLog(), Logging()
    remote.write("a\n")
    remote.start(service.send)
    remote.write("b\n")

    assert remote.close(3, service.send, within_s=WAIT_S)
    assert service.lines == ["a\n", "b\n"]
    assert service.taken[-1] == ("finaliseLogs", {"retCode": "3"})


def test_what_could_not_be_sent_is_kept_in_order_and_sent_later():
    remote, service = RemoteLog(), Logging(failures=1)
    remote.write("a\n")
    remote.start(service.send)
    assert service.tried.wait(WAIT_S)
    remote.write("b\n")

    assert remote.close(0, service.send, within_s=WAIT_S)
    assert service.lines == ["a\n", "b\n"]


def test_a_service_that_stays_down_is_not_waited_for():
    remote, service = RemoteLog(), Logging(failures=99)
    remote.write("a\n")
    remote.start(service.send)

    assert not remote.close(0, service.send, within_s=WAIT_S)
    assert service.taken == []


def test_a_service_that_hangs_is_left_at_the_deadline():
    remote, released = RemoteLog(), threading.Event()
    remote.write("a\n")
    remote.start(lambda *_: released.wait(WAIT_S))

    closed = remote.close(0, lambda *_: None, within_s=0.1)
    released.set()

    assert not closed


def test_when_there_are_too_many_lines_the_oldest_go_and_the_loss_is_stated():
    remote, service = RemoteLog(limit_lines=2), Logging()
    for line in ("a\n", "b\n", "c\n"):
        remote.write(line)
    remote.start(service.send)
    remote.close(0, service.send, within_s=WAIT_S)

    assert service.lines == ["(1 lines were lost here)\n", "b\n", "c\n"]


def test_a_log_that_was_never_started_is_not_finalised():
    service = Logging()

    assert not RemoteLog().close(0, service.send, within_s=WAIT_S)
    assert service.taken == []


def test_a_sink_that_fails_neither_ends_the_pilot_nor_silences_the_others():
    lines = []

    def full(_line):
        raise OSError(28, "No space left on device")

    Log([full, lines.append]).info("node.is", host="wn 1", text="a\nb")

    assert len(lines) == 1
    assert lines[0].endswith('INFO [Pilot] node.is host="wn 1" text="a\\nb"\n')
