"""`gridpilot`: one program for everything. A word chooses the command; nothing else is loaded until it is known.

An option in the first place is the pilot's, as it always was: `gridpilot -n SITE …` is `gridpilot pilot -n SITE …`.
"""

import os
import sys
from collections.abc import Callable, Sequence

from gridpilot.command import Command
from gridpilot.table import COMMANDS

USAGE = 2
HELP = ("-h", "--help")
_READER_GONE = 141  # 128 + SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Do what was asked for; return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _obeyed(words)
    except KeyboardInterrupt:
        print("gridpilot: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _READER_GONE


def _obeyed(words: Sequence[str]) -> int:
    first, *rest = words or [""]
    if first in (*HELP, "help", ""):
        return _help(rest, 0 if words else USAGE)
    if first == "--version":
        return _started("gridpilot.packages:main", rest)
    if first.startswith("-"):
        return _started(COMMANDS["pilot"].runs, words)
    command = COMMANDS.get(first)
    if command is None:
        return _unknown(first)
    if command.needs_words and not rest and not _is_configured_here(command):
        return _help([first], USAGE)
    if rest[:1] and rest[0] in HELP:
        return _help([first], 0)
    if command.words and rest and not rest[0].startswith("-") and rest[0] not in command.words:
        return _unknown(rest[0], command)
    return _started(command.runs, rest)


def _is_configured_here(command: Command) -> bool:
    """Tell whether the pilot needs no word: DIRAC's wrapper leaves all of them in `pilot.json`."""
    return command.name == "pilot" and os.path.exists("pilot.json")  # noqa: PTH110 - pathlib would double the start


def _help(words: Sequence[str], exit_code: int) -> int:
    from gridpilot import help_text  # noqa: PLC0415 - only who asks for help waits for it

    if not words:
        print(help_text.overview(), flush=True)
        return exit_code
    if words[0] not in COMMANDS:
        return _unknown(words[0])
    print(help_text.of(COMMANDS[words[0]]), flush=True)
    return exit_code


def _unknown(word: str, command: Command | None = None) -> int:
    from gridpilot.nearest import sentence  # noqa: PLC0415 - needed by misspelt words only

    print(f"gridpilot: {sentence(word, command)}", file=sys.stderr)
    return USAGE


def _started(place: str, words: Sequence[str]) -> int:
    """Call what a command runs; say it in a sentence where another package is in its place, or one is missing."""
    from importlib import import_module  # noqa: PLC0415 - `--help` needs no other module

    name, _, function = place.partition(":")
    try:
        run: Callable[[Sequence[str]], int] = getattr(import_module(name), function)
    except (ImportError, AttributeError) as error:
        from gridpilot import packages  # noqa: PLC0415 - needed where something is wrong

        if not (trouble := packages.trouble(error)):
            raise
        print(f"gridpilot: {trouble}", file=sys.stderr)
        return packages.UNFIT
    return run(words)


if __name__ == "__main__":
    sys.exit(main())
