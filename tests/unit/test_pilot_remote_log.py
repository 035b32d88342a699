import errno
import functools
import json
import threading
from pathlib import Path

import pytest

from pilot import __main__ as entry
from pilot.errors import ServiceUnreachable
from pilot.log import Log
from pilot.wms import log_spool as spool
from pilot.wms.remote_log import RemoteLog
from tests.waiting import PATIENCE_S

STAMP, EARLIER = "5" * 32, "4" * 32


class Logging:
    """A logging service that fails so many times before it takes messages."""

    def __init__(self, failures=0):
        self.taken = []
        self.tried = threading.Event()
        self._failures = failures

    def send(self, method, message, stamp):
        self.tried.set()
        if self._failures:
            self._failures -= 1
            raise ServiceUnreachable("down")
        self.taken.append((method, json.loads(message), stamp))

    @property
    def lines(self):
        return [line for method, lines, _ in self.taken if method == "sendMessage" for line in lines]


def write(folder, *lines, name="pilot.log"):
    with (folder / name).open("a") as log:
        log.writelines(lines)


def sent_at_the_end(remote, service, code=0):
    remote.start(service.send)
    return remote.close(code, service.send, within_s=PATIENCE_S)


def test_lines_written_before_the_start_are_sent_and_the_log_is_finalised(tmp_path):
    remote, service = RemoteLog(tmp_path, STAMP), Logging()
    write(tmp_path, "a\n")
    remote.start(service.send)
    write(tmp_path, "b\n")

    assert remote.close(3, service.send, within_s=PATIENCE_S)
    assert service.lines == ["a\n", "b\n"]
    assert service.taken[-1] == ("finaliseLogs", {"retCode": "3"}, STAMP)


def test_the_agent_s_log_is_sent_too(tmp_path):
    remote, service = RemoteLog(tmp_path, STAMP), Logging()
    write(tmp_path, "a\n")
    write(tmp_path, "matched\n", name="agent.log")

    assert sent_at_the_end(remote, service)
    assert service.lines == ["a\n", "matched\n"]


def test_what_could_not_be_sent_is_sent_later_in_its_order(tmp_path):
    remote, service = RemoteLog(tmp_path, STAMP), Logging(failures=1)
    write(tmp_path, "a\n")
    remote.start(service.send)
    assert service.tried.wait(PATIENCE_S)
    write(tmp_path, "b\n")

    assert remote.close(0, service.send, within_s=PATIENCE_S)
    assert service.lines == ["a\n", "b\n"]


def test_a_service_that_stays_down_is_not_waited_for(tmp_path):
    remote, service = RemoteLog(tmp_path, STAMP), Logging(failures=99)
    write(tmp_path, "a\n")

    assert not sent_at_the_end(remote, service)
    assert service.taken == []


def test_a_service_that_hangs_is_left_at_the_deadline(tmp_path):
    remote, released = RemoteLog(tmp_path, STAMP), threading.Event()
    write(tmp_path, "a\n")
    remote.start(lambda *_: released.wait(PATIENCE_S))

    closed = remote.close(0, lambda *_: None, within_s=0.1)
    released.set()

    assert not closed


def test_a_message_has_no_more_lines_than_the_service_wants(tmp_path):
    remote, service = RemoteLog(tmp_path, STAMP, limit_lines=2), Logging()
    write(tmp_path, "a\n", "b\n", "c\n")

    assert sent_at_the_end(remote, service)
    assert [lines for method, lines, _ in service.taken if method == "sendMessage"] == [["a\n", "b\n"], ["c\n"]]


def test_a_log_that_was_never_started_is_not_finalised(tmp_path):
    service = Logging()

    assert not RemoteLog(tmp_path, STAMP).close(0, service.send, within_s=PATIENCE_S)
    assert service.taken == []


