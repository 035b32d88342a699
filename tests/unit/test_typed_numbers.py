"""Numbers that people type: what is no number, or no sensible one, is one sentence, and nothing is started."""

import argparse
from collections.abc import Iterator

import pytest

from ce_backends.parser import MOST_JOB_ID, Parser, seconds, whole
from gridpilot.described import parser_of
from gridpilot.table import COMMANDS

NO_NUMBERS = ["", "x", "0x10", "1e3", "1_0", " 1", "1.0", "-1", "+1", "٣", "nan", "inf", "9" * 5000]
NO_TIMES = ["", "x", "-1", "0", "nan", "inf", "-inf", "1e300", "5s"]


def parsers() -> Iterator[argparse.ArgumentParser]:
    """Yield the parser of each command, and those below it."""
    waiting = [made for command in COMMANDS.values() if (made := parser_of(command))]
    while waiting:
        yield (parser := waiting.pop())
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                waiting.extend(action.choices.values())


def refused(type_: object, text: str, capsys: pytest.CaptureFixture[str]) -> str:
    line = Parser(prog="gridpilot x")
    line.add_argument("--n", type=type_)  # type: ignore[arg-type] # a reader
    with pytest.raises(SystemExit) as ended:
        line.parse_args([f"--n={text}"])
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_is_no_whole_number_is_one_sentence(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(whole(1, MOST_JOB_ID), text, capsys)

    assert said == f"gridpilot x: error: argument --n: {text[:40]!r}: expected a whole number, 1 to 999999999999"


@pytest.mark.parametrize("text", ["0", "65536", "99999"])
def test_what_is_out_of_bounds_is_one_sentence(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(whole(1, 65535), text, capsys).endswith(f"{text!r}: expected a whole number, 1 to 65535")


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_is_one_sentence(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(seconds(), text, capsys).endswith(f"{text!r}: expected seconds, 0.1 to 10000000")


def test_what_is_right_is_read() -> None:
    assert [whole(0, 9)("0"), whole(0, 9)("09"), seconds()("0.1"), seconds()("1e3")] == [0, 9, 0.1, 1000.0]


def test_no_command_reads_its_numbers_otherwise() -> None:
    bare = {
        f"{parser.prog} {action.dest}"
        for parser in parsers()
        for action in parser._actions
        if action.type in (int, float)
    }

    assert bare == set()
