"""What input and output data are tried against where nothing is to be moved: a catalogue and elements in memory.

They are stand-ins: what real catalogues and elements do is tried in tests/contract, tests/end_to_end, tests/systems.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.data.access import Access
from agents.data.catalogue import FileRecord, MissingFile, NewFile
from agents.data.checksum import adler32_of
from agents.data.elements import Elements
from agents.data.errors import Exists, NotHere
from agents.data.lanes import Lanes
from agents.data.outputs import Outputs
from agents.data.way import UNWATCHED, Content, Watch
from agents.errors import Refused, ServiceError
from agents.jobs.jdl import JobDescription, describe
from agents.jobs.ledger import Ledger
from agents.jobs.transfer_steps import Step
from ce_backends import cfg

SITE, VO = "LAB.Here.ch", "lab"
FOLDER = "/lab/user/o/owner/1/1234"
CONFIGURATION = """
Resources
{
  StorageElements
  {
    HERE { P { PluginName = GFAL2_HTTPS
 Protocol = https
 Host = here
 } }
    NEAR { P { PluginName = GFAL2_HTTPS
 Protocol = https
 Host = near
 } }
    SAFE { P { PluginName = GFAL2_HTTPS
 Protocol = https
 Host = safe
 } }
  }
  StorageElementGroups { SE-USER = HERE
 Tier1-Failover = SAFE
 }
  Sites { LAB { LAB.Here.ch { SE = HERE
 } } }
}
"""


def tree() -> Any:
    """Return the configuration of three elements: this site's, another's, and one for failover."""
    parts = CONFIGURATION.replace("{", "\n{\n").replace("}", "\n}\n").split("\n")
    lines = [line for part in parts if (line := part.strip())]
    return cfg.parse("\n".join(lines), "test")


@dataclass
class MemoryCatalogue:
    """A stand-in for a catalogue."""

    records: dict[str, FileRecord] = field(default_factory=dict)
    away: list[ServiceError] = field(default_factory=list)  # raised by the next calls, one each
    calls: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    name: str = "memory"

    def look_up(self, lfns: Iterable[str]) -> dict[str, FileRecord | MissingFile]:
        self._called("look_up")
        return {lfn: self.records.get(lfn) or MissingFile(lfn, "No such file or directory") for lfn in lfns}

    def register(self, files: Sequence[NewFile]) -> dict[str, str]:
        self._called("register")
        for new in [one for one in files if one.lfn not in self.refused]:
            self.records[new.lfn] = record(new.lfn, new.size_bytes, new.adler32, new.element, guid=new.guid)
        said = "File already registered with alternative metadata"
        return {new.lfn: said if new.lfn in self.refused else "" for new in files}

    def add_replicas(self, files: Sequence[NewFile]) -> dict[str, str]:
        self._called("add_replicas")
        return {new.lfn: "" for new in files}

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.away:
            raise self.away.pop(0)


def record(lfn: str, size: int, adler32: int, *elements: str, guid: str = "G") -> FileRecord:
    """Return what a catalogue knows."""
    return FileRecord(lfn=lfn, size_bytes=size, adler32=adler32, guid=guid, replicas=dict.fromkeys(elements, ""))


@dataclass
class MemoryTransfers:
    """A stand-in for transfers: contents by element and LFN, and errors that are raised in their place."""

    held: dict[tuple[str, str], bytes] = field(default_factory=dict)
    errors: dict[str, list[Exception]] = field(default_factory=dict)  # by element, one for each transfer
    tried: list[tuple[str, str]] = field(default_factory=list)
    before_put: Callable[[str], None] = lambda _: None
    taken: list[tuple[str, str]] = field(default_factory=list)  # away, by place
    not_taken: dict[str, list[Exception]] = field(default_factory=dict)  # as `errors`, when something is taken away
    tells_sums: bool = True

    def get(self, known: FileRecord, source: Any, into: Path, watch: Watch = UNWATCHED) -> None:
        self._meet(source.element.name, known.lfn)
        if (source.element.name, known.lfn) not in self.held:
            raise NotHere("it is not there")
        into.write_bytes(self.held[source.element.name, known.lfn])
        watch.progress(known.size_bytes)

    def put(self, path: Path, lfn: str, target: Any, content: Content, watch: Watch = UNWATCHED) -> str:
        self.before_put(lfn)
        self._meet(target.element.name, lfn)
        if (target.element.name, lfn) in self.held:
            there = self.held[target.element.name, lfn]
            path.with_name("there").write_bytes(there)
            raise Exists("it is there", size_bytes=len(there), adler32=adler32_of(path.with_name("there")))
        self.held[target.element.name, lfn] = path.read_bytes()
        return f"https://{target.element.name}{lfn}"

    def take_away(self, path: Path, lfn: str, target: Any, may: Callable[[Content], bool], watch: Watch) -> bool:
        place = target.element.name, lfn
        if self.not_taken.get(place[0]):
            raise self.not_taken[place[0]].pop(0)
        if place not in self.held:
            return True
        there = self.held[place]
        if not may(Content(size_bytes=len(there), adler32=zlib.adler32(there) if self.tells_sums else None)):
            return False
        del self.held[place]
        self.taken.append(place)
        return True

    def urls_for(self, known: FileRecord, protocols: Sequence[str] = ()) -> list[str]:
        return [f"https://{name}{known.lfn}" for name in known.replicas if not protocols or "https" in protocols]

    def _meet(self, element: str, lfn: str) -> None:
        self.tried.append((element, lfn))
        if self.errors.get(element):
            raise self.errors[element].pop(0)


@dataclass
class MemoryRequests:
    """A stand-in for ReqManager."""

    texts: dict[str, str] = field(default_factory=dict)
    away: list[ServiceError] = field(default_factory=list)
    loses_answer: bool = False

    def put(self, request: str) -> int:
        if self.away:
            raise self.away.pop(0)
        name = json.loads(request)["RequestName"]
        if name in self.texts:
            raise Refused("a second request of this name")
        self.texts[name] = request
        if self.loses_answer:
            self.loses_answer = False
            raise ServiceError("no answer")
        return len(self.texts)

    def number_of(self, name: str) -> int | None:
        return 1 if name in self.texts else None


def access(catalogue: Any, transfers: Any, requests: Any = None) -> Access:
    """Return what an owner's data are reached by, all of it in memory."""
    elements = Elements(tree(), site=SITE, vo=VO)
    return Access(
        catalogue=catalogue,
        transfers=transfers,
        elements=elements,
        requests=requests,
        vo=VO,
        user="owner",
        group="lab_user",
        site=SITE,
    )


