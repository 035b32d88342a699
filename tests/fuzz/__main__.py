"""`make fuzz SECONDS=600 ONLY=name`: every parser of foreign text, under libFuzzer (atheris), each in its own process.

Whoever raises what it does not declare, takes longer than a second or more than 200 MB, has a bug: its input is kept
in a file, and the line that tries it again is printed.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz import registry
from tests.fuzz.child import limit_memory

FOUND = Path(".fuzz")
MEMORY = Path("/dev/shm")  # libFuzzer ends its process without a word: what it leaves is removed here
AT_ONCE = 2
_EXECUTIONS = re.compile(r"(?:Done |^#)(\d+)", re.MULTILINE)
_WRITTEN = re.compile(r"Test unit written to (\S+)")
_ERROR = re.compile(r"=== Uncaught Python exception: ===\n(.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one target.

    Attributes:
        name: of the target.
        executions: inputs tried.
        error: what was found, in a line; empty for nothing.
        inputs: the files with what caused it.
        wall_s: how long it took.
    """

    name: str
    executions: int
    error: str
    inputs: Sequence[Path]
    wall_s: float


def _outcome(name: str, code: int, wall_s: float) -> Outcome:
    log = FOUND / f"{name}.log"
    said = log.read_text("utf-8", "replace") if log.exists() else ""
    return Outcome(
        name=name,
        executions=max((int(number) for number in _EXECUTIONS.findall(said)), default=0),
        error="" if code == 0 else _error(said, code, log),
        inputs=[Path(path) for path in _WRITTEN.findall(said)],
        wall_s=wall_s,
    )


def fuzz(kind: str, names: Sequence[str], seconds: float) -> Iterator[Outcome]:
    """Try the targets of one kind for so long in all, the start of its process included."""
    for name in names:
        (FOUND / name).mkdir(parents=True, exist_ok=True)
    began_s, left = time.monotonic(), list(names)
    argv = [sys.executable, "-m", "tests.fuzz.child", kind, str(FOUND), str(began_s + seconds), *names]
    with (
        tempfile.TemporaryDirectory(prefix="gridpilot-fuzz-", dir=MEMORY if MEMORY.is_dir() else None) as folder,
        (FOUND / f"{kind}.imports").open("wb") as said,
        subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            env={**os.environ, "TMPDIR": folder},
            text=True,
        ) as child,
    ):
        for line in child.stdout or ():
            name, _, code = line.strip().rpartition(" ")
            if name in left:
                left.remove(name)
                yield _outcome(name, int(code), time.monotonic() - began_s)
                began_s = time.monotonic()
    for name in left:  # the process that forks them has died itself
        yield Outcome(
            name=name, executions=0, error=f"exit code {child.returncode}, see {said.name}", inputs=(), wall_s=0.0
        )


def _error(said: str, code: int, log: Path) -> str:
    """Return the exception, or libFuzzer's word, or the last line."""
    if found := _ERROR.search(said):
        return found[1][:200]
    lines = [line for line in said.splitlines() if line.startswith("SUMMARY") or "Error" in line]
    return f"{lines[-1][:200] if lines else 'it ended'} (exit code {code}, see {log})"


def run(names: Sequence[str], seconds: int) -> Iterator[Outcome]:
    """Try targets, two kinds at a time, for so many seconds in all; tell of each kind as it is over."""
    kinds = {**registry.everything(), **dict.fromkeys(registry.group(registry.CONTROL), registry.CONTROL)}
    groups = [[name for name in names if kinds[name] == kind] for kind in dict.fromkeys(map(kinds.__getitem__, names))]
    groups.sort(key=len, reverse=True)  # the large ones first: the small ones fill what is left
    each_s = seconds * min(AT_ONCE, len(groups)) / len(names)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for outcomes in pool.map(lambda group: list(fuzz(kinds[group[0]], group, each_s * len(group))), groups):
            yield from outcomes


def again(name: str, path: Path) -> int:
    """Give one input to its target, with the same limits; what comes of it is Python's own traceback."""
    kind = {**registry.everything(), **dict.fromkeys(registry.group(registry.CONTROL), registry.CONTROL)}[name]
    target = registry.group(kind)[name]
    for seed in target.seeds():
        target.judge(seed)
    limit_memory()
    target.judge(path.read_bytes())
    print(f"{name}: {path}: nothing wrong")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Fuzz; the exit code is 1 where something was found."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="in all (%(default)s)")
    parser.add_argument("--only", default="", help="names of targets, or beginnings of them, with blanks between")
    parser.add_argument("--input", type=Path, help="try this file again, with the one target that --only names")
    arguments = parser.parse_args(argv)
    if arguments.input:
        return again(arguments.only, arguments.input)
    wanted = arguments.only.split()
    known = [*registry.everything(), *registry.group(registry.CONTROL)] if wanted else list(registry.everything())
    names = [name for name in known if not wanted or name.startswith(tuple(wanted))]
    if not names:
        parser.error(f"there is no target {arguments.only}; there are {', '.join(registry.everything())}")
    outcomes = []
    for outcome in run(names, arguments.seconds):
        outcomes.append(outcome)
        told = f"{outcome.executions:9} executions {outcome.wall_s:6.1f} s  {outcome.error or 'ok'}"
        print(f"{outcome.name:22} {told}", flush=True)
        for path in outcome.inputs:
            print(f"    again: {sys.executable} -m tests.fuzz --only {outcome.name} --input {path}", flush=True)
    failed = sum(bool(outcome.error) for outcome in outcomes)
    print(f"{len(outcomes) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
