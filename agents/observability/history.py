"""What the ledger tells of a slot: its agents' lives and its jobs, also while an agent writes it and after it died."""

import contextlib
import json
import os
import socket
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from agents import last_word
from agents.errors import ConfigurationError
from agents.jobs.job import Job, JobStatus, Phase
from agents.jobs.ledger_record import readable
from agents.jobs.ledger_stories import no_ledger
from agents.observability import data_moved
from agents.observability.data_moved import MovedBy
from agents.redaction import redacted
from ce_backends.linux.small_files import read_first

LEDGER = "ledger.sqlite"
_COMMAND_BYTES = 4096
_HELD_FROM = (Phase.STAGING, Phase.SUBMITTING, Phase.RUNNING)
FREED = (Phase.DELIVERING, Phase.REPORTING, Phase.CLOSED)  # a job holds no processors any more


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLife:
    """One agent process.

    Attributes:
        started_s: when it began, s since 1970, as all moments here.
        seen_s: when it was last known to be alive.
        reason: why it ended; None when it did not say, because it lives or was killed.
        about: what `agents.observability.agent_run.about` wrote of it and of its slot.
    """

    started_s: float
    seen_s: float
    reason: str | None = None
    about: Mapping[str, object] = field(default_factory=dict)

    @property
    def pilot(self) -> object:
        """What tells this life's pilot from another in the same work directory."""
        return self.about.get("pilot_started_s") or self.about.get("pilot")

    def is_alive(self) -> bool:
        """Tell whether this agent works now, on this machine."""
        pid = self.about.get("pid")
        if self.reason is not None or not isinstance(pid, int) or self.about.get("host") != socket.gethostname():
            return False
        try:
            return b"agents" in read_first(f"/proc/{pid}/cmdline", _COMMAND_BYTES) and pid != os.getpid()
        except OSError:
            return False


