"""`make bench-dirac`: our agent next to DIRAC's own JobAgent, on the same DIRAC server in the same run.

Counted are requests, bytes and connections as the servers executed them, the time from a job's match to the server's
receipt of Done, and the resident memory of the agent's process tree. The page is docs/dirac-comparison.md.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from bench import machine
from bench.dirac_contestants import Contestant, dirac, gridpilot
from bench.report import Chapter, Finding, as_markdown, as_text
from tests.system.dirac_stack import FINAL, ROOT, Stack, is_up, script
from tests.system.job_costs import is_at_an_element, is_of_a_job, matched

PAGE = ROOT / "docs" / "dirac-comparison.md"
HEAD = """\
# Next to DIRAC's own agent

Written by `make bench-dirac`; do not edit. {machine}; load of other work when it began: {load}.

"""
SAMPLE_S, RUN_S, END_S = 0.2, 900.0, 30.0
OURS = ("labpilot", "labuser")  # who the agent and its wrappers are to the servers
_NAMED = 'Priority = 5; JobName = "bench"; CPUTime = 300;'
PLAIN = f'{_NAMED} Executable = "/bin/true";'
SLEEPING = f'{_NAMED} Executable = "/bin/sleep"; Arguments = "12";'
Starts = Callable[[Stack, Path], Contestant]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one agent cost for some jobs.

    Attributes:
        per_job: requests to the services of a job's life, by transport.
        at_elements: those of them that ask a dips element about a file.
        per_agent: requests of the whole run that are not one job's.
        bytes_per_job: in both directions, above TLS, of all requests.
        connections_per_job: of all requests.
        match_to_done_s: of each job, as the servers saw it.
        first_to_last_s: from the first match to the last Done.
        agent_mb: peak of the agent's own process, 10^6 bytes resident.
        beside_agent_mb: peak of all processes below it together.
    """

    per_job: dict[str, float]
    at_elements: float
    per_agent: int
    bytes_per_job: float
    connections_per_job: float
    match_to_done_s: list[float]
    first_to_last_s: float
    agent_mb: float
    beside_agent_mb: float


