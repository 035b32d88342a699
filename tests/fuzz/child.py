"""The targets of one kind under libFuzzer: `child GROUP FOUND END NAME…`, END on the monotonic clock.

Imports once what they try; each has a process of its own, forked from this one, since libFuzzer ends it at the first
finding. Prints a line for each target that is over: its name, and its exit code, 0 when its time was over.
"""

import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import atheris

from tests.fuzz.target import MOST_MB, Target

LONGEST_BYTES = 20_000
HANGS_S = 120  # by the clock on the wall, by which a second of computing may take a minute (target.MOST_CPU_S)
LEAST_S = 1
PATIENCE_S = HANGS_S + 60  # for one that does not end in time
PAGE_BYTES = resource.getpagesize()


def main(kind: str, found: Path, ends_s: float, names: Sequence[str]) -> None:
    """Fuzz these targets one after the other, each with its share of the time that is left."""
    with atheris.instrument_imports(include=["pilot", "agents", "ce_backends", "tests.fuzz.targets.planted"]):
        from tests.fuzz.registry import group  # noqa: PLC0415 # and all that it imports

        targets = group(kind)
    for at, name in enumerate(names):
        seconds = max(LEAST_S, (ends_s - time.monotonic()) / (len(names) - at))
        pid = os.fork()
        if pid == 0:
            _fuzz(targets[name], found, time.monotonic() + seconds)
        print(name, _ended(pid, seconds), flush=True)


def _fuzz(target: Target, found: Path, ends_s: float) -> None:
    """Fuzz one target in this process; does not return."""
    log = os.open(found / f"{target.name}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for stream in (1, 2):
        os.dup2(log, stream)
    with tempfile.TemporaryDirectory(prefix="gridpilot-fuzz-") as folder:
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        for number, seed in enumerate(target.seeds()):
            (corpus / f"seed-{number}").write_bytes(seed)
            target.judge(seed)  # what is imported late, or kept from one input to the next, is there now
        options = [f"-artifact_prefix={found / target.name}/", f"-max_len={LONGEST_BYTES}", f"-timeout={HANGS_S}"]
        options += ["-seed=1", "-print_final_stats=1", *_dictionary(target.words, Path(folder, "words"))]
        limit_memory()
        seconds = max(LEAST_S, round(ends_s - time.monotonic()))
        atheris.Setup([sys.argv[0], *options, f"-max_total_time={seconds}", str(corpus)], target.judge)
        atheris.Fuzz()


def _ended(pid: int, seconds: float) -> int:
    """Wait for a process, and end it when it takes much longer; return its exit code."""
    give_up_at = time.monotonic() + seconds + PATIENCE_S
    while (done := os.waitpid(pid, os.WNOHANG)) == (0, 0):
        if time.monotonic() > give_up_at:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return os.waitstatus_to_exitcode(done[1])


def limit_memory() -> None:
    """Let this process have so much more than it has now."""
    size = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * PAGE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (size + MOST_MB * 1_000_000,) * 2)


def _dictionary(words: Sequence[str], path: Path) -> Sequence[str]:
    path.write_text("".join(f'"{_escaped(word)}"\n' for word in words), encoding="ascii")
    return [f"-dict={path}"] if words else []  # an empty one is an error


def _escaped(word: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word.encode())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), sys.argv[4:])
