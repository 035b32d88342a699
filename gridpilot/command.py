"""What a command is: the one description that help, completion, man page, documentation and tests are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A word after `gridpilot`.

    Attributes:
        name: the word.
        group: the heading under which it is listed.
        does: what it does, in one line.
        runs: `module:function`, called with the words after the command; returns the exit code.
        parser: `module:function` that returns its `argparse` parser; "" for the options of the pilot.
        words: its subcommands; the first thing that may stand after it.
        needs_words: without any word it shows its help and ends with 2, so that nothing is started by accident.
        takes_all: every word after it is its own, `--help` in the first place excepted.
        examples: what is typed, and what that is for.
        exit_codes: code, and what it means.
    """

    name: str
    group: str
    does: str
    runs: str
    parser: str = ""
    words: tuple[str, ...] = ()
    needs_words: bool = False
    takes_all: bool = False
    examples: tuple[tuple[str, str], ...] = ()
    exit_codes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option, or an argument without a name.

    Attributes:
        names: as typed; none for an argument.
        value: what stands for its value in a synopsis, "" for a flag.
        meaning: one line.
        choices: the values that there are, none where any will do.
        is_file: its value is the name of a file or a directory.
    """

    names: tuple[str, ...]
    value: str = ""
    meaning: str = ""
    choices: tuple[str, ...] = ()
    is_file: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A command as its parser has it: what completion, man page and documentation need."""

    usage: str
    does: str
    options: tuple[Option, ...] = ()
    arguments: tuple[Option, ...] = ()
    commands: Mapping[str, "Described"] = field(default_factory=dict)
