"""`gridpilot top`: watch until `q`; one look where nobody sits at a terminal."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from agents import cli
from agents.errors import AgentError, ExitCode
from agents.jobs.unforeseen import words
from agents.local_wms.home import default_home
from ce_backends import screen
from ce_backends.linux.stdout import say
from ce_backends.parser import Parser, seconds
from gridpilot.top import panel, sources
from gridpilot.top.sources import Look
from gridpilot.top.terminal import GONE, Terminal

EVERY_S = 2.0
_AT_LEAST_S, _AT_MOST_S = 0.2, 3600.0


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    made = Parser(prog="gridpilot top", description="Jobs and pilots as they are now; q ends it.")
    made.add_argument(
        "folder",
        nargs="*",
        type=Path,
        metavar="DIR",
        help="of a local WMS, a pilot or a SiteDirector (default: this one, or that of `gridpilot wms`)",
    )
    made.add_argument(
        "--every",
        type=seconds(_AT_LEAST_S, _AT_MOST_S),
        default=EVERY_S,
        metavar="S",
        help="between two looks (default: 2)",
    )
    made.add_argument("--once", action="store_true", help="one look, as where there is no terminal")
    made.add_argument("--json", action="store_true", help="one look, for programs")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Show what there is; what is wrong is one sentence and an exit code."""
    asked = parser().parse_args(argv)
    return cli.ended("gridpilot top", lambda: _obeyed(asked), _verdict)


def _verdict(error: Exception) -> tuple[str, ExitCode]:
    if isinstance(error, AgentError):
        return str(error), error.exit_code
    return f"internal error: {words(error)}", ExitCode.INTERNAL


def _obeyed(asked: argparse.Namespace) -> int:
    looks = _looks(asked.folder)
    if asked.json:
        return say(json.dumps([panel.as_value(look()) for look in looks], indent=1))
    if asked.once or not (sys.stdin.isatty() and sys.stdout.isatty()):
        print(*panel.lines_of([look() for look in looks], screen.width()), sep="\n", flush=True)
        return ExitCode.ENDED
    return _watched(looks, asked.every)


def _looks(folders: Sequence[Path]) -> list[Look]:
    """Return what is to be looked at.

    Raises:
        ConfigurationError: one of the directories has nothing to show.
    """
    if not folders:
        usual = default_home()
        found = next((found for each in (Path(), usual) if (found := sources.looks_at(each.absolute()))), [])
        if not found:
            raise sources.nothing_in([Path().absolute(), usual])
        return found
    each = {folder: sources.looks_at(folder.absolute()) for folder in folders}
    if empty := [folder for folder, found in each.items() if not found]:
        raise sources.nothing_in(empty)
    return [look for found in each.values() for look in found]


def _watched(looks: Sequence[Look], every_s: float) -> int:
    with Terminal() as terminal:
        panels = [look() for look in looks]
        looked_s = time.monotonic()
        while True:
            terminal.draw(_screenful(panels, every_s))
            key = terminal.key(looked_s + every_s - time.monotonic())
            if key in ("q", "Q", "\x04", "\x1b", GONE):
                return ExitCode.ENDED
            if key or time.monotonic() >= looked_s + every_s:
                panels, looked_s = [look() for look in looks], time.monotonic()


def _screenful(panels: Sequence[panel.Panel], every_s: float) -> list[str]:
    columns, lines = screen.size()
    at = time.strftime("%H:%M:%S")
    head = screen.cut(f"gridpilot top  {at}  every {every_s:g} s  q ends, any other key looks again", columns)
    return [head, *panel.lines_of(panels, columns, lines - 1)][:lines]
