"""What a slot has moved for its jobs: from where, to where, by what, how fast; out of the accounts in its ledger."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from agents.jobs.report import DATA_OPERATION
from agents.pages import parts
from agents.pages.parts import Column, Html


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedBy:
    """All transfers of one way.

    Attributes:
        source: an element, or the site.
        destination: the same.
        protocol: by which.
        files: that were moved.
        failed: transfers that were not.
        size_bytes: of what was moved.
        seconds: of all transfers that went well, one after another.
    """

    source: str
    destination: str
    protocol: str
    files: int
    failed: int
    size_bytes: float
    seconds: float

    @property
    def mb_per_s(self) -> float:
        """Of one transfer, in the mean; 0 where nothing was moved."""
        return self.size_bytes / 1e6 / self.seconds if self.seconds else 0.0


def read(db: sqlite3.Connection) -> list[tuple[int, Mapping[str, str]]]:
    """Return the accounts of transfers in a ledger, each with its job."""
    rows = db.execute("SELECT job_id, body FROM report WHERE kind = 'account' ORDER BY number")
    told = [(job_id, json.loads(body)) for job_id, body in rows]
    return [(job_id, body) for job_id, body in told if body.get("type") == DATA_OPERATION]


def gathered(accounts: Iterable[tuple[int, Mapping[str, str]]], job_ids: Collection[int]) -> list[MovedBy]:
    """Return what was moved for these jobs, by way, most bytes first."""
    ways: dict[tuple[str, str, str], list[Mapping[str, str]]] = {}
    for job_id, body in accounts:
        if job_id in job_ids:
            way = (body.get("Source", ""), body.get("Destination", ""), body.get("Protocol", ""))
            ways.setdefault(way, []).append(body)
    found = [_of_way(*way, bodies) for way, bodies in ways.items()]
    return sorted(found, key=lambda moved: -moved.size_bytes)


def _of_way(source: str, destination: str, protocol: str, bodies: Sequence[Mapping[str, str]]) -> MovedBy:
    good = [body for body in bodies if body.get("FinalStatus") == "Successful"]
    return MovedBy(
        source=source,
        destination=destination,
        protocol=protocol,
        files=int(_sum(good, "TransferTotal")),
        failed=int(_sum(bodies, "TransferTotal") - _sum(good, "TransferTotal")),
        size_bytes=_sum(good, "TransferSize"),
        seconds=_sum(good, "TransferTime"),
    )


def _sum(bodies: Iterable[Mapping[str, str]], name: str) -> float:
    return sum(float(body.get(name, "0")) for body in bodies)


def table(moved: Sequence[MovedBy]) -> Html:
    """Return it as HTML."""
    heads = ("from", "to", "by", "files", "not moved", "MB", "MB/s each")
    rows = (
        (one.source, one.destination, one.protocol, one.files, one.failed or "–", *map(_one_digit, _rates(one)))
        for one in moved
    )
    return parts.table([Column(name, is_number=name in heads[3:]) for name in heads], rows, "causes")


def _rates(one: MovedBy) -> tuple[float, float]:
    return one.size_bytes / 1e6, one.mb_per_s


def _one_digit(value: float) -> str:
    return f"{value:.1f}"
