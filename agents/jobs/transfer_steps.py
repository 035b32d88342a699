"""What an output file has come to, as the ledger holds it: written before each step; none is lost, or done twice."""

import sqlite3
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields, replace
from enum import StrEnum


class Step(StrEnum):
    """How far a file is on its way from the task's outputs to the catalogue; or a request to its service."""

    MEASURED = "measured"  # nothing was done yet
    STORING = "storing"  # it may be on the element, whole or not
    STORED = "stored"  # it is there; the catalogue may know it
    REGISTERED = "registered"  # the catalogue knows it
    LEFT = "left"  # it is there; a request shall make it known
    REQUESTING = "requesting"  # the request may have been put
    REQUESTED = "requested"  # it was
    UNWANTED = "unwanted"  # it may be on the element, whole or not, and is to be taken away
    GONE = "gone"  # it was, or never was there; or it is wanted there again


OF_FILES = (Step.MEASURED, Step.STORING, Step.STORED, Step.REGISTERED, Step.LEFT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One output file of a task; the request for what remains to be done; or what a file has left at an element.

    Attributes:
        stamp: of the task.
        lfn: where it goes; of a request its name, of what is left `ELEMENT:LFN`.
        step: how far it is.
        element: where it is, or may be; empty before.
        size_bytes: its size.
        adler32: its checksum.
        guid: chosen once.
        tries: how often the step could not be done.
        not_before_s: when to try again, s since 1970.
        name: of the file among the task's outputs.
        pfn: its URL at the element, empty before.
    """

    stamp: str
    lfn: str
    step: Step
    element: str = ""
    size_bytes: int = 0
    adler32: int = 0
    guid: str = ""
    tries: int = 0
    not_before_s: float = 0.0
    name: str = ""
    pfn: str = ""

    def unwanted(self, step: Step = Step.UNWANTED) -> "Upload":
        """Return what this file may have left at its element."""
        return replace(self, lfn=f"{self.element}:{self.lfn}", step=step, tries=0, not_before_s=0.0, pfn="")

    @property
    def lfn_of_left(self) -> str:
        """The LFN of what is left at an element."""
        return self.lfn.partition(":")[2]


_MARKS = ", ".join("?" * len(fields(Upload)))


def read(db: sqlite3.Connection, stamp: str) -> list[Upload]:
    """Return the uploads of a task, in the order of their names."""
    columns = "stamp, lfn, step, element, size, adler32, guid, tries, not_before, name, pfn"
    rows = db.execute(f"SELECT {columns} FROM transfers WHERE stamp = ? ORDER BY lfn", (stamp,))  # noqa: S608 - our text
    names = [field.name for field in fields(Upload)]
    return [Upload(**{**dict(zip(names, row, strict=True)), "step": Step(row[2])}) for row in rows.fetchall()]


def write(db: sqlite3.Connection, uploads: Sequence[Upload]) -> None:
    """Keep uploads as they stand now."""
    db.executemany(f"REPLACE INTO transfers VALUES ({_MARKS})", [astuple(upload) for upload in uploads])  # noqa: S608 - our text


def forget(db: sqlite3.Connection, stamp: str) -> None:
    """Drop the uploads of a task that is closed."""
    db.execute("DELETE FROM transfers WHERE stamp = ?", (stamp,))
