"""A job's output data: each file measured, stored, registered; every step is in the ledger before its effect.

So whoever goes on after a crash, at any instant, knows what may have been done: what lies under its name with this
content is ours and is not brought twice, what the catalogue knows is not made known twice, and no request is put twice.
"""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from agents.data import choice, errors, requests
from agents.data.access import Access
from agents.data.catalogue import FileRecord, MissingFile, NewFile
from agents.data.checksum import adler32_of
from agents.data.choice import Target
from agents.data.destinations import destinations
from agents.data.lanes import Lanes
from agents.data.progress import Progress
from agents.data.requests import Operation, Request
from agents.data.way import Content, Watch
from agents.errors import Blame, FailJob, Refused, ServiceError
from agents.jobs.jdl import JobDescription
from agents.jobs.job import Minor
from agents.jobs.ledger import Ledger
from agents.jobs.moved import Moved
from agents.jobs.transfer_steps import Step, Upload
from agents.log import EventLog

log = EventLog("data")

PAUSES_S = (10.0, 60.0, 300.0, 600.0)  # DIRAC's own; the last one again and again
_DONE = (Step.REGISTERED, Step.LEFT)
_SHOWN = 3


class Delayed(Exception):
    """Something could not be done now; the same call is to be made again.

    Attributes:
        again_in_s: from now.
    """

    def __init__(self, message: str, again_in_s: float) -> None:
        super().__init__(message)
        self.again_in_s = again_in_s


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
            FailJob: a file is missing, or the LFN of one is taken; nothing was brought then. Or it may not be written.
            Delayed: an element, the catalogue, or the request service is away.
        """
        unmatched: tuple[str, ...] = ()
        files: list[Upload] = []
        if has_data and self.description.output_data:
            files, unmatched = self._planned()
            files = self._settled(files)
            self._store_all([file for file in files if file.step in (Step.MEASURED, Step.STORING)])
            self._register([file for file in self._files() if file.step is Step.STORED])
            files = self._files()
        of_payload = requests.of_payload(self.outputs, self.access.vo)
        request = self._request([*self._of_uploads(files), *of_payload.operations])
        lfns = tuple(file.lfn for file in files)
        return Uploaded(lfns=lfns, request=request, unmatched=unmatched, refused=of_payload.refused)

    # ---- what is to be done ----

    def _files(self) -> list[Upload]:
        return [one for one in self.ledger.uploads(self.stamp) if one.step not in (Step.REQUESTING, Step.REQUESTED)]

    def _planned(self) -> tuple[list[Upload], tuple[str, ...]]:
        """Return the files with their steps; at the first time they are measured, and written down."""
        found = destinations(self.description, self.access, self.outputs, self.said)
        if known := self._files():
            return known, found.unmatched
        files = [self._measured(lfn, name) for lfn, name in found.files.items()]
        self.ledger.save_uploads(files)
        return files, found.unmatched

    def _measured(self, lfn: str, name: str) -> Upload:
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
            guid=str(uuid.uuid4()).upper(),
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
        return self.access.requests is not None and all(file.tries >= len(PAUSES_S) for file in files)

    def _delay(self, files: Sequence[Upload], why: str) -> Delayed:
        """Write down that files could not be gone on with, and return when to try again."""
        tries = max((file.tries for file in files), default=0)
        pause_s = PAUSES_S[min(tries, len(PAUSES_S) - 1)]
        again = self.now() + pause_s
        self.ledger.save_uploads([replace(file, tries=file.tries + 1, not_before_s=again) for file in files])
        return Delayed(why, pause_s)

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
        for target in sorted(targets, key=lambda target: target.element.name != begun):
            is_again = file.step is Step.STORING and file.element == target.element.name
            file = replace(file, step=Step.STORING, element=target.element.name)
            self.ledger.save_uploads([file])
            try:
                pfn = self._put(file, target, progress)
            except errors.Exists as error:
                if not _is_ours(file, error, is_again=is_again):
                    met.append(errors.Transient(f"{error}, perhaps of a try that broke off") if is_again else error)
                    continue
                pfn = target.endpoint.url(file.lfn)
            except errors.TransferError as error:
                log.warning("data.not_stored", lfn=file.lfn, element=target.element.name, cause=error)
                met.append(error)
                continue
            self.ledger.save_uploads([replace(file, step=Step.STORED, pfn=pfn)])
            progress.done(file.lfn)
            return ""
        kinds = {type(error) for error in met}
        if kinds == {errors.Exists}:
            raise _clash(file)
        said = "; ".join(map(str, met[:_SHOWN])) or "no element may be written now"
        if kinds == {errors.NotAllowed}:
            raise FailJob(Minor.UPLOADING_DATA, f"{file.lfn}: {said}", blame=Blame.USER)
        return f"{file.lfn}: {said}"

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

    # ---- what remains ----

    def _request(self, operations: Sequence[Operation]) -> str:
        """Put a request for what remains to be done; return what is told of it, empty where nothing remains.

        Raises:
            FailJob: it is refused, or there is nobody who takes any.
            Delayed: it cannot be put now.
        """
        if not operations:
            return ""
        if self.access.requests is None:
            detail = f"{len(operations)} operations remain, and the configuration publishes no ReqManager"
            raise FailJob(Minor.FAILED_REQUESTS, detail, blame=Blame.SERVER)
        name = f"{self.description.job_name or 'job'}_job_{self.description.job_id}_{self.stamp[:8]}"
        whole = Request(
            name=name,
            job_id=self.description.job_id,
            owner=self.access.user,
            group=self.access.group,
            operations=tuple(operations),
        )
        rows = [one for one in self.ledger.uploads(self.stamp) if one.step in (Step.REQUESTING, Step.REQUESTED)]
        row = rows[0] if rows else Upload(stamp=self.stamp, lfn=name, step=Step.REQUESTING)
        if row.step is Step.REQUESTING:
            self._put_request(whole, row, is_again=bool(rows))
        return whole.digest

    def _put_request(self, whole: Request, row: Upload, *, is_again: bool) -> None:
        assert self.access.requests is not None, "asked before"
        self.ledger.save_uploads([row])
        try:
            if not is_again or self.access.requests.number_of(whole.name) is None:
                self.access.requests.put(whole.to_json(datetime.fromtimestamp(self.now(), UTC)))
        except Refused as error:
            raise FailJob(Minor.FAILED_REQUESTS, str(error), blame=Blame.SERVER) from error
        except ServiceError as error:
            raise self._delay([row], f"the request for what remains to be done: {error}") from error
        self.ledger.save_uploads([replace(row, step=Step.REQUESTED)])

    def _of_uploads(self, files: Sequence[Upload]) -> list[Operation]:
        targets = choice.targets(self.description.output_elements, self.access.elements)
        is_failover = {target.element.name: target.is_failover for target in targets}
        wanted = [name for name in self._wanted() if not is_failover.get(name)]
        return requests.of_uploads(files, is_failover, next(iter(wanted), ""))

    def _wanted(self) -> list[str]:
        """Return the elements where files should be, also those that may not be written now."""
        names = self.description.output_elements or ("SE-USER",)
        return [member for name in names for member in self.access.elements.group(name)]


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
