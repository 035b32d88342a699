"""What payloads leave in the spool of a batch CE: it harms no other task, and reaches nothing beside the task's own."""

import io
import os
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ce_backends.batch.launcher import RESULT
from ce_backends.batch.spool import Spool
from ce_backends.batch.staged_spool import StagedSpool
from ce_backends.batch.transport import Done, Local
from ce_backends.errors import CEError
from ce_backends.task.log_limit import Cap

MINE, OTHER = "a" * 32, "b" * 32
BREAKS = ["\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\r", "\n"]
FORGED = f"{OTHER}|1|0|1 2|||forged"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return the directory of a task of a payload's, beside which another one runs."""
    for stamp in (MINE, OTHER):
        (tmp_path / "spool/tasks" / stamp / "work").mkdir(parents=True)
        (tmp_path / "spool/tasks" / stamp / "started").write_text("1\n")
    return tmp_path / "spool/tasks" / MINE


@pytest.fixture
def spool(tmp_path: Path, place: Path) -> Spool:
    assert place.exists()
    return made(Spool, tmp_path)


def made(kind: type[Spool], top: Path) -> Spool:
    spool = kind(Local(), str(top / "spool"), top / "scratch", cap=Cap(1000))
    assert spool.root
    return spool


@pytest.mark.parametrize("name", ["reason", "times", "limit", "exit_code"])
@pytest.mark.parametrize(
    "break_", ["\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\r", "\n"], ids=ascii
)
def test_no_line_of_a_payload_is_taken_for_one_about_another_task(
    spool: Spool, place: Path, name: str, break_: str
) -> None:
    (place / "exit_code").write_text("0\n")
    (place / name).write_text(f"x{break_}{FORGED}\n", newline="")

    ends = spool.ends([OTHER, MINE])

    assert set(ends) == {MINE, OTHER}
    assert (ends[OTHER].exit_code, ends[OTHER].reason) == (None, "")


@pytest.mark.parametrize("path", ["work/../credential", "work/up/credential", "work/far/hostname", "work/more/x"])
def test_peek_shows_nothing_outside_the_work_directory(spool: Spool, place: Path, path: str, tmp_path: Path) -> None:
    (place / "credential").write_text("secret")
    (tmp_path / "x").write_text("of another")
    for name, target in {"up": "..", "far": "/etc", "more": str(tmp_path)}.items():
        (place / "work" / name).symlink_to(target)
    (place / "work/deep").mkdir()
    (place / "work/deep/own").write_text("own")

    assert spool.peek(MINE, path, 100) == b""
    assert spool.peek(MINE, "work/deep/own", 100) == b"own"


def test_peek_at_a_file_that_grows_meanwhile_shows_no_beginning(
    spool: Spool, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "stdout").write_text("01")
    (tmp_path / "stat").write_text(f'#!/bin/sh\n/usr/bin/stat "$@"; printf 23456789 >> {place}/stdout\n')
    (tmp_path / "stat").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    assert spool.peek(MINE, "stdout", 5) == b"01"
    assert (place / "stdout").read_text() == "0123456789"


def test_peek_takes_no_more_than_it_asked_for_whatever_is_sent(place: Path, tmp_path: Path) -> None:
    spool = Spool(Babbling(), str(tmp_path / "spool"), tmp_path / "scratch", cap=Cap(1000))
    (place / "stdout").write_text("x")

    assert len(spool.peek(MINE, "stdout", 100)) == 100


class Babbling(Local):
    """A machine that sends more than it was asked for."""

    def run(self, argv: Sequence[str], *, into: Path | None = None, **given: Any) -> Done:  # type: ignore[override]
        done = super().run(argv, into=into, **given)
        if into:
            into.write_bytes(b"y" * 10_000_000)
        return done


WRONG = ["0|1 2|3|4", "256", "-1", "\u0661", "1e3", "", "nan", "|||||||", "9" * 500, "0 0", "\0", "0\r"]


@pytest.mark.parametrize("text", WRONG, ids=ascii)
def test_exit_code_that_is_none_is_not_there_and_the_others_are_told(spool: Spool, place: Path, text: str) -> None:
    (place / "exit_code").write_text(f"{text}\n", newline="")
    (place.parent / OTHER / "exit_code").write_text("7\n")

    ends = spool.ends([MINE, OTHER])

    assert ends[MINE].exit_code is None
    assert ends[OTHER].exit_code == 7


def test_exit_code_without_an_end_is_read_in_no_time(spool: Spool, place: Path) -> None:
    with (place / "exit_code").open("wb") as file:
        file.truncate(1 << 40)

    assert spool.ends([MINE])[MINE].exit_code is None


