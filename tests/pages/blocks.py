"""The shell blocks of README and of the pages, and what is said of them in a comment before them.

`<!-- exit code 2: why -->` names the code that the block's last command ends with, `<!-- another terminal: why -->` a
block that stays, `<!-- not run: why -->` one that needs what no test has, or that runs elsewhere.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
_NOTE = re.compile(r"<!-- (?:(not run|another terminal)|exit code (\d+)): [^\n]{8,} -->\n+ *\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block of shell commands.

    Attributes:
        line: of the page, from 1.
        text: as it would be pasted.
        runs: False where the page says why it is not run.
        stays: it is run in another terminal.
        exit_code: of its last command.
    """

    line: int
    text: str
    runs: bool
    stays: bool
    exit_code: int


def blocks(page: Path) -> Iterator[Block]:
    """Yield the shell blocks of a page in order."""
    text = page.read_text(encoding="utf-8")
    for fence in _FENCE.finditer(text):
        if fence[2] not in {"sh", "bash", "shell", "console"}:
            continue
        note = _NOTE.search(text[: fence.start()])
        pasted = "".join(line.removeprefix(fence[1]) for line in fence[3].splitlines(keepends=True))
        yield Block(
            line=text[: fence.start()].count("\n") + 1,
            text=pasted,
            runs=not (note and note[1] == "not run"),
            stays=bool(note and note[1] == "another terminal"),
            exit_code=int(note[2] or 0) if note else 0,
        )
