"""The commands of README and of the pages run as pasted, page by page, in a fresh copy of the tree."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.pages.blocks import PAGES, ROOT, Block, blocks
from tests.pages.tree import copied

DEADLINE_S = 600.0
# A command that fails ends the page; doctor's 1 says that a pilot runs here, with warnings.
CAREFUL = """trap 'code=$?; [[ $code == 1 && $BASH_COMMAND == *" doctor "* ]] || {
    echo "exit code $code: $BASH_COMMAND"; exit 99; }' ERR"""
RUN = [page for page in PAGES if any(block.runs for block in blocks(page))]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return copied(tmp_path / "gridpilot")


@pytest.mark.parametrize("page", RUN, ids=[str(page.relative_to(ROOT)) for page in RUN])
def test_commands_of_a_page_run_as_pasted(page: Path, tree: Path, tmp_path: Path) -> None:
    script = "\n".join([CAREFUL, ". .venv/bin/activate", *map(_pasted, filter(lambda block: block.runs, blocks(page)))])
    home = tmp_path / "home"
    home.mkdir()
    said = tmp_path / "said"
    with said.open("wb") as output:
        shell = subprocess.Popen(
            ["bash", "-c", script],
            cwd=tree,
            env={"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            exit_code = shell.wait(DEADLINE_S)
        finally:
            _end(shell.pid)

    assert exit_code == 0, f"{page.relative_to(ROOT)}: {said.read_text(encoding='utf-8', errors='replace')[-3000:]}"


def _pasted(block: Block) -> str:
    """Return what the shell is given: the block, and a look at how its last command ended."""
    says = f"echo '== line {block.line}'"
    if block.stays:
        return f"{says}\n(\n{block.text}\n) >other 2>&1 &\nuntil [ -s other ]; do sleep 0.2; done"
    if block.exit_code == 0:
        return f"{says}\n{block.text}"
    return f"{says}\ntrap - ERR\n{block.text}\n[ $? = {block.exit_code} ] || exit 99\n{CAREFUL}"


def _end(session: int) -> None:
    """End what a page has left in the background."""
    try:
        os.killpg(session, signal.SIGKILL)
    except ProcessLookupError:
        return
