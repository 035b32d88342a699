"""The options of a command, read from the parser that reads them: no page can differ from it."""

import argparse
import io
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from importlib import import_module

from gridpilot.command import Command, Described, Option

_FILES = frozenset({"FILE", "DIR", "DIRECTORY", "HOME", "JDL"})


def parser_of(command: Command) -> argparse.ArgumentParser | None:
    """Return a command's parser; None for the pilot's own."""
    if not command.parser:
        return None
    name, _, function = command.parser.partition(":")
    make: Callable[[], argparse.ArgumentParser] = getattr(import_module(name), function)
    made = make()
    made.prog = f"gridpilot {command.name}"
    for sub in _subparsers(made).values():
        sub.prog = f"gridpilot {command.name} {sub.prog.rpartition(' ')[2]}"
    return made


def help_of(command: Command) -> str:
    """Return usage and options as `--help` shows them."""
    made = parser_of(command)
    if made is not None:
        written = io.StringIO()
        with redirect_stdout(written):
            made.print_help()
        return written.getvalue()
    from pilot import usage  # noqa: PLC0415 - the settings table is for these two commands

    return usage.of_doctor("gridpilot doctor") if command.name == "doctor" else usage.text("gridpilot pilot")


def described(command: Command) -> Described:
    """Return what a command takes."""
    made = parser_of(command)
    if made is not None:
        told = _of(made)
        return Described(
            usage=told.usage, does=command.does, options=told.options, arguments=told.arguments, commands=told.commands
        )
    return Described(usage=f"gridpilot {command.name} [options]", does=command.does, options=tuple(_of_pilot(command)))


def _of(parser: argparse.ArgumentParser) -> Described:
    options: list[Option] = []
    arguments: list[Option] = []
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to ask
        if isinstance(action, argparse._SubParsersAction | argparse._HelpAction):  # noqa: SLF001 - all have help
            continue
        (options if action.option_strings else arguments).append(_option(action))
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    below = {name: _of(sub) for name, sub in _subparsers(parser).items()}
    does = parser.description or ""
    return Described(usage=usage, does=does, options=tuple(options), arguments=tuple(arguments), commands=below)


def _option(action: argparse.Action) -> Option:
    value = ""
    if action.nargs != 0:
        value = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    meaning = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")
    is_file = value in _FILES or getattr(action.type, "__name__", "") == "Path"
    choices = tuple(map(str, action.choices or ()))
    return Option(names=tuple(action.option_strings), value=value, meaning=meaning, choices=choices, is_file=is_file)


def _subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:  # noqa: SLF001 - as above
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            return dict(action.choices)
    return {}


def _of_pilot(command: Command) -> Iterator[Option]:
    from pilot import usage  # noqa: PLC0415 - as above

    for _, names, value, meaning in usage.rows():
        yield Option(names=names, value=value, meaning=meaning, is_file=value in _FILES)
    if command.name == "doctor":
        yield Option(names=("--json",), meaning="for programs")
