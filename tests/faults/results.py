"""The results of the fault matrix as a page."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ORDER = ("FAILED", "skipped", "held")

HEAD = """\
# Fault matrix

Written by `make faults`: real processes, real signals, the local WMS over HTTPS, a fault-injecting proxy before it.
After each scenario five invariants are checked: nothing lost, nothing run twice, nothing left behind (and a stranger
of the same user still alive), what the WMS was told is what the payloads wrote down themselves, no credential in any
log, command line or payload. The numbers are those of the list of scenarios that the project keeps.

`held` passed; `skipped` could not be tried on the machine that wrote this page.

"""

GAPS = """
## Not in it

- 12: notices of a cloud's metadata service; the agent does not ask for them.
- 18, 19 with the controllers of cgroup v2: `make machine` runs containment tests where they are.
- 21: a quota of the file system (a full disk and used-up inodes are tried).
- 26: an outage longer than the WMS waits before it holds a job for stalled; read-back after ten minutes is a unit test.
- 31: an address of IPv6 that swallows everything beside one of IPv4 that works: the second is tried after 10 s.
- 36: changes to and from summer time, leap seconds: no local time and no calendar is used for anything.
- 39: a node without /proc.
"""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one test."""

    scenario: int
    done: str
    held: str
    verdict: str
    reason: str


def page(results: Iterable[Result]) -> str:
    """Return the page; variants of one test share a row, and the worst of them gives the verdict."""
    rows = sorted(results, key=lambda result: (result.scenario, result.held))
    grouped = itertools.groupby(rows, key=lambda result: (result.scenario, result.held))
    lines = [_row(list(variants)) for _, variants in grouped]
    head = "| # | what is done | what must hold | result |\n|--:|---|---|---|\n"
    return HEAD + head + "".join(lines) + _skipped(rows) + GAPS


def _row(variants: Sequence[Result]) -> str:
    verdicts = [result.verdict for result in variants]
    counts = [(verdict, verdicts.count(verdict)) for verdict in ORDER if verdict in verdicts]
    shown = ", ".join(verdict if len(variants) == 1 else f"{count} {verdict}" for verdict, count in counts)
    first = variants[0]
    return f"| {first.scenario} | {first.done} | {first.held} | {shown} |\n"


def _skipped(rows: Sequence[Result]) -> str:
    reasons = dict.fromkeys(f"- {row.scenario}, {row.held}: {row.reason}" for row in rows if row.verdict == "skipped")
    return "\n## Skipped\n\n" + "\n".join(reasons) + "\n" if reasons else ""
