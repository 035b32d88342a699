"""A job's output data: each file measured, stored, registered; every step is in the ledger before its effect.

So whoever goes on after a crash, at any instant, knows what may have been done: what lies under its name with this
content is ours and is not brought twice, what the catalogue knows is not made known twice, and no request is put twice.
What was stored for a job that fails then, and what a try that broke off has left, is taken away again (`withdrawal`).
"""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from agents.data import choice, errors, pool, requests, withdrawal
from agents.data.access import Access
from agents.data.catalogue import FileRecord, MissingFile, NewFile
from agents.data.checksum import adler32_of
from agents.data.choice import Target
from agents.data.delays import Delayed, delay, is_waited_for
from agents.data.destinations import destinations
from agents.data.lanes import Lanes
from agents.data.lfn import plain
from agents.data.progress import Progress
from agents.data.remains import Remains
from agents.data.way import Content, Watch
from agents.data.withdrawal import Withdrawal
from agents.errors import Blame, FailJob, ServiceError
from agents.jobs.jdl import JobDescription
from agents.jobs.job import Minor
from agents.jobs.ledger import Ledger
from agents.jobs.moved import Moved
from agents.jobs.transfer_steps import OF_FILES, Step, Upload
from agents.log import EventLog

log = EventLog("data")

_DONE = (Step.REGISTERED, Step.LEFT)
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """What has become of a job's output data.

    Attributes:
        lfns: of the files that are stored.
        request: what is told of the request for what remains, empty where nothing does.
        unmatched: patterns that nothing matched.
        refused: a sentence for each of the payload's own requests that is none.
    """

    lfns: tuple[str, ...] = ()
    request: str = ""
    unmatched: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Outputs:
    """Brings one task's output data away; each call in one thread.

    Attributes:
        access: the owner's.
        lanes: of the node.
        ledger: holds the steps.
        stamp: of the task.
        description: of the job.
        outputs: the directory of what the task has left.
        said: what could not be brought from the node.
        is_given_up: nobody waits for it any more.
        shows: is given what tells how far it is.
        moved: what was tried.
    """

    access: Access
    lanes: Lanes
    ledger: Ledger
    stamp: str
    description: JobDescription
    outputs: Path
    said: Sequence[str] = ()
    is_given_up: Callable[[], bool] = lambda: False
    shows: Callable[[Progress], object] = lambda _: None
    moved: list[Moved] = field(default_factory=list)
    now: Callable[[], float] = time.time

    def deliver(self, *, has_data: bool) -> Uploaded:
        """Do what is still to be done, as far as that is possible now.

        Args:
            has_data: the job has ended well, so that its OutputData count; else only the payload's own requests do.

        Raises:
            FailJob: a file is missing, or the LFN of one is taken. Or it may not be written. Nothing that is not
                registered is left at an element then; what may be is in `facts` of the error.
            Delayed: an element, the catalogue, or the request service is away.
        """
        try:
            self._withdrawal.take_away()  # of a former try, before anything is put there anew
            came = self._delivered(has_data=has_data)
        except FailJob as error:
            self._withdraw(error, is_last=isinstance(error.__cause__, errors.NotAllowed))
            raise
        self._withdrawal.take_away()
        return came

    def end(self, cause: str, *, has_data: bool) -> Uploaded:
        """Do what can be done at once, for there is no more time.

        Files that are all stored are left to a request, which makes them known; else nothing of them is left.

        Args:
            cause: why there is no more time.
            has_data: as of `deliver`.

        Raises:
            FailJob: the files are not where they belong, and never will be.
        """
        files = self._files()
        if has_data and files and all(file.step in (Step.STORED, *_DONE) for file in files) and self.access.requests:
            self.ledger.save_uploads([replace(file, step=Step.LEFT) for file in files if file.step is Step.STORED])
            with suppress(Delayed, FailJob):
                return self._asked(self._files(), ())
        error = FailJob(Minor.UPLOADING_DATA, f"Its output data are not uploaded: {cause}", blame=Blame.SERVER)
        self._withdraw(error, is_last=True)
        raise error

    def _delivered(self, *, has_data: bool) -> Uploaded:
        unmatched: tuple[str, ...] = ()
        files: list[Upload] = []
        if has_data and self.description.output_data:
            files, unmatched = self._planned()
            files = self._settled(files)
            self._store_all([file for file in files if file.step in (Step.MEASURED, Step.STORING)])
            self._register([file for file in self._files() if file.step is Step.STORED])
            files = self._files()
        return self._asked(files, unmatched)

    def _asked(self, files: Sequence[Upload], unmatched: tuple[str, ...]) -> Uploaded:
        """Ask for what remains to be done with files, and for what the payload wants."""
        of_payload = requests.of_payload(self.outputs, self.access.vo)
        remains = Remains(
            access=self.access, ledger=self.ledger, stamp=self.stamp, description=self.description, now=self.now
        )
        request = remains.request([*remains.of_uploads(files), *of_payload.operations])
        lfns = tuple(file.lfn for file in files)
        return Uploaded(lfns=lfns, request=request, unmatched=unmatched, refused=of_payload.refused)

    # ---- what is not wanted ----

    @property
    def _withdrawal(self) -> Withdrawal:
        return Withdrawal(access=self.access, ledger=self.ledger, stamp=self.stamp, outputs=self.outputs)

    def _withdraw(self, error: FailJob, *, is_last: bool) -> None:
        """Take away what is stored for a job that fails, as far as the catalogue does not know it.

        Raises:
            Delayed: that is not possible now, and there is time.
        """
        self._withdrawal.mark()
        reasons = self._withdrawal.take_away()
        rest = [one for one in self._withdrawal.rest() if one.lfn in reasons]
        if rest and not is_last and not is_waited_for(rest):
            raise self._delay(rest, f"{error}; not taken away yet: {withdrawal.said_of(reasons)}") from error
        if rest:
            error.facts = {**error.facts, "UnregisteredFiles": withdrawal.said_of(reasons)}

    # ---- what is to be done ----

    def _files(self) -> list[Upload]:
        return [one for one in self.ledger.uploads(self.stamp) if one.step in OF_FILES]

    def _planned(self) -> tuple[list[Upload], tuple[str, ...]]:
        """Return the files with their steps; at the first time they are measured, and written down."""
        found = destinations(self.description, self.access, self.outputs, self.said)
        if known := self._files():
            return known, found.unmatched
        guids = pool.of_payload(self.outputs, set(map(plain, self.description.input_data)))
        files = [self._measured(lfn, name, guids) for lfn, name in found.files.items()]
        self.ledger.save_uploads(files)
        return files, found.unmatched

    def _measured(self, lfn: str, name: str, guids: Mapping[str, str]) -> Upload:
        path = self.outputs / name
        try:
            size_bytes, adler32 = path.stat().st_size, adler32_of(path)
        except OSError as error:
            raise FailJob(Minor.UPLOADING_DATA, f"{name} cannot be read: {error.strerror}", blame=Blame.SITE) from error
        return Upload(
            stamp=self.stamp,
            lfn=lfn,
            step=Step.MEASURED,
            size_bytes=size_bytes,
            adler32=adler32,
            guid=guids.get(Path(name).name) or str(uuid.uuid4()).upper(),
            name=name,
        )

    def _settled(self, files: Sequence[Upload]) -> list[Upload]:
        """Ask the catalogue about all that is not registered: what it knows with this content is done.

        Raises:
            FailJob: it knows one with other content.
        """
        open_ones = [file for file in files if file.step not in _DONE]
        if not open_ones:
            return list(files)
        try:
            known = self.access.catalogue.look_up([file.lfn for file in open_ones])
        except ServiceError as error:
            if self._may_leave(open_ones):
                return list(files)
            raise self._delay(open_ones, f"the file catalogue: {error}") from error
        for file in open_ones:
            held = known.get(file.lfn)
            if isinstance(held, FileRecord) and not held.holds(file.size_bytes, file.adler32):
                raise _clash(file)
            if isinstance(held, MissingFile) and not held.is_absent:
                raise self._delay([file], f"the file catalogue: {file.lfn}: {held.reason}")
        for file in open_ones:
            held = known.get(file.lfn)
            if isinstance(held, FileRecord):
                element = file.element if file.element in held.replicas else next(iter(held.replicas), "")
                self.ledger.save_uploads([replace(file, step=Step.REGISTERED, element=element)])
        return self._files()

    def _may_leave(self, files: Sequence[Upload]) -> bool:
        """Tell whether the catalogue was waited for long enough: a request shall make files known later."""
        return self.access.requests is not None and is_waited_for(files)

    def _delay(self, files: Sequence[Upload], why: str) -> Delayed:
        return delay(self.ledger, files, why, self.now())

    # ---- to the elements ----

    def _targets(self) -> list[Target]:
        """Return where files may go; failover only where a request can move them on."""
        found = choice.targets(self.description.output_elements, self.access.elements)
        return [target for target in found if self.access.requests or not target.is_failover]

    def _store_all(self, files: Sequence[Upload]) -> None:
        """Bring files to elements, several at once; what could not be brought is to be tried again later."""
        if not files:
            return
        progress = Progress("Uploading output data", {file.lfn: file.size_bytes for file in files})
        self.shows(progress)
        targets, failed = self._targets(), dict[str, str]()

        def store(file: Upload) -> None:
            if why := self._stored(file, targets, progress):
                failed[file.lfn] = why

        self.lanes.each(store, sorted(files, key=lambda file: -file.size_bytes))
        if failed:
            late = [file for file in self._files() if file.lfn in failed]
            raise self._delay(late, "; ".join([*failed.values()][:_SHOWN]))

    def _stored(self, file: Upload, targets: Sequence[Target], progress: Progress) -> str:
        """Bring a file to the first element that takes it; return why none did.

        Raises:
            FailJob: it may be written nowhere, or other content lies under its name everywhere.
        """
        met: list[errors.TransferError] = []
        begun = file.element if file.step is Step.STORING else ""  # there it may be, and nowhere else
        is_left = bool(begun)  # something of it may be at its element
        for target in sorted(targets, key=lambda target: target.element.name != begun):
            is_again = file.step is Step.STORING and file.element == target.element.name
            file, is_left = self._begun(file, target.element.name, is_left=is_left), is_again and is_left
            try:
                pfn = self._put_anew(file, target, progress) if is_again else self._put(file, target, progress)
            except errors.Exists as error:
                if not _is_ours(file, error, is_again=is_again):
                    met.append(errors.Transient(f"{error}, perhaps of a try that broke off") if is_again else error)
                    continue
                pfn = target.endpoint.url(file.lfn)
            except errors.TransferError as error:
                log.warning("data.not_stored", lfn=file.lfn, element=target.element.name, cause=error)
                met.append(error)
                is_left = is_left or not isinstance(error, errors.ElementDown)
                continue
            self.ledger.save_uploads([replace(file, step=Step.STORED, pfn=pfn)])
            progress.done(file.lfn)
            return ""
        kinds = {type(error) for error in met}
        if kinds == {errors.Exists}:
            raise _clash(file)
        said = "; ".join(map(str, met[:_SHOWN])) or "no element may be written now"
        if kinds == {errors.NotAllowed}:
            raise FailJob(Minor.UPLOADING_DATA, f"{file.lfn}: {said}", blame=Blame.USER) from met[-1]
        return f"{file.lfn}: {said}"

    def _begun(self, file: Upload, element: str, *, is_left: bool) -> Upload:
        """Write down that a file is put to an element now, and what it may have left at the one before."""
        begun = replace(file, step=Step.STORING, element=element, pfn="")
        before = [file.unwanted()] if is_left and file.element not in ("", element) else []
        here = begun.unwanted(Step.GONE)  # from now on it is wanted here
        is_unwanted = any(one.lfn == here.lfn for one in self._withdrawal.rest())
        self.ledger.save_uploads([begun, *before, *([here] if is_unwanted else [])])
        return begun

    def _put_anew(self, file: Upload, target: Target, progress: Progress) -> str:
        """Put a file where a former try may have broken off; what that has left under its name is taken away."""
        try:
            return self._put(file, target, progress)
        except errors.Exists as error:
            is_whole = _is_ours(file, error, is_again=True)
            if is_whole or not self._withdrawal.take_back(file, target):
                raise
        return self._put(file, target, progress)

    def _put(self, file: Upload, target: Target, progress: Progress) -> str:
        began, started, is_done = datetime.now(UTC), time.monotonic(), False
        watch = Watch(progress=lambda size: progress.at(file.lfn, size), is_given_up=self.is_given_up)
        content = Content(size_bytes=file.size_bytes, adler32=file.adler32)
        try:
            pfn = self.access.transfers.put(self.outputs / file.name, file.lfn, target, content, watch)
            is_done = True
            return pfn
        finally:
            self.moved.append(
                Moved(
                    lfn=file.lfn,
                    element=target.element.name,
                    protocol=target.endpoint.protocol,
                    is_upload=True,
                    is_done=is_done,
                    size_bytes=file.size_bytes if is_done else 0,
                    seconds=time.monotonic() - started,
                    began=began,
                )
            )

    # ---- to the catalogue ----

    def _register(self, files: Sequence[Upload]) -> None:
        """Make stored files known, all in one call.

        Raises:
            FailJob: the catalogue does not take one.
            Delayed: it cannot be asked.
        """
        if not files:
            return
        try:
            refused = self.access.catalogue.register([_new(file) for file in files])
        except ServiceError as error:
            if not self._may_leave(files):
                raise self._delay(files, f"the file catalogue: {error}") from error
            self.ledger.save_uploads([replace(file, step=Step.LEFT) for file in files])
            return
        self.ledger.save_uploads([replace(f, step=Step.REGISTERED) for f in files if not refused.get(f.lfn)])
        rest = [file for file in files if refused.get(file.lfn)]
        if rest:
            rest = [file for file in self._settled(rest_of(self._files(), rest)) if file.step is Step.STORED]
        if rest:
            why = f"the file catalogue does not take {rest[0].lfn}: {refused.get(rest[0].lfn)}"
            raise FailJob(Minor.UPLOADING_DATA, why, blame=Blame.USER)


def rest_of(files: Sequence[Upload], wanted: Sequence[Upload]) -> list[Upload]:
    """Return files as they stand, of those that are wanted."""
    lfns = {file.lfn for file in wanted}
    return [file for file in files if file.lfn in lfns]


def _is_ours(file: Upload, found: errors.Exists, *, is_again: bool) -> bool:
    """Tell whether what lies under a file's name is this file, by size and checksum.

    Where an element tells no checksum only what we may have brought there ourselves is.
    """
    if found.size_bytes != file.size_bytes:
        return False
    return is_again if found.adler32 is None else found.adler32 == file.adler32


def _clash(file: Upload) -> FailJob:
    return FailJob(Minor.UPLOADING_DATA, f"LFN exists with other content: {file.lfn}", blame=Blame.USER)


def _new(file: Upload) -> NewFile:
    return NewFile(
        lfn=file.lfn,
        element=file.element,
        pfn=file.pfn,
        size_bytes=file.size_bytes,
        adler32=file.adler32,
        guid=file.guid,
    )
