"""`gridpilot man`: the manual page, from the table of commands and their parsers."""

import argparse
from collections.abc import Iterator, Sequence

from gridpilot.command import Command, Described, Option
from gridpilot.described import described
from gridpilot.table import COMMANDS, GROUPS


def parser() -> argparse.ArgumentParser:
    """Return the options of `man`, which has none."""
    return argparse.ArgumentParser(prog="gridpilot man", description="Print the manual page, for man -l.")


def main(words: Sequence[str]) -> int:
    """Print the page."""
    parser().parse_args(words)
    print(page(), end="", flush=True)
    return 0


def page() -> str:
    """Return the page in the language of man(7)."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield '.TH GRIDPILOT 1 "" gridpilot "User Commands"'
    yield from (".SH NAME", r"gridpilot \- a workload-management pilot and job agent for DIRAC")
    yield from (".SH SYNOPSIS", ".B gridpilot", r".I COMMAND\fR [\fIoption\fR ...]")
    yield ".SH DESCRIPTION"
    yield _text("A word chooses the command. An option in the first place is the pilot's: gridpilot -n SITE ...")
    for group in GROUPS:
        yield f".SH {_text(group.upper())}"
        for row in COMMANDS.values():
            if row.group == group:
                yield from _command(row)
    yield from (".SH ENVIRONMENT", ".TP", ".B NO_COLOR", "no colours, also on a terminal")
    yield from (".TP", ".B COLUMNS", "the width of tables, which is otherwise that of the terminal, or 80")
    yield from (".TP", ".B GRIDPILOT_LOCAL_WMS", "the directory of the local WMS")


def _command(row: Command) -> Iterator[str]:
    told = described(row)
    yield f".SS {_text(f'gridpilot {row.name}')}"
    yield from (_text(row.does[0].upper() + row.does[1:] + "."), ".PP", f"\\fB{_text(told.usage)}\\fR")
    yield from _options(told)
    for name, sub in told.commands.items():
        yield from (".PP", f"\\fBgridpilot {_text(f'{row.name} {name}')}\\fR: {_text(sub.does)}")
        yield from _options(sub)
    if row.examples:
        yield from (".PP", "Examples:")
    for typed, meaning in row.examples:
        yield from (".PP", ".nf", f"\\&  {_text(typed)}", ".fi", *([_text(meaning)] if meaning else []))
    if row.exit_codes:
        yield from (".PP", "Exit codes:")
    for code, meaning in row.exit_codes.items():
        yield from (".TP", f".B {_text(code)}", _text(meaning))


def _options(told: Described) -> Iterator[str]:
    for option in (*told.arguments, *told.options):
        if option.meaning or option.names:
            yield from (".TP", f".B {_text(spelled(option))}", _text(option.meaning) or "\\&")


def spelled(option: Option) -> str:
    """Return an option as it is typed."""
    return f"{', '.join(option.names)} {option.value}".strip()


def _text(text: str) -> str:
    """Return a text that troff takes for nothing else."""
    safe = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...").replace("×", "x")
    return f"\\&{safe}" if safe.startswith((".", "'")) else safe
