"""What remains to be done with output files after the job, in the form of DIRAC's RequestManagement."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from agents.data.checksum import text_of
from agents.data.lfn import BadLfn, lfn_of
from agents.jobs.payload import REQUESTS
from agents.jobs.transfer_steps import Step, Upload
from agents.log import EventLog
from ce_backends.linux.foreign_tree import ForeignTree, Outside
from ce_backends.task.output_search import OutputSearch, SearchLimits
from ce_backends.untrusted import strict_json
from ce_backends.untrusted.names import BadName, shown

log = EventLog("data")

_DELAY = timedelta(minutes=45)  # the job is to be over before; JobWrapper/FailoverRequestDelay
_MOST_FILES, _MOST_BYTES = 20, 1_000_000  # of the payload's
_MOST_OPERATIONS, _MOST_LFNS = 100, 1000
_MOST_TEXT, _MOST_ARGUMENTS = 1024, 100_000
# kinds of operation and what each has to name (RequestManagementSystem/private/RequestValidator)
_WANTED: Mapping[str, tuple[str, ...]] = {
    "ForwardDISET": ("arguments",),
    "ReplicateAndRegister": ("target", "lfn"),
    "RemoveReplica": ("target", "lfn"),
    "PhysicalRemoval": ("target", "lfn"),
    "RemoveFile": ("lfn",),
    "RegisterFile": ("lfn", "pfn", "checksum"),
    "RegisterReplica": ("target", "lfn", "pfn", "checksum"),
    "ReTransfer": ("target", "lfn", "pfn"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedFile:
    """A file of an operation.

    Attributes:
        lfn: its name.
        pfn: where it lies, empty where that does not matter.
        size_bytes: its size.
        checksum: Adler32 in hex, empty for none.
        guid: its GUID, empty for none.
    """

    lfn: str
    pfn: str = ""
    size_bytes: int = 0
    checksum: str = ""
    guid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing to do; operations are done in their order.

    Attributes:
        kind: DIRAC's Type.
        target: elements, separated by commas.
        source: of them.
        arguments: of ForwardDISET.
        catalogue: in which files are registered, empty for all.
        files: it is done to.
    """

    kind: str
    target: str = ""
    source: str = ""
    arguments: str = ""
    catalogue: str = ""
    files: tuple[RequestedFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request of one job.

    Attributes:
        name: no other request has it.
        job_id: of the job.
        owner: of the job.
        group: of the owner.
        operations: in their order.
    """

    name: str
    job_id: int
    owner: str
    group: str
    operations: tuple[Operation, ...]

    def to_json(self, now: datetime) -> str:
        """Return it as ReqManager takes it: not to be begun before the job is surely over."""
        moment = f"{now:%Y-%m-%d %H:%M:%S}"
        times = {"CreationTime": moment, "SubmitTime": moment, "LastUpdate": moment}
        return json.dumps(
            {
                "RequestName": self.name,
                "Owner": self.owner,
                "OwnerGroup": self.group,
                "Status": "Waiting",
                "Error": None,
                "SourceComponent": f"Job_{self.job_id}",
                "JobID": self.job_id,
                **times,
                "NotBefore": f"{now + _DELAY:%Y-%m-%d %H:%M:%S}",
                "Operations": [{**_operation(operation, at), **times} for at, operation in enumerate(self.operations)],
            }
        )

    @property
    def digest(self) -> str:
        """What is told of it: a line for each operation, as DIRAC's own digest."""
        lines = [f"Name:{self.name}"]
        for at, one in enumerate(self.operations):
            lfns = one.files[0].lfn if one.files else ""
            more = f",...<{len(one.files)} files>" if len(one.files) > 1 else ""
            lines.append(f"{one.kind}:{one.kind}:{_status(at)}:{at}:{one.target}:{lfns}{more}")
        return "\n".join(lines)


def _status(at: int) -> str:
    return "Queued" if at else "Waiting"


def _operation(operation: Operation, at: int) -> dict[str, object]:
    return {
        "Type": operation.kind,
        "Status": _status(at),
        "Arguments": operation.arguments or None,
        "Order": at,
        "SourceSE": operation.source or None,
        "TargetSE": operation.target or None,
        "Catalog": operation.catalogue or None,
        "Error": None,
        "Files": [_file(file) for file in operation.files],
    }


def _file(file: RequestedFile) -> dict[str, object]:
    return {
        "Status": "Waiting",
        "LFN": file.lfn,
        "PFN": file.pfn or None,
        "ChecksumType": "ADLER32" if file.checksum else None,
        "Checksum": file.checksum or None,
        "GUID": file.guid or None,
        "Attempt": 0,
        "Size": file.size_bytes,
        "Error": None,
    }


def of_uploads(uploads: Sequence[Upload], is_failover: Mapping[str, bool], wanted: str) -> list[Operation]:
    """Return what remains to be done with files that were brought to an element.

    Args:
        uploads: registered ones, and those that a request shall make known.
        is_failover: of elements: the file is not to stay there.
        wanted: the element where files at the others shall go; empty for nowhere.
    """
    operations = []
    for element in dict.fromkeys(upload.element for upload in uploads):
        here = [upload for upload in uploads if upload.element == element]
        left = tuple(_described(upload, is_whole=True) for upload in here if upload.step is Step.LEFT)
        if left:
            operations.append(Operation(kind="RegisterFile", target=element, files=left))
        if is_failover.get(element) and wanted:
            files = tuple(_described(upload) for upload in here)
            operations.append(Operation(kind="ReplicateAndRegister", source=element, target=wanted, files=files))
            bare = tuple(RequestedFile(lfn=upload.lfn) for upload in here)
            operations.append(Operation(kind="RemoveReplica", target=element, files=bare))
    return operations


def _described(upload: Upload, *, is_whole: bool = False) -> RequestedFile:
    return RequestedFile(
        lfn=upload.lfn,
        pfn=upload.pfn if is_whole else "",
        size_bytes=upload.size_bytes,
        checksum=text_of(upload.adler32),
        guid=upload.guid,
    )


@dataclass(frozen=True, slots=True)
class OfPayload:
    """What a payload's own `*_request.json` ask for.

    Attributes:
        operations: of those that are requests.
        refused: a sentence for each that is none, or more than is put for one job.
    """

    operations: tuple[Operation, ...] = ()
    refused: tuple[str, ...] = ()


def of_payload(outputs: Path, vo: str) -> OfPayload:
    """Return what a payload's own `*_request.json` ask for.

    Args:
        outputs: the directory of what the task has left.
        vo: to which all files have to belong.
    """
    operations: list[Operation] = []
    refused: list[str] = []
    try:
        tree = ForeignTree(outputs)
    except OSError:
        return OfPayload()
    with tree:
        search = OutputSearch(tree, SearchLimits(files=_MOST_FILES))
        for found in search.matches([REQUESTS]):
            try:
                with tree.file(found.name) as fd, open(fd, "rb", closefd=False) as file:
                    more = read(file.read(_MOST_BYTES + 1), vo)
            except (Outside, BadName, OSError, BadRequest) as problem:
                refused.append(f"{shown(found.name)}: {problem}")
                continue
            if len(operations) + len(more) > _MOST_OPERATIONS:
                refused.append(f"{shown(found.name)}: more than {_MOST_OPERATIONS} operations for one job")
                continue
            operations += more
    for sentence in refused:
        log.error("request.refused", cause=sentence)
    return OfPayload(tuple(operations), tuple(refused))


class BadRequest(ValueError):
    """A payload's file that is no request."""


def read(content: bytes, vo: str) -> list[Operation]:
    """Return the operations of a request that a payload wrote.

    Raises:
        BadRequest: it is none, or more than is put for a payload.
    """
    if len(content) > _MOST_BYTES:
        raise BadRequest(f"it has more than {_MOST_BYTES} bytes")
    try:
        told = strict_json.read(content)
    except strict_json.NotJson as error:
        raise BadRequest(f"it is no JSON: {error}") from error
    listed = told.get("Operations") if isinstance(told, dict) else None
    if not isinstance(listed, list) or len(listed) > _MOST_OPERATIONS:
        raise BadRequest(f"a list of at most {_MOST_OPERATIONS} Operations was expected")
    rows = [row for row in listed if isinstance(row, dict)]
    return [_of_payload(row, vo) for row in sorted(rows, key=_order)]


def _order(row: Mapping[str, object]) -> int:
    order = row.get("Order")
    return order if isinstance(order, int) else 0


def _of_payload(row: Mapping[str, object], vo: str) -> Operation:
    kind, files = _text(row, "Type"), row.get("Files") or []
    if kind not in _WANTED:
        raise BadRequest(f"an operation of the type {kind[:40]!r} is not put for a payload")
    if not isinstance(files, list) or len(files) > _MOST_LFNS:
        raise BadRequest(f"a list of at most {_MOST_LFNS} Files was expected")
    operation = Operation(
        kind=kind,
        target=_text(row, "TargetSE"),
        source=_text(row, "SourceSE"),
        arguments=_text(row, "Arguments", _MOST_ARGUMENTS),
        catalogue=_text(row, "Catalog"),
        files=tuple(_payload_file(file, vo) for file in files),
    )
    if kind != "ForwardDISET" and not files:
        raise BadRequest(f"{kind} without Files")
    for name in _WANTED[kind]:
        holders: Sequence[object] = [operation] if name in ("target", "arguments") else operation.files
        if not all(getattr(holder, name) for holder in holders):
            raise BadRequest(f"{kind} without {name}")
    return operation


def _payload_file(row: object, vo: str) -> RequestedFile:
    if not isinstance(row, dict):
        raise BadRequest("a file that is no object")
    size = row.get("Size")
    try:
        file = RequestedFile(
            lfn=lfn_of(_text(row, "LFN"), vo),
            pfn=_text(row, "PFN"),
            size_bytes=size if isinstance(size, int) and 0 <= size < 2**63 else 0,
            checksum=_text(row, "Checksum"),
            guid=_text(row, "GUID"),
        )
    except BadLfn as error:
        raise BadRequest(str(error)) from error
    return file


def _text(row: Mapping[str, object], name: str, most: int = _MOST_TEXT) -> str:
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > most or "\0" in value:
        raise BadRequest(f"{name} is no text of at most {most} characters")
    return value