def test_lines_of_a_pilot_that_died_are_sent_under_its_own_stamp_by_the_next_one(tmp_path):
    dead, service = RemoteLog(tmp_path, EARLIER), Logging()
    write(tmp_path, "a\n")
    dead.start(service.send)
    dead.close(0, service.send, within_s=PATIENCE_S)
    write(tmp_path, "last words\n", "cut o")
    service.taken.clear()
    remote = RemoteLog(tmp_path, STAMP)
    write(tmp_path, "ff\n", "mine\n")

    assert sent_at_the_end(remote, service)
    assert service.taken[:2] == [
        ("sendMessage", ["last words\n", "cut o"], EARLIER),
        ("sendMessage", ["ff\n", "mine\n"], STAMP),
    ]


def test_the_same_pilot_started_again_goes_on_where_it_was(tmp_path):
    first, service = RemoteLog(tmp_path, STAMP), Logging()
    write(tmp_path, "a\n")
    sent_at_the_end(first, service)
    write(tmp_path, "b\n")

    assert sent_at_the_end(RemoteLog(tmp_path, STAMP), service)
    assert service.lines == ["a\n", "b\n"]


def test_old_lines_of_pilots_that_never_sent_are_nobody_s(tmp_path):
    write(tmp_path, "old\n")
    remote, service = RemoteLog(tmp_path, STAMP), Logging()
    write(tmp_path, "new\n")

    assert sent_at_the_end(remote, service)
    assert service.lines == ["new\n"]


@pytest.mark.parametrize("text", ["", "[1]", '{"stamp": 1}', '{"stamp": "x", "accepted": {"pilot.log": "many"}}'])
def test_a_damaged_note_of_what_was_sent_stops_nothing(tmp_path, text):
    (tmp_path / spool.STATE).write_text(text)
    remote, service = RemoteLog(tmp_path, STAMP), Logging()
    write(tmp_path, "a\n")

    assert sent_at_the_end(remote, service)
    assert service.lines == ["a\n"]


def test_what_a_very_long_outage_leaves_is_cut_and_the_loss_is_stated(tmp_path, monkeypatch):
    monkeypatch.setattr(spool, "BACKLOG_BYTES", 4)
    remote, service = RemoteLog(tmp_path, STAMP), Logging()
    write(tmp_path, "aaaaaaa\n", "b\n", "c\n")

    assert sent_at_the_end(remote, service)
    assert service.lines == ["(8 bytes were lost here: the service was away for too long)\n", "b\n", "c\n"]


def test_letters_that_are_no_text_do_not_shift_what_comes_after(tmp_path):
    remote, service = RemoteLog(tmp_path, STAMP, limit_lines=1), Logging()
    (tmp_path / "pilot.log").write_bytes(b"\xff\xfe\nb\n")

    assert sent_at_the_end(remote, service)
    assert service.lines == ["��\n", "b\n"]


def test_lines_that_a_full_disk_did_not_take_are_sent_all_the_same(tmp_path, monkeypatch):
    remote, service = RemoteLog(tmp_path, STAMP), Logging()

    def full(*_arguments, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", full)
        Log([functools.partial(entry._to_file, tmp_path / "pilot.log", remote)]).info("node.is", host="wn1")

    assert sent_at_the_end(remote, service)
    assert service.lines[0].endswith("node.is host=wn1\n")


def test_a_sink_that_fails_neither_ends_the_pilot_nor_silences_the_others():
    lines = []

    def full(_line):
        raise OSError(28, "No space left on device")

    Log([full, lines.append]).info("node.is", host="wn 1", text="a\nb")

    assert len(lines) == 1
    assert lines[0].endswith('INFO [Pilot] node.is host="wn 1" text="a\\nb"\n')


def test_what_nobody_foresaw_ends_the_sending_and_is_told_at_the_end(tmp_path):
    def odd(method, message, stamp):
        raise TypeError("what nobody foresaw")

    remote = RemoteLog(tmp_path, "s")
    write(tmp_path, "line\n")
    remote.start(odd)

    assert not remote.close(0, odd, within_s=5.0)
    assert remote.trouble == "TypeError: what nobody foresaw"
