"""Memory of pilot and agent with many running jobs, as proportional set size: a shared page counts once in all."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import psutil

from agents.local_wms.client import Client, connect
from agents.local_wms.testing import running
from bench.pilot_run import agent_of, running_pilot, wait_until
from bench.report import Chapter, Finding, as_text

PATIENCE_S = 120.0
IDLE_LIMIT_MB, LIMIT_MB = 40.0, 55.0
IDLE_S = 3.0  # after the agent has asked for its first job
PAYLOAD = "sleep"

HOW = """\
One pilot and its agent, first idle, there being no job; then with {jobs} running jobs `/bin/sleep`, all at the same
time. Summed is the proportional set size
that the kernel gives for each process below the pilot (`/proc/PID/smaps_rollup`), in MB of 10^6 bytes. Everything that
is there because of us counts: the pilot, the agent, and for each job the wrapper that outlives the agent and the
shell that starts the payload. The payload itself is shown and not counted."""


def measure(jobs: int) -> Chapter:
    """Start so many jobs, and weigh the processes when all run."""
    with tempfile.TemporaryDirectory(prefix="gridpilot-bench-") as name, running(Path(name, "wms")) as endpoint:
        folder = Path(name)
        with connect(endpoint) as client:
            with running_pilot(endpoint, folder, jobs) as pilot:
                root = psutil.Process(pilot.pid)
                wait_until(lambda: agent_of(pilot) is not None, "an agent", PATIENCE_S, folder)
                time.sleep(IDLE_S)
                idle = _weights_mb(root)
                submitted = _submit(client, folder, jobs)
                wait_until(lambda: _count(root, PAYLOAD) == jobs, f"{jobs} payloads run", PATIENCE_S, folder)
                weights = _weights_mb(root)
            _kill(client, submitted)
    return _chapter(idle, weights, jobs)


def _submit(client: Client, folder: Path, jobs: int) -> list[int]:
    jdl = folder / "job.jdl"
    jdl.write_text(
        f'Executable = "/bin/sleep"; Arguments = "600"; CPUTime = 600; Parameters = {jobs};', encoding="ascii"
    )
    return client.submit(jdl)


def _kill(client: Client, jobs: list[int]) -> None:
    """Leave nothing for the next pilot: the one that was stopped has handed its jobs back."""
    client.call("JobManager", "killJob", jobs)


def _count(root: psutil.Process, name: str) -> int:
    return sum(1 for process in root.children(recursive=True) if process.name() == name)


def _weights_mb(root: psutil.Process) -> dict[str, list[float]]:
    """Return the weights of all processes below the pilot, by what they are."""
    weights: dict[str, list[float]] = {}
    for process in [root, *root.children(recursive=True)]:
        weights.setdefault(_kind(process), []).append(process.memory_full_info().pss / 1e6)
    return weights


def _kind(process: psutil.Process) -> str:
    command = process.cmdline()
    if process.name() == PAYLOAD:
        return "payload"
    if process.name() == "sh":
        return "wrapper and shell of the payload"
    return "agent" if "agents" in command else "pilot"


def _chapter(idle: Mapping[str, list[float]], weights: Mapping[str, list[float]], jobs: int) -> Chapter:
    idle_mb = sum(map(sum, idle.values()))
    ours_mb = sum(sum(of_kind) for kind, of_kind in weights.items() if kind != "payload")
    rows = [
        (f"idle: {kind}", str(len(of_kind)), f"{sum(of_kind):.1f}", f"{sum(of_kind) / len(of_kind):.2f}")
        for kind, of_kind in sorted(idle.items())
    ]
    rows += [
        (kind, str(len(of_kind)), f"{sum(of_kind):.1f}", f"{sum(of_kind) / len(of_kind):.2f}")
        for kind, of_kind in sorted(weights.items(), key=lambda item: -sum(item[1]))
    ]
    return Chapter(
        title="Memory with running jobs",
        how=HOW.format(jobs=jobs),
        columns=("processes", "number", "together, MB", "each, MB"),
        rows=rows,
        findings=[
            Finding(
                what="pilot and agent, idle, MB",
                measured=f"{idle_mb:.1f}",
                target=f"≤ {IDLE_LIMIT_MB:.0f}",
                is_met=idle_mb <= IDLE_LIMIT_MB,
            ),
            Finding(
                what=f"pilot, agent and {jobs} running jobs, MB",
                measured=f"{ours_mb:.1f}",
                target=f"≤ {LIMIT_MB:.0f}",
                is_met=ours_mb <= LIMIT_MB,
            ),
        ],
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    chapter = measure(arguments.jobs)
    print(json.dumps(asdict(chapter), indent=1) if arguments.json else as_text(chapter))
    return 0


if __name__ == "__main__":
    sys.exit(main())
