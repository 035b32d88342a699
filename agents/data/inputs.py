"""A job's input data and the files of the catalogue in its input sandbox: looked up once, brought, or linked to."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from agents.data import links
from agents.data.access import Access
from agents.data.arrived import Arrived
from agents.data.catalogue import FileRecord, MissingFile
from agents.data.elements import Nearness
from agents.data.fetching import Fetching
from agents.data.lanes import Lanes
from agents.data.lfn import BadLfn, lfn_of
from agents.data.links import Link
from agents.data.progress import Progress
from agents.data.room import Room
from agents.errors import Blame, FailJob, HandBack, ServiceError
from agents.jobs.jdl import JobDescription
from agents.jobs.job import Minor
from agents.jobs.payload import POOL_CATALOGUE
from agents.log import EventLog
from ce_backends.readers import comma_list

log = EventLog("data")

_SHOWN = 5
_MOST_LINES = 200  # of a parameter


class Policy(StrEnum):
    """How a payload gets its input data: the last part of the path of DIRAC's module."""

    DOWNLOAD = "DownloadInputData"
    PROTOCOL = "InputDataByProtocol"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Brings what one job needs; each call in one thread.

    Attributes:
        access: the owner's.
        lanes: of the node.
        room: of the node.
        stamp: of the task.
        into: a directory of the job; what a former agent brought there is gone on with.
        is_given_up: nobody waits for it any more.
        shows: is given what tells how far it is.
    """

    access: Access
    lanes: Lanes
    room: Room
    stamp: str
    into: Path
    is_given_up: Callable[[], bool]
    shows: Callable[[Progress], object]

    def sandbox(self, names: Sequence[str]) -> Arrived:
        """Bring the files of the catalogue that an input sandbox names.

        Raises:
            FailJob: one is not there, damaged everywhere, or not the owner's to read.
            HandBack: they cannot be brought here, or not now.
        """
        minor = Minor.FAILED_DOWNLOADING_LFNS
        records = self._looked_up(names, minor)
        fetching = self._fetching(records, "Downloading input sandbox", minor)
        targets = [(record, self.into / "packed" / f"{at}" / _name(record)) for at, record in enumerate(records)]
        self._bring(fetching, targets)
        return Arrived(packed=tuple(path for _, path in targets), moved=tuple(fetching.moved))

    def data(self, description: JobDescription, taken: Iterable[str]) -> Arrived:
        """Bring a job's input data, or find the URLs by which its payload reads them.

        Args:
            description: of the job.
            taken: names in the payload's directory that are the input sandbox's.

        Raises:
            FailJob: a file is not there, damaged everywhere, or not the owner's to read.
            HandBack: they cannot be brought here, or not now.
        """
        policies = policies_of(description, self.access)
        records = self._looked_up(description.input_data, Minor.DATA_NOT_AVAILABLE)
        linked, rest = self._linked(records, policies)
        if rest and Policy.DOWNLOAD not in policies:
            shown = ", ".join(record.lfn for record in rest[:_SHOWN])
            detail = f"no element that holds it can be read by a protocol of the payload's from here: {shown}"
            raise HandBack(Minor.DATA_NOT_AVAILABLE, detail, blame=Blame.SERVER)
        fetching = self._fetching(rest, "Downloading input data", Minor.RESOLVING_DATA)
        taken = [*taken, links.JSON, POOL_CATALOGUE]
        targets = [(record, self.into / "data" / place) for record, place in _places(rest, taken)]
        self._bring(fetching, targets)
        came = {moved.lfn: moved.element for moved in fetching.moved if moved.is_done}
        here = [self._link(record, path, came.get(record.lfn, "")) for record, path in targets]
        (self.into / "data").mkdir(parents=True, exist_ok=True)
        told = links.write([*here, *linked], self.into / "data")
        tops = dict.fromkeys(self.into / "data" / link.path.partition("/")[0] for link in here)
        return Arrived(files=(*tops, *told), facts=self._facts(here, came), moved=tuple(fetching.moved))

    def _looked_up(self, names: Sequence[str], minor: Minor) -> list[FileRecord]:
        """Ask the catalogue about all of them at once."""
        try:
            lfns = list(dict.fromkeys(lfn_of(name, self.access.vo) for name in names))
        except BadLfn as error:
            raise FailJob(minor, str(error), blame=Blame.USER) from error
        try:
            known = self.access.catalogue.look_up(lfns)
        except ServiceError as error:
            raise HandBack(Minor.RESOLVING_DATA, f"the file catalogue: {error}", blame=Blame.SERVER) from error
        missing = [found for found in known.values() if isinstance(found, MissingFile)]
        missing += [MissingFile(lfn, "it has no replica") for lfn in lfns if _has_no_replica(known.get(lfn))]
        if missing:
            raise _missing(missing, minor)
        return [found for lfn in lfns if isinstance(found := known[lfn], FileRecord)]

    def _linked(self, records: Sequence[FileRecord], policies: Sequence[Policy]) -> tuple[list[Link], list[FileRecord]]:
        """Return the files that the payload reads by URLs, and the rest; none is linked where download comes first."""
        if not policies or policies[0] is not Policy.PROTOCOL:
            return [], list(records)
        protocols = comma_list(self.access.elements.operation("InputDataPolicy/Protocols/Local"))
        protocols += comma_list(self.access.elements.operation("InputDataPolicy/Protocols/Remote"))
        found, rest = [], []
        for record in records:
            urls = self.access.transfers.urls_for(record, tuple(protocols))
            if urls:
                found.append(Link(record=record, urls=tuple(urls), element=next(iter(record.replicas), "")))
            else:
                rest.append(record)
        return found, rest

    def _fetching(self, records: Sequence[FileRecord], doing: str, minor: Minor) -> Fetching:
        progress = Progress(doing, {record.lfn: record.size_bytes for record in records})
        if records:
            self.shows(progress)
        return Fetching(self.access, progress, self.is_given_up, minor)

    def _bring(self, fetching: Fetching, targets: Sequence[tuple[FileRecord, Path]]) -> None:
        """Bring files, the largest first; there is room for all of them before the first."""
        if not targets:
            return
        self.into.mkdir(parents=True, exist_ok=True)
        self.room.promise(self.stamp, sum(record.size_bytes for record, path in targets if not path.exists()))
        try:
            by_size = sorted(targets, key=lambda target: -target[0].size_bytes)
            self.lanes.each(lambda target: fetching.fetch(*target), by_size)
        finally:
            self.room.forget(self.stamp)

    def _link(self, record: FileRecord, path: Path, element: str) -> Link:
        return Link(record=record, path=str(path.relative_to(self.into / "data")), element=element)

    def _facts(self, here: Sequence[Link], came: Mapping[str, str]) -> dict[str, str]:
        """Return what is told of a download, in DIRAC's words."""
        if not here:
            return {}
        local = sum(self.access.elements.nearness(name) is Nearness.LOCAL for name in came.values())
        how_many = " from local SEs" if local == len(here) else f" ({local} from local SEs)"
        lines = [f"Successfully downloaded {len(here)} LFN(s){how_many}:", *(link.record.lfn for link in here)]
        return {"DownloadInputData": "\n".join(lines[:_MOST_LINES])}


