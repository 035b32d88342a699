"""Keeps sandboxes in files (WorkloadManagementSystem/Service/SandboxStoreHandler)."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.local_wms.jobs import Jobs
from agents.local_wms.registry import GENERIC_PILOT, JOB_ADMINISTRATOR, SANDBOX_SE
from agents.local_wms.services.base import Caller, RawContent, Refusal, Service, exported

MAX_BYTES = 10 * 1024 * 1024  # DIRAC's MaxSandboxSizeMiB
FILE_NAME = re.compile(r"(?P<md5>[0-9a-f]{32})\.(?P<extension>tar(?:\.[A-Za-z0-9]+)?)")
PREFIX = f"SB:{SANDBOX_SE}|"


class SandboxStore(Service):
    """Serves upload, download and the list of a job's sandboxes."""

    name = "WorkloadManagement/SandboxStore"

    def __init__(self, jobs: Jobs, folder: Path) -> None:
        self._jobs = jobs
        self._database = jobs.database
        self._folder = folder

    @exported("streamFromClient")
    def upload(self, caller: Caller, file_id: Any, _token: str, size: int, content: bytes) -> str:
        """Store a tar archive named by its own md5, assign it, return its `SB:` name."""
        name, uses = (file_id[0], file_id[1]) if isinstance(file_id, list) else (file_id, {})
        if max(size, len(content)) > MAX_BYTES:
            raise Refusal("Sandbox is too big. Please upload it to a grid storage element")
        parts = FILE_NAME.fullmatch(name)
        if parts is None:
            raise Refusal(f"Sandbox name {name!r} is not the md5 of a tar archive and its extension")
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != parts["md5"]:
            raise Refusal("Hashes don't match!")
        path = _path(caller, parts["md5"], name)
        self._write(path, content)
        with self._database.transaction():
            self._database.run("INSERT OR IGNORE INTO Sandboxes VALUES (?, ?, ?)", path, caller.username, caller.group)
            self._assign(caller, {entity: [(PREFIX + path, kind)] for entity, kind in uses.items()})
        return PREFIX + path

    def _write(self, path: str, content: bytes) -> None:
        file = self._folder / path.lstrip("/")
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            aside = file.with_name(f"{file.name}.part")
            aside.write_bytes(content)
            aside.replace(file)

    @exported("assignSandboxesToEntities")
    def assign(self, caller: Caller, uses: dict[str, list[tuple[str, str]]], _owner: str = "", _group: str = "") -> int:
        """Note which sandbox belongs to which job, and as what (Input, Output)."""
        with self._database.transaction():
            return self._assign(caller, uses)

    def _assign(self, caller: Caller, uses: Mapping[str, list[tuple[str, str]]]) -> int:
        for entity, sandboxes in uses.items():
            owner = self._owner_of(entity)
            if owner is None or not caller.may_change(owner):
                raise Refusal(f"Not authorized to assign a sandbox to {entity}")
            for sandbox, kind in sandboxes:
                path = sandbox.removeprefix(PREFIX)
                if not self._may_read(caller, path):
                    raise Refusal(f"Sandbox {sandbox} does not exist or is not yours")
                self._database.run("INSERT OR IGNORE INTO SandboxUses VALUES (?, ?, ?)", entity, kind, path)
        return sum(map(len, uses.values()))

    def _owner_of(self, entity: str) -> str | None:
        kind, _, number = entity.partition(":")
        if kind != "Job" or not number.isdecimal():
            return None
        owner: str | None = self._database.value("SELECT Owner FROM Jobs WHERE JobID = ?", int(number))
        return owner

    @exported("getSandboxesAssignedToEntity")
    def assigned(self, caller: Caller, entity: str) -> dict[str, list[str]]:
        """Return the sandboxes of a job that the caller may read, by kind."""
        found: dict[str, list[str]] = {}
        for row in self._database.rows("SELECT Type, Path FROM SandboxUses WHERE Entity = ?", entity):
            if self._may_read(caller, row["Path"]):
                found.setdefault(row["Type"], []).append(PREFIX + row["Path"])
        return found

    @exported("streamToClient")
    def download(self, caller: Caller, file_id: Any, _token: str = "") -> RawContent:
        """Return a sandbox's bytes; whatever stands before its path (the service's URL) does not matter."""
        asked = str(file_id[0] if isinstance(file_id, list) else file_id)
        path = asked[max(asked.find("/SandBox/"), 0) :]
        if not self._may_read(caller, path):
            raise Refusal(f"Sandbox {path} does not exist or you are not authorized to access it")
        try:
            return RawContent((self._folder / path.lstrip("/")).read_bytes())
        except OSError as error:
            raise Refusal(f"Sandbox {path} cannot be read: {error.strerror}") from error

    def file_for(self, caller: Caller, path: str) -> Path | None:
        """Return where a sandbox lies that the caller may read, None otherwise."""
        return self._folder / path.lstrip("/") if self._may_read(caller, path) else None

    def _may_read(self, caller: Caller, path: str) -> bool:
        """True for the uploader, the owner of a job that uses it, pilots and administrators.

        The real one does not let pilots: they download with the owner's proxy, which nobody keeps here.
        """
        sandbox = self._database.one("SELECT Owner, OwnerGroup FROM Sandboxes WHERE Path = ?", path)
        if sandbox is None:
            return False
        trusted = not caller.properties.isdisjoint({GENERIC_PILOT, JOB_ADMINISTRATOR})
        if trusted or (caller.username, caller.group) == tuple(sandbox):
            return True
        uses = self._database.rows("SELECT Entity FROM SandboxUses WHERE Path = ?", path)
        return any(self._owner_of(use["Entity"]) == caller.username for use in uses)


def _path(caller: Caller, md5: str, name: str) -> str:
    who = f"{caller.username}.{caller.group}"
    return f"/SandBox/{who[0]}/{who}/{md5[:3]}/{md5[3:6]}/{name}"
