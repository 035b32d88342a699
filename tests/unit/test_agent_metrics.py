"""Metrics as Prometheus reads them: parsed with its own client library."""

import os
import re
import socket
import stat
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from agents.errors import Blame, NoAnswer, PilotRefused
from agents.jobs.energy import Energy
from agents.jobs.job import Grant, Job, JobStatus, MatchedJob, Outcome, Phase
from agents.observability.counters import CountedMatcher, Counts, Snapshot
from agents.observability.history import PastJob
from tests.ports import held_port

prometheus_client = pytest.importorskip("prometheus_client", reason="the extra gridpilot[metrics] is not installed")
from prometheus_client import parser  # noqa: E402 - after the look whether it is there
from prometheus_client.openmetrics import parser as openmetrics_parser  # noqa: E402 - as above

from agents.observability.metrics import Exposition, Textfile  # noqa: E402 - it needs prometheus_client

ABOUT = {"pilot": "htcondorce://ce01/42", "site": "LAB", "ce": "ce01", "queue": "long", "host": "wn1", "version": "0.1"}
SIGHT = Snapshot(
    processors={"free": 1, "held": 3, "broken": 0}, jobs={"running": 2}, time_left_s=60.5, unsent=4, seen_s=9.0
)
MATCHED = MatchedJob(job_id=7, jdl="", owner="o", group="g", match_s=0.3)
DONE = PastJob(
    job=Job(
        matched=MATCHED,
        stamp="a" * 32,
        phase=Phase.CLOSED,
        grant=Grant(processor_ids=(0, 1)),
        cpu_s=150.0,
        end=Outcome(JobStatus.DONE, "Application Finished Successfully"),
    ),
    began={
        Phase.MATCHED: 1000.0,
        Phase.STAGING: 1000.0,
        Phase.RUNNING: 1010.0,
        Phase.DELIVERING: 1110.0,
        Phase.REPORTING: 1112.0,
        Phase.CLOSED: 1113.0,
    },
    now_s=1113.0,
)
FAILED = replace(DONE, job=replace(DONE.job, cpu_s=None, end=Outcome(JobStatus.FAILED, "x", "y", Blame.USER)))


@pytest.fixture
def counts() -> Counts:
    made = Counts()
    made.look(lambda: SIGHT)
    used = Energy(900.0, "RAPL", is_measured=True, co2_g=0.25)
    for one in (replace(DONE, job=replace(DONE.job, energy=used)), DONE, FAILED):
        made.closed(one)
    made.matched("job", 0.05)
    made.matched("none", 3.0)
    return made


@pytest.fixture
def directory(counts: Counts, tmp_path: Path) -> Iterator[Path]:
    """A directory with the file of an agent that lives."""
    shown = Exposition(counts, ABOUT)
    shown.keep_file(tmp_path)
    written(tmp_path)
    yield tmp_path
    shown.close()


def written(directory: Path) -> Path:
    """Wait for the file."""
    for _ in range(1000):
        if found := list(directory.glob("*.prom")):
            return found[0]
        threading.Event().wait(0.01)
    raise AssertionError("there is no file")


def samples(text: str) -> Mapping[tuple[str, str], float]:
    """Parse the text; a sample is named with its labels, by name, all but the pilot, which each must have."""
    found = {}
    for family in parser.text_string_to_metric_families(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("pilot") == ABOUT["pilot"]
            found[(sample.name, ",".join(labels[name] for name in sorted(labels)))] = sample.value
    return found


def test_the_file_tells_what_was_counted_and_seen(directory: Path) -> None:
    found = samples(written(directory).read_text(encoding="utf-8"))

    expected = {
        ("gridpilot_info", "ce01,wn1,long,LAB,0.1"): 1.0,
        ("gridpilot_slot_processors", "free"): 1.0,
        ("gridpilot_slot_processors", "held"): 3.0,
        ("gridpilot_slot_time_left_seconds", ""): 60.5,
        ("gridpilot_seen_time_seconds", ""): 9.0,
        ("gridpilot_jobs", "running"): 2.0,
        ("gridpilot_reports_unsent", ""): 4.0,
        ("gridpilot_jobs_closed_total", "nobody,Done"): 2.0,
        ("gridpilot_jobs_closed_total", "user,Failed"): 1.0,
        ("gridpilot_core_seconds_total", "cpu"): 300.0,
        ("gridpilot_core_seconds_total", "waiting"): 100.0,
        ("gridpilot_core_seconds_total", "unknown"): 200.0,
        ("gridpilot_core_seconds_total", "staging"): 60.0,
        ("gridpilot_energy_joules_total", "measured"): 900.0,
        ("gridpilot_carbon_dioxide_grams_total", ""): 0.25,
        ("gridpilot_match_requests_total", "job"): 1.0,
        ("gridpilot_match_requests_total", "none"): 1.0,
        ("gridpilot_match_request_seconds_count", ""): 2.0,
        ("gridpilot_match_request_seconds_sum", ""): 3.05,
        ("gridpilot_job_phase_seconds_count", "run"): 3.0,
        ("gridpilot_job_phase_seconds_sum", "run"): 300.0,
        ("gridpilot_job_phase_seconds_bucket", "60.0,run"): 0.0,
        ("gridpilot_job_phase_seconds_bucket", "300.0,run"): 3.0,
        ("gridpilot_job_phase_seconds_bucket", "+Inf,run"): 3.0,
    }
    assert {name: found.get(name) for name in expected} == expected


def test_names_follow_the_rules_of_prometheus(directory: Path) -> None:
    text = written(directory).read_text(encoding="utf-8")

    for family in parser.text_string_to_metric_families(text):
        assert re.fullmatch(r"gridpilot_[a-z_]+", family.name), family.name
        assert family.documentation.endswith("."), family.name
        assert len(family.samples[0].labels) <= 6 if family.samples else True
        has_unit = family.name.endswith(("_seconds", "_bytes")) or family.type in ("counter", "gauge")
        assert has_unit, family.name
        assert (family.type == "counter") == any(sample.name.endswith("_total") for sample in family.samples)


def test_the_file_may_be_read_by_others_and_nothing_is_left_beside_it(directory: Path) -> None:
    file = written(directory)

    assert file.name == "gridpilot-htcondorce-ce01-42.prom"
    assert oct(file.stat().st_mode)[-3:] == "644"


@pytest.mark.parametrize("name", ["{file}", ".{file}.new", "{file}.{pid}.{thread}"])
def test_a_link_that_a_neighbour_has_put_at_its_name_is_not_written_through(
    name: str, counts: Counts, tmp_path: Path
) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "victim").chmod(0o600)
    (tmp_path / "folder").mkdir()
    link = name.format(file="gridpilot-a-pilot.prom", pid=os.getpid(), thread=threading.get_ident())
    (tmp_path / "folder" / link).symlink_to(tmp_path / "victim")

    Textfile(tmp_path / "folder", Exposition(counts, ABOUT)._registry, "a/pilot").write()

    assert (tmp_path / "victim").read_text() == "mine"
    assert stat.S_IMODE((tmp_path / "victim").stat().st_mode) == 0o600
    assert not (tmp_path / "folder/gridpilot-a-pilot.prom").is_symlink()