def policies_of(description: JobDescription, access: Access) -> tuple[Policy, ...]:
    """Return how a payload gets its data: as the JDL says, else Operations for this site, or all; else download.

    Raises:
        HandBack: by a module of the VO's own, which only a DIRAC client of theirs has.
    """
    module = description.input_data_module.rpartition(".")[2]
    of_site = access.elements.operation(f"InputDataPolicy/{access.site}")
    default = of_site or access.elements.operation("InputDataPolicy/Default")
    named = description.input_data_policy or comma_list(default) or (Policy.DOWNLOAD,)
    known = tuple(Policy(last) for name in named if (last := name.rpartition(".")[2]) in list(Policy))
    if module not in ("", "InputDataResolution") or not known:
        own = description.input_data_module if module not in ("", "InputDataResolution") else ", ".join(named)
        detail = f"This agent cannot do what the job needs: input data by {own}, a module of the VO's own"
        raise HandBack(Minor.UNMET, detail, blame=Blame.SITE)
    return known


def _name(record: FileRecord) -> str:
    return record.lfn.rpartition("/")[2]


def _places(records: Sequence[FileRecord], taken: Iterable[str]) -> list[tuple[FileRecord, str]]:
    """Return where each file goes in the payload's directory; whose name is taken has a folder of its own."""
    used = {*taken, *map(_name, records)}
    folders = (folder for number in itertools.count(1) if (folder := f"InputData_{number}") not in used)
    seen, places = set(taken), []
    for record in records:
        name = place = _name(record)
        if name in seen:
            place = f"{next(folders)}/{name}"
            log.warning("data.same_name", lfn=record.lfn, place=place)
        seen.add(name)
        places.append((record, place))
    return places


def _has_no_replica(found: FileRecord | MissingFile | None) -> bool:
    return found is None or (isinstance(found, FileRecord) and not found.replicas)


class MissingData(FailJob):
    """Files are not in the catalogue; `facts` names all of them, in DIRAC's words."""

    def __init__(self, minor: Minor, detail: str, facts: Mapping[str, str]) -> None:
        super().__init__(minor, detail, blame=Blame.USER)
        self.facts = facts


def _missing(missing: Sequence[MissingFile], minor: Minor) -> FailJob | HandBack:
    why = {file.lfn: file.reason.removeprefix(f"{file.lfn}: ") for file in missing}
    shown = ", ".join(f"{file.lfn} ({why[file.lfn]})" for file in missing[:_SHOWN])
    more = f", and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    if not all(file.is_absent for file in missing):
        return HandBack(Minor.RESOLVING_DATA, f"the file catalogue: {shown}{more}", blame=Blame.SERVER)
    lines = [f"LFN:{file.lfn} Problem: {why[file.lfn]}" for file in missing[:_MOST_LINES]]
    return MissingData(minor, f"{shown}{more}", {"MissingLFNs": "\n".join(lines)})
