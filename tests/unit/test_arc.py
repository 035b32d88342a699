"""ARC's dialect against what ARC 6.17 said: tests/captures/arc."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

import pytest

from ce_backends.arc.rest import Answer, Credential, NoAnswer, Rest, jobs, texts
from ce_backends.arc.spool import ArcSpool
from ce_backends.arc.system import END, ID_FILE, Arc, activities
from ce_backends.base import Accepted, Limit, Rejected, TaskState, Uncertain
from ce_backends.batch.options import Needs
from ce_backends.batch.system import BatchJob
from ce_backends.errors import CEError, CEUnavailable
from ce_backends.task.log_limit import Cap
from ce_backends.untrusted import bounded_http
from tests.unit.captured import CAPTURES

STAMPS = ["a" * 32, "b" * 32]
ADL = "{http://www.eu-emi.eu/es/2010/12/adl}"
CREDENTIAL = Credential(proxy=Path("/proxy"), token=None, ca_directory=Path("/certificates"))
Said = str | Answer | CEError
NEW, STATUS, INFO = "POST /jobs?action=new", "POST /jobs?action=status", "POST /jobs?action=info"
KILL, CLEAN, UPLOAD = "POST /jobs?action=kill", "POST /jobs?action=clean", "PUT /jobs/"


class CapturedRest(Rest):
    """A fake CE: each request is answered by the capture for the longest beginning of it that is listed."""

    def __init__(self, answers: Mapping[str, Said]) -> None:
        super().__init__("https://ce/arex/rest/1.0", CREDENTIAL, timeout_s=1)
        self._answers = {KILL: "kill_several", CLEAN: "clean_several", UPLOAD: Answer(200, b""), **answers}
        self.requests: list[str] = []

    def call(self, method: str, path: str, *, body: bytes | IO[bytes] = b"", kind: str = "application/json") -> Answer:
        line = f"{method} {path}"
        self.requests.append(line)
        said = self._answers[max((key for key in self._answers if line.startswith(key)), key=len)]
        if isinstance(said, CEError):
            raise said
        return captured(said) if isinstance(said, str) else said


def captured(name: str) -> Answer:
    return Answer(200, (CAPTURES / "arc" / f"{name}.txt").read_bytes())


def id_of(name: str, number: int = 0) -> str:
    return str(jobs(captured(name))[number]["id"])


def job(size: int = 1, **fields: int) -> BatchJob:
    needs = {"processors": 1, "memory_mb": 0, "gpus": 0, "wall_s": 0, **fields}
    return BatchJob(name=STAMPS[0], size=size, script="", log="", **needs)


@pytest.fixture
def area(tmp_path: Path) -> Path:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / STAMPS[0]).write_text("launcher")
    for stamp in STAMPS:
        (tmp_path / "tasks" / stamp).mkdir(parents=True)
        (tmp_path / "tasks" / stamp / "task.tar").write_text("task")
    return tmp_path


def arex(area: Path, answers: Mapping[str, Said], size: int = 1) -> tuple[Arc, CapturedRest]:
    (area / "jobs" / f"{STAMPS[0]}.tasks").write_text("".join(f"{stamp}\n" for stamp in STAMPS[:size]))
    rest = CapturedRest(answers)
    return Arc(rest, area, Needs(queue="fork"), None), rest


# ---- submission


def test_one_job_and_several_are_read_alike(area: Path) -> None:
    one, _ = arex(area, {NEW: "new_one"})
    alone = one.submit(job())
    several, _ = arex(area, {NEW: "new_several"}, size=2)
    both = several.submit(job(2))

    assert alone == Accepted(id_of("new_one"))
    assert isinstance(both, Accepted)
    assert [several.element(both.task_id, n, 2) for n in (1, 2)] == [id_of("new_several"), id_of("new_several", 1)]


def test_ids_are_written_down_before_the_files_are_brought(area: Path) -> None:
    system, rest = arex(area, {NEW: "new_one", UPLOAD: NoAnswer("gone")})

    assert isinstance(system.submit(job()), Uncertain)
    assert (area / "tasks" / STAMPS[0] / ID_FILE).read_text() == id_of("new_one")
    assert rest.requests[-1] == f"PUT /jobs/{id_of('new_one')}/session/launcher"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [("new_bad_queue", "Requested queue nowhere is not allowed"), ("new_garbage", "parsing error")],
)
def test_a_refusal_inside_an_answer_that_went_well_is_a_refusal(area: Path, answer: str, reason: str) -> None:
    refused = arex(area, {NEW: answer})[0].submit(job())

    assert isinstance(refused, Rejected)
    assert reason in refused.reason


def test_tasks_of_which_only_some_are_taken_are_none_of_them_left(area: Path) -> None:
    taken, refused = captured("new_one"), captured("new_bad_queue")
    mixed = json.dumps({"job": [*jobs(taken), *jobs(refused)]}).encode()
    system, rest = arex(area, {NEW: Answer(201, mixed)}, size=2)

    with pytest.raises(CEError, match="takes only some"):
        system.submit(job(2))
    assert rest.requests[-2:] == [KILL, CLEAN]


def test_no_answer_to_a_submission_is_uncertain(area: Path) -> None:
    assert isinstance(arex(area, {NEW: NoAnswer("reset")})[0].submit(job()), Uncertain)


def test_a_ce_out_of_reach_has_surely_taken_nothing(area: Path) -> None:
    with pytest.raises(CEUnavailable):
        arex(area, {NEW: CEUnavailable("refused")})[0].submit(job())


def test_description_asks_for_what_the_tasks_need() -> None:
    body = activities(job(2, processors=4, memory_mb=4000, wall_s=600), STAMPS, Needs(queue="a&b"), "42")
    described = ElementTree.fromstring(body).findall(f"{ADL}ActivityDescription")
    resources = described[1].find(f"{ADL}Resources")
    assert resources is not None
    seen = {element.tag.removeprefix(ADL): element.text for element in resources.iter()}

    assert [one.findtext(f"{ADL}ActivityIdentification/{ADL}Name") for one in described] == STAMPS
    assert (seen["NumberOfSlots"], seen["SlotsPerHost"], seen["QueueName"]) == ("4", "4", "a&b")
    assert (seen["IndividualPhysicalMemory"], seen["WallTime"]) == ("1000000000", "690")
    assert b"DelegationID>42<" in body


# ---- looking


def test_states_of_many_jobs_come_with_one_request(area: Path) -> None:
    system, rest = arex(area, {STATUS: "status_several", INFO: "info_failed"})
    ok, failed, running, waiting = (str(one["id"]) for one in jobs(captured("status_several"))[:4])

    states = system.states([ok, failed, running, waiting, "nosuchjob"])

    assert {task_id: status.state for task_id, status in states.items()} == {
        ok: TaskState.DONE,
        failed: TaskState.FAILED,
        running: TaskState.RUNNING,
        waiting: TaskState.WAITING,
    }
    assert states[failed].reason == "LRMS error: (7) Job finished with wrong exit code - 7 != 0"
    assert rest.requests == [STATUS, INFO]


def test_an_unknown_job_is_left_out(area: Path) -> None:
    assert arex(area, {STATUS: "status_unknown"})[0].states(["nosuchjob"]) == {}


def test_a_killed_job_has_failed_with_the_reason(area: Path) -> None:
    system, _ = arex(area, {STATUS: "status_killed", INFO: "info_killed"})
    killed = id_of("status_killed")

    assert system.states([killed])[killed].reason == "Job is canceled by external request"


@pytest.mark.parametrize(
    ("error", "limit"),
    [
        ("LRMS error: (271) Job was killed: exceeded memory limit", Limit.MEMORY),
        ("LRMS error: (-1) TIMEOUT", Limit.WALL),
        ("LRMS error: (1) Job failed", None),
    ],
)
def test_errors_that_name_a_limit(area: Path, error: str, limit: Limit | None) -> None:
    status = {"job": {"status-code": "200", "id": "x", "state": "FAILED"}}
    info = {"job": {"status-code": "200", "id": "x", "info_document": {"ComputingActivity": {"Error": [error, error]}}}}
    answers: dict[str, Said] = {
        STATUS: Answer(201, json.dumps(status).encode()),
        INFO: Answer(201, json.dumps(info).encode()),
    }
    seen = arex(area, answers)[0].states(["x"])["x"]

    assert (seen.limit, seen.reason) == (limit, error)


def test_an_unlisted_state_is_unknown_and_no_end(area: Path) -> None:
    odd = Answer(201, b'{"job":{"status-code":"200","id":"x","state":"DANCING"}}')

    assert arex(area, {STATUS: odd})[0].states(["x"])["x"].state is TaskState.UNKNOWN


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"job"', b'{"job":[1]}', b"[]"])
def test_what_cannot_be_understood_says_nothing_of_any_task(area: Path, body: bytes) -> None:
    with pytest.raises(CEError, match="cannot be understood"):
        arex(area, {STATUS: Answer(200, body)})[0].states(["x"])


@pytest.mark.parametrize(("batch_system", "is_watched"), [("fork", False), ("slurm", False), ("pbs", True)])
def test_memory_limit_is_kept_where_the_batch_system_behind_tells_arc(
    area: Path, batch_system: str, is_watched: bool
) -> None:
    info = Answer(200, f'{{"ComputingManager":{{"ProductName":"{batch_system}"}}}}'.encode())

    assert ("memory_limit_ends_a_task" not in arex(area, {"GET /info": info})[0].unkept) is is_watched


# ---- ending, finding


def test_cancel_tells_the_launcher_too(area: Path) -> None:
    system, rest = arex(area, {})
    system.cancel(["x"])

    assert rest.requests == [f"PUT /jobs/x/session/{END}", KILL]


def info_of(*stamps: str) -> Answer:
    told = [
        {"status-code": "200", "id": f"id-{stamp[0]}", "info_document": {"ComputingActivity": {"Name": stamp}}}
        for stamp in stamps
    ]
    return Answer(201, json.dumps({"job": told}).encode())


def test_find_gives_a_job_without_its_files_what_it_waits_for(area: Path) -> None:
    waits = Answer(201, b'{"job":{"status-code":"200","id":"id-a","state":"PREPARING"}}')
    system, rest = arex(area, {"GET /jobs": "jobs_several", INFO: info_of(STAMPS[0]), STATUS: waits})

    assert system.find([STAMPS[0]]) == {STAMPS[0]: "id-a"}
    assert rest.requests[-2:] == ["PUT /jobs/id-a/session/launcher", "PUT /jobs/id-a/session/task.tar"]


def test_find_ends_half_of_an_array(area: Path) -> None:
    system, rest = arex(area, {"GET /jobs": "jobs_several", INFO: info_of(STAMPS[0])}, size=2)

    assert system.find([STAMPS[0]]) == {}
    assert rest.requests[-2:] == [KILL, CLEAN]


def test_find_where_there_is_no_job_finds_nothing(area: Path) -> None:
    assert arex(area, {"GET /jobs": "jobs_none"})[0].find([STAMPS[0]]) == {}


def test_one_text_several_and_none() -> None:
    assert [texts("a"), texts(["a", "b"]), texts(None)] == [["a"], ["a", "b"], []]


# ---- a look at a file of a running job


class OneFile(Rest):
    """A fake CE with one file; its size is told so, a part of it answered so."""

    def __init__(self, length: str, status: int, body: bytes) -> None:
        super().__init__("https://ce", CREDENTIAL, timeout_s=1)
        self._file = (length, status, body)
        self.asked: list[str] = []

    def _exchange(self, method: str, url: str, headers: Mapping[str, str]) -> bounded_http.Answer:
        self.asked.append(f"{method} {headers.get('Range', '')}".strip())
        length, status, body = self._file
        if method == "HEAD":
            return bounded_http.Answer(200 if length else 404, {"Content-Length": length}, b"")
        return bounded_http.Answer(status, {}, body)


@pytest.mark.parametrize(
    ("length", "status", "body", "seen", "part"),
    [
        ("100", 206, b"0123456789", b"0123456789", "GET bytes=90-99"),
        ("100", 200, b"x" * 90 + b"0123456789", b"0123456789", "GET bytes=90-99"),  # a CE that knows no ranges
        ("3", 206, b"abc", b"abc", "GET bytes=0-2"),
        ("3", 416, b"no such range", b"", "GET bytes=0-2"),
    ],
)
def test_the_end_of_a_file_is_asked_for_and_no_more_is_taken(
    length: str, status: int, body: bytes, seen: bytes, part: str
) -> None:
    rest = OneFile(length, status, body)

    assert rest.tail("/jobs/1/session/task.x/stdout", 10) == seen
    assert rest.asked == ["HEAD", part]


@pytest.mark.parametrize("length", ["", "0", "-1", "9" * 99, "x"])
def test_of_what_is_not_there_or_has_no_size_nothing_is_asked(length: str) -> None:
    rest = OneFile(length, 200, b"x")

    assert rest.tail("/jobs/1/session/task.x/stdout", 10) == b""
    assert rest.asked == ["HEAD"]


@pytest.mark.parametrize("path", ["work/../credential", "work//x", "work/./x", "../x", "work/.."])
def test_a_look_by_a_name_that_leads_elsewhere_is_none(area: Path, path: str) -> None:
    (area / "tasks" / STAMPS[0] / ID_FILE).write_text("1")
    _, rest = arex(area, {})

    assert ArcSpool(rest, area, area / "moving", cap=Cap(1000)).peek(STAMPS[0], path, 10) == b""
