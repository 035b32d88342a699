"""A slot seen from outside: real pilot, agent and payloads, with everything on that shows what they do."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.local_wms.client import Client, connect
from agents.local_wms.home import Endpoint
from agents.local_wms.testing import running
from tests.end_to_end.test_main_job import ROOT, Pilot, status, submit, until
from tests.ports import held_port

AGENT = "/Systems/WorkloadManagement/Agents/JobAgent"
SECRET = "Tr0ub4dor-and-3"
KEY_LINE = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2"
# Prints what no payload should: into its output, and as the reason of its end.
LEAKY = f"""#!/bin/sh
echo "password={SECRET}"
printf -- '-----BEGIN PRIVATE KEY-----\\n{KEY_LINE}\\n{KEY_LINE}\\n-----END PRIVATE KEY-----\\n'
if [ "$1" != fail ]; then
  until [ -e "$1" ]; do sleep 0.1; done
  exit
fi
exec does_not_exist_token={SECRET}
"""


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with running(tmp_path_factory.mktemp("wms")) as started:
        yield started


@pytest.fixture(scope="module")
def client(endpoint: Endpoint) -> Iterator[Client]:
    with connect(endpoint) as connected:
        yield connected


def metrics_at(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


class Slot:
    """A slot that has come to its end, and what was seen of it."""

    def __init__(self, pilot: Pilot, jobs: list[int], live: str) -> None:
        self.pilot, self.jobs, self.live = pilot, jobs, live

    def command(self, *arguments: str) -> str:
        argv = [sys.executable, "-m", "pilot", *arguments, "--work-dir", str(self.pilot.work_dir)]
        return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.fixture(scope="module")
def slot(endpoint: Endpoint, client: Client, tmp_path_factory: pytest.TempPathFactory) -> Slot:
    """Three jobs on a slot of two processors."""
    pytest.importorskip("prometheus_client", reason="the extra gridpilot[metrics] is not installed")
    folder, port = tmp_path_factory.mktemp("slot"), held_port()
    go_on = folder / "seen"
    jobs = [
        submit(
            client,
            folder,
            f'Executable = "leaky.sh"; Arguments = "{words}"; StdOutput = "std.out"; InputSandbox = {{"leaky.sh"}}; '
            'OutputSandbox = {"std.out"}; JobName = "leaky";',
            leaky_sh=LEAKY,
        )
        for words in (go_on, go_on, "fail")
    ]
    (folder / "prom").mkdir()
    chosen = {"JsonLog": "agent.jsonl", "MetricsPort": port, "MetricsDirectory": folder / "prom", "HeartBeatPeriod": 1}
    chosen["SlotReportDirectory"] = folder
    options = [word for name, text in chosen.items() for word in ("-o", f"{AGENT}/{name}={text}")]
    options += ["-o", "/LocalSite/WattsPerProcessor=8", "-o", "/LocalSite/CarbonIntensity=400"]
    with Pilot(endpoint, folder, "-y", "Pool", "-P", "2", *options) as pilot:
        until(lambda: 'gridpilot_jobs{phase="running"' in metrics_at(port), "a job is seen running", pilot)
        live = metrics_at(port) + "".join(path.read_text(encoding="utf-8") for path in (folder / "prom").iterdir())
        go_on.touch()
        assert pilot.ended() == 0, pilot.written()
    assert list((folder / "prom").iterdir()) == []
    return Slot(pilot, jobs, live)


def test_the_metrics_showed_the_slot_at_work(slot: Slot) -> None:
    assert 'gridpilot_slot_processors{pilot="' in slot.live
    assert 'gridpilot_match_requests_total{answer="job"' in slot.live


def test_the_report_agrees_with_the_wms(slot: Slot, client: Client) -> None:
    told: dict[str, Any] = json.loads(slot.command("report", "--json"))

    ended = {job["job_id"]: job["outcome"] for job in told["jobs"]}
    assert ended == {job_id: status(client, job_id)["Status"] for job_id in slot.jobs}
    assert told["slot"]["state"] == "ended"
    assert told["core_time_s"]["total"] == pytest.approx(2 * told["slot"]["seconds"], abs=0.01)
    assert all(set(job["phases_s"]) == {"match", "stage in", "run", "stage out", "report"} for job in told["jobs"])
    assert told["core_time_s"]["cpu"] > 0
    assert {job["name"] for job in told["jobs"]} == {"leaky"}


def test_a_slot_that_found_no_more_jobs_was_idle_for_that(slot: Slot) -> None:
    told: dict[str, Any] = json.loads(slot.command("report", "--json"))

    assert set(told["idle_s"]) <= {"asking", "no match"}
    assert told["idle_s"]["no match"] > 0
    assert sum(told["idle_s"].values()) == pytest.approx(told["core_time_s"]["idle"], rel=0.01, abs=0.05)


def test_the_page_of_the_slot_is_written(slot: Slot) -> None:
    said = slot.command("report")

    assert said.startswith(f"{slot.pilot.work_dir}/slot.html\njobs: 3 (2 Done, 1 Failed); ")
    (left_by_agent,) = slot.pilot.work_dir.parent.glob("slot-*.html")
    assert left_by_agent.read_text(encoding="utf-8") == (slot.pilot.work_dir / "slot.html").read_text(encoding="utf-8")


def test_energy_is_told_of_every_job_and_of_the_slot(slot: Slot, client: Client) -> None:
    told: dict[str, Any] = json.loads(slot.command("report", "--json"))

    for job in told["jobs"]:
        parameters = status(client, job["job_id"])
        joules = 8 * job["cpu_s"]  # a node that counts for itself tells another number, and says so
        rounding = 8 * 0.0001  # of the CPU time, which is told in milliseconds and their tenths
        assert parameters["EnergySource"] in ("estimated: 8 W a busy processor", "RAPL")
        assert "Wh (" in slot.command("explain", str(job["job_id"]))
        if parameters["EnergySource"] != "RAPL":
            assert float(parameters["Energy(Wh)"]) == pytest.approx(joules / 3600, rel=0.02, abs=rounding / 3600)
            assert float(parameters["CO2(g)"]) == pytest.approx(
                joules / 3.6e6 * 400, rel=0.02, abs=rounding / 3.6e6 * 400
            )
    assert told["energy"]["joules"] > 0
    assert "payloads used" in slot.command("report")


def test_each_line_about_a_job_names_its_attempt(slot: Slot) -> None:
    lines = (slot.pilot.work_dir / "agent.jsonl").read_text(encoding="utf-8").splitlines()

    about_jobs = [one for one in map(json.loads, lines) if "gridpilot.job_id" in one]
    assert {one["gridpilot.job_id"] for one in about_jobs} == set(slot.jobs)
    assert {one["gridpilot.attempt"] for one in about_jobs} == {1}
    assert len({one["trace.id"] for one in about_jobs}) == len(slot.jobs)


def test_no_secret_of_a_payload_is_seen_anywhere(slot: Slot, client: Client) -> None:
    slot.command("report")
    shown = [slot.command("status"), slot.command("status", "--json"), slot.command("report", "--json")]
    shown += [slot.command("explain", str(job_id)) for job_id in slot.jobs]
    shown += [slot.pilot.written(), slot.live, *_texts(slot.pilot.work_dir)]
    shown += [json.dumps(status(client, job_id)) for job_id in slot.jobs]

    leaks = [text for text in shown for secret in (SECRET, KEY_LINE) if secret in text]
    assert leaks == []


def _texts(folder: Path) -> list[str]:
    found = [path for path in folder.iterdir() if path.suffix in (".log", ".jsonl", ".html", ".json")]
    assert {path.name for path in found} >= {"agent.log", "agent.jsonl", "slot.html", "agent_end.json"}
    return [path.read_text(encoding="utf-8") for path in found]


def test_an_agent_that_was_killed_leaves_a_report(endpoint: Endpoint, client: Client, tmp_path: Path) -> None:
    job_id = submit(client, tmp_path, 'Executable = "/bin/sleep"; Arguments = "60";')
    with Pilot(endpoint, tmp_path, "-y", "Pool", "-P", "2") as pilot:
        until(lambda: status(client, job_id)["Status"] == "Running", "the job runs", pilot)
        alive = json.loads(Slot(pilot, [], "").command("report", "--json"))
        os.kill(_agent_of(pilot), 9)
        until(lambda: pilot.written().count("agent.started") >= 1, "the pilot goes on", pilot)
        pilot.process.terminate()
        pilot.ended()

    told = json.loads(Slot(pilot, [], "").command("report", "--json"))

    assert (alive["slot"]["state"], alive["jobs"][0]["outcome"]) == ("working", "in hand")
    assert [job["job_id"] for job in told["jobs"]] == [job_id]
    assert told["slot"]["seconds"] > 0


def _agent_of(pilot: Pilot) -> int:
    """Return the process of the pilot's agent."""
    found = subprocess.run(
        ["pgrep", "-P", str(pilot.process.pid), "-f", "agents"], capture_output=True, text=True, check=True
    )
    return int(found.stdout.split()[0])
