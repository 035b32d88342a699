"""The pages of the local WMS in a real Chromium, from a real server by the door that `gridpilot wms web` opens."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pytest

from agents.local_wms.browser import Door
from agents.local_wms.client import Client, connect
from agents.local_wms.home import Endpoint
from agents.local_wms.registry import VO
from agents.local_wms.testing import running
from tests.web import seen
from tests.web.browser import Tab
from tests.web.seen import A4_ACROSS_PT, NARROW, VIEWS, View

MANY = 5000
STAMP = "0" * 32
HOSTILE = "</script><img src=x onerror=window.was_run=1>\"'&<!--"
STATUSES = ("Done", "Failed", "Running", "Waiting", "Killed", "Completing", "Rescheduled", "Stalled", "Matched")
ROWS = "[...document.querySelectorAll('#jobs tbody tr')].map(row => row.cells[0].textContent)"
LOADED = "document.querySelectorAll('.tiles div').length > 3"


@dataclass(frozen=True)
class Wms:
    """A server with a door for browsers."""

    endpoint: Endpoint
    home: Path
    url: str

    @contextmanager
    def client(self, proxy: str = "user_proxy") -> Iterator[Client]:
        fields = {name: getattr(self.endpoint, name) for name in Endpoint.__dataclass_fields__}
        with connect(Endpoint(**{**fields, "user_proxy": getattr(self.endpoint, proxy)})) as client:
            yield client

    def write(self, sql: str, rows: list[tuple[object, ...]]) -> None:
        """Write into the server's database as if it had."""
        with closing(sqlite3.connect(self.home / "wms.sqlite", timeout=60)) as db, db:
            db.executemany(sql, rows)


@contextmanager
def serving(home: Path) -> Iterator[Wms]:
    with running(home) as endpoint:
        door = Door(endpoint, 0)
        thread = Thread(target=door.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Wms(endpoint, home, door.url)
        finally:
            door.shutdown()
            door.server_close()
            thread.join()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wms]:
    with serving(tmp_path_factory.mktemp("empty")) as wms:
        yield wms


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wms]:
    """5000 jobs in every status, 45 pilots; job 1 has all that a job can have, job 2 is an attacker's."""
    with serving(tmp_path_factory.mktemp("full")) as wms:
        full_job(wms, tmp_path_factory.mktemp("job"))
        jobs = [job_row(number) for number in range(3, MANY + 1)]
        wms.write(
            "INSERT INTO Jobs (JobID, JobName, JobType, JobGroup, Owner, OwnerGroup, VO, Status, MinorStatus,"
            " ApplicationStatus, SubmissionTime, LastUpdateTime, Site, OriginalJDL)"
            " VALUES (?, ?, '', '', 'localuser', 'g', 'v', ?, ?, ?, ?, ?, 'LCG.Some-Site-With-A-Name.ch', '')",
            jobs,
        )
        yield wms


def job_row(number: int) -> tuple[object, ...]:
    status = STATUSES[number % len(STATUSES)]
    long = "simulation_of_a_long_name_without_any_blank_in_it" if number % 7 == 0 else "fit"
    words = "Exit code 2: " + "w" * 120 if number % 11 == 0 else "Unknown"
    moment = f"2026-01-02 03:{number // 100 % 60:02d}:{number % 60:02d}.000000"
    return (number, f"{long}_{number}", status, f"Application in status {status}", words, moment, moment)


def full_job(wms: Wms, folder: Path) -> None:
    (folder / "input.txt").write_text("x")
    for name in ("all of it", HOSTILE.replace('"', "")):
        (folder / "job.jdl").write_text(f'Executable = "x"; JobName = "{name}"; InputSandbox = {{"input.txt"}};')
        with wms.client() as user:
            (job_id,) = user.submit(folder / "job.jdl")
        with wms.client("pilot_proxy") as pilot:
            words = HOSTILE if job_id == 2 else "Application"
            pilot.call("Matcher", "requestJob", {"Site": "LOCAL.Demo.ch", "CPUTime": 86400, "JobID": job_id})
            pilot.call("JobStateUpdate", "setJobStatus", job_id, "Running", words, words)
            pilot.call("JobStateUpdate", "setJobApplicationStatus", job_id, words)
            pilot.call("JobStateUpdate", "setJobParameter", job_id, f"Standard{words}", f"{words}\nsecond line\n" * 9)
            reference = f"ref/{job_id}/{words}"
            stamp = f"{job_id:032x}"
            pilot.call("PilotManager", "addPilotReferences", [reference], VO, "DIRAC", {reference: stamp})
            pilot.call("PilotManager", "setPilotStatus", reference, "Running", "ce.example.org", words, words, words)
            pilot.call("PilotManager", "setJobForPilot", job_id, reference)
            pilot.call("PilotLogging", "sendMessage", json.dumps([f"{words}\n", "the pilot's words\n"]), stamp)
    with wms.client("pilot_proxy") as pilot:
        pilot.call("PilotManager", "addPilotReferences", [f"htcondorce://ce{n}/{n}.0" for n in range(43)], VO)