def test_the_file_is_gone_when_the_agent_has_ended(counts: Counts, tmp_path: Path) -> None:
    shown = Exposition(counts, ABOUT)
    shown.keep_file(tmp_path)
    written(tmp_path)

    shown.close()

    assert list(tmp_path.iterdir()) == []


def test_the_file_is_replaced_whole(counts: Counts, tmp_path: Path) -> None:
    shown = Exposition(counts, ABOUT)
    file = Textfile(tmp_path, shown._registry, "p")
    file.write()
    before = written(tmp_path).stat().st_ino

    file.write()

    assert written(tmp_path).stat().st_ino != before


def test_a_directory_that_cannot_be_written_is_said_once(counts: Counts, caplog: pytest.LogCaptureFixture) -> None:
    file = Textfile(Path("/nowhere/at/all"), Exposition(counts, ABOUT)._registry, "p")

    with caplog.at_level("WARNING", "gridpilot"):
        file.write()
        file.write()

    assert [message.partition(" ")[0] for message in caplog.messages] == ["metrics.not_written"]


def test_http_on_loopback_tells_the_same_in_both_forms(counts: Counts) -> None:
    port = held_port()
    Exposition(counts, ABOUT).serve(port)
    url = f"http://127.0.0.1:{port}/metrics"
    modern = urllib.request.Request(url, headers={"Accept": "application/openmetrics-text; version=1.0.0"})

    with urllib.request.urlopen(url, timeout=20) as answer, urllib.request.urlopen(modern, timeout=20) as newer:
        plain, strict = answer.read().decode(), newer.read().decode()

    assert samples(plain)[("gridpilot_jobs_closed_total", "nobody,Done")] == 2.0
    families = {family.name for family in openmetrics_parser.text_string_to_metric_families(strict)}
    assert {"gridpilot_jobs_closed", "gridpilot_job_phase_seconds"} <= families


def test_a_port_that_is_taken_costs_only_the_metrics(counts: Counts, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken, caplog.at_level("WARNING", "gridpilot"):
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        Exposition(counts, ABOUT).serve(taken.getsockname()[1])

    assert caplog.messages[0].startswith("metrics.not_served port=")


class Answers:
    """A Matcher that says what it is told to."""

    def __init__(self, *answers: MatchedJob | Exception | None) -> None:
        self._answers = list(answers)

    def request_job(self, offer: Mapping[str, object]) -> MatchedJob | None:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_requests_to_the_matcher_are_counted_by_their_answer() -> None:
    counts = Counts()
    matcher = CountedMatcher(Answers(MATCHED, None, NoAnswer("x"), PilotRefused("y")), counts)

    assert (matcher.request_job({}), matcher.request_job({})) == (MATCHED, None)
    with pytest.raises(NoAnswer):
        matcher.request_job({})
    with pytest.raises(PilotRefused):
        matcher.request_job({})

    assert counts.matches == {"job": 1, "none": 1, "no_answer": 1, "refused": 1}


def test_the_slot_is_looked_at_every_few_seconds_only() -> None:
    now, looks = [100.0], []
    counts = Counts(lambda: now[0])
    for moment in (100.0, 101.0, 104.9, 105.0):
        now[0] = moment
        counts.look(lambda: looks.append(now[0]) or SIGHT)

    assert looks == [100.0, 105.0]
