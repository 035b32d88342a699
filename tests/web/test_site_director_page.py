"""The SiteDirector's page in a real Chromium: narrow and wide, dark, on paper."""

from pathlib import Path

import pytest

from agents.site_director import page
from agents.site_director.ledger import PilotLedger
from tests.unit.test_site_director_page import NOW, ledger
from tests.web import seen
from tests.web.browser import Tab
from tests.web.seen import A4_ACROSS_PT, VIEWS, View

__all__ = ["ledger"]


@pytest.fixture
def address(ledger: PilotLedger, tmp_path: Path) -> str:
    file = tmp_path / "director.html"
    file.write_text(page.text(ledger, NOW), encoding="utf-8")
    return file.as_uri()


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_nothing_is_cut_off_and_all_of_it_can_be_read(address: str, tab: Tab, view: View) -> None:
    tab.look(view.width, dark=view.dark)
    tab.go(address)

    assert seen.problems(tab, view) == []


def test_it_prints_whole(address: str, tab: Tab, tmp_path: Path) -> None:
    tab.go(address)

    paper = seen.printed(tab, tmp_path / "director.pdf")

    assert seen.missing(paper, ["good.ce/long", "held.ce/q", "SiteDirector", "cost"]) == []
    assert (paper.size_pt, paper.outside) == (A4_ACROSS_PT, [])
