"""The page of a slot in a real browser: narrow and wide, dark, on paper, with ten jobs, thousands and none."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agents.errors import Blame
from agents.jobs.job import JobStatus, Outcome
from agents.observability import explain, slot_report
from tests.unit.slot_scene import Course, busy, write
from tests.web import seen
from tests.web.browser import Tab
from tests.web.seen import A4_ACROSS_PT, NARROW, SCREENS, SHEETS, WIDE, View

IDLE = [(0.5, "no match"), (400.0, "asking"), (900.0, "draining")]
HOSTILE = "</script><img src=x onerror=window.was_run=1>\"'&<!--"

# The bars, measured in the drawing: each second of each processor belongs to one job.
BARS = """(() => {
const problems = [], drawing = document.querySelector('svg.bars'), height = drawing.viewBox.baseVal.height;
const processors = told.slot.processor_ids.length, rows = Array.from({ length: processors }, () => []);
let area = 0;
for (const bar of drawing.querySelectorAll('rect')) {
  const [x, width] = ['x', 'width'].map(name => Number(bar.getAttribute(name)));  // baseVal is a float of 32 bits
  const first = Math.round(bar.y.baseVal.value / height * processors);
  const count = Math.round(bar.height.baseVal.value / height * processors);
  area += width * count;
  if (x < 0 || x + width > told.slot.seconds + 0.02) problems.push('outside the slot: job ' + bar.dataset.j);
  for (let row = first; row < first + count; row++) rows[row].push([x, x + width, bar.dataset.j]);
}
for (const row of rows) {
  row.sort((a, b) => a[0] - b[0]);
  for (let i = 1; i < row.length; i++)
    if (row[i][0] < row[i - 1][1] - 0.02) problems.push('bars overlap: ' + row[i - 1][2] + ' and ' + row[i][2]);
}
return { problems, area };
})()"""


MADE: dict[int, Path] = {}


def told(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(slot_report.as_json(folder))
    return found


def slot_of(folder: Path, courses: Sequence[Course], processors: int) -> Path:
    end_s = max((course.end_s or 0.0 for course in courses), default=1200.0) + 60
    write(folder, courses, processors=processors, end_s=end_s, reason="Node is being drained by an operator", idle=IDLE)
    slot_report.write(folder, folder / "slot.html")
    return folder


@pytest.fixture(scope="module")
def slot(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slot's work directory with its page."""
    jobs: int = request.param
    if jobs not in MADE:
        processors = 16 if jobs > 100 else 8
        MADE[jobs] = slot_of(tmp_path_factory.mktemp("slot"), busy(jobs, processors), processors)
    return MADE[jobs]


