"""What the pages of the local WMS tell, and to whom: asked for directly, and over HTTPS."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from agents.local_wms.client import Client, connect, unpack
from agents.local_wms.direct import SLOT, STRANGER, THE_ADMIN, THE_PILOT, THE_USER, DirectWms
from agents.local_wms.home import Endpoint
from agents.local_wms.registry import VO
from agents.local_wms.services.base import Caller
from agents.local_wms.services.pilot_logging import PilotLogging
from agents.local_wms.services.sandbox_store import SandboxStore
from agents.local_wms.testing import running
from agents.local_wms.web.handlers import PATHS
from agents.local_wms.web.listing import MOST_TEXT, PILOTS, SHEET, Asked, Listing, asked_in
from agents.local_wms.web.one_job import OneJob
from tests.waiting import PATIENCE_S

HOSTILE = "<script>alert(1)</script>\u202e\x1b[2J"
STAMP = "0" * 32
JDL = 'Executable = "x"; JobName = "{}";'


@pytest.fixture
def wms(tmp_path: Path) -> Iterator[DirectWms]:
    wms = DirectWms(tmp_path)
    yield wms
    wms.close()


def logs_of(folder: Path) -> PilotLogging:
    return PilotLogging(folder / "pilot_logs")


@pytest.fixture
def listing(wms: DirectWms, tmp_path: Path) -> Listing:
    return Listing(wms.jobs.database, logs_of(tmp_path))


@pytest.fixture
def one_job(wms: DirectWms, tmp_path: Path) -> OneJob:
    return OneJob(wms.jobs, SandboxStore(wms.jobs, tmp_path / "sandboxes"), logs_of(tmp_path))


def told(listing: Listing, caller: Caller = THE_USER, **asked: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(listing.as_json(caller, Asked(**asked)))
    return found


def filled(wms: DirectWms, number: int) -> None:
    """Put jobs into the table, every tenth of which has failed."""
    wms.jobs.database.run_many(
        "INSERT INTO Jobs (JobName, JobType, JobGroup, Owner, OwnerGroup, VO, Status, MinorStatus, SubmissionTime,"
        " LastUpdateTime, OriginalJDL) VALUES (?, '', '', 'o', 'g', 'v', ?, 'm', '2026', '2026', '')",
        [(f"name{place}", "Failed" if place % 10 == 0 else "Done") for place in range(number)],
    )


def test_those_that_may_need_somebody_are_first(wms: DirectWms, listing: Listing) -> None:
    filled(wms, 200)
    waiting, at_work = wms.submit(), wms.running()

    found = told(listing)

    assert [job[3] for job in found["jobs"]] == ["Running", *["Failed"] * 20, "Waiting", *["Done"] * (SHEET - 22)]
    assert (found["jobs"][0][0], found["jobs"][21][0]) in ((at_work, waiting), (waiting, at_work))
    assert (found["found"], found["counts"]) == (202, {"Done": 180, "Failed": 20, "Running": 1, "Waiting": 1})


@pytest.mark.parametrize(
    ("asked", "first", "found"),
    [
        ({"by": "job"}, 1, 200),
        ({"by": "job", "down": True}, 200, 200),
        ({"by": "job", "sheet": 3}, 151, 200),
        ({"by": "job", "status": "Failed"}, 1, 20),
        ({"by": "job", "status": "Failed", "down": True}, 191, 20),
        ({"by": "job", "text": "name12"}, 13, 11),
        ({"by": "job", "text": "name12", "status": "Failed"}, 121, 1),
    ],
)
def test_a_sheet_is_as_it_was_asked_for(
    wms: DirectWms, listing: Listing, asked: dict[str, Any], first: int, found: int
) -> None:
    filled(wms, 200)

    sheet = told(listing, **asked)

    assert (sheet["jobs"][0][0], sheet["found"], len(sheet["jobs"])) == (first, found, min(SHEET, found))


@pytest.mark.parametrize("text", ["%", "_", "'", '"; DROP TABLE Jobs; --', "\\"])
def test_what_is_searched_for_is_taken_literally(wms: DirectWms, listing: Listing, text: str) -> None:
    filled(wms, 20)

    assert told(listing, text=text.lower())["found"] == 0
    assert told(listing)["found"] == 20


@pytest.mark.parametrize(
    "query",
    [{"by": "JDL"}, {"by": "JobID; --"}, {"status": "Lost"}, {"sheet": "-1"}, {"sheet": "x"}, {"pilots": "9" * 30}],
)
def test_what_cannot_be_asked_for_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"expected|is not a valid"):
        asked_in(query)


def test_what_is_sent_does_not_grow_with_the_jobs(wms: DirectWms, listing: Listing) -> None:
    filled(wms, 100)
    few = len(listing.as_json(THE_USER, Asked()))
    filled(wms, 4900)

    assert len(listing.as_json(THE_USER, Asked())) < 1.2 * few


def test_while_nothing_changes_the_database_is_not_asked_again(
    wms: DirectWms, listing: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(wms, 100)
    queries: list[str] = []
    wms.jobs.database._connection.set_trace_callback(queries.append)

    first = listing.as_json(THE_USER, Asked())
    after_first = len(queries)
    second = listing.as_json(THE_USER, Asked())
    after_second = len(queries)
    wms.jobs.change(7, {"Status": "Killed"})
    third = listing.as_json(THE_USER, Asked())

    assert after_first > 0
    assert (second, after_second) == (first, after_first)
    assert third != first


def test_what_strangers_write_is_cut_and_shows_what_it_says(wms: DirectWms, listing: Listing, one_job: OneJob) -> None:
    job_id = wms.submit(f'Executable = "x"; JobName = "{HOSTILE}";')
    wms.call(THE_PILOT, "Matcher.requestJob", {**SLOT, "JobID": job_id})
    wms.call(THE_PILOT, "JobStateUpdate.setJobStatus", job_id, "Running", "Application", "JobWrapper")
    update = {"MinorStatus": HOSTILE, "ApplicationStatus": "y" * 10_000, "Source": HOSTILE}
    wms.call(THE_PILOT, "JobStateUpdate.setJobStatusBulk", job_id, {"2099-01-01 00:00:00": update})
    wms.call(THE_PILOT, "JobStateUpdate.setJobParameter", job_id, HOSTILE, "z" * 100_000)
    wms.call(THE_PILOT, "PilotManager.addPilotReferences", [HOSTILE], VO)

    for text in (listing.as_json(THE_USER, Asked()), json.dumps(one_job.told(THE_USER, job_id))):
        assert r"<script>alert(1)</script>\\u202e\\x1b[2J" in text
        assert "\\u202e" not in text.replace(r"\\u202e", "")
        assert len(text) < 40_000
    assert len(told(listing)["jobs"][0][5]) == MOST_TEXT + 2


def uploaded(wms: DirectWms, who: Caller, job_id: int, kind: str, content: bytes) -> None:
    name = f"{hashlib.md5(content).hexdigest()}.tar.bz2"
    wms.call(who, "SandboxStore.streamFromClient", [name, {f"Job:{job_id}": kind}], "", len(content), content)


def test_a_job_is_told_with_its_history_files_and_pilot(wms: DirectWms, one_job: OneJob, tmp_path: Path) -> None:
    job_id = wms.running()
    uploaded(wms, THE_PILOT, job_id, "Output", b"content")
    wms.call(THE_PILOT, "PilotManager.addPilotReferences", ["ref/1"], VO, "DIRAC", {"ref/1": STAMP})
    wms.call(THE_PILOT, "PilotManager.setJobForPilot", job_id, "ref/1")
    wms.call(THE_PILOT, "PilotLogging.sendMessage", json.dumps(["hello\n"]), STAMP)
    wms.call(THE_PILOT, "JobStateUpdate.setJobParameter", job_id, "Host", "wn1")

    found = one_job.told(THE_USER, job_id)

    assert found
    assert [step[1] for step in found["history"]][-1] == "Running"
    assert found["parameters"] == [["Host", "wn1"]]
    assert found["sandboxes"] == [["Output", 0, 7]]
    assert found["pilots"] == [["ref/1", "Submitted", "", STAMP]]
    name, file = one_job.sandbox(THE_USER, job_id, 0) or ("", Path())
    assert (name, file.read_bytes()) == (f"job_{job_id}_output_0.tar.bz2", b"content")
    log = one_job.log(THE_USER, STAMP)
    assert log
    assert log.read_text() == "hello\n"


def test_files_are_for_those_who_may_read_them(wms: DirectWms, listing: Listing, one_job: OneJob) -> None:
    job_id = wms.running()
    uploaded(wms, THE_PILOT, job_id, "Output", b"content")
    wms.call(THE_PILOT, "PilotManager.addPilotReferences", ["ref/1"], VO, "DIRAC", {"ref/1": STAMP})
    wms.call(THE_PILOT, "PilotLogging.sendMessage", json.dumps(["hello\n"]), STAMP)

    other = Caller(dn="/CN=other", username="other", group=f"{VO}_user")
    for caller, has_sandbox, has_log in (
        (THE_USER, True, False),  # the pilot had no job of his
        (THE_ADMIN, True, True),
        (THE_PILOT, True, True),
        (other, False, False),
        (STRANGER, False, False),
    ):
        seen = one_job.told(caller, job_id)
        assert seen
        assert bool(seen["sandboxes"]) is has_sandbox, caller
        assert bool(one_job.sandbox(caller, job_id, 0)) is has_sandbox, caller
        assert bool(one_job.log(caller, STAMP)) is has_log, caller
        assert bool(told(listing, caller)["pilots"][0][-1]) is has_log, caller


def test_what_is_not_there_is_none(one_job: OneJob, wms: DirectWms) -> None:
    assert one_job.told(THE_USER, 99) is None
    assert one_job.sandbox(THE_USER, wms.submit(), 0) is None
    assert one_job.log(THE_ADMIN, "../../etc/passwd") is None


def test_pilots_come_in_sheets_too(wms: DirectWms, listing: Listing) -> None:
    wms.call(THE_PILOT, "PilotManager.addPilotReferences", [f"ref/{place}" for place in range(PILOTS + 5)], VO)

    assert len(told(listing)["pilots"]) == PILOTS
    assert len(told(listing, pilots=1)["pilots"]) == 5
    assert told(listing)["pilot_counts"] == {"Submitted": PILOTS + 5}


@pytest.mark.parametrize(
    "path",
    ["x", "jobs.json/", "job/0", "job/1/", "job/1/sandbox/", "job/../1", "WorkloadManagement/JobManager", "storage/x/y",
     f"pilot/{STAMP}", "pilot/../log", f"pilot/{'0' * 40}/log", "job/" + "9" * 19, "//evil", "@evil/", "jobs.json\n"],
)  # fmt: skip
def test_the_door_lets_nothing_else_in(path: str) -> None:
    assert PATHS.fullmatch(path) is None


# ---- over HTTPS ----


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with running(tmp_path_factory.mktemp("wms")) as endpoint:
        yield endpoint


@pytest.fixture
def client(endpoint: Endpoint) -> Iterator[Client]:
    with connect(endpoint) as client:
        yield client


def get(endpoint: Endpoint, path: str, proxy: str = "user_proxy", **headers: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        cert = getattr(endpoint, proxy) if proxy else None
        return session.get(endpoint.url + path, cert=cert, verify=endpoint.ca_dir, headers=headers, timeout=PATIENCE_S)


def test_every_path_asks_who_it_is_and_lets_browsers_do_nothing_else(endpoint: Endpoint, client: Client) -> None:
    job_id = client.call("JobManager", "submitJob", JDL.format("n"))

    for path in ("/", "/jobs.json", f"/job/{job_id}", f"/job/{job_id}.json"):
        assert get(endpoint, path, proxy="").status_code == 401, path
        answer = get(endpoint, path)
        assert answer.status_code == 200, path
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'"), path
        assert "frame-ancestors 'none'" in policy, path
        assert "unsafe-inline" not in re.sub(r"style-src 'unsafe-inline'", "", policy), path
        assert answer.headers["X-Content-Type-Options"] == "nosniff", path
    for path in ("/job/999999", "/job/999999.json", f"/job/{job_id}/sandbox/0", f"/pilot/{STAMP}/log"):
        assert get(endpoint, path).status_code == 404, path
        assert get(endpoint, path, proxy="").status_code == 401, path
    assert get(endpoint, "/jobs.json?by=JDL").status_code == 400


def test_a_head_of_the_page_can_be_asked_for(endpoint: Endpoint) -> None:
    answer = requests.head(f"{endpoint.url}/", cert=endpoint.user_proxy, verify=endpoint.ca_dir, timeout=PATIENCE_S)

    assert (answer.status_code, answer.content) == (200, b"")


def test_what_a_browser_has_is_not_sent_again(endpoint: Endpoint, client: Client) -> None:
    client.call("JobManager", "submitJob", JDL.format("n"))
    first = get(endpoint, "/jobs.json")

    again = get(endpoint, "/jobs.json", **{"If-None-Match": first.headers["Etag"]})
    client.call("JobManager", "submitJob", JDL.format("n"))
    changed = get(endpoint, "/jobs.json", **{"If-None-Match": first.headers["Etag"]})

    assert (again.status_code, again.content) == (304, b"")
    assert changed.status_code == 200


def test_what_a_job_has_left_is_saved_and_not_shown(endpoint: Endpoint, client: Client, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<script>alert(1)</script>")
    (tmp_path / "job.jdl").write_text('Executable = "x"; InputSandbox = {"page.html"};')
    (job_id,) = client.submit(tmp_path / "job.jdl")

    (tmp_path / "out").mkdir()

    answer = get(endpoint, f"/job/{job_id}/sandbox/0")

    assert unpack(answer.content, tmp_path / "out") == [tmp_path / "out" / "page.html"]
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith(f'attachment; filename="job_{job_id}_input_0.tar')
    assert "sandbox" in answer.headers["Content-Security-Policy"]
