"""`make bench-diracx`: our agent next to DIRAC's own JobAgent on a DIRAC joined with DiracX, in the same run.

Counted is what the servers executed for agent and owners, by kind. The page is docs/diracx-comparison.md.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import machine
from bench.dirac_contestants import Contestant, dirac, gridpilot, with_token
from bench.report import Chapter, Finding, as_markdown, as_text
from tests.joined import joined_stack
from tests.joined.joined_stack import Joined
from tests.system.dirac_stack import FINAL, ROOT

PAGE = ROOT / "docs" / "diracx-comparison.md"
PER_JOB = ROOT / "bench" / "scale" / "per_job.json"
HEAD = """\
# Next to DIRAC's own agent, where DIRAC is joined with DiracX

Written by `make bench-diracx`; do not edit. {machine}; load of other work when it began: {load}.

"""
RUN_S, END_S, LOOK_S = 600.0, 60.0, 1.0
OURS = ("labpilot", "labuser")  # who the agent and its wrappers are to the servers
KINDS = ("https", "dips", "REST", "discoveries", "exchanges", "S3")
NOT_OF_JOBS = "S3"  # bytes of the sandboxes themselves: as many for everybody
JDL = """\
Executable = "run.sh"; JobName = "bench"; JobType = "User"; CPUTime = 600; Arguments = "{seconds}";
StdOutput = "std.out"; StdError = "std.err"; OutputSandbox = {{"std.out", "std.err", "result.txt"}};
"""
PAYLOAD = "#!/bin/bash\ncat data.txt\nsleep $1\necho done > result.txt\n"
Starts = Callable[[Joined, Path], Contestant]
Asked = Counter[tuple[str, str]]  # by kind and service


@dataclass(frozen=True, slots=True)
class Work:
    """Some jobs with a sandbox in S3 each way.

    Attributes:
        jobs: how many.
        seconds: that each sleeps.
    """

    jobs: int
    seconds: int

    @property
    def in_words(self) -> str:
        return f"{self.jobs} of {self.seconds} s" if self.jobs > 1 else f"1 of {self.seconds} s"


def measure(stack: Joined, start: Starts, work: Work, folder: Path) -> Asked:
    """Let one agent run jobs that all wait before it starts; return what was asked in all."""
    jobs = [_submitted(stack, work, folder / f"job{number}") for number in range(work.jobs)]
    contestant = start(stack, folder)
    contestant = replace(contestant, environment=with_token(stack, contestant.environment, folder))
    since = stack.sizes()  # what the proxy's token has cost is nobody's
    with (folder / "agent.out").open("wb") as out:
        agent = subprocess.Popen(
            contestant.argv, cwd=folder, env=contestant.environment, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        _wait(stack, jobs)
        time.sleep(END_S / 6)  # for what is told after the end
    finally:
        agent.terminate()
        with suppress(subprocess.TimeoutExpired):
            agent.wait(END_S)
        agent.kill()
        agent.wait()
        stack.client("admin", "delete", *map(str, jobs))
    return Counter(
        (kind, _service(line, which))
        for which in since
        for line in stack.seen(which, since)
        if (kind := _kind(line, which))
    )


def _submitted(stack: Joined, work: Work, folder: Path) -> int:
    folder.mkdir(parents=True)
    files = {"run.sh": PAYLOAD, "data.txt": f"data of {folder}\n"}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    paths = [str(folder / name) for name in files]
    job = int(stack.diracx_client(folder, "submit", "--jdl", JDL.format(seconds=work.seconds), *paths))
    stack.optimize(job)
    return job


def _wait(stack: Joined, jobs: Sequence[int]) -> None:
    deadline = time.monotonic() + RUN_S
    states = [stack.state(job) for job in jobs]
    while not all(state["Status"] in FINAL for state in states):
        if time.monotonic() > deadline:
            raise TimeoutError(f"jobs {jobs} are {states} after {RUN_S:.0f} s")
        time.sleep(LOOK_S)
        states = [stack.state(job) for job in jobs]
    if wrong := [state for state in states if state["Status"] != "Done"]:
        raise RuntimeError(f"not Done: {wrong}")


def _kind(line: Mapping[str, Any], which: str) -> str:
    """Return the column of one request; empty for what no agent asked, and for a match that found nothing."""
    if which == "s3":
        return "" if line["authorization"] else "S3"
    if which == "diracx":
        if "well-known" in line["path"]:
            return "discoveries"
        who = line["who"].get("preferred_username") if isinstance(line["who"], Mapping) else None
        is_refresh = line["path"] == "/api/auth/token"
        return "REST" if who in OURS or is_refresh else ""  # DIRAC's key: counted as the exchange that it serves
    is_empty_match = line["method"] == "requestJob" and not _has_matched(line)
    if line["user"] not in OURS or is_empty_match:
        return ""
    return "exchanges" if line["method"] == "exchangeProxyForToken" else str(line["proto"])


def _service(line: Mapping[str, Any], which: str) -> str:
    if which != "dirac":
        return "S3" if which == "s3" else "DiracX"
    return str(line["service"]).rpartition("/")[2].removeprefix("Tornado")


def _has_matched(line: Mapping[str, Any]) -> bool:
    result = line["result"]
    return isinstance(result, Mapping) and bool(result.get("OK"))


def row(name: str, work: Work, asked: Asked) -> list[str]:
    """Return one line of the table, per job."""
    by_kind = [sum(number for (of, _), number in asked.items() if of == kind) for kind in KINDS]
    return [work.in_words, name, *(f"{number / work.jobs:.1f}" for number in by_kind), f"{_sum(asked) / work.jobs:.1f}"]


def _sum(asked: Asked) -> int:
    return sum(number for (kind, _), number in asked.items() if kind != NOT_OF_JOBS)


def by_service(one: Asked, many: Asked, jobs: int) -> dict[str, dict[str, float]]:
    """Return what an agent asks of each service once and for each job, from a run of one job and one of many."""
    found: dict[str, dict[str, float]] = {"start": {}, "job": {}}
    for service in sorted({service for _, service in (*one, *many)}):
        of_one, of_many = (sum(n for (_, of), n in asked.items() if of == service) for asked in (one, many))
        per_job = max(0.0, (of_many - of_one) / (jobs - 1))
        found["job"][service] = round(per_job, 2)
        found["start"][service] = round(max(0.0, of_one - per_job), 2)
    return found


def chapter(stack: Joined, works: Sequence[Work], folder: Path) -> Chapter:
    """Measure both agents at each kind of work, in turn; what each service was asked is kept for `bench/scale`."""
    rows, findings, version = [], [], stack.endpoint["dirac_version"]
    seen: dict[str, list[Asked]] = {"dirac": [], "gridpilot": []}
    for work in works:
        found = {}
        for name, start in ((f"DIRAC {version}", dirac), ("gridpilot", gridpilot)):
            own = folder / f"{work.jobs}-{work.seconds}-{start.__name__}"
            own.mkdir()
            found[name] = measure(stack, start, work, own)
            rows.append(row(name, work, found[name]))
            seen[start.__name__].append(found[name])
        theirs, ours = (_sum(asked) for asked in found.values())
        what, ratio = f"requests for {work.in_words}", ours / theirs
        findings.append(Finding(what=what, measured=f"{ratio:.2f}", target="1/3 of DIRAC's", is_met=ratio <= 1 / 3))
    measured = {name: by_service(*asked[:2], works[1].jobs) for name, asked in seen.items()}
    PER_JOB.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    return Chapter(
        title=f"gridpilot and DIRAC {version}, joined with DiracX 0.7.0",
        how=(
            "Jobs were submitted by DiracX's client with a sandbox in S3, and bring an output sandbox back; "
            "reports go to DiracX (`FutureClientEnabled`), the Matcher is over dips. Both agents run directly, "
            "InProcess, with their own defaults and a token in the pilot's proxy file; all jobs wait before the agent "
            "starts. Requests are what the servers executed from the agent's start to its end, ten seconds after the "
            "last job, for agent and owner, per job; what an agent asks once is among them. Matches that found no job "
            "are left out. An exchange is ProxyManager.exchangeProxyForToken, a discovery a GET of /.well-known. S3 "
            "moves the sandboxes themselves and is not in the sum."
        ),
        columns=("jobs", "agent", *(f"{kind} per job" for kind in KINDS), "sum without S3"),
        rows=rows,
        findings=findings,
    )


def main() -> int:
    """Bring the stack up, measure, write the page, and leave the stack as it was found."""
    parser = argparse.ArgumentParser(prog="python -m bench.joined_agents", description=__doc__)
    parser.add_argument("--jobs", type=int, default=4, help="short jobs of the second row")
    asked = parser.parse_args()
    load, was_up = machine.load(), joined_stack.is_up()
    joined_stack.script("up.sh")
    try:
        stack = Joined()
        stack.publish()
        with tempfile.TemporaryDirectory(prefix="bench-diracx-") as name:
            found = chapter(stack, (Work(1, 2), Work(asked.jobs, 2), Work(1, 60)), Path(name))
    finally:
        if not was_up:
            joined_stack.script("down.sh")
    print(as_text(found))
    PAGE.write_text(HEAD.format(machine=machine.in_words(), load=load) + as_markdown(found), encoding="utf-8")
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
