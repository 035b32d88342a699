"""usage: python -m tests.model [--faults CRASH:2,POWER,…] [--fix NAME,…] [--without NAME,…] [--large]

Without --faults it goes through sets of them, with --large through larger ones. --fix has only these protections in the
code, --without all but these. Exit code 0: it holds.
"""

import argparse
import sys

from tests.model.explore import explore, faults_of
from tests.model.state import AS_IT_IS, Code, Fault, Protection

SETS = (
    "CRASH:3,LOST:2",
    "CRASH:2,DEATH:1,LOST:1,SLOT:1",
    "CRASH:2,KILL:1,BEATS:2,SLOT:1",
    "CRASH:1,LOST:2,SLOT:1,DEATH:1,KILL:1,BEATS:1",
    "CRASH:2,CLOCK:2,LOST:1,SLOT:1",
    "CRASH:1,DEATH:1,GONE:1,SLOT:1,LOST:1",
    "CRASH:2,TAKEN:1,SLOT:1,LOST:1",
    "POWER:2",
    "POWER:2,SLOT:1,LOST:1",
    "POWER:1,CRASH:1,LOST:1,SLOT:1",
    "POWER:1,DEATH:1,SLOT:1,GONE:1,TAKEN:1",
    "POWER:1,LATE:1,SLOT:1,CRASH:1",
    "POWER:1,CLOCK:1,MISREAD:1,SLOT:1",
    "MISREAD:2,SLOT:1,CRASH:1",
    "LATE:1,SLOT:1,CRASH:1,LOST:1",
    "LATE:2,BEATS:2,SLOT:1,LOST:1",
    "LATE:1,BEATS:1,SLOT:1,CRASH:2",
    "LATE:1,BEATS:1,SLOT:1,POWER:1",
    "LATE:2,MISREAD:1,SLOT:1,DEATH:1",
    "SHARED:1,LOST:1,LATE:1,CRASH:1",
    "SHARED:1,POWER:1,MISREAD:1,SLOT:1",
)


LARGE = (
    "CRASH:3,LOST:3,SLOT:1,DEATH:1,TAKEN:1",
    "CRASH:3,KILL:1,BEATS:3,SLOT:1,CLOCK:1,DEATH:1",
    "POWER:2,CRASH:1,LOST:1,SLOT:1,CLOCK:1",
    "POWER:2,LATE:1,BEATS:1,SLOT:1",
    "POWER:1,DEATH:1,GONE:1,LOST:1,SLOT:1,MISREAD:1",
    "LATE:3,BEATS:2,SLOT:1,CRASH:1,LOST:1",
    "SHARED:1,LATE:2,CRASH:2,LOST:1,SLOT:1",
)


def main() -> int:
    ask = argparse.ArgumentParser(usage=__doc__)
    ask.add_argument("--faults", default="", type=faults_of)
    ask.add_argument("--fix", default="")
    ask.add_argument("--without", default="")
    ask.add_argument("--large", action="store_true")
    given = ask.parse_args()
    fix, without = _named(given.fix), _named(given.without)
    code = (fix or AS_IT_IS) - without
    failed = 0
    for faults in [given.faults] if given.faults else map(faults_of, LARGE if given.large else SETS):
        failed += _try(faults, code)
    return 1 if failed else 0


def _named(text: str) -> Code:
    return frozenset(Protection(name) for name in filter(None, text.split(",")))


def _try(faults: dict[Fault, int], code: Code) -> int:
    explored = explore(faults, code)
    text = ",".join(f"{fault.name}:{count}" for fault, count in faults.items())
    missing = ",".join(sorted(one.value for one in AS_IT_IS - code))
    verdict = "FAILED" if explored.findings or not explored.is_whole else "held  "
    whole = "" if explored.is_whole else " (not all)"
    print(
        f"{verdict} model {text}{' without ' + missing if missing else ''}: {explored.states} states{whole}, "
        f"{len(explored.findings)} properties broken",
        flush=True,
    )
    for finding in explored.findings:
        print(f"  {finding.sentence}\n    " + " -> ".join(finding.trace))
    return int(verdict == "FAILED")


if __name__ == "__main__":
    sys.exit(main())
