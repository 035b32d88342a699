"""Writes `docs/commands.md`, the man page and the completions out of the table of commands: `make docs`."""

from collections.abc import Iterator
from pathlib import Path

from gridpilot import completion, man
from gridpilot.command import Command, Described
from gridpilot.described import described
from gridpilot.table import COMMANDS, GROUPS

ROOT = Path(__file__).parents[1]
PAGE = Path(__file__).with_name("commands.md")
BEGINNING = """\
# Commands

Written by `make docs` from `gridpilot/table.py` and the parsers of the commands; do not edit.

`gridpilot COMMAND --help` shows the same. A misspelt command is answered by the nearest one and exit code 2; without a
word, `gridpilot` shows its help and starts nothing. Tables are as wide as the terminal, or 80 columns (`COLUMNS`);
colours are for terminals only, and `NO_COLOR` turns them off. An option in the first place is the pilot's, so that
`gridpilot -n SITE …` works wherever `python -m pilot -n SITE …` does. The one file, `gridpilot.pyz`, is the pilot: it
also knows `doctor`, `status`, `explain`, `report`, `ce`, `site-director` and `data`, and nothing of what is for a
person's own machine.

The package brings its manual page and the completions of bash, zsh and fish; `gridpilot man` and `gridpilot completion`
print them.
"""


def page() -> str:
    """Return the page's text."""
    return "\n".join([BEGINNING, *_contents(), *_all()]) + "\n"


def files() -> dict[Path, str]:
    """Return all that is written from the table."""
    share = ROOT / "share"
    return {
        PAGE: page(),
        share / "man/man1/gridpilot.1": man.page(),
        share / "bash-completion/completions/gridpilot": completion.script("bash"),
        share / "zsh/site-functions/_gridpilot": completion.script("zsh"),
        share / "fish/vendor_completions.d/gridpilot.fish": completion.script("fish"),
    }


def _contents() -> Iterator[str]:
    yield "| command | |\n|---|---|"
    yield from (f"| [`{row.name}`](#{row.name}) | {row.does} |" for row in COMMANDS.values())


def _all() -> Iterator[str]:
    for group in GROUPS:
        for row in COMMANDS.values():
            if row.group == group:
                yield from _command(row, described(row))


def _command(row: Command, told: Described) -> Iterator[str]:
    yield f"\n## {row.name}\n\n{row.does[0].upper()}{row.does[1:]}.\n\n`{told.usage}`"
    yield from _options(told)
    for name, sub in told.commands.items():
        yield f"\n`gridpilot {row.name} {name}`: {sub.does}"
        yield from _options(sub)
    if row.examples:
        yield "\n<!-- not run: examples, with names that stand for others -->\n\n```sh"
        width = max(len(typed) for typed, _ in row.examples)
        yield from (f"{typed:<{width}}  # {meaning}" if meaning else typed for typed, meaning in row.examples)
        yield "```"
    if row.exit_codes:
        yield "\n| exit code | |\n|--:|---|"
        yield from (f"| {code} | {meaning} |" for code, meaning in row.exit_codes.items())


def _options(told: Described) -> Iterator[str]:
    shown = (*told.arguments, *told.options)
    if shown:
        yield "\n| | |\n|---|---|"
    for each in shown:
        spelled, meaning = (text.replace("|", "\\|") for text in (man.spelled(each), each.meaning))
        yield f"| `{spelled}` | {meaning} |"


if __name__ == "__main__":
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
