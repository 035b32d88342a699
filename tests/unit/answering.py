"""A fake Transport whose answers are given in the test: for systems of which nothing could be recorded."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from ce_backends.batch.transport import Done


class Answering:
    """Answers by the name of the command.

    Args:
        answers: by command; for one that is not there nothing is answered.
    """

    where = "a host that is not there"

    def __init__(self, answers: Mapping[str, Done]) -> None:
        self._answers = answers
        self.commands: list[list[str]] = []
        self.read: list[bytes] = []  # standard input of each command, where it is given as such

    def run(
        self, argv: Sequence[str], *, timeout_s: float, stdin: IO[bytes] | bytes = b"", into: Path | None = None
    ) -> Done:
        self.commands.append(list(argv))
        self.read += [stdin] if isinstance(stdin, bytes) else []
        return self._answers.get(argv[0], Done(None, "", ""))

    def put(self, source: Path, target: str, *, timeout_s: float) -> None:
        raise AssertionError("a dialect moves no files")

    def close(self) -> None:
        """Nothing is open."""
