"""The examples in configs/observability are what the agent and Prometheus take."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agents.observability.counters import Counts, Snapshot
from agents.settings.agent import load
from agents.settings.given import read_files

FOLDER = Path(__file__).parents[2] / "configs" / "observability"
PROMTOOL = shutil.which("promtool")


def test_the_example_for_the_agent_is_taken_as_it_is() -> None:
    settings = load(read_files([FOLDER / "outside.cfg"], ["/LocalSite/Site=LAB"]))

    assert (settings.json_log, settings.metrics_port) == ("agent.jsonl", 9475)
    assert settings.slot_report_directory == "/var/spool/gridpilot"
    assert (settings.metrics_directory, settings.traces_endpoint) == (
        "/var/lib/prometheus/node-exporter",
        "http://localhost:4318",
    )


def test_the_alerts_name_metrics_that_there_are() -> None:
    exposition = pytest.importorskip(
        "agents.observability.metrics", reason="the extra gridpilot[metrics] is not installed", exc_type=ImportError
    )
    counts = Counts()
    counts.snapshot = Snapshot(processors={}, jobs={}, time_left_s=1.0, unsent=0)
    there_are = {family.name for family in exposition.AgentCollector(counts, {}, "p").collect()}

    named = set(re.findall(r"\bgridpilot_\w+", (FOLDER / "alerts.yml").read_text(encoding="utf-8")))

    assert {name.removesuffix("_total") for name in named} <= there_are


@pytest.mark.skipif(PROMTOOL is None, reason="no promtool here (Debian: apt-get install prometheus)")
def test_prometheus_takes_the_alerts() -> None:
    argv = ["promtool", "check", "rules", str(FOLDER / "alerts.yml")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
