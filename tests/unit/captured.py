"""A Transport that answers with what a real system said: tests/captures."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from ce_backends.batch.transport import Done

CAPTURES = Path(__file__).parents[1] / "captures"


def capture(system: str, name: str) -> Done:
    """Return one recorded answer."""
    folder = CAPTURES / system
    with (folder / "index.tsv").open(encoding="utf-8") as index:
        codes = {row[0]: row[1] for row in csv.reader(index, delimiter="\t", quoting=csv.QUOTE_NONE)}
    texts = [path.read_text("utf-8") if (path := folder / f"{name}.{part}").exists() else "" for part in ("out", "err")]
    return Done(int(codes[name]), *texts)


class Captured:
    """A fake Transport: each command is answered by the capture for the longest beginning of it that is listed.

    Args:
        system: folder of the captures.
        answers: by beginning of the command line: name of a capture, or an answer of its own.
    """

    where = "the recording"

    def __init__(self, system: str, answers: Mapping[str, str | Done]) -> None:
        self._system = system
        self._answers = answers
        self.commands: list[list[str]] = []

    def run(
        self, argv: Sequence[str], *, timeout_s: float, stdin: IO[bytes] | bytes = b"", into: Path | None = None
    ) -> Done:
        self.commands.append(list(argv))
        line = " ".join(argv)
        fitting = [beginning for beginning in self._answers if line.startswith(beginning)]
        assert fitting, f"nothing recorded for {line}"
        answer = self._answers[max(fitting, key=len)]
        return capture(self._system, answer) if isinstance(answer, str) else answer

    def put(self, source: Path, target: str, *, timeout_s: float) -> None:
        raise AssertionError("a dialect moves no files")

    def close(self) -> None:
        """Nothing is open."""
