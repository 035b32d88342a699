"""`ls` and `replicas`: what the catalogue knows."""

from collections.abc import Sequence

from agents.data.access import Access
from agents.data.catalogue import FileRecord, MissingFile
from agents.data.checksum import text_of
from agents.data.dirac_catalogue import DiracCatalogue
from agents.data.errors import Unsupported
from agents.data.lfn import is_lfn, lfn_of
from agents.data_cli.outcome import Outcome
from agents.data_cli.screen import table

_NUMBERS = frozenset((0,))


def listed(access: Access, path: str) -> Outcome:
    """Return what the catalogue knows in a directory.

    Raises:
        Unsupported: the catalogue has no directories to ask for.
        ServiceError: it refuses, or cannot be asked.
    """
    catalogue = access.catalogue
    if not isinstance(catalogue, DiracCatalogue):
        raise Unsupported(f"ls: {catalogue.name} is not listed by this command; `replicas LFN…` asks it for files")
    path = (path[4:] if is_lfn(path) else path).rstrip("/") or "/"
    found = catalogue.directory(path)
    rows = [("-", "folder", f"{_name(folder)}/") for folder in found.folders]
    rows += [(str(file.size_bytes), _checksum(file) or "-", _name(file.lfn)) for file in found.files]
    told = {"path": path, "folders": list(found.folders), "files": [_told(file) for file in found.files]}
    return Outcome(table(rows, _NUMBERS), told)


def replicas(access: Access, names: Sequence[str]) -> Outcome:
    """Return which elements hold each file.

    Raises:
        BadLfn: a name is none.
        ServiceError: the catalogue refuses, or cannot be asked.
    """
    lfns = [lfn_of(name, "") for name in names]
    known = access.catalogue.look_up(lfns)
    blocks, failed = list[str](), list[str]()
    told: dict[str, dict[str, object]] = {}
    for lfn in dict.fromkeys(lfns):
        file = known[lfn]
        if isinstance(file, MissingFile):
            failed.append(file.reason)
            told[lfn] = {"error": file.reason}
            continue
        rows = [(f"  {element}", url or "(built of the LFN)") for element, url in sorted(file.replicas.items())]
        blocks.append(f"{lfn}\n{table(rows) or '  no replica'}")
        told[lfn] = {**_told(file), "replicas": dict(file.replicas)}
    return Outcome("\n".join(blocks), {"files": told}, tuple(failed))


def _told(file: FileRecord) -> dict[str, object]:
    return {"lfn": file.lfn, "size": file.size_bytes, "adler32": _checksum(file) or None, "guid": file.guid}


def _checksum(file: FileRecord) -> str:
    return "" if file.adler32 is None else text_of(file.adler32)


def _name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
