"""What goes over the wire for a job: calls and arguments as recorded on a real DIRAC; heartbeats; staging."""

import hashlib
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agents.errors import BadAnswer, Blame, FailJob, HandBack, NoAnswer, Refused
from agents.jobs.jdl import JobDescription, Request, describe
from agents.jobs.job import Job, MatchedJob, Phase
from agents.jobs.output_sandbox import pack
from agents.process.events import Delivered, Undelivered
from agents.runner.heartbeat import Heartbeats
from agents.runner.payload_proxies import FixedProxy
from agents.runner.staging import Staging
from agents.wms.job_state import Heartbeat, JobState
from agents.wms.sandbox_store import SandboxStore
from agents.wms.service import Retry, Service
from agents.wms.testing import FakeTransport, ok, refused
from ce_backends.errors import CEError
from ce_backends.linux.processes import boot_id, boot_s
from tests.unit.no_data import no_data

NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)
JOB = Job(
    matched=MatchedJob(job_id=7, jdl="", owner="o", group="g"),
    stamp="s",
    task_id="t",
    started_at=NOON - timedelta(seconds=90),
)


def wire_with(answer: object = None) -> FakeTransport:
    """Return a service with one answer."""
    return FakeTransport(otherwise=answer if isinstance(answer, bytes | Exception) else ok(answer))


def service(wire: FakeTransport, retry: Retry = Retry(attempts=1)) -> Service:
    return Service("X", ["https://host:8443/WorkloadManagement/TornadoX"], wire, retry)


def job_state(wire: FakeTransport) -> JobState:
    return JobState(service(wire), service(wire))


def test_statuses_go_in_bulk_by_their_moments_and_are_not_forced() -> None:
    wire = wire_with()
    when = "2026-11-22 00:22:11.390539"

    job_state(wire).set_statuses(7, {when: {"Status": "Running", "Source": "JobAgent@LAB"}})

    assert wire.asked == [("setJobStatusBulk", [7, {when: {"Status": "Running", "Source": "JobAgent@LAB"}}, False])]


def test_parameters_go_as_pairs() -> None:
    wire = wire_with()

    job_state(wire).set_parameters(7, [("a", "1"), ("b", "2")])

    assert wire.asked == [("setJobParameters", [7, [["a", "1"], ["b", "2"]]])]


@pytest.mark.parametrize(("answer", "commands"), [(None, {}), ("", {}), ({}, {}), ({"Kill": ""}, {"Kill": ""})])
def test_a_heartbeat_brings_back_what_the_wms_orders(answer: object, commands: dict[str, str]) -> None:
    wire = wire_with(answer)

    assert job_state(wire).heartbeat(Heartbeat(job_id=7, dynamic={"n": 1.0}, static={"s": "x"})) == commands
    assert wire.asked == [("sendHeartBeat", [7, {"n": 1.0}, {"s": "x"}])]


@pytest.mark.parametrize("answer", [["Kill"], "Kill", 7])
def test_orders_of_a_wrong_type_are_a_bad_answer(answer: object) -> None:
    with pytest.raises(BadAnswer, match=r"sendHeartBeat: expected commands, got"):
        job_state(wire_with(answer)).heartbeat(Heartbeat(job_id=7))


def test_a_reschedule_that_may_have_been_received_is_not_repeated() -> None:
    wire = wire_with(NoAnswer("x"))

    with pytest.raises(NoAnswer):
        JobState(service(wire), service(wire, Retry(attempts=3))).reschedule(7)

    assert wire.asked == [("rescheduleJob", [7])]


def test_a_sandbox_is_asked_for_by_the_store_s_url_and_its_path() -> None:
    wire = wire_with(b"packed")

    assert SandboxStore(service(wire)).download("SB:Store|/SandBox/l/u.g/5e9/a.tar.bz2") == b"packed"

    url = service(wire).url
    assert wire.asked == [("streamToClient", [f"{url}/SandBox/l/u.g/5e9/a.tar.bz2"])]


def test_an_output_sandbox_is_named_by_its_hash() -> None:
    wire = wire_with("SB:Store|/x")

    assert SandboxStore(service(wire)).upload_output(7, b"packed") == "SB:Store|/x"

    name = hashlib.md5(b"packed").hexdigest() + ".tar.bz2"
    assert wire.asked == [("streamFromClient", [[name, {"Job:7": "Output"}], "", 6, b"packed"])]


