"""`make mutants`: a fixed sample of small changes is made in modules whose mistakes cost most; a test must see each.

The sample is the same as long as the changed lines are: who edits one function gets no other mutants elsewhere.
Why no library: mutmut and cosmic-ray try all mutants of a file, with all tests, in files that they change on disk.
"""

import argparse
import ast
import hashlib
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tests.mutants.changes import Mutant, mutants
from tests.mutants.modules import EQUIVALENT, TESTS
from tests.mutants.trial import Trial, tried

LEAST_KILLED = 0.95
LINES_PER_MUTANT = 25
PASSED = 0  # pytest's exit code


def main() -> int:
    """Print the survivors; return 1 if they are too many."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    asked = _parser().parse_args()
    paths = [path for path in TESTS if asked.only in path]
    whole = {path: list(mutants(path, _source(path))) for path in paths}
    if stale := [name for name in EQUIVALENT if name.partition(" ")[0] in whole and name not in _names(whole.values())]:
        sys.exit("no such mutants any more, see tests/mutants/modules.py:\n" + "\n".join(stale))
    _must_pass(paths)
    sample = [mutant for path in paths for mutant in _sample(whole[path], path, asked.seed, asked.lines)]
    killed = len(sample) - sum(1 for _ in _survivors(sample))
    print(f"{killed} of {len(sample)} mutants killed ({killed / len(sample):.1%}, at least {LEAST_KILLED:.0%} must be)")
    return 0 if killed >= LEAST_KILLED * len(sample) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--seed", default="1", help="of the sample; any word")
    parser.add_argument("--only", default="", help="modules with this in their path")
    parser.add_argument("--lines", type=int, default=LINES_PER_MUTANT, help="one mutant for so many lines")
    return parser


def _source(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


def _names(whole: Iterable[Iterable[Mutant]]) -> set[str]:
    return {mutant.name for some in whole for mutant in some}


def _sample(some: Sequence[Mutant], path: str, seed: str, lines: int) -> Sequence[Mutant]:
    size = _source(path).count("\n") // lines + 1
    candidates = [mutant for mutant in some if mutant.name not in EQUIVALENT]
    return sorted(candidates, key=lambda mutant: hashlib.sha256(f"{seed} {mutant.name}".encode()).digest())[:size]


def _must_pass(paths: Iterable[str]) -> None:
    """End the program if tests fail without a change: they would kill every mutant."""
    unchanged = {path: Trial(path, ast.parse(_source(path)), TESTS[path]) for path in paths}
    if failed := [path for path, code in tried(unchanged.items()) if code != PASSED]:
        sys.exit(f"tests fail without any change in {', '.join(failed)}")


def _survivors(sample: Iterable[Mutant]) -> Iterator[Mutant]:
    """Try them; print and yield whom no test sees, and print who made the tests last for ever."""
    trials = ((mutant, Trial(mutant.path, mutant.tree(_source(mutant.path)), TESTS[mutant.path])) for mutant in sample)
    for mutant, code in tried(trials):
        if code == PASSED:
            print(f"survived: {mutant.path}:{mutant.line} {mutant.place}: {mutant.what}", flush=True)
            yield mutant
        elif code < 0:
            print(f"no end: {mutant.path}:{mutant.line} {mutant.place}: {mutant.what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
