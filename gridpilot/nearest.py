"""The sentence for a word that is no command: the one that was probably meant."""

import difflib

from gridpilot.command import Command
from gridpilot.table import COMMANDS

_LEAST_ALIKE = 0.6
# What people type who know other programs.
_MEANT = {
    "check": "doctor",
    "diagnose": "doctor",
    "start": "pilot",
    "server": "wms serve",
    "serve": "wms serve",
    "submit": "wms submit",
    "wait": "wms wait",
    "output": "wms output",
    "kill": "wms kill",
    "jobs": "wms status",
    "logs": "wms output",
    "exec": "run",
    "completions": "completion",
    "director": "site-director",
    "sitedirector": "site-director",
}


def sentence(word: str, command: Command | None = None) -> str:
    """Return what is wrong with a word, and the nearest one: of a command's, or of the program's."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in word[:60])
    if command is not None:
        near = difflib.get_close_matches(word.casefold(), command.words, n=1, cutoff=_LEAST_ALIKE)
        rest = f"did you mean {near[0]}?" if near else f"there are {', '.join(command.words)}"
        return f"unknown command {command.name} {shown}; {rest}"
    if meant := meant_by(word):
        return f"unknown command {shown}; did you mean gridpilot {meant}?"
    return f"unknown command {shown}; `gridpilot --help` lists them"


def meant_by(word: str) -> str:
    """Return the command that a word probably means, "" for none."""
    folded = word.strip().casefold()
    if folded in _MEANT:
        return _MEANT[folded]
    near = difflib.get_close_matches(folded, [*COMMANDS, *_MEANT], n=1, cutoff=_LEAST_ALIKE)
    if near:
        return _MEANT.get(near[0], near[0])
    below = {each: f"{row.name} {each}" for row in COMMANDS.values() for each in row.words}
    near = difflib.get_close_matches(folded, below, n=1, cutoff=_LEAST_ALIKE + 0.1)
    return below[near[0]] if near else ""