def test_an_upload_without_a_reference_is_a_bad_answer() -> None:
    with pytest.raises(BadAnswer, match="expected the sandbox's reference, got None"):
        SandboxStore(service(wire_with(None))).upload_output(7, b"packed")


# ---- heartbeats ----


class Running:
    """The runner's place: the jobs that run."""

    def __init__(self, *jobs: Job) -> None:
        self.running = list(jobs)
        self.jobs = self

    def in_phase(self, phase: Phase) -> list[Job]:
        return [job for job in self.running if job.phase is phase]

    def belonging_to(self, job_id: int) -> AbstractContextManager[None]:
        return nullcontext()

    def description(self, job: Job) -> JobDescription:
        return describe('[ JobID = 7; StdOutput = "std.out"; ]')


class Look:
    """A CE that can be looked into."""

    def __init__(self, seen: bytes | CEError) -> None:
        self.seen = seen

    def peek(self, task_id: str, name: str, max_bytes: int) -> bytes:
        if isinstance(self.seen, CEError):
            raise self.seen
        return self.seen


class Voice:
    """The reporter's place."""

    def __init__(self) -> None:
        self.beats: list[Heartbeat] = []

    def beat(self, beat: Heartbeat) -> None:
        self.beats.append(beat)


def beats(runner: Running, ce: object, lines: int = 20) -> list[Heartbeat]:
    voice = Voice()
    Heartbeats(runner, voice, ce, lines, lambda: NOON).send()  # type: ignore[arg-type] # the borders
    return voice.beats


def test_every_running_job_has_its_heartbeat_with_its_time() -> None:
    sent = beats(Running(JOB, replace(JOB, started_at=None)), object())

    assert [beat.dynamic["WallClockTime"] for beat in sent] == [90.0, 0.0]
    assert [beat.static for beat in sent] == [{}, {}]


def test_a_job_whose_heartbeat_is_not_due_has_none() -> None:
    voice, asked = Voice(), []

    def is_due(age_s: float, since_s: float) -> bool:
        asked.append((age_s, since_s))
        return since_s > 60

    clock = iter([0.0, 0.0, 10.0, 10.0, 80.0, 80.0])
    hearts = Heartbeats(Running(JOB), voice, object(), 0, lambda: NOON, clock=lambda: next(clock), is_due=is_due)  # type: ignore[arg-type] # the borders
    for _ in range(3):
        hearts.send()

    assert [since_s for _, since_s in asked] == [float("inf"), 10.0, 80.0]
    assert {age_s for age_s, _ in asked} == {90.0}
    assert len(voice.beats) == 2


@pytest.mark.parametrize("by_the_wall", [timedelta(hours=-1), timedelta(hours=1)])
def test_how_long_a_task_has_run_is_not_asked_of_the_wall_clock(by_the_wall: timedelta) -> None:
    job = replace(JOB, begun_s=boot_s() - 90, boot=boot_id())

    assert 90 <= job.ran_s(NOON + by_the_wall) < 100


def test_a_task_that_runs_elsewhere_since_another_boot_has_run_for_as_long_as_the_wall_clock_says() -> None:
    assert replace(JOB, begun_s=5.0, boot="another").ran_s(NOON) == 90


def test_a_heartbeat_shows_the_last_lines_under_diracs_heading() -> None:
    (beat,) = beats(Running(JOB), Look(b"one\ntwo\nthr\xff\n"), lines=2)

    heading = "Last 2 lines of application output from Watchdog on 2026-01-02 12:00:00 [UTC]:"
    assert beat.static == {"StandardOutput": f"{heading}\ntwo\nthr\ufffd"}


@pytest.mark.parametrize(("seen", "lines"), [(b"", 20), (b"one", 0), (CEError("no"), 20)])
def test_a_heartbeat_without_a_look_is_one_all_the_same(seen: bytes | CEError, lines: int) -> None:
    (beat,) = beats(Running(JOB), Look(seen), lines)

    assert beat.static == {}


# ---- staging ----


