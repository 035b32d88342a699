"""`--help`: all commands by groups, or one command with its options, examples and exit codes."""

import os
import sys

from gridpilot.command import Command
from gridpilot.table import COMMANDS, GROUPS

_BOLD, _PLAIN = "\033[1m", "\033[0m"


def overview() -> str:
    """Return the help of the program."""
    width = max(map(len, COMMANDS))
    lines = ["usage: gridpilot COMMAND …", "", "A pilot and job agent for DIRAC, and what goes with it."]
    for group in GROUPS:
        lines += ["", heading(group)]
        lines += [f"  {row.name:<{width}}  {row.does}" for row in COMMANDS.values() if row.group == group]
    lines += ["", "`gridpilot COMMAND --help` has options, examples and exit codes."]
    lines.append("Options in the first place are the pilot's: gridpilot -n SITE …")
    return "\n".join(lines)


def of(command: Command) -> str:
    """Return the help of one command."""
    from gridpilot.described import help_of  # noqa: PLC0415 - the overview does without parsers

    return "\n".join([help_of(command).rstrip(), "", after(command)])


def after(command: Command) -> str:
    """Return what stands below the options: examples and exit codes."""
    lines = []
    if command.examples:
        lines.append(heading("examples"))
        for typed, meaning in command.examples:
            lines += [f"  {typed}", *([f"      {meaning}"] if meaning else [])]
    if command.exit_codes:
        lines += ["", heading("exit codes")]
        width = max(map(len, command.exit_codes))
        lines += [f"  {code:<{width}}  {meaning}" for code, meaning in command.exit_codes.items()]
    return "\n".join(lines)


def heading(text: str) -> str:
    """Return a heading, bold where that can be seen and is wanted."""
    return f"{_BOLD}{text}:{_PLAIN}" if is_coloured() else f"{text}:"


def is_coloured() -> bool:
    """Tell whether escape sequences may be written: on a terminal, unless NO_COLOR is set (no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and sys.stdout.isatty()
