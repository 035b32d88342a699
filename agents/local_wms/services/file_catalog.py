"""Knows which file lies where (DataManagementSystem/Service/FileCatalogHandler): one VO, no metadata of users'."""

import contextlib
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from agents.local_wms.database import Database
from agents.local_wms.jobs import Jobs
from agents.local_wms.registry import NORMAL_USER, VO
from agents.local_wms.services.base import Caller, Refusal, Service, exported

NO_FILE = "No such file or directory"
OTHER_METADATA = "File already registered with alternative metadata"
_CHECKSUM = re.compile(r"[0-9a-fA-F]{1,8}")
_GUID = re.compile(r"[0-9A-Fa-f-]{32,36}")
_MOST_SIZE = 2**63 - 1
Answers = dict[str, dict[str, Any]]


def may_write(caller: Caller, lfn: str) -> bool:
    """Tell whether somebody may add or remove this file: members of the VO, and below /vo/user the one it is named for.

    A pilot is no such member: what it wants to move it has to move as the owner.
    """
    parts = lfn.split("/")
    if NORMAL_USER not in caller.properties or not is_path(lfn):
        return False
    return parts[2] != "user" or (len(parts) > 5 and parts[4] == caller.username)


def is_path(lfn: str) -> bool:
    """Tell whether a text is the path of a file of our VO."""
    parts = lfn.split("/")
    return len(parts) > 2 and parts[:2] == ["", VO] and not {"", ".", ".."} & set(parts[1:]) and lfn.isprintable()


