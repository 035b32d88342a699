"""What a task has left at elements and is not wanted there: taken away, but never what is somebody's.

A name is one place at an element, whoever writes there: by now it may be the file of another job, and two elements may
be two names of one disk. So something is taken away only where
- the ledger says that this task has begun to put it there,
- it is this file, or a beginning of it, by size and checksum,
- the catalogue, asked right before, knows no replica there; and for a whole file, this content nowhere under its name.

What cannot be taken away now is not left to a PhysicalRemoval of DIRAC's: that asks no catalogue, and removes what has
been registered there meanwhile, such as the copy that another job's Request has brought from its failover element.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agents.data import checksum
from agents.data.access import Access
from agents.data.catalogue import FileRecord, MissingFile
from agents.data.choice import Target
from agents.data.delays import PAUSES_S
from agents.data.errors import NotAllowed, TransferError
from agents.data.way import Content, Watch
from agents.errors import ServiceError
from agents.jobs.ledger import Ledger
from agents.jobs.transfer_steps import Step, Upload
from agents.log import EventLog

log = EventLog("data")

_LONGEST_S = 20.0  # for one file at one element
_MAY_BE_THERE = (Step.STORING, Step.STORED, Step.LEFT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """Takes away what one task has left.

    Attributes:
        access: the owner's.
        ledger: holds the steps.
        stamp: of the task.
        outputs: the directory of what the task has left here.
    """

    access: Access
    ledger: Ledger
    stamp: str
    outputs: Path

    def mark(self) -> None:
        """Write down that of all that is not registered nothing is wanted."""
        files = [file for file in self.ledger.uploads(self.stamp) if file.step in _MAY_BE_THERE]
        anew = [replace(file, step=Step.MEASURED, element="", pfn="") for file in files]
        if files:
            self.ledger.save_uploads([*(file.unwanted() for file in files if file.element), *anew])

    def rest(self) -> list[Upload]:
        """Return what is not wanted and may be there."""
        return [one for one in self.ledger.uploads(self.stamp) if one.step is Step.UNWANTED]

    def take_away(self) -> dict[str, str]:
        """Take away what is not wanted; return why something may still be there, by `ELEMENT:LFN`."""
        left = self.rest()
        if not left:
            return {}
        try:
            known = self.access.catalogue.look_up([one.lfn_of_left for one in left])
        except ServiceError as error:
            return {one.lfn: f"the file catalogue: {error}" for one in left}
        reasons: dict[str, str] = {}
        for one in left:
            if reason := self._taken_away(one, known):
                log.warning("data.left_at_element", element=one.element, lfn=one.lfn_of_left, cause=reason)
                reasons[one.lfn] = reason
            else:
                self.ledger.save_uploads([replace(one, step=Step.GONE)])
        return reasons

    def take_back(self, file: Upload, target: Target) -> bool:
        """Take away what a former try has left of a file that is about to be put again; False where it is not that."""
        try:
            known = self.access.catalogue.look_up([file.lfn])[file.lfn]
        except ServiceError:
            return False
        if isinstance(known, FileRecord) or not known.is_absent:
            return False
        try:
            return self._removed(file, file.lfn, target, is_whole_too=False)
        except TransferError as error:
            log.warning("data.left_at_element", element=target.element.name, lfn=file.lfn, cause=error)
            return False

    def _taken_away(self, one: Upload, known: Mapping[str, FileRecord | MissingFile]) -> str:
        """Return why something may still be there, empty where it is not, or is somebody's."""
        lfn = one.lfn_of_left
        record, element = known[lfn], self.access.elements.all().get(one.element)
        endpoints = self.access.elements.to_write(element) if element else []
        if isinstance(record, MissingFile) and not record.is_absent:
            return f"the file catalogue: {record.reason}"
        if isinstance(record, FileRecord) and one.element in record.replicas:
            return ""
        if element is None or not endpoints:
            return "the configuration names no way to the element any more"
        is_whole_too = not (isinstance(record, FileRecord) and record.holds(one.size_bytes, one.adler32))
        try:
            target = Target(element=element, endpoint=endpoints[0])
            is_gone = self._removed(one, lfn, target, is_whole_too=is_whole_too)
        except NotAllowed as error:  # and never will be: it is not waited for
            self.ledger.save_uploads([replace(one, tries=len(PAUSES_S))])
            return str(error)
        except TransferError as error:
            return str(error)
        if not is_gone:
            log.info("data.not_ours", element=one.element, lfn=lfn)
        return ""

    def _removed(self, file: Upload, lfn: str, target: Target, *, is_whole_too: bool) -> bool:
        path = self.outputs / file.name

        def may(found: Content) -> bool:
            if found.size_bytes == file.size_bytes:
                return is_whole_too and found.adler32 in (None, file.adler32)
            return found.size_bytes < file.size_bytes and found.adler32 == _sum_of(path, found.size_bytes)

        watch = Watch(ends_s=time.monotonic() + _LONGEST_S, silence_s=_LONGEST_S)
        return self.access.transfers.take_away(path, lfn, target, may, watch)


def _sum_of(path: Path, size_bytes: int) -> int:
    """Return the checksum of a file's beginning; -1, which no checksum is, where it cannot be read."""
    try:
        return checksum.adler32_of(path, size_bytes)
    except OSError:
        return -1


def said_of(reasons: Mapping[str, str], most: int = 3) -> str:
    """Return what people are told of what may still be there."""
    listed: Sequence[str] = [f"{place} ({reason})" for place, reason in reasons.items()]
    more = f"; and {len(listed) - most} more" if len(listed) > most else ""
    return "; ".join(listed[:most]) + more
