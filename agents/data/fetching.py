"""One file, from whichever of its replicas gives it whole."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from agents.data import choice, errors
from agents.data.access import Access
from agents.data.catalogue import FileRecord
from agents.data.checksum import adler32_of
from agents.data.choice import Source
from agents.data.progress import Progress
from agents.data.way import Watch
from agents.errors import Blame, FailJob, HandBack, JobError
from agents.jobs.moved import Moved
from agents.log import EventLog

log = EventLog("data")

_PAUSES_S = (10.0, 60.0)  # before all replicas are tried once more
_AGAIN_S = 3.0  # before the same replica is, after the way broke
_PASSES = (errors.Transient, errors.ElementDown)
_SHOWN = 3


@dataclass(slots=True)
class Fetching:
    """Brings files of one job; `fetch` may be called from several threads.

    Attributes:
        access: the owner's.
        progress: is told.
        is_given_up: nobody waits for the files any more.
        minor_status: of a job that does not get one.
        moved: what was tried.
        sleep: waits.
    """

    access: Access
    progress: Progress
    is_given_up: Callable[[], bool]
    minor_status: str
    moved: list[Moved] = field(default_factory=list)
    sleep: Callable[[float], None] = time.sleep

    def fetch(self, record: FileRecord, into: Path) -> None:
        """Bring a file, unless it is there already; size and checksum are the catalogue's.

        Raises:
            FailJob: no replica is any good, or the owner may not read it.
            HandBack: it cannot be had here, or not now.
        """
        if _is_whole(record, into):
            self.progress.done(record.lfn)
            return
        into.parent.mkdir(parents=True, exist_ok=True)
        met: list[tuple[Source, errors.TransferError]] = []
        for pause_s in (0.0, *_PAUSES_S):
            self._pause(pause_s)
            met = []
            for source in choice.sources(record, self.access.elements):
                if (error := self._tried(record, source, into)) is None:
                    self.progress.done(record.lfn)
                    return
                met.append((source, error))
            if not any(isinstance(error, _PASSES) for _, error in met):
                break
        raise self._verdict(record, met)

    def _tried(self, record: FileRecord, source: Source, into: Path) -> errors.TransferError | None:
        """Try a replica, twice where the way broke; return why it gave nothing."""
        for is_again in (False, True):
            began, started = datetime.now(UTC), time.monotonic()
            try:
                self.access.transfers.get(record, source, into, self._watch(record))
            except errors.GivenUp as error:
                raise HandBack(self.minor_status, str(error), blame=Blame.SITE) from error
            except errors.NoSpaceHere as error:
                raise HandBack(self.minor_status, str(error), blame=Blame.SITE) from error
            except errors.TransferError as error:
                self._note(record, source, began, time.monotonic() - started, is_done=False)
                log.warning("data.not_fetched", lfn=record.lfn, element=source.element.name, cause=error)
                if is_again or not isinstance(error, errors.Transient):
                    return error
                self._pause(_AGAIN_S)
            else:
                self._note(record, source, began, time.monotonic() - started, is_done=True)
                return None
        return None

    def _watch(self, record: FileRecord) -> Watch:
        return Watch(progress=lambda size: self.progress.at(record.lfn, size), is_given_up=self.is_given_up)

    def _note(self, record: FileRecord, source: Source, began: datetime, seconds: float, *, is_done: bool) -> None:
        self.moved.append(
            Moved(
                lfn=record.lfn,
                element=source.element.name,
                protocol=source.endpoint.protocol,
                is_upload=False,
                is_done=is_done,
                size_bytes=record.size_bytes if is_done else 0,
                seconds=seconds,
                began=began,
            )
        )

    def _pause(self, seconds: float) -> None:
        """Wait, unless nobody waits for us."""
        end = time.monotonic() + seconds
        while not self.is_given_up() and (left := end - time.monotonic()) > 0:
            self.sleep(min(left, 0.5))
        if self.is_given_up():
            raise HandBack(self.minor_status, "the download was given up", blame=Blame.SITE)

    def _verdict(self, record: FileRecord, met: Sequence[tuple[Source, errors.TransferError]]) -> JobError:
        """Return how the job ends to which no replica gave the file."""
        if not met:
            held = ", ".join(record.replicas) or "none"
            why = f"{record.lfn}: no element that holds it can be read from here (it is at: {held})"
            return HandBack(self.minor_status, why, blame=Blame.SERVER)
        said = "; ".join(f"{source.element.name}: {error}" for source, error in met[:_SHOWN])
        why = f"{record.lfn}: {said}"
        kinds = {type(error) for _, error in met}
        if kinds <= {errors.NotAllowed}:
            return FailJob(self.minor_status, why, blame=Blame.USER)
        if kinds <= {errors.NotAllowed, errors.Damaged, errors.NotHere}:
            return FailJob(self.minor_status, why, blame=Blame.SERVER)
        is_ours = kinds <= {errors.Unsupported}
        return HandBack(self.minor_status, why, blame=Blame.SITE if is_ours else Blame.SERVER)


def _is_whole(record: FileRecord, path: Path) -> bool:
    """Tell whether a file is here already, as an agent before this one may have left it."""
    try:
        return path.stat().st_size == record.size_bytes and adler32_of(path) == record.adler32
    except OSError:
        return False