class Memory:
    """Peaks of a process and of everything below it."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self.agent_mb = 0.0
        self.beside_mb = 0.0

    def sample(self) -> None:
        """Look once; a process that ends meanwhile is left out."""
        sizes = [_resident_mb(process) for process in (self._root, *self._root.children(recursive=True))]
        self.agent_mb = max(self.agent_mb, sizes[0])
        self.beside_mb = max(self.beside_mb, sum(sizes[1:]))


def _resident_mb(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / 1e6
    except psutil.Error:
        return 0.0


def measure(stack: Stack, start: Starts, submit: Callable[[], list[int]]) -> Seen:
    """Let one agent run some jobs that all wait before it starts."""
    script("sweep.sh")
    jobs = submit()
    try:
        stack.wait(jobs, lambda status: status == "Waiting", END_S)
        since = stack.capture_size()
        with tempfile.TemporaryDirectory(prefix="bench-dirac-") as name:
            memory = _run(stack, start(stack, Path(name)), Path(name), jobs)
    finally:
        stack.client("admin", "delete", *map(str, jobs))  # what did not run must not meet the next agent
    return _seen([call for call in stack.captured(since) if call["user"] in OURS], set(jobs), memory)


def _run(stack: Stack, contestant: Contestant, folder: Path, jobs: Sequence[int]) -> Memory:
    with (folder / "agent.out").open("wb") as out:
        process = subprocess.Popen(
            contestant.argv, cwd=folder, env=contestant.environment, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        memory = Memory(process.pid)
        _watch(stack, memory, jobs)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return memory


def _watch(stack: Stack, memory: Memory, jobs: Sequence[int]) -> None:
    """Sample until the servers have all jobs final."""
    deadline, next_look = time.monotonic() + RUN_S, 0.0
    while True:
        memory.sample()
        if time.monotonic() >= next_look:
            statuses = [state["Status"] for state in stack.status(*jobs).values()]
            if all(status in FINAL for status in statuses):
                return
            next_look = time.monotonic() + 3.0
        if time.monotonic() > deadline:
            raise TimeoutError(f"jobs {jobs} are {statuses} after {RUN_S:.0f} s")
        time.sleep(SAMPLE_S)


def _seen(calls: Sequence[dict[str, Any]], jobs: set[int], memory: Memory) -> Seen:
    begun = {match: call["t"] for call in calls if (match := matched(call)) in jobs}
    done = {int(call["args"][0]): call["t"] + call["ms"] / 1000 for call in calls if _says_done(call)}
    of_jobs = [call for call in calls if is_of_a_job(call)]
    elements = sum(map(is_at_an_element, of_jobs))
    transports = Counter(call["proto"] for call in of_jobs)
    return Seen(
        per_job={name: number / len(jobs) for name, number in transports.items()},
        at_elements=elements / len(jobs),
        per_agent=len(calls) - len(of_jobs),
        bytes_per_job=sum(call["bytes_in"] + call["bytes_out"] for call in calls) / len(jobs),
        connections_per_job=len({call["connection"] for call in calls}) / len(jobs),
        match_to_done_s=[done[job] - begun[job] for job in jobs],
        first_to_last_s=max(done[job] for job in jobs) - min(begun.values()),
        agent_mb=memory.agent_mb,
        beside_agent_mb=memory.beside_mb,
    )


def _says_done(call: dict[str, Any]) -> bool:
    updates = call["args"][1].values() if call["method"] == "setJobStatusBulk" else ()
    return any(update.get("Status") == "Done" for update in updates)


def row(name: str, work: str, seen: Seen) -> list[str]:
    """Return one line of the table."""
    requests = " + ".join(f"{number:.1f} {transport}" for transport, number in sorted(seen.per_job.items()))
    return [
        work,
        name,
        requests,
        f"{seen.per_agent}",
        f"{seen.bytes_per_job / 1000:.1f} kB",
        f"{seen.connections_per_job:.1f}",
        f"{median(seen.match_to_done_s):.2f} ({max(seen.match_to_done_s):.2f}) s",
        f"{seen.first_to_last_s / len(seen.match_to_done_s):.1f} s",
        f"{seen.agent_mb:.0f} MB",
        f"{seen.beside_agent_mb:.0f} MB",
    ]


COLUMNS = (
    "jobs",
    "agent",
    "requests per job",
    "other requests",
    "bytes per job",
    "connections per job",
    "match to Done, median (most)",
    "first match to last Done, per job",
    "resident, agent",
    "resident, next to it",
)


def chapter(stack: Stack, plain: int, with_files: int, folder: Path) -> Chapter:
    """Measure both agents at each kind of work, in turn."""
    rows, findings = [], []
    for work, jdl, count in (
        (f"{plain} plain, /bin/true", PLAIN, plain),
        (f"{with_files} with both sandboxes", _with_files(folder), with_files),
        ("1 that sleeps for 12 s", SLEEPING, 1),
    ):
        submit = partial(stack.submit, jdl, count=count)
        theirs, ours = [measure(stack, start, submit) for start in (dirac, gridpilot)]
        rows += [row(f"DIRAC {stack.endpoint['dirac_version']}", work, theirs), row("gridpilot", work, ours)]
        findings.append(_in_requests(work, theirs, ours))
        findings.append(_in_memory(theirs, ours) if jdl is SLEEPING else _in_time(work, theirs, ours))
    return Chapter(
        title=f"gridpilot and DIRAC {stack.endpoint['dirac_version']}, one processor, Matcher over dips",
        how=(
            "Both agents run directly, InProcess, with the options that DIRAC's pilot gives and their own defaults; "
            "all jobs wait before the agent starts. Requests, bytes (above TLS) and connections are what the servers "
            "executed, the times are the servers'; memory is sampled every 0.2 s over the agent's process tree, 1 MB "
            "is 10^6 bytes. DIRAC makes a new TLS connection for each request, and starts a Python for each job. A "
            "plain job needs three requests: a match, its parameters, its statuses, which no call of DIRAC 9 joins. "
            "Ends are read back, several in one call, because the answer to a status does not tell whether it was "
            "taken; accounting, too, is sent for several jobs together."
        ),
        columns=COLUMNS,
        rows=rows,
        findings=findings,
    )


def _in_memory(theirs: Seen, ours: Seen) -> Finding:
    ratio = (ours.agent_mb + ours.beside_agent_mb) / (theirs.agent_mb + theirs.beside_agent_mb)
    what = "resident memory of agent and one running job"
    return Finding(what=what, measured=f"{ratio:.2f}", target="less than DIRAC's", is_met=ratio < 1)


def _in_requests(work: str, theirs: Seen, ours: Seen) -> Finding:
    ratio = sum(ours.per_job.values()) / sum(theirs.per_job.values())
    return Finding(what=f"requests, {work}", measured=f"{ratio:.2f}", target="1/3 of DIRAC's", is_met=ratio <= 1 / 3)


def _in_time(work: str, theirs: Seen, ours: Seen) -> Finding:
    ratio = median(ours.match_to_done_s) / median(theirs.match_to_done_s)
    return Finding(what=f"match to Done, {work}", measured=f"{ratio:.2f}", target="less than DIRAC's", is_met=ratio < 1)


def _with_files(folder: Path) -> str:
    (folder / "copy.sh").write_text("cat in.txt > out.txt; echo copied\n", encoding="utf-8")
    (folder / "in.txt").write_text("input\n" * 100, encoding="utf-8")
    return (
        f'{_NAMED} Executable = "copy.sh"; InputSandbox = {{"{folder / "copy.sh"}", "{folder / "in.txt"}"}};'
        ' StdOutput = "std.out"; StdError = "std.err"; OutputSandbox = {"std.out", "std.err", "out.txt"};'
    )


def main() -> int:
    """Bring the stack up, measure, write the page, and leave the stack as it was found."""
    parser = argparse.ArgumentParser(prog="python -m bench.dirac_agent", description=__doc__)
    parser.add_argument("--plain", type=int, default=8, help="plain jobs")
    parser.add_argument("--with-files", type=int, default=4, help="jobs with input and output sandbox")
    asked = parser.parse_args()
    load, was_up = machine.load(), is_up()
    script("up.sh")
    script("publish.sh", "dips")
    try:
        with tempfile.TemporaryDirectory(prefix="bench-dirac-input-") as folder:
            found = chapter(Stack(), asked.plain, asked.with_files, Path(folder))
    finally:
        if not was_up:
            script("down.sh")
    print(as_text(found))
    PAGE.write_text(HEAD.format(machine=machine.in_words(), load=load) + as_markdown(found), encoding="utf-8")
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
