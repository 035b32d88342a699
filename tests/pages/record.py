"""`make recordings`: what five kinds of users see in their first ten minutes, typed as their pages have it.

Each recording is a shell that is given the commands of pages, one after the other, in a fresh copy of the tree; what
it printed is kept in docs/recordings.md. Long outputs are cut in the middle, with the number of lines that were there.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.pages.blocks import ROOT, blocks
from tests.pages.tree import copied

PAGE = ROOT / "docs" / "recordings.md"
MOST_LINES, KEPT_LINES = 40, 18  # of the output of one command
LONGEST_S = 600
HEAD = """\
# The first ten minutes of five kinds of users

Written by `make recordings`; do not edit. Commands were typed as the pages have them, in a fresh copy of the tree
after `make setup`; what came is below each, cut in the middle where it is long. Seconds are those of a machine of
{cores} processors that other programs shared (load {load:.0f} at the start). What others give in their first ten
minutes: [first-ten-minutes.md](first-ten-minutes.md).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Whose ten minutes these are.

    Attributes:
        who: as the page's heading says it.
        wants: why they are here.
        pages: whose commands they type, in this order.
        more: commands that no page has, for the pages' own need a site.
    """

    who: str
    wants: str
    pages: Sequence[str]
    more: Sequence[str] = ()


USERS = (
    User(who="Somebody with five minutes", wants="sees a job run", pages=("docs/tutorial.md",)),
    User(
        who="The admin of a site",
        wants="looks whether pilots run on a node, and what they would do there",
        pages=("docs/how-to/check-a-node.md", "docs/how-to/drain.md"),
        more=("gridpilot pilot --explain processors -n LOCAL.Demo.ch -P 4",),
    ),
    User(
        who="The admin of a VO",
        wants="describes a computing element, and has it checked",
        pages=("docs/how-to/describe-a-ce.md",),
        more=("gridpilot ce validate Local -o BatchSystem=SLRUM -o Quue=long || echo exit code $?",),
    ),
    User(
        who="Somebody who tests a CE in CI",
        wants="runs the conformance suite, and gets JUnit's XML",
        pages=("docs/how-to/test-in-ci.md",),
        more=("head -c 300 ce.xml; echo", "gridpilot ce lab"),
    ),
    User(
        who="Somebody who knows DIRAC's pilot",
        wants="gives it the options that he is used to",
        pages=(),
        more=(
            "gridpilot pilot -n LOCAL.Demo.ch -Q long -y Pool -o /Resources/Computing/CEDefaults/x=1 --explain=-o",
            "gridpilot pilot --pilotUUIDD x || echo exit code $?",
            "gridpilot data --help | head -20",
            "gridpilot site-director --help | head -20",
        ),
    ),
)


def main() -> int:
    """Record all of them."""
    parts = [HEAD.format(cores=os.cpu_count(), load=os.getloadavg()[0])]
    for user in USERS:
        print(f"recording: {user.who}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="gridpilot-recording-") as folder:
            parts.append(recorded(user, Path(folder)))
    PAGE.write_text("\n".join(parts), encoding="utf-8")
    return 0


def recorded(user: User, folder: Path) -> str:
    """Return the part of the page about one user."""
    tree, home = copied(folder / "gridpilot"), folder / "home"
    home.mkdir()
    commands = list(_commands(user))
    script = "".join(f"echo {_mark(number)}\n{command}\n" for number, command in enumerate(commands))
    began_s = time.monotonic()
    with (folder / "said").open("wb") as said:
        subprocess.run(
            ["bash", "-c", f". .venv/bin/activate\n{script}\nkill $(jobs -p) 2>/dev/null; wait"],
            cwd=tree,
            env={"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "COLUMNS": "100"},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            timeout=LONGEST_S,
            check=False,
        )
    took_s = time.monotonic() - began_s
    text = (folder / "said").read_text("utf-8", "replace")
    for path, shown in ((tree, "~/gridpilot"), (home, "~"), (sys.prefix, "~/gridpilot/.venv")):
        text = text.replace(str(path), shown)
    outputs = re.split(r"^== recorded \d+$\n?", text, flags=re.MULTILINE)[1:]
    lines = [f"## {user.who}", "", f"{user.who} {user.wants}: {took_s:.0f} s in all.", "", "```text"]
    for command, output in zip(commands, outputs, strict=True):
        lines += [_prompted(command), *_cut(output.splitlines())]
    return "\n".join([*lines, "```", ""])


def _commands(user: User) -> Iterator[str]:
    for page in user.pages:
        for block in blocks(ROOT / page):
            if block.runs:
                yield from _single(block.text)
    yield from user.more


def _single(text: str) -> Iterator[str]:
    """Yield the commands of a block; what a shell would not take by itself goes on over several lines."""
    begun = ""
    for line in text.splitlines():
        begun += line + "\n"
        whole = subprocess.run(["bash", "-n"], input=begun, capture_output=True, text=True, check=False)
        if begun.strip() and whole.returncode == 0 and not whole.stderr and not line.endswith("\\"):
            yield begun.strip("\n")
            begun = ""


def _mark(number: int) -> str:
    return f"== recorded {number}"


def _prompted(command: str) -> str:
    first, *rest = command.splitlines()
    return "\n".join([f"$ {first}", *(f"> {line}" for line in rest)])


def _cut(lines: Sequence[str]) -> list[str]:
    if len(lines) <= MOST_LINES:
        return list(lines)
    return [*lines[:KEPT_LINES], f"[… {len(lines) - 2 * KEPT_LINES} lines …]", *lines[-KEPT_LINES:]]


if __name__ == "__main__":
    sys.exit(main())