def opened(tab: Tab, address: str, width: int = 1280) -> Tab:
    tab.look(width)
    tab.go(address)
    tab.until(LOADED)
    return tab


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
@pytest.mark.parametrize("path", ["", "#text=fit&by=job", "job/1", "job/2"])
def test_nothing_is_cut_off_and_all_of_it_can_be_read(full: Wms, tab: Tab, path: str, view: View) -> None:
    tab.look(view.width, dark=view.dark)
    tab.go(full.url + path)
    tab.until(LOADED)

    assert seen.problems(tab, view) == []


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_server_without_jobs_says_what_to_do(empty: Wms, tab: Tab, view: View) -> None:
    tab.look(view.width, dark=view.dark)
    tab.go(empty.url)
    tab.until(LOADED)

    assert seen.problems(tab, view) == []
    words = tab.value("document.body.innerText")
    assert "No job was submitted so far: gridpilot wms submit JOB.jdl" in words
    assert "No pilot has come so far." in words


@pytest.mark.parametrize(
    ("style", "said"),
    [
        ("#jobs table { min-width: 2000px; } .scroll { overflow: visible; }", "overflow: the page is"),
        (".more { color: #aaa; }", "contrast "),
        (
            "td.words { max-width: 40px; overflow: hidden; white-space: nowrap !important; overflow-wrap: normal; }",
            "cut off",
        ),
    ],
)
def test_a_page_that_was_broken_is_seen(full: Wms, tab: Tab, style: str, said: str) -> None:
    opened(tab, full.url, NARROW.width)
    tab.value(f"document.querySelector('style').append({json.dumps(style)})")

    found = seen.problems(tab, NARROW)

    assert [each for each in found if said in each] != [], found


def test_what_changes_is_seen_without_a_reload(full: Wms, tab: Tab, tmp_path: Path) -> None:
    opened(tab, f"{full.url}#status=Waiting&by=job&down=1")
    tab.value("window.is_the_same = 1; document.querySelector('#jobs tbody tr').dataset.mark = 'kept'; 1")
    (tmp_path / "job.jdl").write_text('Executable = "x"; JobName = "newest";')

    with full.client() as user:
        (job_id,) = user.submit(tmp_path / "job.jdl")

    tab.until(f"{ROWS}[0] === '{job_id}'")
    assert tab.value("document.querySelectorAll('#jobs tbody tr')[1].dataset.mark") == "kept"  # the same row, moved
    assert tab.value("window.is_the_same") == 1
    assert "no pilot has asked for work yet" in tab.value("document.querySelector('#jobs tbody tr').textContent")


def test_counts_are_filters_and_stand_in_the_address(full: Wms, tab: Tab) -> None:
    opened(tab, full.url)
    button = "[...document.querySelectorAll('.counts button')].find(each => each.textContent.startsWith('Failed'))"
    tab.value(f"{button}.click()")

    tab.until("document.querySelectorAll('#jobs tbody tr').length && [...document.querySelectorAll('#jobs tbody tr')]"
              ".every(row => row.cells[2].textContent.includes('Failed'))")  # fmt: skip
    tab.until(f"{button}.ariaPressed === 'true'")
    assert tab.value("location.hash") == "#status=Failed"
    first = tab.value(ROWS)
    tab.value(
        "[...document.querySelectorAll('.choose button')].find(each => each.textContent.includes('next')).click()"
    )
    tab.until(f"{ROWS}[0] !== '{first[0]}'")
    assert tab.value("location.hash") == "#status=Failed&sheet=1"
    second = tab.value(ROWS)
    assert set(first).isdisjoint(second)
    with_hash = tab.value("location.href")
    tab.go("about:blank")
    opened(tab, with_hash)
    tab.until(f"{ROWS}[0] === '{second[0]}'")


def test_words_are_searched_for_among_all_jobs(full: Wms, tab: Tab) -> None:
    opened(tab, full.url)
    tab.value("text.value = 'fit_4999'; text.dispatchEvent(new Event('input')); 1")

    tab.until(f"JSON.stringify({ROWS}) === '[\"4999\"]'")


def test_a_click_on_a_head_sorts_all_jobs_and_marks_it(full: Wms, tab: Tab) -> None:
    opened(tab, f"{full.url}#text=fit")
    tab.value("document.querySelector('#jobs th button').click()")
    tab.until(f"{ROWS}[0] === '3'")
    assert tab.value("document.querySelector('#jobs th').ariaSort") == "ascending"

    tab.value("document.querySelector('#jobs th button').click()")
    tab.until(f"{ROWS}[0] === '5000'")
    assert tab.value("document.querySelector('#jobs th').ariaSort") == "descending"


