"""DIRAC's FileCatalog as this room's FileCatalogue: two calls for what is known, one for what is new."""

from collections.abc import Iterable, Mapping, Sequence

from agents.data import checksum
from agents.data.catalogue import Directory, FileRecord, MissingFile, NewFile
from agents.errors import BadAnswer
from agents.wms.file_catalogue import FileCatalog

_ABSENT = ("no such file", "does not exist", "not found")


class DiracCatalogue:
    """Asks DIRAC's FileCatalog over dips or https, whichever is published. Any thread may call."""

    name = "FileCatalog"

    def __init__(self, catalog: FileCatalog) -> None:
        self._catalog = catalog

    def look_up(self, lfns: Iterable[str]) -> dict[str, FileRecord | MissingFile]:
        """See FileCatalogue. Replicas are asked for only of files that exist."""
        wanted = list(dict.fromkeys(lfns))
        known, unknown = self._catalog.metadata(wanted) if wanted else ({}, {})
        replicas, lost = self._catalog.replicas(list(known)) if known else ({}, {})
        found: dict[str, FileRecord | MissingFile] = {}
        for lfn in wanted:
            if lfn in replicas:
                found[lfn] = _record(lfn, known[lfn], replicas[lfn])
            else:
                reason = unknown.get(lfn) or lost.get(lfn, "")
                is_absent = any(words in reason.lower() for words in _ABSENT)
                found[lfn] = MissingFile(lfn, f"{lfn}: {reason}", is_absent=is_absent)
        return found

    def directory(self, path: str) -> Directory:
        """Return what the catalogue knows in a directory, in one call.

        Raises:
            ServiceError: it could not be asked, or not understood; Refused where there is no such directory.
        """
        files, folders = self._catalog.directory(path)
        records = (_record(f"{path.rstrip('/')}/{name}", facts, {}) for name, facts in sorted(files.items()))
        return Directory(folders=tuple(sorted(folders)), files=tuple(records))

    def register(self, files: Sequence[NewFile]) -> dict[str, str]:
        """See FileCatalogue."""
        refused = self._catalog.add_files(
            {
                file.lfn: {
                    "PFN": file.pfn,
                    "SE": file.element,
                    "Size": file.size_bytes,
                    "GUID": file.guid,
                    "Checksum": checksum.text_of(file.adler32),
                }
                for file in files
            }
        )
        return {file.lfn: refused.get(file.lfn, "") for file in files}

    def add_replicas(self, files: Sequence[NewFile]) -> dict[str, str]:
        """See FileCatalogue."""
        refused = self._catalog.add_replicas({file.lfn: {"PFN": file.pfn, "SE": file.element} for file in files})
        return {file.lfn: refused.get(file.lfn, "") for file in files}


def _record(lfn: str, metadata: Mapping[str, object], replicas: Mapping[str, str]) -> FileRecord:
    size, guid = metadata.get("Size"), metadata.get("GUID")
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise BadAnswer(f"FileCatalog.getFileMetadata: {lfn[:80]}: expected a size in bytes, got {str(size)[:40]!r}")
    is_adler = str(metadata.get("ChecksumType") or "Adler32").lower() == "adler32"
    return FileRecord(
        lfn=lfn,
        size_bytes=size,
        adler32=checksum.number_of(metadata.get("Checksum")) if is_adler else None,
        guid=guid if isinstance(guid, str) else "",
        replicas=replicas,
    )
