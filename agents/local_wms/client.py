"""The command line's side: calls to the server, sandboxes packed and unpacked."""

import hashlib
import io
import tarfile
import uuid
import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Self

import requests

from agents.jobs.sandbox import LIMITS
from agents.local_wms import jencode
from agents.local_wms.home import Endpoint, LocalWmsError
from agents.local_wms.jdl import JdlError, near_misses, parse, show, texts
from agents.local_wms.registry import DISK_SE
from ce_backends import places
from ce_backends.errors import CEError
from ce_backends.task import unpacking

TIMEOUT_S = 60
_LOOK_S = 5  # of who looks again soon
_CATALOG = "DataManagement/FileCatalog"
REMOTE = ("SB:", "LFN:", "lfn:")


class Client:
    """Calls to one server as the demo user; closes its connection at the end of a `with`."""

    def __init__(self, endpoint: Endpoint, session: requests.Session) -> None:
        self._endpoint = endpoint
        self._session = session

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def call(self, service: str, method: str, *arguments: Any) -> Any:
        """Return the value of a call.

        Raises:
            LocalWmsError: the server is not there, or refuses.
        """
        answer = jencode.decode(self._post(service, {"method": method, "args": jencode.encode(arguments)}).text)
        if not answer["OK"]:
            raise LocalWmsError(f"{service}.{method}: {answer['Message']}")
        return answer["Value"]

    def _post(self, service: str, form: dict[str, str]) -> requests.Response:
        system, _, name = service.rpartition("/")
        url = f"{self._endpoint.url}/{system or 'WorkloadManagement'}/Tornado{name}"
        try:
            reply = self._session.post(url, data=form, timeout=TIMEOUT_S)
            reply.raise_for_status()
        except requests.RequestException as error:
            raise LocalWmsError(f"{url}: no answer to {form['method']} ({error})") from error
        return reply

    def sheet(self) -> dict[str, Any]:
        """Return what the page of all jobs shows first: counts, jobs that may need somebody, pilots.

        Raises:
            LocalWmsError: the server is not there, or refuses.
        """
        url = f"{self._endpoint.url}/jobs.json"
        try:
            reply = self._session.get(url, timeout=_LOOK_S)
            reply.raise_for_status()
            found: dict[str, Any] = reply.json()
        except requests.RequestException as error:
            raise LocalWmsError(f"{url}: no answer ({error})") from error
        return found

    def submit(self, path: Path, warn: Callable[[str], None] = lambda _: None) -> list[int]:
        """Send a JDL file, its input files packed and uploaded first; return the ids of the jobs made.

        Args:
            path: of the file; the names of input files are relative to it.
            warn: is told of names that are probably slips.
        """
        try:
            text = path.read_text()
            job = parse(text)
        except (OSError, UnicodeDecodeError, JdlError) as error:
            raise LocalWmsError(f"{path}: {error}") from error
        for sentence in near_misses(job):
            warn(f"{path}: {sentence}")
        names = texts(job.get("InputSandbox"))
        local = [name for name in names if not name.startswith(REMOTE)]
        sandbox = self._upload([path.parent / name for name in local]) if local else None
        if sandbox:
            job.put("InputSandbox", [sandbox, *(name for name in names if name not in local)])
            text = show(job)
        made = self.call("JobManager", "submitJob", text)
        ids: list[int] = self.call("JobManager", "confirmBulkSubmission", made) if isinstance(made, list) else [made]
        if sandbox:
            self.call("SandboxStore", "assignSandboxesToEntities", {f"Job:{i}": [(sandbox, "Input")] for i in ids})
        return ids

    def _upload(self, files: list[Path]) -> str:
        content = pack(files)
        name = f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}.tar.bz2"
        return str(self.call("SandboxStore", "streamFromClient", [name, {}], "", len(content), content))

    def output(self, job_id: int, into: Path) -> list[Path]:
        """Unpack a job's output sandboxes into a directory; return what came."""
        sandboxes = self.call("SandboxStore", "getSandboxesAssignedToEntity", f"Job:{job_id}").get("Output", [])
        if not sandboxes:
            raise LocalWmsError(f"job {job_id} has no output sandbox")
        try:
            places.folder(into)
        except places.NoPlace as error:
            raise LocalWmsError(str(error)) from error
        return [path for sandbox in sandboxes for path in unpack(self._download(sandbox), into)]

    def _download(self, sandbox: str) -> bytes:
        where = sandbox.partition("|")[2]
        form = {"method": "streamToClient", "args": jencode.encode([where]), "rawContent": "True"}
        reply = self._post("SandboxStore", form)
        if reply.headers["Content-Type"] != "application/octet-stream":  # a refusal is JSON with code 200
            raise LocalWmsError(f"{sandbox}: {reply.json()['Message']}")
        return reply.content

    def store(self, lfn: str, content: bytes) -> None:
        """Put a file into the site's element, its folders first, and make it known in the catalogue.

        Raises:
            LocalWmsError: it may not be there, or the server is not.
        """
        parts = lfn.strip("/").split("/")
        for depth in range(2, len(parts)):
            self._send("MKCOL", "/" + "/".join(parts[:depth]), (201, 405))
        self._send("PUT", lfn, (201, 204), content)
        checksum, guid = f"{zlib.adler32(content):08x}", str(uuid.uuid4()).upper()
        info = {"PFN": "", "Size": len(content), "SE": DISK_SE, "GUID": guid, "Checksum": checksum}
        answer = self.call(_CATALOG, "addFile", {lfn: info})
        if answer["Failed"]:
            raise LocalWmsError(f"{lfn}: {answer['Failed'][lfn]}")

    def read(self, lfn: str) -> bytes:
        """Return what the site's element has under a name, checked by what the catalogue says of it.

        Raises:
            LocalWmsError: there is none, or it is not as the catalogue says.
        """
        known = self.call(_CATALOG, "getFileMetadata", [lfn])["Successful"].get(lfn)
        if known is None:
            raise LocalWmsError(f"{lfn}: the catalogue does not know it")
        content = self._send("GET", lfn, (200,)).content
        if (len(content), f"{zlib.adler32(content):08x}") != (known["Size"], known["Checksum"]):
            raise LocalWmsError(f"{lfn}: size and checksum are not those of the catalogue")
        return content

    def _send(self, method: str, lfn: str, expected: Collection[int], content: bytes = b"") -> requests.Response:
        url = f"{self._endpoint.url}/storage/{DISK_SE}{lfn}"
        try:
            reply = self._session.request(method, url, data=content, timeout=TIMEOUT_S)
        except requests.RequestException as error:
            raise LocalWmsError(f"{url}: no answer to {method} ({error})") from error
        if reply.status_code not in expected:
            raise LocalWmsError(f"{url}: {method} was answered by HTTP {reply.status_code}")
        return reply


def connect(endpoint: Endpoint) -> Client:
    """Return a client that shows the user's proxy."""
    session = requests.Session()
    session.trust_env = False  # or REQUESTS_CA_BUNDLE would replace our CA directory
    session.verify = endpoint.ca_dir
    session.cert = endpoint.user_proxy
    return Client(endpoint, session)


def pack(files: list[Path]) -> bytes:
    """Return a tar.bz2 of files, each under its own name; the same files give the same bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:bz2") as archive:
        for file in files:
            if not file.exists():
                raise LocalWmsError(f"InputSandbox names {file}, which does not exist")
            archive.add(file, arcname=file.name, filter=_without_owner_and_time)
    return packed.getvalue()


def _without_owner_and_time(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime = member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def unpack(content: bytes, into: Path) -> list[Path]:
    """Unpack a tar archive; one with a member that would leave the directory is refused."""
    try:
        return [into / name for name in unpacking.unpack(io.BytesIO(content), into, LIMITS)]
    except (CEError, OSError) as error:
        raise LocalWmsError(f"the sandbox could not be unpacked into {into}: {error}") from error
