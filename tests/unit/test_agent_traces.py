"""Traces of jobs, as a receiver of OTLP over HTTP gets them: a real server, the real protocol."""

import gzip
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from agents.errors import Blame
from agents.jobs.job import Grant, Job, JobStatus, MatchedJob, Outcome, Phase
from agents.jobs.ledger import Ledger
from agents.observability import observers
from agents.settings.agent import AgentSettings
from agents.slot.allocation import Slot

pytest.importorskip("opentelemetry.sdk", reason="the extra gridpilot[otel] is not installed")
pytest.importorskip("opentelemetry.proto", reason="the extra gridpilot[otel] is not installed")
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agents.observability.history import PastJob
from agents.observability.tracing import Traces, exporter

STAMP = "0123456789abcdef0123456789abcdef"
START_S = 1_790_000_000.0
STEPS = {
    Phase.MATCHED: 1.0,
    Phase.STAGING: 1.5,
    Phase.SUBMITTING: 2.0,
    Phase.RUNNING: 3.0,
    Phase.DELIVERING: 13.0,
    Phase.REPORTING: 14.0,
    Phase.CLOSED: 16.0,
}
JOB = Job(
    matched=MatchedJob(job_id=7, jdl="", owner="jdoe", group="lab_user", match_s=0.25),
    stamp=STAMP,
    grant=Grant(processor_ids=(0, 1)),
    exit_code=0,
    cpu_s=15.0,
    end=Outcome(JobStatus.DONE, "Application Finished Successfully"),
)
FAILED = replace(
    JOB,
    stamp="f" * 32,
    exit_code=2,
    end=Outcome(JobStatus.FAILED, "Application Finished With Errors", "Exit code 2 token=Tr0ub4dor", Blame.USER),
)


@dataclass
class Receiver:
    """What a receiver of OTLP over HTTP was sent, at `url`."""

    url: str
    paths: list[str] = field(default_factory=list)
    spans: list[Any] = field(default_factory=list)
    resources: list[dict[str, str]] = field(default_factory=list)

    def take(self, path: str, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        self.paths.append(path)
        for group in request.resource_spans:
            self.resources.append({one.key: one.value.string_value for one in group.resource.attributes})
            self.spans += [span for scope in group.scope_spans for span in scope.spans]

    def named(self, name: str) -> Any:
        (span,) = [span for span in self.spans if span.name == name]
        return span


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.take(self.path, gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        got = Receiver(f"http://127.0.0.1:{server.server_address[1]}")
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield got
        server.shutdown()
        thread.join()


def run(folder: Path, endpoint: str, *jobs: Job) -> None:
    """Let an agent close these jobs, one after another, and end."""
    clock = [START_S]
    settings = AgentSettings(site="LAB", ce_name="ce01", pilot_reference="ref/42", traces_endpoint=endpoint)
    with closing(Ledger(folder / "ledger.sqlite", now=lambda: clock[0])) as ledger:
        watched = observers.begin(ledger, settings, Slot(range(2)), 0)
        for number, job in enumerate(jobs):
            for phase, moment in STEPS.items():
                clock[0] = START_S + 100 * number + moment
                ledger.save(job.entering(phase))
        watched.close()


def seconds(span: Any) -> tuple[float, float]:
    return span.start_time_unix_nano / 1e9 - START_S, span.end_time_unix_nano / 1e9 - START_S


def test_a_job_is_one_trace_with_a_span_for_each_phase(receiver: Receiver, tmp_path: Path) -> None:
    run(tmp_path, receiver.url, JOB)

    assert set(receiver.paths) == {"/v1/traces"}
    assert {span.name: seconds(span) for span in receiver.spans} == {
        "job": pytest.approx((0.75, 16.0), abs=1e-5),
        "match": pytest.approx((0.75, 1.0), abs=1e-5),
        "stage in": pytest.approx((1.0, 3.0), abs=1e-5),
        "run": pytest.approx((3.0, 13.0), abs=1e-5),
        "stage out": pytest.approx((13.0, 14.0), abs=1e-5),
        "report": pytest.approx((14.0, 16.0), abs=1e-5),
    }


def test_the_trace_has_the_jobs_stamp_as_its_number_and_hangs_together(receiver: Receiver, tmp_path: Path) -> None:
    run(tmp_path, receiver.url, JOB)

    root = receiver.named("job")
    assert {span.trace_id.hex() for span in receiver.spans} == {STAMP}
    assert {span.parent_span_id for span in receiver.spans if span is not root} == {root.span_id}
    assert root.parent_span_id == b""


def test_the_trace_says_whose_job_it_is_and_where_it_ran(receiver: Receiver, tmp_path: Path) -> None:
    run(tmp_path, receiver.url, JOB)

    attributes = {one.key: one.value for one in receiver.named("job").attributes}
    assert (attributes["gridpilot.job_id"].int_value, attributes["gridpilot.processors"].int_value) == (7, 2)
    assert attributes["gridpilot.owner"].string_value == "jdoe"
    assert attributes["gridpilot.status"].string_value == "Done"
    (resource,) = {tuple(sorted(one.items())) for one in receiver.resources}
    wanted = {"service.name": "gridpilot", "service.instance.id": "ref/42", "gridpilot.site": "LAB"}
    assert wanted.items() <= dict(resource).items()


def test_a_failed_job_is_an_error_without_the_secrets_in_its_words(receiver: Receiver, tmp_path: Path) -> None:
    run(tmp_path, receiver.url, FAILED)

    root = receiver.named("job")
    assert (root.status.code, root.status.message) == (2, "Exit code 2 token=[redacted]")


def test_each_job_has_a_trace_of_its_own(receiver: Receiver, tmp_path: Path) -> None:
    run(tmp_path, receiver.url, JOB, FAILED)

    assert {span.trace_id.hex() for span in receiver.spans if span.name == "run"} == {STAMP, "f" * 32}


def test_the_first_job_shows_how_long_the_pilot_took_to_ask_for_it(receiver: Receiver) -> None:
    one = PastJob(job=JOB, began={phase: START_S + moment for phase, moment in STEPS.items()}, now_s=START_S + 20)
    traces = Traces(exporter(receiver.url), {"pilot_started_s": START_S - 4.0})

    traces.closed(one)
    traces.closed(replace(one, job=FAILED))
    traces.close()

    assert seconds(receiver.named("bootstrap")) == pytest.approx((-4.0, 0.75), abs=1e-5)
    roots = {span.trace_id.hex(): seconds(span) for span in receiver.spans if span.name == "job"}
    assert roots == {
        STAMP: pytest.approx((-4.0, 16.0), abs=1e-5),
        "f" * 32: pytest.approx((0.75, 16.0), abs=1e-5),
    }


def test_opentelemetrys_own_variable_names_the_receiver_too(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)

    run(tmp_path, "", JOB)

    assert seconds(receiver.named("run")) == pytest.approx((3.0, 13.0), abs=1e-5)


def test_a_receiver_that_is_away_costs_the_traces_only(tmp_path: Path) -> None:
    run(tmp_path, "http://127.0.0.1:9", JOB)

    with closing(Ledger(tmp_path / "ledger.sqlite")) as ledger:
        assert ledger.open_jobs() == []
