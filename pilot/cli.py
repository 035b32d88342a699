"""The command line: DIRAC's pilot options, read as getopt reads them."""

from __future__ import annotations

import getopt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pilot import readers
from pilot.errors import UsageError
from pilot.settings import WITHOUT_EFFECT, Given, table

HELP, EXPLAIN, VERSION, DRY_RUN = ("-h", "--help"), ("--explain",), ("--version",), ("--dry-run",)
QUESTIONS = (HELP, EXPLAIN, VERSION, DRY_RUN)
JSON = "--json"


@dataclass(frozen=True)
class CommandLine:
    """What was written on it.

    Attributes:
        given: the settings, in the order of the table.
        without_effect: spellings that are accepted and change nothing.
        asks_for: "" to run, else "--help", "--explain", "--version" or "--dry-run".
        about: the one thing that `--explain` is asked about, "" for everything.
        as_json: `--explain` and `--dry-run` answer programs.
    """

    given: tuple[Given, ...]
    without_effect: tuple[str, ...] = ()
    asks_for: str = ""
    about: str = ""
    as_json: bool = False


def parse(argv: Sequence[str]) -> CommandLine:
    """Read the arguments; an unknown option is answered with the nearest known one."""
    argv, about = _about(argv)
    written = _getopt(argv)
    given = {}
    for setting, row in table().items():
        values = [value for name, value in written if name in row.names]
        if values:
            name = next(name for name, _ in written if name in row.names)
            value = True if row.flag else values if row.repeats else values[-1]
            given[setting] = Given(setting, value, f"option {name}")
    ignored = tuple(name for name, _ in written if any(name in names for names, _ in WITHOUT_EFFECT))
    asked = [names[-1] for names in QUESTIONS if any(name in names for name, _ in written)]
    as_json = any(name == JSON for name, _ in written)
    if as_json and not set(asked) & {*EXPLAIN, *DRY_RUN}:
        raise UsageError(f"option {JSON}: expected with --explain or --dry-run")
    return CommandLine(tuple(given.values()), ignored, asked[0] if asked else "", about, as_json)


def _about(argv: Sequence[str]) -> tuple[Sequence[str], str]:
    """Take the word after `--explain` out: getopt has no options with a value that may be left out."""
    takes_value = dict(_spellings())
    for at, word in enumerate(argv):
        if word.startswith("--explain="):
            return [*argv[:at], "--explain", *argv[at + 1 :]], word.partition("=")[2]
        if word == "--explain" and at + 1 < len(argv):
            following = argv[at + 1]
            is_last = argv[at + 2 :] in ([], [JSON])  # `--explain -n` asks about -n; `--explain -n SITE` gives it
            if not following.startswith("-") or (is_last and takes_value.get(following)):
                return [*argv[: at + 1], *argv[at + 2 :]], following
    return argv, ""


def _getopt(argv: Sequence[str]) -> list[tuple[str, str]]:
    spellings = dict(_spellings())
    short = "".join(name[1] + ":" * takes for name, takes in spellings.items() if not name.startswith("--"))
    long = [name[2:] + "=" * takes for name, takes in spellings.items() if name.startswith("--")]
    try:
        written, rest = getopt.getopt(list(argv), short, long)
    except getopt.GetoptError as error:
        raise UsageError(_sentence(error, spellings)) from error
    if rest:
        raise UsageError(f"argument {rest[0]!r}: expected an option, one of those that --help lists")
    return written


def _spellings() -> Iterable[tuple[str, bool]]:
    for row in table().values():
        yield from ((name, not row.flag) for name in row.names)
    for names, takes_value in WITHOUT_EFFECT:
        yield from ((name, takes_value) for name in names)
    for names in (*QUESTIONS, (JSON,)):
        yield from ((name, False) for name in names)


def _sentence(error: getopt.GetoptError, known: Iterable[str]) -> str:
    name = f"--{error.opt}" if len(error.opt) > 1 else f"-{error.opt}"
    if "requires argument" in error.msg:
        return f"option {name}: expected a value after it"
    if "must not have an argument" in error.msg:
        return f"option {name}: it takes no value"
    if "unique prefix" in error.msg:
        matching = [spelling for spelling in known if spelling.startswith(name)]
        return f"option {name}: short for more than one of {', '.join(matching)}"
    return f"option {name}: unknown{_nearest(name, known)}"


def _nearest(name: str, known: Iterable[str]) -> str:
    bare = {spelling.lstrip("-"): spelling for spelling in known}  # that both begin with dashes makes nothing alike
    near = bare.get(readers.nearest(name.lstrip("-"), bare))
    return f"; did you mean {near}?" if near else "; --help lists those that exist"