def of_jobs(*counts: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("slot", counts, ids=[f"{count} jobs" for count in counts], indirect=True)


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return slot_of(tmp_path_factory.mktemp("ten"), busy(10, 8), 8)


def page_of(folder: Path) -> str:
    return (folder / "slot.html").as_uri()


ON_SCREEN = [(jobs, view) for jobs in (0, 10, 2000) for view in SCREENS]
ON_PAPER = [(jobs, view) for jobs in (0, 10, 300) for view in SHEETS]


@pytest.mark.parametrize(
    ("slot", "view"),
    [pytest.param(jobs, view, id=f"{jobs} jobs, {view.name}") for jobs, view in (*ON_SCREEN, *ON_PAPER)],
    indirect=["slot"],
)
def test_nothing_is_cut_off_and_all_of_it_can_be_read(slot: Path, tab: Tab, view: View) -> None:
    tab.look(view.width, dark=view.dark)
    tab.go(page_of(slot))

    assert seen.problems(tab, view) == []


@pytest.mark.parametrize("view", [NARROW, WIDE], ids=lambda view: view.name)
def test_a_closer_look_at_a_moment_fits_too(ten: Path, tab: Tab, view: View) -> None:
    tab.look(view.width)
    tab.go(page_of(ten))
    tab.value("show(told.slot.seconds / 2, told.slot.seconds / 2 + told.slot.seconds / 20)")

    assert seen.problems(tab, view) == []
    assert tab.value("document.querySelectorAll('.ticks span').length") >= 1


@of_jobs(10, 2000)
def test_bars_tiles_and_rows_are_those_of_the_numbers(slot: Path, tab: Tab) -> None:
    tab.go(page_of(slot))

    bars, numbers = tab.value(BARS), told(slot)
    held_s = numbers["core_time_s"]["total"] - numbers["core_time_s"]["idle"]
    assert bars["problems"] == []
    assert bars["area"] == pytest.approx(held_s, rel=1e-3)
    assert tab.value("document.querySelectorAll('#jobs tbody tr').length") == min(50, len(numbers["jobs"]))
    tiles = tab.value("[...document.querySelectorAll('.tiles dd')].map(each => each.textContent)")
    assert tiles[0] == str(len(numbers["jobs"]))
    assert tiles[2] == f"{100 * numbers['used_fraction']:.1f} %"
    tab.value("find('Failed Downloading')")
    lost = [cause for cause in numbers["causes"] if cause["minor_status"].startswith("Failed Downloading")]
    expected = f"1 to {len(lost[0]['jobs'])} of {len(lost[0]['jobs'])}" if lost else "none"
    assert tab.value("count.textContent") == expected


def test_a_click_sorts_and_shows_by_what_and_which_way(ten: Path, tab: Tab) -> None:
    tab.go(page_of(ten))
    sorted_by = "[...document.querySelectorAll('th[aria-sort]')].map(each => [each.textContent, each.ariaSort])"
    click = "[...document.querySelectorAll('#jobs th button')].find(each => each.textContent === 'run').click()"
    times = "matching().map(job => job.phases_s.run ?? null).filter(each => each !== null)"

    assert tab.value(sorted_by) == []
    tab.value(click)
    assert tab.value(sorted_by) == [["run", "ascending"]]
    assert tab.value(times) == sorted(tab.value(times))
    tab.value(click)
    assert tab.value(sorted_by) == [["run", "descending"]]
    assert tab.value(times) == sorted(tab.value(times), reverse=True)
    mark = "getComputedStyle(document.querySelector('th[aria-sort] button'), '::after').content"
    assert "▼" in tab.value(mark)


@of_jobs(10, 300)
def test_those_that_failed_are_first(slot: Path, tab: Tab) -> None:
    tab.go(page_of(slot))

    outcomes = [job["outcome"] for job in told(slot)["jobs"]]
    expected = sorted(outcomes, key=("Failed", "Killed", "Rescheduled", "in hand", "Done").index)
    listed = "[...document.querySelectorAll('#jobs tbody tr')].map(row => row.querySelector('i.key').nextSibling.data)"
    assert [each.split(" ✕")[0].strip() for each in tab.value(listed)] == expected[:50]


OPENERS = "[...document.querySelectorAll('#jobs .opener')]"


@pytest.mark.parametrize("view", [NARROW, WIDE], ids=lambda view: view.name)
def test_a_click_on_a_job_explains_it_and_another_takes_that_away(ten: Path, tab: Tab, view: View) -> None:
    tab.look(view.width)
    tab.go((ten / "slot.html").as_uri())
    number = int(tab.value(f"{OPENERS}[0].textContent"))

    tab.value(f"{OPENERS}[0].click()")

    shown = tab.value("document.querySelector('#jobs .explained').textContent")
    assert shown.split() == explain.explain(ten, number, as_json=False).split()
    assert tab.value(f"{OPENERS}[0].ariaExpanded") == "true"
    assert seen.problems(tab, view) == []
    tab.value(f"{OPENERS}[0].click()")
    assert tab.value("document.querySelector('#jobs .explained')") is None


def test_what_is_chosen_is_in_the_address(ten: Path, tab: Tab) -> None:
    tab.look(WIDE.width)
    tab.go((ten / "slot.html").as_uri())
    tab.value("outcome.value = 'Done'; outcome.dispatchEvent(new Event('change')); 1")
    tab.value("[...document.querySelectorAll('#jobs th button')].find(e => e.textContent === 'run').click()")
    rows = tab.value("[...document.querySelectorAll('#jobs tbody tr')].map(row => row.textContent)")
    address = tab.value("location.href")
    assert address.endswith("#outcome=Done&by=run")

    tab.go("about:blank")
    tab.go(address)

    assert tab.value("[...document.querySelectorAll('#jobs tbody tr')].map(row => row.textContent)") == rows
    assert tab.value("outcome.value") == "Done"


@of_jobs(10, 300)
def test_all_jobs_are_on_the_paper_whole(slot: Path, tab: Tab, tmp_path: Path) -> None:
    tab.look(1280)
    tab.go(page_of(slot))

    paper = seen.printed(tab, tmp_path / "slot.pdf")

    jobs = told(slot)["jobs"]
    assert paper.size_pt == A4_ACROSS_PT
    assert paper.outside == []
    assert seen.missing(paper, [str(job["job_id"]) for job in jobs]) == []
    assert seen.missing(paper, [job["name"] for job in jobs]) == []
    assert seen.missing(paper, sorted({job["cause"] for job in jobs})) == []
    assert seen.missing(paper, ["no match", "draining", "Why processors were idle"]) == []
    assert tab.value("document.querySelectorAll('#jobs tbody tr').length") == min(50, len(jobs))


def test_a_slot_without_a_job_says_why(tab: Tab, tmp_path: Path) -> None:
    tab.go(page_of(slot_of(tmp_path, [], 8)))

    words = tab.value("document.body.innerText")
    assert "No job was matched. The agent ended: Node is being drained by an operator." in words
    assert "the WMS had no job for this slot" in words
    assert tab.value("document.querySelectorAll('svg').length") == 0


def test_what_owners_write_is_not_run(tab: Tab, tmp_path: Path) -> None:
    end = Outcome(JobStatus.FAILED, HOSTILE, HOSTILE, Blame.USER)
    course = Course(7, (0,), 1.0, 3.0, 103.0, 105.0, 106.0, end=end, exit_code=1, owner=HOSTILE, name=HOSTILE)
    tab.go(page_of(slot_of(tmp_path, [course], 2)))

    assert tab.value("window.was_run") is None
    assert tab.value("document.querySelectorAll('img').length") == 0
    assert HOSTILE in tab.value("document.querySelector('#jobs').textContent")
    assert tab.value("document.querySelectorAll('#jobs tbody tr').length") == 1  # our own script is
