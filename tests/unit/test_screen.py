"""Tables: as wide as there is room for, and nothing of what they say is lost."""

import pytest

from ce_backends import screen

ROWS = [
    ("job", "name", "why"),
    ("1", "short", ""),
    ("12", "a-name-without-any-blank-that-is-longer-than-its-column", "it needs 1000 processors, the slot has 2"),
]


@pytest.mark.parametrize("columns", [30, 40, 80, 200])
def test_no_line_is_wider_than_there_is_room(columns: int) -> None:
    lines = screen.table(ROWS, columns)

    assert max(map(len, lines)) <= columns


@pytest.mark.parametrize("columns", [30, 40, 80, 200])
def test_nothing_is_left_out(columns: int) -> None:
    letters = "".join("".join(screen.table(ROWS, columns)).split())

    assert sorted(letters) == sorted("".join("".join(row) for row in ROWS).replace(" ", ""))


def test_what_fits_is_one_line_each() -> None:
    assert screen.table([("job", "name"), ("1", "x"), ("12", "")], 80) == ["job  name", "1    x", "12"]


def test_a_cell_goes_on_below_itself() -> None:
    assert screen.table([("a", "b"), ("1", "one two three four")], 13) == ["a  b", "1  one two", "   three four"]


def test_more_columns_than_room_are_narrow() -> None:
    assert len(screen.table([tuple("abcdefghij" for _ in range(10))], 40)[0]) <= 10 * (screen.NARROWEST + 2)


def test_columns_says_how_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert screen.width() == 100


@pytest.mark.parametrize(
    ("is_terminal", "environment", "coloured"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {"TERM": "xterm"}, False),
    ],
)
def test_colours_are_for_terminals_that_want_them(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, environment: dict[str, str], coloured: bool
) -> None:
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_terminal)

    assert (screen.painted("Done", "green") == "\033[32mDone\033[0m") is coloured
