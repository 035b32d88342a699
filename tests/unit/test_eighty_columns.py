"""Every command at a terminal of 80 columns: nothing is wider, and NO_COLOR is respected."""

import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from agents.observability import slot_report
from agents.site_director.ledger import NAME, PilotLedger
from gridpilot import __main__ as program
from gridpilot.described import described
from gridpilot.table import COMMANDS
from tests.in_pty import COLUMNS, ESCAPE, typed
from tests.unit import slot_scene

ROOT = Path(__file__).parents[2]
COLOUR = "\x1b["
JOBS = slot_scene.busy(30, 4)
SLOT, DIRECTOR, PAGE = "slot", "director", "page.html"


def helped() -> Iterator[list[str]]:
    yield ["help"]
    for name, command in COMMANDS.items():
        yield [name, "--help"]
        yield from ([name, word, "--help"] for word in described(command).commands)


# What each command tells that needs no server; what is logged or submitted stands as it is, at any width.
TOLD = {
    "ce": [
        ["list"],
        ["lab"],
        ["describe", "Local"],
        ["describe", "Pool"],
        ["validate", str(ROOT / "configs/slurm.cfg")],
    ],
    "doctor": [[]],
    "explain": [[str(job.job_id), "--work-dir", SLOT] for job in JOBS[:5]],
    "pilot": [["--explain"], ["--explain", "-n", "LCG.Site-with-a-long-name.example.org", "-o", "/A/B=" + "v" * 90]],
    "report": [["--work-dir", SLOT, "-O", PAGE]],
    "site-director": [["status", "--work-dir", DIRECTOR], ["why", "held.example.org/q", "--work-dir", DIRECTOR]],
    "status": [["--work-dir", SLOT]],
    "top": [["--once", SLOT, DIRECTOR]],
    "version": [[]],
}
SILENT = ("completion", "data", "demo", "jobexec", "man", "run", "wms")  # print for shells, or need a server: see below


def shown(words: list[str], cwd: Path, **environment: str) -> tuple[list[str], str]:
    usual = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(cwd)}
    with typed([sys.executable, "-m", "gridpilot", *words], cwd=cwd, environment={**usual, **environment}) as seen:
        seen.ended()
    return seen.lines, seen.text


def too_wide(lines: list[str]) -> list[str]:
    """Return lines with more columns; a single word (a path, a value) is never broken, so that it can be copied."""
    return [line for line in lines if len(line) > COLUMNS and len(line.split()) > 3]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    slot_scene.write(folder / SLOT, JOBS, processors=4, end_s=1e6, reason="No more time left")
    (folder / DIRECTOR).mkdir()
    with closing(PilotLedger(folder / DIRECTOR / NAME)) as ledger:
        ledger.hold("held.example.org/q", "because " + "of a long story " * 12)
    return folder


def test_each_command_is_looked_at() -> None:
    assert sorted([*TOLD, *SILENT]) == sorted(COMMANDS)


def test_every_help_fits(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    wide = {}
    for words in helped():
        with suppress(SystemExit):  # argparse ends by it
            program.main(words)
        lines = ESCAPE.sub("", capsys.readouterr().out).split("\n")
        assert len(lines) > 3, words
        if found := [line for line in lines if len(line) > COLUMNS]:
            wide[" ".join(words)] = found
    assert wide == {}


@pytest.mark.parametrize(
    "words",
    [pytest.param([name, *rest], id=" ".join([name, *rest[:2]])) for name, all_ in TOLD.items() for rest in all_],
)
def test_what_is_told_fits(words: list[str], place: Path) -> None:
    lines, text = shown(words, place)

    assert len(lines) > 1, text
    assert "Traceback" not in text
    assert "\\x1b" not in text  # colours that something has made visible
    assert too_wide(lines) == []


@pytest.mark.parametrize("words", [["doctor"], ["top", "--once", SLOT], ["--help"], ["status", "--help"]], ids=" ".join)
def test_no_colour_is_shown_where_none_is_wanted(words: list[str], place: Path) -> None:
    assert COLOUR in shown(words, place)[1]  # the control: on a terminal there are some

    assert COLOUR not in shown(words, place, NO_COLOR="1")[1]


def test_a_page_was_written_by_the_command(place: Path) -> None:
    assert slot_report.write(place / SLOT, place / PAGE).startswith(str(place / PAGE))
