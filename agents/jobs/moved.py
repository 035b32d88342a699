"""What was moved for a job: for accounts, and for people who ask what became of it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One transfer that was tried.

    Attributes:
        lfn: of which file.
        element: from where, or to where.
        protocol: by which.
        is_upload: it went there; else it came.
        is_done: it went well.
        size_bytes: what was moved, 0 where it did not go well.
        seconds: for how long.
        began: when, UTC.
    """

    lfn: str
    element: str
    protocol: str
    is_upload: bool
    is_done: bool
    size_bytes: int
    seconds: float
    began: datetime
