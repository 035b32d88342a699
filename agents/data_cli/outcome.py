"""What a data command has to say, for people and for programs, and its exit code."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of the data commands; those of agents.errors.ExitCode besides (2 to 4, 70)."""

    ALL = 0
    SOME_FAILED = 1
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done.

    Attributes:
        text: for people.
        told: the same for programs, as JSON has it.
        failed: sentences about what was not done; for stderr.
    """

    text: str
    told: Mapping[str, object]
    failed: tuple[str, ...] = ()

    @property
    def exit_code(self) -> Exit:
        """Whether all of it was done."""
        return Exit.SOME_FAILED if self.failed else Exit.ALL
