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

REAL = """
## On a real DIRAC with real storage

Tried by `make interop` on DIRAC 9.1.22, XRootD, Apache, dips elements and DIRAC's FileCatalog; a fault that does not
hold is a failed test there, and no line here. In `test_data_faults.py` (what is not named otherwise) each transfer of a
job is held half-way while the fault is made, and tests of their own show that it took effect. `make faults-data` kills
at all steps, before and after each: on dips, on XRootD by https, and with the job's element down. A round is 30 deaths;
it does 20 of them, or `ROUNDS`, four at a time. On 2026-12-01 (DIRAC 9.1.22), all 20, in 56 minutes on a busy machine:

| the job's element | steps | deaths | stored, registered, requested once |
|---|--:|--:|--:|
| LAB-disk (dips) | 4 | 160 | 160 |
| XRD-https (XRootD) | 4 | 160 | 160 |
| DOWN-disk: failover to FAR-disk, and a Request | 7 | 280 | 280 |

| what is done | what must hold | `tests/system/` |
|---|---|---|
| an element is killed, stopped, full, or read-only in a transfer | told apart; no part is left | `test_transfers.py` |
| it is killed in a job's upload | the file is whole at the failover element alone, and a Request remains | |
| it is stopped in a job's upload, and goes on | no byte moves meanwhile; Done, one replica | |
| its disk is full, or becomes read-only, in a job's upload | failover; the full disk keeps no part | |
| the catalogue is killed after the put, and comes back | Done, registered once | |
| the owner's proxy expires in an upload that breaks | Failed with that reason, nothing is registered | |
| another client takes the LFN in an upload | Failed with that reason; the other's file is untouched | |
| the source is killed in a download; another replica, or none | the payload reads the right bytes | |
| an element is down | failover, and a Request that DIRAC's own agent executes | `test_job_api_ends.py` |
| a replica is damaged, alone or not | Failed by name, or the good one is taken | `test_job_api_ends.py` |
| the LFN has other content | Failed once; the other's file is untouched | `test_job_api_ends.py` |
| SIGKILL of the agent at each step of an output file | stored, registered, requested once | `test_data_kills.py` |
"""

DIRECTOR = """
## SiteDirector and machines of clouds

Tried by `make interop`, `make systems`, `make systems-canary` and `make cloud`, on DIRAC 9.1.22, Slurm 22.05 and
machines of qemu with cloud-init; `make faults-site-director` kills 20 times at each step (all 80 have held). No
OpenStack and no EC2 can be had here: what their interfaces answer was tried with documented answers over TLS. A fault
that does not hold is a failed test there. K is `system/test_site_director_kills.py`, S `systems/test_site_director.py`,
Q `systems/test_site_director_silent.py`, C `systems/test_cloud.py`, D `unit/test_cloud_as_documented.py`.

| what is done | what must hold | `tests/` |
|---|---|---|
| SIGKILL: pilots decided, before and after `sbatch`, waiting | each once in Slurm, ledger and PilotManager | K |
| the same before the local WMS | the same, and the WMS knows each | S |
| `squeue` or `sbatch` of one CE hangs | another takes over; why is told; Slurm keeps nothing | S |
| SIGSTOP of HTCondor's schedd, of ARC's daemons | the same | Q |
| the process dies between a creation and its answer | the machine is found by name, and not made twice | C |
| a machine hangs while it boots | it is ended, deleted, and told as hung | C |
| a task never ends, and nobody looks from outside | the machine goes off at its own deadline | C |
| all that was known of a machine is lost | found by name and removed; new ones and strangers' stay | C |
| a creation is answered with quota (403, 413), 429, 503 | later perhaps: surely there is no machine | D |
| a creation is answered with 500, 504, or without an id | there may be one: it is looked for first | D |
| a list of machines has no end, or is none | it says nothing of machines | D |
"""

GAPS = """
## Not in it

- 12: notices of a cloud's metadata service; the agent does not ask for them.
- 18, 19 with the controllers of cgroup v2: `make machine` runs containment tests where they are.
- 21: a quota of the file system (a full disk and used-up inodes are tried).
- 26: an outage longer than the WMS waits before it holds a job for stalled; read-back after ten minutes is a unit test.
- 31: an address of IPv6 that swallows everything next to one of IPv4 that works: the second is tried after 10 s.
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
    return HEAD + head + "".join(lines) + _skipped(rows) + REAL + DIRECTOR + GAPS


def _row(variants: Sequence[Result]) -> str:
    verdicts = [result.verdict for result in variants]
    counts = [(verdict, verdicts.count(verdict)) for verdict in ORDER if verdict in verdicts]
    shown = ", ".join(verdict if len(variants) == 1 else f"{count} {verdict}" for verdict, count in counts)
    first = variants[0]
    return f"| {first.scenario} | {first.done} | {first.held} | {shown} |\n"


def _skipped(rows: Sequence[Result]) -> str:
    reasons = dict.fromkeys(f"- {row.scenario}, {row.held}: {row.reason}" for row in rows if row.verdict == "skipped")
    return "\n## Skipped\n\n" + "\n".join(reasons) + "\n" if reasons else ""
