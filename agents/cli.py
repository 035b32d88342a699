"""What the command lines of the agent, the SiteDirector and the data commands have in common."""

import argparse
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from json import dumps
from pathlib import Path

from agents import __version__
from agents.errors import ExitCode
from agents.jobs.unforeseen import keep_traceback
from agents.redaction import redacted
from agents.settings.table import Explained
from ce_backends.untrusted.text import visible

Verdict = Callable[[Exception], tuple[str, int]]
"""Gives the sentence and the exit code that an error means."""


def add_settings(line: argparse.ArgumentParser, *, work_dir: str, json: str) -> None:
    """Add how a program is told its settings, where it works, and that it shall explain the former.

    Args:
        line: of the program.
        work_dir: what lives there.
        json: which of its commands can speak to programs.
    """
    line.add_argument("--cfg", action="append", default=[], type=Path, help="CFG file; may be given again, later wins")
    line.add_argument("-o", "--option", action="append", default=[], metavar="/PATH=VALUE", help="one option over them")
    line.add_argument("--work-dir", type=Path, default=Path(), help=f"where {work_dir} live")
    line.add_argument("--explain", action="store_true", help="print each setting with its value and origin, and end")
    line.add_argument("--json", action="store_true", help=f"{json}, --explain: for programs")
    line.add_argument("--version", action="version", version=__version__)


def explained(rows: Iterable[Explained], *, as_json: bool) -> str:
    """Return settings as `--explain` prints them."""
    if as_json:
        names = ("path", "shown", "unit", "origin", "doc")
        return dumps([{name: getattr(row, name) for name in names} for row in rows], indent=1)
    return "\n".join(f"{row.path} = {row.shown} {row.unit}".rstrip() + f"   [{row.origin}]  {row.doc}" for row in rows)


def ended(who: str, do: Callable[[], int], verdict: Verdict) -> int:
    """Do what was asked for, and return the exit code: the outermost door, at which errors become one sentence.

    Args:
        who: begins the sentence.
        do: what was asked for; returns the exit code.
        verdict: says what an error means; of one that is ours (`ExitCode.INTERNAL`), the traceback is kept.
    """
    try:
        return do()
    except Exception as error:  # noqa: BLE001 - the outermost door
        sentence, exit_code = verdict(error)
        if exit_code == ExitCode.INTERNAL:
            keep_traceback(error)
        complain(who, sentence)
        return exit_code


def complain(who: str, sentence: str) -> None:
    """Say what is wrong on standard error; nobody may be there any more who reads it."""
    with suppress(OSError, ValueError):
        print(f"{who}: {visible(redacted(sentence))}", file=sys.stderr, flush=True)
