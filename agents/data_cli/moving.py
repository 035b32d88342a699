"""`get` and `put`: files between here and the storage elements, by the code that moves the data of jobs."""

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from agents.data import choice, errors
from agents.data.access import Access
from agents.data.catalogue import FileRecord, MissingFile, NewFile
from agents.data.checksum import adler32_of, text_of
from agents.data.choice import Target
from agents.data.fetching import Fetching
from agents.data.lanes import Lanes
from agents.data.lfn import lfn_of
from agents.data.progress import Progress
from agents.data.way import Content, Watch
from agents.data_cli import screen
from agents.data_cli.outcome import Outcome
from agents.errors import ConfigurationError, JobError
from ce_backends import places

_SHOWN = 3


def got(access: Access, names: Sequence[str], into: Path, is_given_up: Callable[[], bool]) -> Outcome:
    """Bring files to a directory under their base names; what a former try has left of one is gone on with.

    A file that is there with the catalogue's size and checksum is not brought again.

    Raises:
        ConfigurationError: two files would have one name, or the directory cannot be made.
        ServiceError: the catalogue refuses, or cannot be asked.
    """
    lfns = list(dict.fromkeys(lfn_of(name, "") for name in names))
    if clash := _clash(lfns):
        raise ConfigurationError(f"{' and '.join(clash)} would both be {_base(clash[0])}; get them one by one, with -o")
    _make(into)
    known = access.catalogue.look_up(lfns)
    records = [file for file in known.values() if isinstance(file, FileRecord)]
    failed = {lfn: file.reason for lfn, file in known.items() if isinstance(file, MissingFile)}
    done = Progress("Downloading", {record.lfn: record.size_bytes for record in records})
    fetching = Fetching(access, done, is_given_up, "Download")
    lock, seconds = threading.Lock(), dict[str, float]()

    def bring(record: FileRecord) -> None:
        started_s = time.monotonic()
        try:
            fetching.fetch(record, into / _base(record.lfn))
        except JobError as error:
            with lock:
                failed[record.lfn] = error.detail
        else:
            seconds[record.lfn] = screen.since(started_s)

    with screen.progress(lambda: done.sentence):
        Lanes().each(bring, sorted(records, key=lambda record: -record.size_bytes))
    brought = {record.lfn: record for record in records if record.lfn in seconds}
    rows = [(str(one.size_bytes), f"{seconds[lfn]:.1f} s", str(into / _base(lfn))) for lfn, one in brought.items()]
    told: dict[str, object] = {
        lfn: {"path": str(into / _base(lfn)), "size": one.size_bytes, "seconds": round(seconds[lfn], 3)}
        for lfn, one in brought.items()
    }
    told |= {lfn: {"error": reason} for lfn, reason in failed.items()}
    return Outcome(screen.table(rows, frozenset((0, 1))), {"files": told}, tuple(failed.values()))


def _clash(lfns: Sequence[str]) -> list[str]:
    """Return two files of one base name, if there are any."""
    seen: dict[str, str] = {}
    for lfn in lfns:
        if (other := seen.setdefault(_base(lfn), lfn)) != lfn:
            return [other, lfn]
    return []


def _base(lfn: str) -> str:
    return lfn.rpartition("/")[2]


def _make(folder: Path) -> None:
    try:
        places.folder(folder)
    except places.NoPlace as error:
        raise ConfigurationError(str(error)) from error


def put(access: Access, path: Path, name: str, element: str, is_given_up: Callable[[], bool]) -> Outcome:
    """Bring a file to an element and make it known; the same again is done, whatever of it is left to do.

    Raises:
        ConfigurationError: the file cannot be read, or there is no such element.
        TransferError: no element has taken it; Exists where its name is taken by other content.
        ServiceError: the catalogue refuses, or cannot be asked.
    """
    lfn = lfn_of(name, access.vo)
    targets = _targets(access, element)
    content = _content(path)
    known = access.catalogue.look_up([lfn])[lfn]
    if isinstance(known, FileRecord):
        return _known(known, content)
    if not known.is_absent:
        raise errors.NotAllowed(known.reason)
    done = Progress("Uploading", {lfn: content.size_bytes})
    watch = Watch(progress=lambda size: done.at(lfn, size), is_given_up=is_given_up)
    with screen.progress(lambda: done.sentence):
        target, pfn = _stored(access, path, lfn, targets, content, watch)
    assert content.adler32 is not None, "it was read"
    new = NewFile(
        lfn=lfn,
        element=target.element.name,
        pfn=pfn,
        size_bytes=content.size_bytes,
        adler32=content.adler32,
        guid=str(uuid.uuid4()).upper(),
    )
    if reason := access.catalogue.register([new])[lfn]:
        raise errors.NotAllowed(f"{lfn}: it is on {new.element}, and the catalogue does not take it: {reason}")
    told = {"lfn": lfn, "se": new.element, "url": pfn, "size": new.size_bytes, "adler32": text_of(new.adler32)}
    return Outcome(f"{lfn}: {new.size_bytes} bytes on {new.element}", told)


def _targets(access: Access, element: str) -> list[Target]:
    is_known = not element or bool(
        access.elements.group(element)
    )  # in the place of one that is unknown others are taken
    wanted = choice.targets([element] if element else [], access.elements) if is_known else []
    found = [target for target in wanted if not target.is_failover]
    if not found:
        names = ", ".join(name for name, one in access.elements.all().items() if one.is_writable) or "none"
        what = f"{element}: there is no such element that may be written" if element else "no element is named SE-USER"
        raise ConfigurationError(f"{what}; expected one of {names}")
    return found


def _content(path: Path) -> Content:
    try:
        return Content(size_bytes=path.stat().st_size, adler32=adler32_of(path))
    except OSError as error:
        raise ConfigurationError(f"{path}: it cannot be read: {error.strerror}") from error


def _known(known: FileRecord, content: Content) -> Outcome:
    if not known.holds(content.size_bytes, content.adler32 or 0):
        raise errors.Exists(f"{known.lfn}: the catalogue knows this name with other content; choose another one")
    where = ", ".join(known.replicas)
    told = {"lfn": known.lfn, "se": where, "size": known.size_bytes, "is_known": True}
    return Outcome(f"{known.lfn}: the catalogue knows it already, with this content, on {where or 'no element'}", told)


def _stored(
    access: Access, path: Path, lfn: str, targets: Sequence[Target], content: Content, watch: Watch
) -> tuple[Target, str]:
    """Bring a file to the first target that takes it; return that, and the file's PFN there."""
    met: list[errors.TransferError] = []
    for target in targets:
        try:
            return target, access.transfers.put(path, lfn, target, content, watch)
        except errors.GivenUp:
            raise
        except errors.Exists as error:
            if (error.size_bytes, error.adler32) == (content.size_bytes, content.adler32):
                return target, target.endpoint.url(lfn)
            met.append(error)
        except errors.TransferError as error:
            met.append(error)
    said = "; ".join(map(str, met[:_SHOWN]))
    raise type(met[-1])(f"{lfn}: {said}") from met[-1]
