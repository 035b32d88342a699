"""`gridpilot top`: what is seen of a WMS, a slot and a SiteDirector, at a terminal and without one."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from agents.local_wms.client import connect
from agents.local_wms.testing import running
from agents.site_director.ledger import NAME, PilotLedger
from agents.site_director.pilots import Pilot, State
from ce_backends import screen
from gridpilot.top import command_line, sources
from gridpilot.top.panel import Panel, Table, as_value, lines_of
from tests.in_pty import COLUMNS, ESCAPE, LINES, Typed, typed
from tests.unit import slot_scene
from tests.waiting import until

ROOT = Path(__file__).parents[2]
LONG = "a-name-of-a-job-that-is-much-longer-than-any-column-" * 3
HOSTILE = "\x1b[2J\u202e<b>"
ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"


@pytest.fixture
def director(tmp_path: Path) -> Path:
    folder = tmp_path / "director"
    folder.mkdir()
    ledger = PilotLedger(folder / NAME)
    begun = {"queue": "ce.example.org/long", "processors": 4, "decided_s": 1.0}
    pilots = [Pilot(stamp=f"{number:032x}", state=State.RUNNING, started_s=2.0, **begun) for number in range(40)]  # type: ignore[arg-type]
    dead = Pilot(stamp="f" * 32, state=State.FAILED, why=f"{HOSTILE}{LONG}", ended_s=3.0, **begun)  # type: ignore[arg-type]
    ledger.save([*pilots, dead])
    ledger.hold("held.example.org/short", "by hand")
    ledger.note({"plan": {"lack": 12}, "at_s": 1.0})
    ledger.close()
    return folder


@pytest.fixture
def slot(tmp_path: Path) -> Path:
    folder = tmp_path / "slot"
    folder.mkdir()
    slot_scene.write(folder, slot_scene.busy(30, 4), processors=4, end_s=1e6, reason="No more time left")
    return folder


@pytest.fixture(scope="module")
def wms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("wms") / "home"
    with running(home) as endpoint, connect(endpoint) as client:
        for number in range(60):
            client.call("JobManager", "submitJob", f'Executable = "x"; JobName = "{LONG}{number}";')
        yield home


def top(*words: str, cwd: Path, **environment: str) -> AbstractContextManager[Typed]:
    path = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(cwd)}
    return typed([sys.executable, "-m", "gridpilot", "top", *words], cwd=cwd, environment={**path, **environment})


def last_screen(seen: Typed) -> list[str]:
    """Return the lines of what was drawn last."""
    return ESCAPE.sub("", seen.text.split(ENTER)[1].partition(LEAVE)[0].rpartition("\x1b[H")[2]).split("\r\n")


def test_a_terminal_shows_all_of_it_and_is_given_back(wms: Path, slot: Path, director: Path, tmp_path: Path) -> None:
    with top(str(wms), str(slot), str(director), cwd=tmp_path) as seen:
        seen.until_shows("SiteDirector:")
        seen.until_shows("more")
        assert not seen.is_cooked()
        seen.type("q")
        assert seen.ended() == 0
        assert seen.is_cooked()

    lines = last_screen(seen)
    assert (len(lines) <= LINES, max(map(len, lines)) <= COLUMNS) == (True, True), lines
    assert [
        words for words in ("local WMS:", "slot:", "60 Waiting", "SiteDirector:") if words not in "\n".join(lines)
    ] == []
    assert seen.text.endswith(LEAVE)


def test_what_is_new_is_shown_without_being_asked(director: Path, tmp_path: Path) -> None:
    with top(str(director), "--every", "0.2", cwd=tmp_path) as seen:
        seen.until_shows("40 Running")
        ledger = PilotLedger(director / NAME)
        ledger.save([Pilot(stamp="e" * 32, queue="ce/q", processors=1, state=State.RUNNING, decided_s=1.0)])
        ledger.close()

        seen.until_shows("41 Running")


def test_a_window_that_becomes_another_size_is_filled_again(director: Path, tmp_path: Path) -> None:
    with top(str(director), "--every", "3600", cwd=tmp_path) as seen:
        seen.until_shows("more")
        before = len(seen.text)
        seen.resize(40, 30)
        seen.until_shows("more", after=before)
        lines = last_screen(seen)

    assert (len(lines) <= 30, len(lines) > LINES, max(map(len, lines)) <= 40) == (True, True, True)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)], ids=str
)
def test_a_signal_ends_it_and_leaves_a_good_terminal(
    number: signal.Signals, code: int, director: Path, tmp_path: Path
) -> None:
    with top(str(director), cwd=tmp_path) as seen:
        seen.until_shows("more")
        seen.process.send_signal(number)
        assert seen.ended() == code
        assert seen.is_cooked()

    assert LEAVE in seen.text


def test_it_can_be_suspended(director: Path, tmp_path: Path) -> None:
    with top(str(director), cwd=tmp_path) as seen:
        seen.until_shows("more")
        seen.type("\x1a")
        _, status = os.waitpid(seen.process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert seen.is_cooked()
        seen.process.send_signal(signal.SIGCONT)
        until(lambda: not seen.is_cooked(), "it has its terminal again")
        seen.type("q")
        assert seen.ended() == 0


@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_are_for_who_wants_them(
    environment: dict[str, str], coloured: bool, director: Path, tmp_path: Path
) -> None:
    with top(str(director), cwd=tmp_path, **environment) as seen:
        seen.until_shows("more")
        seen.type("q")
        seen.ended()

    assert ("\x1b[31m" in seen.text or "\x1b[36m" in seen.text) is coloured


def test_what_strangers_write_does_nothing_to_the_terminal(
    director: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "400")

    assert command_line.main([str(director)]) == 0

    shown = capsys.readouterr().out
    assert LONG[:20] in shown
    assert ("\x1b" in shown, "\u202e" in shown) == (False, False)


def test_programs_get_everything_that_was_seen(
    wms: Path, slot: Path, director: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(["--json", str(wms), str(slot), str(director)]) == 0

    of_wms, of_slot, of_director = json.loads(capsys.readouterr().out)
    assert (of_wms["kind"], of_wms["counts"], of_wms["tables"][0]["total"]) == ("wms", {"Waiting": 60}, 60)
    assert of_wms["tables"][0]["rows"][0]["status"] == "Waiting"
    assert (of_slot["kind"], len(of_slot["tables"][0]["rows"])) == ("slot", 30)
    assert (of_director["kind"], len(of_director["tables"][1]["rows"])) == ("site-director", 41)
    assert of_director["tables"][0]["rows"][1]["detail"] == "held by hand"


def test_a_wms_that_is_down_is_a_sentence_and_does_not_end_the_watching(tmp_path: Path) -> None:
    (tmp_path / "wms.sqlite").touch()

    (look,) = sources.looks_at(tmp_path)

    assert "no local WMS runs" in look().trouble


def test_a_pilot_in_the_directory_of_a_wms_is_shown_below_it(slot: Path, tmp_path: Path) -> None:
    (tmp_path / "wms.sqlite").touch()
    slot.rename(tmp_path / "pilot")

    assert [look().kind for look in sources.looks_at(tmp_path)] == ["wms", "slot"]


def test_a_directory_that_is_none_of_ours_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main([str(tmp_path)]) == 2

    assert f"{tmp_path}: nothing to watch; expected the directory of a local WMS" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("most", "shown"), [(100, (5, 50)), (40, (5, 28)), (20, (5, 8)), (14, (3, 3)), (5, (3, 3))])
def test_what_a_small_table_does_not_need_is_for_the_others(most: int, shown: tuple[int, int]) -> None:
    tables = [
        Table(head=("status", "x"), rows=[("Done", number)] * number, total=number, nothing="none")
        for number in (5, 50)
    ]

    lines = lines_of([Panel(kind="wms", title="both", counts={"Done": 55}, tables=tables)], 80, most)

    assert sum(line.startswith("Done") for line in lines) == sum(shown)
    assert len(lines) <= max(most, 13)


def test_no_row_is_left_out_for_programs() -> None:
    table = Table(head=("a",), rows=[(1,), (2,)], total=7, nothing="")

    assert as_value(Panel(kind="k", title="t", tables=[table]))["tables"] == [
        {"total": 7, "rows": [{"a": 1}, {"a": 2}]}
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (59.9, "59 s"), (61, "1m01s"), (3600, "1h00m"), (360_000, "4 days"), (10**9, "11574 days")],
)
def test_a_length_of_time_is_short(seconds: float, text: str) -> None:
    assert sources.duration(seconds) == text


def test_a_line_for_each_row_and_none_too_wide() -> None:
    rows = [("job", "name", "detail"), ("1", LONG, LONG), ("2", "", "")]

    lines = screen.one_line_each(rows, 60)

    assert (len(lines), max(map(len, lines))) == (3, 60)
