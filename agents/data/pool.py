"""GUIDs that a payload's framework gave to its files: POOL's `pool_xml_catalog.xml`, as hostile as all it leaves."""

import os
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from xml.parsers import expat

from agents.jobs.payload import POOL_CATALOGUE
from agents.log import EventLog
from ce_backends.linux.foreign_tree import ForeignTree, Outside
from ce_backends.untrusted.names import BadName

log = EventLog("data")

_MOST_BYTES = 4_000_000
_MOST_FILES = 10_000
_DEEPEST = 8
_LONGEST_NAME = 4096
_GUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


class BadPool(ValueError):
    """A payload's file that is no POOL catalogue."""


def of_payload(outputs: Path, inputs: Collection[str] = ()) -> dict[str, str]:
    """Return the GUID of each file that the payload's catalogue names, by the last part of its physical name.

    A catalogue that cannot be read is logged, and gives none.

    Args:
        outputs: the directory of what the task has left.
        inputs: LFNs of the job's input data, whose entries do not count: a GUID belongs to one file.
    """
    if not os.path.lexists(outputs / POOL_CATALOGUE):
        return {}
    try:
        with ForeignTree(outputs) as tree, tree.file(POOL_CATALOGUE) as fd, open(fd, "rb", closefd=False) as file:
            return read(file.read(_MOST_BYTES + 1), inputs)
    except (Outside, BadName, OSError, BadPool) as problem:
        log.warning("pool_catalogue.refused", cause=problem)
        return {}


def read(content: bytes, inputs: Collection[str] = ()) -> dict[str, str]:
    """Return what `of_payload` does; a GUID that two files claim, and one that is none, is nobody's.

    Raises:
        BadPool: it is no such catalogue, or beyond the bounds.
    """
    if len(content) > _MOST_BYTES:
        raise BadPool(f"it has more than {_MOST_BYTES} bytes")
    reader = _Reader()
    reader.parse(content)
    found: dict[str, str] = {}
    for guid, pfns, lfns in reader.files:
        if _GUID.fullmatch(guid) and not lfns & set(inputs):
            found |= {pfn.rpartition("/")[2]: guid.upper() for pfn in pfns}
    claims = Counter(found.values())
    return {name: guid for name, guid in found.items() if name and claims[guid] == 1}


class _Reader:
    """Collects the files of a catalogue; entities that it declares are refused, its document type is POOL's own."""

    def __init__(self) -> None:
        self.files: list[tuple[str, set[str], set[str]]] = []
        self._depth = 0
        self._parser = expat.ParserCreate()
        self._parser.EntityDeclHandler = self._refuse
        self._parser.StartElementHandler = self._begun
        self._parser.EndElementHandler = self._ended

    def parse(self, content: bytes) -> None:
        try:
            self._parser.Parse(content, True)  # noqa: FBT003 - expat takes it by position alone
        except expat.ExpatError as error:
            raise BadPool(str(error)) from error

    def _refuse(self, *_: object) -> None:
        raise BadPool("it declares entities")

    def _begun(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise BadPool("its elements are nested too deep")
        if name == "File":
            if len(self.files) == _MOST_FILES:
                raise BadPool(f"it names more than {_MOST_FILES} files")
            self.files.append((attributes.get("ID", ""), set(), set()))
        elif name in ("pfn", "lfn") and self.files:
            _, pfns, lfns = self.files[-1]
            (pfns if name == "pfn" else lfns).add(attributes.get("name", "")[:_LONGEST_NAME])

    def _ended(self, _name: str) -> None:
        self._depth -= 1
