"""`make bench-job-api`: what Job-API jobs end in and cost, with DIRAC's own agent and with ours.

What ours end in is the table that `make interop` proves (tests/system/job_api_ends.py); what DIRAC's agent made of the
same jobs is kept in job_api_dirac.json, here. Calls and times are measured anew, both agents in one run. The
page is docs/job-api-ends.md.
"""

import json
import os
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from bench import machine
from bench.dirac_agent import Seen, measure
from bench.dirac_contestants import dirac, gridpilot
from tests.system import storage as storage_scripts
from tests.system.dirac_stack import ROOT, Stack, is_up, script
from tests.system.job_api_ends import JOBS, End
from tests.system.job_api_files import fill
from tests.system.job_costs import KINDS
from tests.system.storage import DiracData, Storage

PAGE = ROOT / "docs" / "job-api-ends.md"
DIRACS = Path(__file__).with_name("job_api_dirac.json")
JOBS_OF_A_KIND = 3
NOTES = {
    "several_steps": "the third step is a Python file without `#!`, which DIRAC cannot start",
    "parametric_arguments": "`--name=%(name)s`: DIRAC splits at every `=`",
    "named": "the job's name has `&` and `<`, which DIRAC's client does not escape",
    "long_output": "60 MB of output; DIRAC ends what writes more than 50 MB",
    "input_same_name": "DIRAC brings one of two files of one base name",
    "input_damaged": "DIRAC hands the damaged bytes to the payload",
    "input_one_replica_damaged": "DIRAC takes either replica; here it is always the whole one",
    "output_missing": "DIRAC uploads the other file, and says nothing of the one that is missing",
    "output_empty": "DIRAC runs the whole job again, three times",
    "output_exists": "the LFN has other content; DIRAC runs the whole job again, three times",
    "output_same_content": "the LFN has this content already; DIRAC runs the whole job again, three times",
    "output_lfn_pattern": "DIRAC uploads nothing",
}
ABOUT = (
    "All are made and submitted by DIRAC 9.1.22's own Job API, and read back by DIRAC's own client. Its agent has a",
    "DIRAC on the node; gridpilot has none. What it must end in is `tests/system/job_api_ends.py`, tried by",
    "`make interop`; logs, LFNs, sizes, checksums, replicas and bytes are compared there too.",
)
COUNTED = (
    f"Each agent runs {JOBS_OF_A_KIND} jobs of a kind, one after the other, in the same run. Calls are what DIRAC's",
    "services executed for them, all but the agent's own (proxies, empty matches, its configuration), divided by their",
    "number. What dips elements are asked about files is part of transfers, and told apart. Times are the servers', of",
    "which the median is shown.",
)
Kept = Mapping[str, Sequence[Mapping[str, str]]]


def costs(stack: Stack, data: DiracData, folder: Path) -> list[str]:
    """Measure both agents at each kind of job; the lines of a table."""
    columns = ("job", "calls, DIRAC", "calls, gridpilot", "of DIRAC's", "target 1/3", "at elements")
    columns += ("match to Done, DIRAC", "gridpilot", "of DIRAC's", "target 1/5")
    lines = [f"| {' | '.join(columns)} |", "|---|--:|--:|--:|---|--:|--:|--:|--:|---|"]
    filled = f"bench-{uuid.uuid4().hex[:8]}"
    fill(data, folder, filled)
    for name, kind in KINDS.items():
        seen = []
        for start in (dirac, gridpilot):
            outputs = [f"bench-{uuid.uuid4().hex[:8]}" for _ in range(JOBS_OF_A_KIND)]
            runs = outputs if "output" in name else [filled] * JOBS_OF_A_KIND  # what was stored must not be found again
            seen.append(measure(stack, start, partial(_submitted, data, runs, name)))
        lines.append(_cost(kind, *seen))
    return lines


def _submitted(data: DiracData, runs: Sequence[str], name: str) -> list[int]:
    return [number for run in runs for number in data.job_api("user", run, name)[name]]


def _cost(kind: str, theirs: Seen, ours: Seen) -> str:
    elements = [seen.at_elements for seen in (theirs, ours)]
    calls = [sum(seen.per_job.values()) - seen.at_elements for seen in (theirs, ours)]
    times_s = [median(seen.match_to_done_s) for seen in (theirs, ours)]
    return (
        f"| {kind} | {calls[0]:.1f} | {calls[1]:.1f} | {calls[1] / calls[0]:.2f} "
        f"| {_met(calls[1] <= calls[0] / 3)} | {elements[0]:.0f}, {elements[1]:.0f} "
        f"| {times_s[0]:.1f} s | {times_s[1]:.1f} s | {times_s[1] / times_s[0]:.2f} "
        f"| {_met(times_s[1] <= times_s[0] / 5)} |"
    )


def _met(is_met: bool) -> str:  # noqa: FBT001 - what it tells
    return "met" if is_met else "missed"


def ends(theirs: Kept) -> list[str]:
    """One line for each job."""
    lines = ["| job | DIRAC's own agent | gridpilot | |", "|---|---|---|---|"]
    for name, table in JOBS.items():
        was = [_words(end["Status"], end["MinorStatus"], end["ApplicationStatus"]) for end in theirs[name]]
        lines.append(f"| {name} | {_each(was)} | {_each(map(_ours, table))} | {NOTES.get(name, '')} |")
    return lines


def _ours(end: End) -> str:
    return _words(end.status, end.minor, end.application)


def _words(*words: str) -> str:
    return " / ".join(word for word in words if word not in ("", "Unknown"))


def _each(ends_of_parts: Any) -> str:
    return "; ".join(dict.fromkeys(ends_of_parts)).replace("{", "").replace("}", "")


def page(costs_table: Sequence[str]) -> str:
    """The whole page."""
    theirs = json.loads(DIRACS.read_text(encoding="utf-8"))
    return "\n".join(
        [
            "# Jobs of the Job API next to DIRAC's own agent",
            "",
            f"Written by `make bench-job-api`; do not edit. {machine.in_words()}; load at its end: {machine.load()}.",
            "",
            *ABOUT,
            "",
            "## What a job costs",
            "",
            *COUNTED,
            "",
            *costs_table,
            "",
            "## What it ends in",
            "",
            *ends(theirs),
            "",
        ]
    )


def main() -> int:
    """Bring the stack up, measure, write the page, and leave the stack as it was found."""
    was_up = is_up()
    script("up.sh")
    script("publish.sh", "dips")
    storage_scripts.script("up.sh", "dirac")
    stack = Stack()
    try:
        with tempfile.TemporaryDirectory(prefix="bench-job-api-") as folder:
            found = costs(stack, DiracData(stack, Storage()), Path(folder))
    finally:
        if not was_up:
            storage_scripts.script("down.sh")
            script("down.sh")
    PAGE.write_text(page(found), encoding="utf-8")
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
