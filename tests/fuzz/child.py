"""One target under libFuzzer, in a process of its own: `child GROUP NAME CORPUS FOUND END`, END on the monotonic clock.

Ends with 0 when the time is over, with another code at the first finding, whose input is then in FOUND.
"""

import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import atheris

from tests.fuzz.target import MOST_MB

LONGEST_BYTES = 20_000
HANGS_S = 20
LEAST_S = 1
PAGE_BYTES = resource.getpagesize()


def main(kind: str, name: str, corpus: Path, found: Path, ends_s: float) -> None:
    """Fuzz one target; does not return."""
    with atheris.instrument_imports(include=["pilot", "agents", "ce_backends", "tests.fuzz.targets.planted"]):
        from tests.fuzz.registry import group  # noqa: PLC0415 # and all that it imports

        target = group(kind)[name]
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
        target.judge(seed)  # what is imported late, or kept from one input to the next, is there now
    limit_memory()
    seconds = max(LEAST_S, round(ends_s - time.monotonic()))
    options = [f"-artifact_prefix={found}/", f"-max_total_time={seconds}", f"-max_len={LONGEST_BYTES}", "-seed=1"]
    options += [f"-timeout={HANGS_S}", "-print_final_stats=1", *_dictionary(target.words, corpus.with_suffix(".words"))]
    atheris.Setup([sys.argv[0], *options, str(corpus)], target.judge)
    atheris.Fuzz()


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
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]), float(sys.argv[5]))
