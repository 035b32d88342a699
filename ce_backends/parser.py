"""The command lines of all programs: `argparse`, with the nearest name for an option that there is not.

Numbers that people type are read by `whole` and `seconds`, which say what they expect.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NoReturn

from ce_backends.readers import nearest

MOST_JOB_ID = 10**12 - 1  # DIRAC has come to 10**9
MOST_S = 10_000_000.0  # some months

_DIGITS = 19
_UNKNOWN = "unrecognized arguments: "


class Parser(argparse.ArgumentParser):
    """A command line whose complaint about a misspelt option says which one is probably meant."""

    def error(self, message: str) -> NoReturn:
        """See ArgumentParser: print usage and what is wrong, and exit with 2."""
        if message.startswith(_UNKNOWN):
            message += self._meant(message.removeprefix(_UNKNOWN))
        super().error(message)

    def _meant(self, words: str) -> str:
        wrong = next((word.partition("=")[0] for word in words.split() if word.startswith("-")), "")
        near = nearest(wrong, set(_options(self))) if wrong else ""
        return f"; did you mean {near}?" if near else f"; `{self.prog} --help` lists what there is"


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the options of a command line, those of its commands too: it is the whole line that complains."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to list them
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for below in action.choices.values():
                yield from _options(below)


def whole(least: int, most: int) -> Callable[[str], int]:
    """Return what reads a whole number from `least` to `most`, for `add_argument`."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"{text[:40]!r}: expected a whole number, {least} to {most}")
        return int(text)

    return read


def seconds(least: float = 0.1, most: float = MOST_S) -> Callable[[str], float]:
    """Return what reads a time in seconds from `least` to `most`, for `add_argument`."""

    def read(text: str) -> float:
        with suppress(ValueError):
            if least <= (given := float(text)) <= most:
                return given
        raise argparse.ArgumentTypeError(f"{text[:40]!r}: expected seconds, {least:g} to {most:.0f}")

    return read
