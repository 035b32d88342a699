"""`register`: what lies in a directory of an element becomes known to the catalogue, in bulk, and once."""

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import TypeVar

from agents.data import errors
from agents.data.access import Access
from agents.data.catalogue import MissingFile, NewFile
from agents.data.lfn import BadLfn, lfn_of
from agents.data.listing import Entry, Shelf
from agents.data.storage import Endpoint
from agents.data_cli.journal import Found, Journal, State

AT_ONCE = 8  # folders, or files that an element is asked for
_BULK = 1000  # files in one call to the catalogue
_DEEPEST = 64  # folders in folders
_TRIES_S = (
    (0.0, 20.0),
    (1.0, 60.0),
    (5.0, 1800.0),
)  # pause before, and the silence that is borne: it may sum up a file; XRootD 5.5 answers some after 15 s
_OURS = ".part-"  # of an upload that is under way
_SEVERAL = 2000  # entries that are held before they are written down
_T = TypeVar("_T")


_Answer = Found | tuple[str, Exception]
"""A file that was measured, or the name of one that was not, and why."""


class _Bulk:
    """Files for one call to the catalogue, and those that could not be measured meanwhile."""

    def __init__(self) -> None:
        self.good: list[Found] = []
        self.met: dict[str, errors.TransferError] = {}

    def has(self, answer: _Answer) -> bool:
        """Take an answer in; return whether these are enough for a call.

        Raises:
            Exception: what no element's word explains.
        """
        if isinstance(answer, Found):
            self.good.append(answer)
        elif isinstance(answer[1], errors.TransferError):
            self.met[answer[0]] = answer[1]
        else:
            raise answer[1]
        return len(self.good) + len(self.met) >= _BULK


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """Publishes a directory of an element.

    Attributes:
        access: the owner's.
        element: its name.
        endpoint: how it is spoken to.
        shelf: lists it.
        journal: remembers.
        reads: a file is read whose checksum the element does not tell.
        stopping: set when no more shall be begun.
        sleep: waits.
    """

    access: Access
    element: str
    endpoint: Endpoint
    shelf: Shelf
    journal: Journal
    reads: bool
    stopping: threading.Event
    sleep: Callable[[float], None] = time.sleep

    def run(self) -> None:
        """Do what is left to do. What was done is in the journal, also after an error.

        Raises:
            TransferError: a folder cannot be listed, or no file of a whole batch can be measured.
            ServiceError: the catalogue cannot be asked.
            GivenUp: it was stopped.
        """
        with ThreadPoolExecutor(AT_ONCE, "register") as pool:
            while folders := self.journal.folders(AT_ONCE):
                self._check()
                for _ in pool.map(self._list, folders):
                    pass
        with ExitStack() as opened:
            pool = opened.enter_context(ThreadPoolExecutor(AT_ONCE, "measure"))
            opened.callback(pool.shutdown, cancel_futures=True)
            caller = opened.enter_context(ThreadPoolExecutor(1, "catalogue"))
            told: deque[Future[None]] = deque()
            for measured in self._bulks(pool):
                self._check()
                if len(told) > 1:  # one is under way, and the next waits for it
                    told.popleft().result()
                told.append(caller.submit(self._register, measured))
            for call in told:
                call.result()

    def _check(self) -> None:
        if self.stopping.is_set():
            raise errors.GivenUp("stopped")

    def _list(self, folder: str) -> None:
        """Write down what lies in a folder."""
        url = self.endpoint.url(folder)
        self._tried(lambda _: self._listed(folder, url))
        self.journal.listed(folder)

    def _listed(self, folder: str, url: str) -> None:
        held: list[Entry] = []

        def take(entry: Entry) -> None:
            held.append(entry)
            if len(held) >= _SEVERAL:
                self._found(folder, held)
                held.clear()

        self.shelf.folder(url, take)
        self._found(folder, held)

    def _found(self, folder: str, entries: Sequence[Entry]) -> None:
        files, unnamed, folders = [], dict[str, str](), []
        for entry in entries:
            path = f"{folder}/{entry.name}"
            if fault := self._fault(path, entry):
                unnamed[path.encode("utf-8", "backslashreplace").decode()[:2000]] = fault
            elif entry.is_folder:
                folders.append(path)
            elif _OURS not in entry.name:
                files.append(Found(lfn=path, size_bytes=entry.size_bytes, adler32=entry.adler32))
        self.journal.found(files, unnamed, folders)

    def _fault(self, path: str, entry: Entry) -> str:
        """Return why the catalogue cannot have what lies there, empty if it can."""
        try:
            lfn_of(path, self.access.vo)
        except BadLfn as error:
            return str(error)
        return f"{path[:80]}: too many folders in each other" if entry.is_folder and path.count("/") > _DEEPEST else ""

    def _bulks(self, pool: ThreadPoolExecutor) -> Iterator[list[Found]]:
        """Yield measured files, in the order in which the element answers, so that none waits for a slow answer."""
        bulk, asked = _Bulk(), 0
        answers: SimpleQueue[_Answer] = SimpleQueue()
        for batch in self.journal.batches(_BULK):
            for file in batch:
                pool.submit(self._answer, file, answers)
            asked += len(batch)
            while asked > _BULK:
                asked -= 1
                if bulk.has(answers.get()):
                    yield self._sent(bulk)
                    bulk = _Bulk()
        while asked:
            asked -= 1
            bulk.has(answers.get())
        if bulk.good or bulk.met:
            yield self._sent(bulk)

    def _answer(self, file: Found, answers: SimpleQueue[_Answer]) -> None:
        try:
            answers.put(self._one(file))
        except Exception as error:  # noqa: BLE001 - whoever takes the answers raises it
            answers.put((file.lfn, error))

    def _sent(self, bulk: _Bulk) -> list[Found]:
        """Write files down as being sent."""
        self._check()
        if bulk.met and not bulk.good:
            raise next(iter(bulk.met.values()))
        self.journal.settle({lfn: (State.REFUSED, str(error)[:500]) for lfn, error in bulk.met.items()})
        self.journal.sending(bulk.good)
        return bulk.good

    def _one(self, file: Found) -> Found:
        guid = file.guid or str(uuid.uuid4()).upper()
        if file.size_bytes is not None and file.adler32 is not None:
            return replace(file, guid=guid)
        url = self.endpoint.url(file.lfn)
        seen = self._tried(lambda silence_s: self.shelf.measured(url, reads=self.reads, silence_s=silence_s))
        if seen.adler32 is None:
            raise errors.Unsupported(
                f"{file.lfn}: {self.element} tells no Adler32; with --checksum=read the files are read for it"
            )
        return replace(file, guid=guid, size_bytes=seen.size_bytes, adler32=seen.adler32)

    def _tried(self, ask: Callable[[float], _T]) -> _T:
        """Ask an element; again after a pause, and with more patience, where the way broke or nothing came."""
        met: errors.TransferError | None = None
        for pause_s, silence_s in _TRIES_S:
            self.sleep(pause_s)
            self._check()
            try:
                return ask(silence_s)
            except (errors.Transient, errors.ElementDown) as error:
                met = error
        assert met is not None, "it was tried"
        raise met

    def _register(self, files: Sequence[Found]) -> None:
        """Tell the catalogue of files; look at those that it does not take."""
        new = {file.lfn: self._new(file) for file in files}
        said = self.access.catalogue.register(list(new.values()))
        states = dict.fromkeys(new, (State.DONE, ""))
        refused = {lfn: reason for lfn, reason in said.items() if reason}
        known = self.access.catalogue.look_up(refused) if refused else {}
        further: list[NewFile] = []
        for lfn, reason in refused.items():
            record = known[lfn]
            if isinstance(record, MissingFile):
                states[lfn] = (State.REFUSED, reason)
            elif not record.holds(new[lfn].size_bytes, new[lfn].adler32):
                states[lfn] = (State.CLASH, f"the catalogue knows it with other content: {record.size_bytes} bytes")
            elif self.element in record.replicas:
                states[lfn] = (State.KNOWN, "")
            else:
                further.append(new[lfn])
        added = self.access.catalogue.add_replicas(further) if further else {}
        states |= {lfn: (State.REFUSED, reason) if reason else (State.DONE, "") for lfn, reason in added.items()}
        self.journal.settle(states)

    def _new(self, file: Found) -> NewFile:
        assert file.size_bytes is not None, "it was measured"
        assert file.adler32 is not None, "it was measured"
        return NewFile(
            lfn=file.lfn,
            element=self.element,
            pfn=self.endpoint.url(file.lfn),
            size_bytes=file.size_bytes,
            adler32=file.adler32,
            guid=file.guid,
        )