@dataclass(frozen=True, slots=True, kw_only=True)
class PastJob:
    """One attempt of a job, in times.

    Attributes:
        job: as the ledger has it.
        began: when each phase began.
        now_s: up to when anything is known of it.
    """

    job: Job
    began: Mapping[Phase, float]
    now_s: float

    @property
    def processors(self) -> int:
        """How many processors it was granted, 0 when it was not."""
        return self.job.grant.processors if self.job.grant else 0

    @property
    def asked_s(self) -> float:
        """When the Matcher was asked."""
        return self._first(*Phase) - self.job.matched.match_s

    @property
    def matched_s(self) -> float:
        """When it was ours."""
        return self._first(*Phase)

    @property
    def held_from_s(self) -> float:
        """When it got its processors."""
        return self._first(*_HELD_FROM, *FREED)

    @property
    def run_from_s(self) -> float:
        """When its payload began; when it ended, for a job whose payload never ran."""
        return self._first(Phase.RUNNING, *FREED)

    @property
    def held_to_s(self) -> float:
        """When its processors were free again."""
        return max(self.held_from_s, self._first(*FREED))

    @property
    def told_from_s(self) -> float:
        """When its outputs were delivered and its last reports written."""
        return self._first(Phase.REPORTING, Phase.CLOSED)

    @property
    def closed_s(self) -> float:
        """When the WMS had heard everything."""
        return self._first(Phase.CLOSED)

    @property
    def has_run(self) -> bool:
        """True when its payload was started."""
        return Phase.RUNNING in self.began

    @property
    def outcome(self) -> JobStatus | None:
        """How it ended, None while it goes on."""
        return self.job.end.status if self.job.end and self.job.phase in FREED else None

    def _first(self, *phases: Phase) -> float:
        """Return when the first of these phases began; up to now, while none has."""
        return next((self.began[phase] for phase in phases if phase in self.began), self.now_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A slot from its beginning to now or to its end.

    Attributes:
        lives: of its agents, oldest first; empty in a ledger of an earlier version.
        jobs: all that were in this slot, oldest first.
        started_s: when the first agent began.
        ended_s: when the last one was last seen.
        is_alive: an agent works in it now.
        reason: why the last agent ended; None when it did not say, because it lives or was killed.
        moved: what was moved for the jobs.
        idle: from when on free processors were so for which reason; None in a ledger of an earlier version.
    """

    lives: Sequence[AgentLife]
    jobs: Sequence[PastJob]
    started_s: float
    ended_s: float
    is_alive: bool
    reason: str | None
    moved: Sequence[MovedBy] = ()
    idle: Sequence[tuple[float, str]] | None = None

    @property
    def about(self) -> Mapping[str, object]:
        """What is known of the slot."""
        return self.lives[-1].about if self.lives else {}


def read(work_dir: Path, now_s: float | None = None) -> History:
    """Read the ledger of a work directory; where several pilots have worked one after another, of the last one.

    Args:
        work_dir: of an agent.
        now_s: the present, s since 1970.

    Raises:
        ConfigurationError: there is no ledger, or it cannot be read.
    """
    path = work_dir / LEDGER
    if not path.is_file():
        raise no_ledger(path)
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as db:
            lives, rows, accounts = list(_lives(db)), list(_rows(db)), data_moved.read(db)
            idle = db.execute("SELECT at_s, why FROM idle ORDER BY number").fetchall() if _has(db, "idle") else None
    except sqlite3.Error as error:
        raise ConfigurationError(f"{path}: the ledger cannot be read: {error}") from error
    found = _history(lives, rows, last_word.read(work_dir), time.time() if now_s is None else now_s)
    ours = {one.job.job_id for one in found.jobs}
    return replace(found, moved=data_moved.gathered(accounts, ours), idle=idle)


def _history(
    lives: list[AgentLife], rows: list[tuple[Job, dict[Phase, float]]], word: str | None, now_s: float
) -> History:
    ours = [life for life in lives if life.pilot == lives[-1].pilot]
    moments = [moment for _, began in rows for moment in began.values()]
    started_s = ours[0].started_s if ours else min(moments, default=now_s)
    is_alive = bool(ours) and ours[-1].is_alive()
    last_s = max([started_s, *(life.seen_s for life in ours), *moments])
    ended_s = max(last_s, now_s) if is_alive else last_s
    jobs = [PastJob(job=job, began=began, now_s=ended_s) for job, began in rows if _last(began) >= started_s]
    reason = word or (ours[-1].reason if ours else None)  # an agent that was refused leaves a word, and has no life
    return History(
        lives=ours,
        jobs=jobs,
        started_s=started_s,
        ended_s=ended_s,
        is_alive=is_alive,
        reason=None if is_alive else reason,
    )


def _last(began: Mapping[Phase, float]) -> float:
    return max(began.values(), default=0.0)


def _lives(db: sqlite3.Connection) -> Iterator[AgentLife]:
    if _has(db, "life"):
        for started_s, seen_s, reason, body in db.execute("SELECT started_s, seen_s, reason, body FROM life"):
            told = None if reason is None else redacted(reason)
            yield AgentLife(started_s=started_s, seen_s=seen_s, reason=told, about=json.loads(body))


def _rows(db: sqlite3.Connection) -> Iterator[tuple[Job, dict[Phase, float]]]:
    if _has(db, "past"):
        yield from _jobs(db.execute("SELECT job_id, body, moments FROM past ORDER BY number"))
    moments = "moments" if _has(db, "job", "moments") else "''"
    yield from _jobs(db.execute(f"SELECT job_id, body, {moments} FROM job ORDER BY rowid"))  # noqa: S608 - our own text


def _jobs(rows: sqlite3.Cursor) -> Iterator[tuple[Job, dict[Phase, float]]]:
    for job_id, body, moments in rows:
        job = readable(job_id, body)
        if job:
            yield job, parse_moments(moments) or _guessed(job)


def _has(db: sqlite3.Connection, table: str, column: str = "") -> bool:
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    return column in columns if column else bool(columns)


def parse_moments(text: str) -> dict[Phase, float]:
    """Return when each phase first began, never before the one ahead of it: a clock may have been set back."""
    began: dict[Phase, float] = {}
    for word in text.split():
        name, _, moment = word.partition("=")
        began.setdefault(Phase(name), max(_last(began), float(moment)))
    return began


def _guessed(job: Job) -> dict[Phase, float]:
    """Return what a job of an earlier version tells of its times."""
    if job.started_at is None:
        return {}
    started_s = job.started_at.timestamp()
    ended = {} if job.wall_s is None else {Phase.DELIVERING: started_s + job.wall_s}
    return {Phase.RUNNING: started_s, **ended}
