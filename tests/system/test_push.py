"""Jobs of a real DIRAC 9 pushed into a real Slurm: submitted by DIRAC's client, read back by DIRAC's client."""

import os
import signal
import subprocess
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.dirac_stack import FINAL, ROOT, Pilot, Stack, script
from tests.systems.real_system import CannotBeHad, RealSystem, bring_up

JOBS = 100
RUN_S = 420.0
JDL = """
Executable = "run.sh"; Priority = 5; StdOutput = "std.out"; StdError = "std.err";
InputSandbox = {{"{folder}/run.sh", "{folder}/input.txt"}}; OutputSandbox = {{"std.out", "std.err", "result.txt"}};
"""
RUN = 'echo "$JOBID" >> {trace}; cat input.txt > result.txt; echo "$DIRAC_JOB_PROCESSORS" >> result.txt\n'


@pytest.fixture
def slurm() -> Iterator[RealSystem]:
    status = subprocess.run([ROOT / "tests/clusters/slurm/status.sh"], check=False, capture_output=True)
    try:
        system = bring_up("slurm", {})
    except CannotBeHad as reason:
        pytest.fail(f"slurm is needed: {reason}")
    yield system
    if status.returncode != 0:
        system.down()


def submitted(stack: Stack, folder: Path, trace: Path) -> list[int]:
    (folder / "run.sh").write_text(RUN.format(trace=trace), encoding="utf-8")
    (folder / "input.txt").write_text("from the owner\n", encoding="utf-8")
    return stack.submit(JDL.format(folder=folder), count=JOBS)


def count(trace: Path) -> int:
    return len(trace.read_text(encoding="utf-8").split())


def test_hundred_jobs_of_dirac_go_through_slurm_once_each_though_the_agent_is_killed(
    stack: Stack, slurm: RealSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in slurm.env.items():
        monkeypatch.setenv(name, value)
    script("publish.sh", "https")
    script("sweep.sh")
    trace = slurm.home / "dirac-trace"
    trace.touch()
    reference = uuid.uuid4().hex
    stack.client("admin", "add-pilot", reference)
    jobs = submitted(stack, tmp_path, trace)
    local = {"BatchSystem": "SLURM", "Queue": "grid", "SharedArea": slurm.home / "area", "MaxTotalJobs": 30}
    options = ["-y", "Local", "-P", "1", "--StopAfterFailedMatches", "10000", "-o", "/LocalSite/StatusInterval=1"]
    options += [word for name, value in local.items() for word in ("-o", f"/LocalSite/{name}={value}")]

    with Pilot(stack, tmp_path, reference, *options) as pilot:
        stack.wait(jobs, lambda _: count(trace) >= JOBS // 4, RUN_S, pilot)
        (agent,) = subprocess.check_output(["pgrep", "-f", f"agents --cfg {pilot.work_dir}"], text=True).split()
        os.kill(int(agent), signal.SIGKILL)
        statuses = stack.wait(jobs, lambda status: status in FINAL, RUN_S, pilot)
        exit_code = pilot.drain()

    into = tmp_path / "output"
    stack.client("user", "output", str(jobs[-1]), "--into", str(into))
    assert exit_code == 0, pilot.said()
    assert Counter(statuses.values()) == {"Done": JOBS}
    assert sorted(map(int, trace.read_text(encoding="utf-8").split())) == sorted(jobs)
    assert (into / "result.txt").read_text(encoding="utf-8") == "from the owner\n1\n"
