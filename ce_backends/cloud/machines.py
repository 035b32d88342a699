"""What a cloud is to us: machines that can be created, listed, read and deleted; one of them for one task."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from ce_backends.errors import CEError

_NAME = re.compile(r"gridpilot-[0-9a-f]{12}-([0-9a-f]{32})", re.ASCII)


class Refused(CEError):
    """The cloud will never create this machine: surely there is none."""


class Power(StrEnum):
    """Where a machine stands, in the words of all clouds."""

    COMING = "coming"  # being created
    ON = "on"
    OFF = "off"
    BROKEN = "broken"  # the cloud gave up on it
    GOING = "going"  # deleted, and still listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One machine.

    Attributes:
        machine_id: the cloud's own.
        name: ours.
        power: where it stands.
        native: the cloud's own word.
        age_s: since it was created, by the clocks of the cloud and of this machine.
    """

    machine_id: str
    name: str
    power: Power
    native: str
    age_s: float

    @property
    def stamp(self) -> str:
        """The stamp of its task."""
        return stamp_of(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What a cloud can do.

    Attributes:
        user_data_bytes: the most that a machine is given, compressed.
        has_parcel_disk: the task's archive goes as a disk of its own, so that it may be large.
        tells_at_once: a console shows what was just written, so that it can be read whether a task has begun.
        console_bytes: the most that a task's result may take on the console, in base64.
    """

    user_data_bytes: int
    has_parcel_disk: bool
    tells_at_once: bool
    console_bytes: int


class Cloud(Protocol):
    """Where machines come from. Methods are called by two threads, and each has the time limit of one command."""

    abilities: Abilities

    def create(self, name: str, user_data: bytes, parcel: Path | None) -> str:
        """Create a machine and return its id.

        Args:
            name: of which there is no machine yet, as far as anybody knows.
            user_data: for cloud-init.
            parcel: archive for its second disk; None where the cloud has none.

        Raises:
            CEUnavailable: surely it was not created; later perhaps.
            Refused: it never will be.
            CEError: it may have been created.
        """

    def machines(self) -> Sequence[Machine]:
        """Return all machines whose name begins with ours, as far as the credential sees.

        Raises:
            CEError: no answer, or one that cannot be understood.
        """

    def delete(self, machine_id: str) -> None:
        """Delete a machine with its disks; no error if it is gone already.

        Raises:
            CEError: no answer.
        """

    def console(self, machine_id: str, most_bytes: int) -> str:
        """Return the end of what it wrote on its console.

        Raises:
            CEError: no answer.
        """

    def close(self) -> None:
        """Release handles."""


def name_of(installation: str, stamp: str) -> str:
    """Return the name of a task's machine."""
    return f"gridpilot-{installation}-{stamp}"


def stamp_of(name: str) -> str:
    """Return the stamp in a machine's name, empty if it is none of ours."""
    found = _NAME.fullmatch(name)
    return found[1] if found else ""
