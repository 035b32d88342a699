"""How people see a page: narrow, wide, dark, on paper; and what is wrong with it then."""

import html
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.web.browser import Tab

_LOOKS = (Path(__file__).parent / "looks.js").read_text(encoding="utf-8")
PAPER_WIDTH = 1032  # CSS pixels (96 to the inch) of A4 across, without the margins of 12 mm
A4_ACROSS_PT = (842, 595)


@dataclass(frozen=True, kw_only=True)
class View:
    """One way to look."""

    name: str
    width: int
    dark: bool = False
    paper: bool = False


VIEWS: Sequence[View] = (
    View(name="390", width=390),
    View(name="1280", width=1280),
    View(name="390 dark", width=390, dark=True),
    View(name="1280 dark", width=1280, dark=True),
    View(name="A4", width=PAPER_WIDTH, paper=True),
    View(name="A4 of a dark window", width=PAPER_WIDTH, paper=True, dark=True),
)
SCREENS, SHEETS = VIEWS[:4], VIEWS[4:]
NARROW, WIDE, DARK, PAPER = VIEWS[0], VIEWS[1], VIEWS[3], VIEWS[4]


def problems(tab: Tab, view: View) -> list[str]:
    """Return what a person would find wrong; a page on which nothing was found to look at is wrong, too."""
    tab.look(view.width, dark=view.dark, paper=view.paper)
    height = int(tab.value("document.documentElement.scrollHeight"))
    tab.look(
        view.width, dark=view.dark, paper=view.paper, height=min(30_000, height + 50)
    )  # all of it can be pointed at
    if view.paper:
        tab.value("dispatchEvent(new Event('beforeprint')), 1")
    tab.value(_LOOKS)
    found = tab.value(f"looks({str(view.paper).lower()})")
    if view.paper:
        tab.value("dispatchEvent(new Event('afterprint')), 1")
    told = [str(each) for each in found["problems"]]
    return told if found["texts"] > 5 and found["boxes"] > 10 else [*told, f"there is hardly anything on it: {found}"]


@dataclass(frozen=True)
class Printed:
    """A PDF as its reader tells of it.

    Attributes:
        text: of each column of each sheet from top to bottom, without blanks: where lines were broken does not count.
        outside: words that do not lie on their sheet.
        pages: how many sheets.
        size_pt: of a sheet.
    """

    text: str
    outside: Sequence[str]
    pages: int
    size_pt: tuple[int, int]


Word = tuple[float, float, float, str]  # left, top, right in points, and what it says
_WORD = re.compile(r'<word xMin="([-\d.]+)" yMin="([-\d.]+)" xMax="([-\d.]+)" yMax="[-\d.]+">(.*?)</word>')
_SHEET = re.compile(r'<page width="([\d.]+)" height="([\d.]+)">(.*?)</page>', re.S)
_GAP_PT = 4.2  # between two words of one cell; cells are further apart


def printed(tab: Tab, file: Path) -> Printed:
    """Print a page, and read what is on the paper."""
    tab.printed(file)
    told = subprocess.run(
        ["pdftotext", "-bbox", str(file), "-"], capture_output=True, text=True, timeout=60, check=True
    )
    sheets = [(float(width), float(height), _words(inner)) for width, height, inner in _SHEET.findall(told.stdout)]
    outside = [word[3] for width, _, words in sheets for word in words if word[0] < 0 or word[2] > width]
    text = "".join(_column_by_column(words) for _, _, words in sheets)
    return Printed(text, outside, len(sheets), (round(sheets[0][0]), round(sheets[0][1])))


def _words(sheet: str) -> list[Word]:
    found = (
        (float(left), float(top), float(right), html.unescape(text)) for left, top, right, text in _WORD.findall(sheet)
    )
    return sorted(found, key=lambda word: (round(word[1]), word[0]))


def _column_by_column(words: Sequence[Word]) -> str:
    """Return the text of each column of a sheet: pieces of lines that begin at the same place, one below the other."""
    columns: dict[int, list[str]] = {}
    at, last = 0, None
    for left, top, right, text in words:
        if last is None or abs(top - last[1]) > 1 or left - last[2] > _GAP_PT:
            at = round(left)
        columns.setdefault(at, []).append(text)
        last = (left, top, right)
    return "\n".join("".join(pieces) for pieces in columns.values()).replace(" ", "")


def missing(paper: Printed, words: Iterable[str]) -> list[str]:
    """Return the words that are not on the paper."""
    return [each for each in words if re.sub(r"\s+", "", each) not in paper.text]