class Fetches:
    """A CE that leaves files."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def fetch(self, task_id: str, into: Path) -> None:
        if self.error:
            raise self.error
        (into / "outputs").mkdir(parents=True)
        (into / "outputs/out").write_text("out")


def staging(wire: FakeTransport, ce: Fetches | None = None, limit_bytes: int = 10**6) -> Staging:
    store = SandboxStore(service(wire))
    return Staging(FixedProxy(None), lambda _: store, ce or Fetches(), limit_bytes, no_data())  # type: ignore[arg-type] # the border


def wants(*names: str) -> JobDescription:
    return JobDescription(job_id=JOB.job_id, input_sandbox=names, execution_environment={}, request=Request())


def test_inputs_are_unpacked_into_a_directory_that_was_emptied(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("text")
    packed, _ = pack(tmp_path, ["a"], 10**6)
    into = tmp_path / "inputs"
    into.mkdir()
    (into / "left over").touch()

    event = staging(wire_with(packed)).download(JOB, wants("SB:S|/a", "a"), into, into)

    assert event.error is None
    assert [path.name for path in into.iterdir()] == ["a"]


def test_files_of_the_catalogue_are_what_moves_data_brings(tmp_path: Path) -> None:
    event = staging(wire_with(b"")).download(JOB, wants("LFN:/lab/a"), tmp_path / "inputs", tmp_path)

    assert isinstance(event.error, HandBack)
    assert event.error.minor_status == "no data here"


def test_more_sandboxes_than_anybody_needs_fail_the_job(tmp_path: Path) -> None:
    many = wants(*(f"SB:S|/{number}" for number in range(21)))

    event = staging(wire_with(b"")).download(JOB, many, tmp_path / "inputs", tmp_path)

    assert isinstance(event.error, FailJob)
    assert event.error.detail == "it has 21 input sandboxes, expected at most 20"


def test_a_store_that_refuses_fails_the_job(tmp_path: Path) -> None:
    store = staging(FakeTransport(otherwise=refused("No such file")))

    event = store.download(JOB, wants("SB:S|/a"), tmp_path / "inputs", tmp_path)

    assert isinstance(event.error, FailJob)
    assert "No such file" in event.error.detail


def test_a_store_that_is_away_hands_the_job_back(tmp_path: Path) -> None:
    event = staging(wire_with(NoAnswer("x"))).download(JOB, wants("SB:S|/a"), tmp_path / "inputs", tmp_path)

    assert isinstance(event.error, HandBack)
    assert event.error.blame is Blame.SERVER


def test_a_directory_that_cannot_be_made_hands_the_job_back(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    event = staging(wire_with(b"")).download(JOB, wants("SB:S|/a"), tmp_path / "file/inputs", tmp_path)

    assert isinstance(event.error, HandBack)
    assert event.error.blame is Blame.SITE


def test_outputs_are_uploaded_and_what_is_missing_is_named(tmp_path: Path) -> None:
    event = staging(wire_with("SB:S|/x")).upload(JOB, ["out", "none"], tmp_path)

    assert event == Delivered(7, sandbox="SB:S|/x", missing=("none",))


def test_outputs_whose_store_is_away_are_not_given_up(tmp_path: Path) -> None:
    event = staging(wire_with(NoAnswer("the store is away"))).upload(JOB, ["out"], tmp_path)

    assert event == Undelivered(7, "the store is away")


@pytest.mark.parametrize(
    ("wire", "ce", "limit_bytes", "sentence"),
    [
        (wire_with(Refused("no access to this job")), Fetches(), 10**6, "no access to this job"),
        (wire_with("SB:S|/x"), Fetches(CEError("task t is not known")), 10**6, "task t is not known"),
        (wire_with("SB:S|/x"), Fetches(OSError(28, "No space left on device")), 10**6, "No space left on device"),
        (wire_with("SB:S|/x"), Fetches(), 10, "the output sandbox is too large"),
    ],
)
def test_outputs_that_cannot_be_delivered_are_told_and_end_nothing_else(
    tmp_path: Path, wire: FakeTransport, ce: Fetches, limit_bytes: int, sentence: str
) -> None:
    event = staging(wire, ce, limit_bytes).upload(JOB, ["out"], tmp_path)

    assert isinstance(event, Delivered)
    assert sentence in event.error
    assert event.sandbox == ""
