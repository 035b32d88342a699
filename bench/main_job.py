"""What the main job costs on this machine: start to first match, jobs per second, memory of an idle agent.

Figures of one machine at one moment; to compare, run both sides in the same run (see the other benchmarks here).
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil

from agents.local_wms.client import Client, connect
from agents.local_wms.home import Endpoint
from agents.local_wms.testing import running

ROOT = Path(__file__).parents[1]
DEADLINE_S = 300.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.main_job", description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--processors", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gridpilot-bench-") as folder, running(Path(folder, "wms")) as endpoint:
        figures = _measure(endpoint, Path(folder), arguments.jobs, arguments.processors)
    if arguments.json:
        print(json.dumps(figures, indent=1))
    else:
        for name, value in figures.items():
            print(f"{name:45} {value:10.2f}")
    return 0


def _measure(endpoint: Endpoint, folder: Path, jobs: int, processors: int) -> dict[str, float]:
    client = connect(endpoint)
    jdl = folder / "trivial.jdl"
    jdl.write_text(
        f'Executable = "/bin/true"; JobName = "trivial"; CPUTime = 300; Parameters = {jobs};', encoding="utf-8"
    )
    ids = client.submit(jdl)
    wms_before_s = _cpu_s(psutil.Process(endpoint.pid))
    started = datetime.now(UTC)
    pilot = _start_pilot(endpoint, folder, processors)
    try:
        _wait_done(client, ids, pilot)
        matched = [_moment(client, job_id, "Matched") for job_id in ids]
        done = [_moment(client, job_id, "Done") for job_id in ids]
        wms_s = _cpu_s(psutil.Process(endpoint.pid)) - wms_before_s
        agent = _agent(pilot)
        agent_s = _cpu_s(agent)
        idle_mb = _idle_mb(agent)
    finally:
        pilot.send_signal(signal.SIGTERM)
        pilot.wait(60)
    span_s = (max(done) - min(matched)).total_seconds()
    return {
        "pilot start to first match, s": (min(matched) - started).total_seconds(),
        f"first match to last Done, {jobs} jobs, s": span_s,
        "jobs per second": jobs / span_s,
        "CPU time of the agent for a job, its start included, ms": 1000 * agent_s / jobs,
        "CPU time of the local WMS for a job, ms": 1000 * wms_s / jobs,
        "jobs per second at which these two would fill two processors": 2 * jobs / (agent_s + wms_s),
        "idle agent, resident MB (10^6 bytes)": idle_mb,
    }


def _start_pilot(endpoint: Endpoint, folder: Path, processors: int) -> "subprocess.Popen[bytes]":
    argv = [sys.executable, "-m", "pilot", "-n", endpoint.site, "-N", endpoint.ce, "-Q", endpoint.queue, "-y", "Pool"]
    argv += [
        "-P",
        str(processors),
        "--wnVO",
        endpoint.vo,
        "-C",
        endpoint.configuration,
        "--work-dir",
        str(folder / "pilot"),
    ]
    environment = {**os.environ, "X509_USER_PROXY": endpoint.pilot_proxy, "X509_CERT_DIR": endpoint.ca_dir}
    with (folder / "pilot.out").open("wb") as out:
        return subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT)


def _wait_done(client: Client, ids: list[int], pilot: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline and pilot.poll() is None:
        states = client.call("JobMonitoring", "getJobsStatus", ids)
        if all(state["Status"] == "Done" for state in states.values()):
            return
        time.sleep(0.5)
    raise SystemExit("the jobs did not end in time")


def _moment(client: Client, job_id: int, status: str) -> datetime:
    rows = client.call("JobMonitoring", "getJobLoggingInfo", job_id)
    return min(datetime.fromisoformat(row[3]).replace(tzinfo=UTC) for row in rows if row[0] == status)


def _agent(pilot: "subprocess.Popen[bytes]") -> psutil.Process:
    return next(p for p in psutil.Process(pilot.pid).children() if "agents" in p.cmdline())


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _idle_mb(agent: psutil.Process) -> float:
    """Return what the agent holds a few seconds after its last job."""
    time.sleep(3)
    return agent.memory_info().rss / 1e6


if __name__ == "__main__":
    sys.exit(main())
