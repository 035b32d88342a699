"""The command lines of all programs: `argparse`, with the nearest name for an option that there is not."""

import argparse
from collections.abc import Iterator
from typing import NoReturn

_UNKNOWN = "unrecognized arguments: "


class Parser(argparse.ArgumentParser):
    """A command line whose complaint about a misspelt option says which one is probably meant."""

    def error(self, message: str) -> NoReturn:
        """See ArgumentParser: print usage and what is wrong, and exit with 2."""
        if message.startswith(_UNKNOWN):
            message += self._meant(message.removeprefix(_UNKNOWN))
        super().error(message)

    def _meant(self, words: str) -> str:
        from ce_backends.readers import nearest  # noqa: PLC0415 - only a mistake needs it, and each agent starts here

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
