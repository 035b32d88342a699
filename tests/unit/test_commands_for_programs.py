"""Each command that tells something can tell it to programs."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict

import pytest

from agents.local_wms import demo
from gridpilot.described import parser_of
from gridpilot.table import COMMANDS

TELLS_NOTHING = {
    "wms serve": "a server",
    "wms web": "a server",
    "wms pilot": "becomes a pilot",
    "jobexec": "runs a workflow, whose output it is",
    "completion": "a script for a shell",
    "man": "a page for `man`",
}


def commands(parser: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each command's name and options."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for word, sub in (each for action in below for each in action.choices.items()):
        yield from commands(sub, f"{name} {word}")
    if not below:
        yield name, {option for action in parser._actions for option in action.option_strings}


def test_every_command_speaks_json_or_has_nothing_to_tell() -> None:
    parsers = [(command.name, made) for command in COMMANDS.values() if (made := parser_of(command))]
    options = dict(each for name, parser in parsers for each in commands(parser, name))

    assert {name for name, known in options.items() if "--json" not in known} == set(TELLS_NOTHING)


def test_a_demo_for_programs_says_how_it_goes_aside(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = demo.Row(1, "plain", "Done", "Execution Complete", "1", "0.02", "0", "expected 2 processors")

    def ran(_: object) -> tuple[list[demo.Row], int]:
        print("how it goes")
        return [row], 1

    monkeypatch.setattr(demo, "_ran", ran)

    assert demo.main(["--json"]) == 1

    said = capsys.readouterr()
    assert (json.loads(said.out), said.err) == ([asdict(row)], "how it goes\n")