def test_reason_is_fit_for_a_terminal(spool: Spool, place: Path) -> None:
    (place / "exit_code").write_text("3\n")
    (place / "reason").write_text("\x1b]0;owned\x07\x1b[2Jx\r\u202eforged\n")

    assert spool.ends([MINE])[MINE].reason == "xforged"


def pipe(place: Path) -> None:
    os.mkfifo(place / "stdout")


def link(place: Path) -> None:
    (place / "stdout").symlink_to("/etc/passwd")


@pytest.mark.parametrize("harm", [pipe, link])
def test_peek_waits_for_nobody_and_follows_nothing(spool: Spool, place: Path, harm: Callable[[Path], None]) -> None:
    harm(place)

    assert spool.peek(MINE, "stdout", 100) == b""


@pytest.mark.parametrize(("size", "seen"), [(0, b""), (5, b"01234"), (25, b"5678901234")])
def test_peek_shows_the_last_bytes(spool: Spool, place: Path, size: int, seen: bytes) -> None:
    (place / "stdout").write_bytes((b"0123456789" * 3)[:size])

    assert spool.peek(MINE, "stdout", 10) == seen


def test_credential_is_not_written_through_a_link(spool: Spool, place: Path, tmp_path: Path) -> None:
    (tmp_path / "proxy").write_text("PROXY")
    (tmp_path / "victim").write_text("before")
    (place / "credential.new").symlink_to(tmp_path / "victim")

    spool.renew_credential(MINE, tmp_path / "proxy")

    assert (tmp_path / "victim").read_text() == "before"
    assert (place / "credential").read_text() == "PROXY"
    assert (place / "credential").stat().st_mode & 0o777 == 0o600


def test_link_in_the_place_of_the_work_directory_shows_nothing(spool: Spool, place: Path, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/key").write_text("SECRET")
    (place / "work").rmdir()
    (place / "work").symlink_to(tmp_path / "secrets")

    spool.fetch(MINE, ["key"], [], tmp_path / "into")

    assert not list((tmp_path / "into").rglob("key"))


def test_log_that_lies_behind_a_link_is_not_cut(spool: Spool, place: Path, tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    (tmp_path / "others/log").write_text("x" * 5000)
    (place / "work/logs").symlink_to(tmp_path / "others")

    spool.fetch(MINE, [], ["logs/log"], tmp_path / "into")

    assert (tmp_path / "others/log").read_text() == "x" * 5000


def entry(
    name: str, kind: bytes = tarfile.REGTYPE, *, size: int = 0, mode: int = 0o644, to: str = ""
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mode, info.linkname = kind, size, mode, to
    return info


HOSTILE = {
    "a directory for the exit code": [entry("exit_code", tarfile.DIRTYPE, mode=0o755), entry("exit_code/a")],
    "a directory for the output": [entry("stdout", tarfile.DIRTYPE, mode=0o755), entry("stdout/a")],
    "locked directories": [entry("work", tarfile.DIRTYPE, mode=0), entry("locked", tarfile.DIRTYPE, mode=0)],
    "a link for the work directory": [entry("work", tarfile.SYMTYPE, to="/etc")],
    "a link for the exit code": [entry("exit_code", tarfile.SYMTYPE, to="/etc/hostname")],
    "other files": [entry("credential"), entry("new"), entry("-rf"), entry("node_script")],
    "a way out": [entry("../../../../out"), entry("/tmp/out")],
    "no archive": [],
}


@pytest.mark.parametrize("entries", HOSTILE.values(), ids=HOSTILE)
def test_result_of_a_payload_s_own_making_keeps_no_other_from_its_end(
    tmp_path: Path, place: Path, entries: list[tarfile.TarInfo]
) -> None:
    (place / "credential").write_text("ours")
    with tarfile.open(place / RESULT, "w") as archive:
        for each in entries:
            archive.addfile(each)
    if not entries:
        (place / RESULT).write_bytes(b"no archive" * 1000)
    other = tmp_path / "result"
    with tarfile.open(place.parent / OTHER / RESULT, "w") as archive:
        archive.addfile(entry("exit_code", size=2), io.BytesIO(b"7\n"))
    spool = made(StagedSpool, tmp_path)

    ends = spool.ends([MINE, OTHER])
    try:
        spool.fetch(MINE, ["hostname", "passwd"], [], tmp_path / "into")
    except CEError:
        assert not (tmp_path / "into").exists()

    assert ends[OTHER].exit_code == 7
    assert ends[MINE].exit_code is None
    assert (place / "credential").read_text() == "ours"
    assert not other.exists()
    assert not list(tmp_path.rglob("passwd"))