class FileCatalog(Service):
    """Serves the members of the VO; each answer says of each file whether it went well, as DIRAC's does."""

    name = "DataManagement/FileCatalog"

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    @property
    def _database(self) -> Database:
        return self._jobs.database

    @exported("getReplicas")
    def replicas(self, _caller: Caller, lfns: Any, _all_status: Any = False) -> Answers:  # noqa: FBT002 - DIRAC's call
        """Return the elements of each file; the empty PFN says that it is built of the LFN."""
        return self._for_each(lfns, self._replicas)

    def _replicas(self, lfn: str) -> dict[str, str]:
        self._file(lfn)
        rows = self._database.rows("SELECT SE FROM Replicas WHERE LFN = ?", lfn)
        return {row["SE"]: "" for row in rows}

    @exported("getFileMetadata")
    def metadata(self, _caller: Caller, lfns: Any) -> Answers:
        """Return size, checksum, GUID, owner and dates of each file."""
        return self._for_each(lfns, self._metadata)

    def _metadata(self, lfn: str) -> dict[str, Any]:
        file = dict(self._file(lfn))
        made = datetime.fromisoformat(file.pop("CreationDate"))
        del file["LFN"]
        more = {"UID": 1, "GID": 1, "Mode": 509, "Status": "AprioriGood", "ChecksumType": "Adler32"}
        return {**file, **more, "CreationDate": made, "ModificationDate": made}

    @exported("exists")
    def exists(self, _caller: Caller, lfns: Any) -> Answers:
        """Return the LFN of each file that is there, of the one with the same GUID where one is given, else False."""
        return self._for_each(lfns, lambda lfn: self._existing(lfn, lfns[lfn] if isinstance(lfns, dict) else None))

    def _existing(self, lfn: str, guid: Any) -> str | bool:
        guid = guid.get("GUID") if isinstance(guid, dict) else guid
        if isinstance(guid, str) and (same := self._database.value("SELECT LFN FROM Files WHERE GUID = ?", guid)):
            return str(same)
        return lfn if self._database.value("SELECT 1 FROM Files WHERE LFN = ?", lfn) else False

    @exported("hasAccess")
    def has_access(self, caller: Caller, lfns: Any, operation: str) -> Answers:
        """Tell of each path whether the caller may do that to it."""
        reads = operation.startswith(("get", "exists", "is", "list"))
        return self._for_each(lfns, lambda lfn: is_path(lfn) if reads else may_write(caller, lfn))

    @exported("isFile")
    def is_file(self, _caller: Caller, lfns: Any) -> Answers:
        """Tell of each path whether a file is there."""
        return self._for_each(lfns, lambda lfn: bool(self._database.value("SELECT 1 FROM Files WHERE LFN = ?", lfn)))

    @exported("isDirectory")
    def is_directory(self, _caller: Caller, lfns: Any) -> Answers:
        """Tell of each path whether files lie below it."""
        return self._for_each(lfns, lambda path: bool(self._below(path)))

    @exported("listDirectory")
    def list_directory(self, _caller: Caller, lfns: Any, _verbose: Any = False) -> Answers:  # noqa: FBT002 - DIRAC's
        """Return what lies in each directory."""
        return self._for_each(lfns, self._content)

    def _content(self, path: str) -> dict[str, Any]:
        below = self._below(path)
        if not below:
            raise Refusal("Directory does not exist" if not self._is_there(path) else "Not a directory")
        depth = path.rstrip("/").count("/") + 2
        folders = {lfn.rsplit("/", lfn.count("/") - depth + 1)[0] for lfn in below if lfn.count("/") >= depth}
        files = {lfn: {"MetaData": self._metadata(lfn)} for lfn in below if lfn.count("/") < depth}
        return {"Files": files, "SubDirs": dict.fromkeys(sorted(folders), True), "Links": {}, "Datasets": {}}

    def _below(self, path: str) -> list[str]:
        inside = path.rstrip("/") + "/"
        query = "SELECT LFN FROM Files WHERE substr(LFN, 1, ?) = ? ORDER BY LFN"
        return [row["LFN"] for row in self._database.rows(query, len(inside), inside)]

    def _is_there(self, lfn: str) -> bool:
        return bool(self._database.value("SELECT 1 FROM Files WHERE LFN = ?", lfn))

    @exported("createDirectory")
    def create_directory(self, caller: Caller, lfns: Any) -> Answers:
        """Do nothing: a directory is there while files are in it."""
        return self._for_each(lfns, lambda path: self._allowed(caller, f"{path}/x"))

    @exported("addFile")
    def add_file(self, caller: Caller, lfns: dict[str, dict[str, Any]]) -> Answers:
        """Register files with their first replica; one that is there with the same metadata and replica is well."""
        return self._change(lfns, lambda lfn: self._add_file(caller, lfn, lfns[lfn]))

    def _add_file(self, caller: Caller, lfn: str, info: dict[str, Any]) -> bool:
        self._allowed(caller, lfn)
        element, size = info["SE"], int(info["Size"])
        guid, checksum = str(info.get("GUID", "")), str(info["Checksum"])
        if not (_CHECKSUM.fullmatch(checksum) and _GUID.fullmatch(guid) and 0 <= size <= _MOST_SIZE):
            raise Refusal(f"{lfn}: size, checksum and GUID were expected")
        if self._is_there(lfn):
            return self._is_same(lfn, (size, guid.upper(), checksum.lower()), element)
        if self._database.value("SELECT 1 FROM Files WHERE GUID = ?", guid.upper()):
            raise Refusal("GUID already registered for another file")
        self._database.run(
            "INSERT INTO Files (LFN, Size, Checksum, GUID, Owner, OwnerGroup, CreationDate)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(lfn, size, checksum.lower(), guid.upper(), caller.username, caller.group, self._jobs.now()),
        )
        self._database.run("INSERT INTO Replicas VALUES (?, ?)", lfn, element)
        return True

    def _is_same(self, lfn: str, told: tuple[int, str, str], element: str) -> bool:
        held = self._file(lfn)
        if told != (held["Size"], held["GUID"], held["Checksum"]):
            raise Refusal(OTHER_METADATA)
        if not self._database.value("SELECT 1 FROM Replicas WHERE LFN = ? AND SE = ?", lfn, element):
            raise Refusal("File already registered with alternative replicas")
        return True

    @exported("addReplica")
    def add_replica(self, caller: Caller, lfns: dict[str, dict[str, Any]]) -> Answers:
        """Take note that files lie at another element too."""
        return self._change(lfns, lambda lfn: self._add_replica(caller, lfn, lfns[lfn]))

    def _add_replica(self, caller: Caller, lfn: str, info: dict[str, Any]) -> bool:
        self._allowed(caller, lfn)
        self._file(lfn)
        self._database.run("INSERT OR IGNORE INTO Replicas VALUES (?, ?)", lfn, info["SE"])
        return True

    @exported("removeReplica")
    def remove_replica(self, caller: Caller, lfns: dict[str, dict[str, Any]]) -> Answers:
        """Forget that files lie at an element."""
        return self._change(lfns, lambda lfn: self._remove_replica(caller, lfn, lfns[lfn]))

    def _remove_replica(self, caller: Caller, lfn: str, info: dict[str, Any]) -> bool:
        self._allowed(caller, lfn)
        self._file(lfn)
        self._database.run("DELETE FROM Replicas WHERE LFN = ? AND SE = ?", lfn, info["SE"])
        return True

    @exported("removeFile")
    def remove_file(self, caller: Caller, lfns: Any) -> Answers:
        """Forget files; one that is not there is as well removed."""
        return self._change(lfns, lambda lfn: self._remove_file(caller, lfn))

    def _remove_file(self, caller: Caller, lfn: str) -> bool:
        self._allowed(caller, lfn)
        self._database.run("DELETE FROM Replicas WHERE LFN = ?", lfn)
        self._database.run("DELETE FROM Files WHERE LFN = ?", lfn)
        return True

    def _file(self, lfn: str) -> Any:
        file = self._database.one("SELECT * FROM Files WHERE LFN = ?", lfn)
        if file is None:
            raise Refusal(NO_FILE)
        return file

    def _allowed(self, caller: Caller, lfn: str) -> bool:
        if not may_write(caller, lfn):
            raise Refusal("Permission denied")
        return True

    def _change(self, lfns: Any, do: Callable[[str], Any]) -> Answers:
        with self._database.transaction():
            return self._for_each(lfns, do)

    def _for_each(self, given: Any, do: Callable[[str], Any]) -> Answers:
        lfns: Iterable[str] = [given] if isinstance(given, str) else given
        answers: Answers = {"Successful": {}, "Failed": {}}
        for lfn in lfns:
            try:
                answers["Successful"][lfn] = do(lfn)
            except Refusal as refusal:
                answers["Failed"][lfn] = str(refusal)
            except (KeyError, ValueError) as error:
                with contextlib.suppress(KeyError):
                    del answers["Successful"][lfn]
                answers["Failed"][lfn] = f"{error!r} was expected"
        return answers
