"""What the checks of pages are worth: each of them sees a page that was broken on purpose."""

from pathlib import Path

import pytest

from agents.observability import slot_report
from tests.unit.slot_scene import busy, write
from tests.web import seen
from tests.web.browser import Tab
from tests.web.seen import DARK, NARROW, PAPER, WIDE, View


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slot")
    courses = busy(20, 8)
    write(folder, courses, processors=8, end_s=max(one.end_s or 0.0 for one in courses) + 60, reason="no work")
    slot_report.write(folder, folder / "slot.html")
    return folder / "slot.html"


def broken(page: Path, style: str, folder: Path) -> str:
    """Return a copy of the page with another style."""
    text = page.read_text(encoding="utf-8")
    copy = folder / "broken.html"
    copy.write_text(text.replace("</style>", f"{style}</style>", 1), encoding="utf-8")
    return copy.as_uri()


@pytest.mark.parametrize(
    ("view", "style", "said"),
    [
        (WIDE, "main { min-width: 1400px; }", "overflow: the page is"),
        (NARROW, "h1 { white-space: nowrap; overflow-wrap: normal; }", "sticks out: h1"),
        (
            WIDE,
            "section { overflow: hidden; } .two table { min-width: 900px; } .scroll { overflow: visible; }",
            "cut off",
        ),
        (WIDE, ".tiles dd { width: 30px; overflow: hidden; white-space: nowrap; }", "cut off: dd"),
        (WIDE, "section { height: 60px; overflow: hidden; }", "cut off below: section"),
        (WIDE, "section { margin-top: -60px; }", "overlap: "),
        (WIDE, ".ticks span { padding-right: 200px; }", "overlap: span"),
        (WIDE, ":root { --quiet: #999; }", "contrast 2.85 of 4.5: text"),
        (WIDE, ".choose input::placeholder { color: #bbb; }", "contrast 1.92 of 4.5: placeholder"),
        (WIDE, ".names span { color: #2f74c0; }", "contrast 1.00 of 4.5: text span"),
        (WIDE, "main { opacity: .5; }", "contrast "),
        (DARK, "h2 { color: #1c1b19; }", "contrast "),
        (DARK, ":root { --card: #ffffff !important; }", "contrast "),
        (PAPER, "#jobs td { white-space: nowrap !important; } .scroll { overflow: hidden !important; }", "cut off"),
        (PAPER, "#jobs table { width: 1500px; } .scroll { overflow-x: auto !important; }", "cut off on paper"),
        (PAPER, "main { width: 1280px; }", "overflow: the page is"),
        (WIDE, "main { display: none; }", "there is hardly anything on it"),
    ],
)
def test_a_page_that_was_broken_is_seen(
    page: Path, tab: Tab, tmp_path: Path, view: View, style: str, said: str
) -> None:
    tab.look(view.width, dark=view.dark)
    tab.go(broken(page, style, tmp_path))

    found = seen.problems(tab, view)

    assert [each for each in found if said in each] != [], found


@pytest.mark.parametrize(
    "style",
    [
        "#jobs tr:nth-child(3) { display: none; }",
        "#jobs td.name { display: none; }",
        ".scroll { overflow: hidden !important; height: 100px; }",
    ],
)
def test_paper_on_which_something_is_missing_is_seen(page: Path, tab: Tab, tmp_path: Path, style: str) -> None:
    tab.go(broken(page, style, tmp_path))

    paper = seen.printed(tab, tmp_path / "broken.pdf")

    jobs = tab.value("told.jobs")
    assert seen.missing(paper, [job["name"] for job in jobs]) != []


def test_paper_of_another_size_is_seen(page: Path, tab: Tab, tmp_path: Path) -> None:
    tab.go(broken(page, "@page { size: A5; }", tmp_path))

    assert seen.printed(tab, tmp_path / "broken.pdf").size_pt != seen.A4_ACROSS_PT