def test_a_server_that_is_gone_is_said(tab: Tab, tmp_path: Path) -> None:
    with serving(tmp_path / "wms") as wms:
        opened(tab, wms.url)
        assert tab.value("document.getElementById('said').textContent") == ""
    tab.until("document.getElementById('said').textContent.startsWith('no answer: ')")


def test_a_jobs_page_tells_everything_and_follows_it(full: Wms, tab: Tab) -> None:
    opened(tab, f"{full.url}job/1")

    words = tab.until("document.getElementById('history').textContent.includes('Running') && document.body.innerText")
    assert "Job 1 all of it" in words
    assert "second line" in words
    assert "JobName" in words
    hrefs = tab.value("[...document.querySelectorAll('#files a')].map(each => each.href)")
    jobs_of_pilot = f"{full.url}#pilot=ref%2F1%2FApplication"
    assert hrefs == [f"{full.url}job/1/sandbox/0", jobs_of_pilot, f"{full.url}pilot/{1:032x}/log"]
    assert "the pilot's words" in tab.value(f"fetch({json.dumps(hrefs[2])}).then(answer => answer.text())")
    assert tab.value(f"fetch({json.dumps(hrefs[0])}).then(answer => answer.headers.get('Content-Disposition'))")

    with full.client("pilot_proxy") as pilot:
        pilot.call("JobStateUpdate", "setJobApplicationStatus", 1, "halfway")
    tab.until("document.body.innerText.includes('halfway')")


@pytest.mark.parametrize("path", ["#text=onerror", "job/2", "#text=img", f"pilot/{2:032x}/log"])
def test_what_owners_payloads_and_pilots_write_is_not_run(full: Wms, tab: Tab, path: str) -> None:
    tab.look(1280)
    tab.go(full.url + path)
    tab.until("document.body.textContent.includes('onerror=window.was_run')")

    assert tab.value("window.was_run") is None
    assert tab.value("document.querySelectorAll('img').length") == 0


def test_scripts_of_others_would_not_run_at_all(full: Wms, tab: Tab) -> None:
    opened(tab, full.url)
    tab.value("const one = document.createElement('script'); one.textContent = 'window.was_run = 1';"
              "document.body.append(one); 1")  # fmt: skip

    assert tab.value("window.was_run") is None
    assert tab.value("fetch('https://example.org/').then(() => 'sent', error => 'kept')") == "kept"


def test_all_that_is_chosen_is_on_the_paper(full: Wms, tab: Tab, tmp_path: Path) -> None:
    opened(tab, f"{full.url}#text=fit&by=job")

    paper = seen.printed(tab, tmp_path / "wms.pdf")

    names = tab.value("[...document.querySelectorAll('#jobs tbody tr')].map(row => row.cells[1].textContent)")
    assert len(names) == 50
    assert seen.missing(paper, names) == []
    assert (paper.size_pt, paper.outside) == (A4_ACROSS_PT, [])


def test_every_job_that_is_chosen_can_be_printed_not_only_a_sheet_of_them(full: Wms, tab: Tab) -> None:
    opened(tab, f"{full.url}#text=simulation&by=job")
    tab.until(f"{ROWS}.length === 50")
    tab.value(f"window.print = () => {{ window.on_paper = {ROWS}; }}; 1")
    assert "of 714" in tab.value("document.querySelector('.on-paper').textContent")  # a plain print says what it lacks

    tab.value("[...document.querySelectorAll('.choose button')].find(e => e.textContent === 'print all').click()")

    assert tab.until("window.on_paper") == [str(number) for number in range(7, MANY + 1, 7)]
    tab.until(f"{ROWS}.length === 50")


def test_a_pilot_leads_to_its_jobs_and_a_job_to_its_pilot(full: Wms, tab: Tab) -> None:
    opened(tab, full.url)
    tab.value("[...document.querySelectorAll('#pilots a')].find(e => e.textContent === 'ref/1/Application').click()")
    tab.until(f"JSON.stringify({ROWS}) === '[\"1\"]'")
    address = tab.value("location.href")
    assert address.endswith("#pilot=ref%2F1%2FApplication")

    opened(tab, f"{full.url}job/1")
    link = "[...document.querySelectorAll('#files a')].find(e => e.textContent === 'ref/1/Application')"
    assert tab.until(f"{link} && {link}.href") == address

    tab.go("about:blank")
    opened(tab, address)
    tab.until(f"JSON.stringify({ROWS}) === '[\"1\"]'")
    tab.value("[...document.querySelectorAll('.counts button')].find(e => e.textContent.includes('of pilot')).click()")
    tab.until(f"{ROWS}.length === 50")


def test_a_jobs_page_prints_whole(full: Wms, tab: Tab, tmp_path: Path) -> None:
    opened(tab, f"{full.url}job/1")

    paper = seen.printed(tab, tmp_path / "job.pdf")

    assert (
        seen.missing(paper, ["Submitted", "StandardApplication", "second", "InputSandbox", "ref/1/Application"]) == []
    )
    assert (paper.size_pt, paper.outside) == (A4_ACROSS_PT, [])