def described(attributes: str) -> JobDescription:
    """Return what a JDL says."""
    return describe(f'[ JobID = 1234; JobName = "n"; Executable = "x"; {attributes} ]')


class OutputScene:
    """One task's outputs, its ledger, and what they go to."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(folder / "ledger.sqlite")
        self.outputs = folder / "outputs"
        self.outputs.mkdir()
        self.catalogue, self.transfers, self.requests = MemoryCatalogue(), MemoryTransfers(), MemoryRequests()

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.outputs / name.replace("_", ".")).write_text(text)

    def deliver(self, attributes: str, *, has_data: bool = True, **more: Any) -> Any:
        return self.work(attributes, **more).deliver(has_data=has_data)

    def work(self, attributes: str, **more: Any) -> Outputs:
        plain = {"lanes": Lanes(), "ledger": self.ledger, "stamp": "stamp4567890", "outputs": self.outputs}
        reached = access(self.catalogue, self.transfers, self.requests)
        made: Any = {"access": reached, "description": described(attributes), **plain, **more}
        return Outputs(**made)

    @property
    def steps(self) -> list[tuple[Step, str]]:
        return [(one.step, one.element) for one in self.ledger.uploads("stamp4567890")]


class Died(BaseException):
    """The agent, by SIGKILL."""


def die_at(ledger: Ledger, number: int) -> None:
    """Let the agent die before or right after a change of steps, once."""
    write, count = ledger.save_uploads, [0]

    def save(uploads: Any) -> None:
        count[0] += 1
        if count[0] * 2 == number:
            raise Died
        write(uploads)
        if count[0] * 2 + 1 == number:
            raise Died

    ledger.save_uploads = save  # type: ignore[method-assign]
