"""Storage elements over https, as WebDAV speaks: files of the VO's members, with Range and Digest (RFC 3230)."""

import asyncio
import os
import re
import shutil
import zlib
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit
from uuid import uuid4
from xml.sax.saxutils import escape

from tornado.http1connection import HTTP1Connection
from tornado.web import HTTPError, RequestHandler, stream_request_body

from agents.local_wms.credentials import Doorman
from agents.local_wms.registry import DISK_SE, FAILOVER_SE, NORMAL_USER, VO
from agents.local_wms.services.file_catalog import is_path, may_write

_MOST_BYTES = 1 << 40
_UPLOAD_S = 3600.0
_PIECE_BYTES = 1 << 20
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})?")


@stream_request_body
class Storage(RequestHandler):
    """One file, or one folder. Whoever is in the VO may read; who may write is as in the catalogue."""

    SUPPORTED_METHODS = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "MKCOL", "MOVE", "PROPFIND")

    def initialize(self, folder: Path, doorman: Doorman) -> None:
        """Take what the route holds (Tornado calls this)."""
        self._folder = folder
        self._doorman = doorman
        self._upload: Path | None = None
        self._fd = -1

    def prepare(self) -> None:
        """Refuse who may not, before any byte of a body is taken."""
        element, path = self.path_args[0], unquote(str(self.path_args[1]))
        if element not in (DISK_SE, FAILOVER_SE):
            raise HTTPError(404)
        self._check(path)
        self._path = self._folder / element / path.strip("/")
        (self._folder / element / VO).mkdir(parents=True, exist_ok=True)
        connection = self.request.connection
        if self.request.method == "PUT" and isinstance(connection, HTTP1Connection):
            connection.set_max_body_size(_MOST_BYTES)
            connection.set_body_timeout(_UPLOAD_S)
            self._begin_upload()

    def _check(self, path: str) -> None:
        caller = self._doorman.identify(getattr(self.request.connection, "stream", None), "")
        if caller is None:
            raise HTTPError(401)
        reads = self.request.method in ("GET", "HEAD", "OPTIONS", "PROPFIND")
        folder = f"{path.rstrip('/')}/x/x" if self.request.method == "MKCOL" else path
        may = is_path(path.rstrip("/") + "/x") and NORMAL_USER in caller.properties
        if not may or not (reads or may_write(caller, folder) or self._leads_to(path, caller.username)):
            raise HTTPError(403)

    def _leads_to(self, path: str, username: str) -> bool:
        """Tell whether a folder that is to be made leads to somebody's own."""
        own = f"/{VO}/user/{username[:1]}/{username}"
        return self.request.method == "MKCOL" and f"{own}/".startswith(path.rstrip("/") + "/")

    def _begin_upload(self) -> None:
        if self.request.headers.get("If-None-Match") == "*" and self._path.exists():
            raise HTTPError(412)
        if self._path.is_dir() or not self._path.parent.is_dir():
            raise HTTPError(409)
        self._upload = self._path.with_name(f".{uuid4().hex}.upload")
        self._fd = os.open(self._upload, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def data_received(self, chunk: bytes) -> None:
        """Take a piece of a file."""
        if self._fd >= 0:
            os.write(self._fd, chunk)

    def put(self, *_: str) -> None:
        """Keep what was sent: 201 for a new file, 204 for one that was there."""
        assert self._upload is not None, "prepare has begun it"
        self.set_status(204 if self._path.exists() else 201)
        self._upload.replace(self._path)
        self._upload = None

    def on_finish(self) -> None:
        """Let go of a file that was sent."""
        self._end_upload()

    def on_connection_close(self) -> None:
        """Forget what came of a file whose sender is gone."""
        super().on_connection_close()
        self._end_upload()

    def _end_upload(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._upload is not None:
            self._upload.unlink(missing_ok=True)
            self._upload = None

    async def head(self, *_: str) -> None:
        """Tell of a file what GET would, and its checksum where that is wanted."""
        await self._tell()
        self.set_header("Content-Length", self._path.stat().st_size)

    async def get(self, *_: str) -> None:
        """Send a file, or what is left of it."""
        await self._tell()
        size = self._path.stat().st_size
        first, last = 0, size - 1
        if asked := _RANGE.fullmatch(self.request.headers.get("Range", "")):
            first, last = int(asked[1]), min(int(asked[2] or last), last)
            if first > last:
                self.set_header("Content-Range", f"bytes */{size}")
                raise HTTPError(416)
            self.set_status(206)
            self.set_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.set_header("Content-Length", last - first + 1)
        with self._path.open("rb") as file:
            file.seek(first)
            left = last - first + 1
            while left > 0 and (piece := file.read(min(_PIECE_BYTES, left))):
                left -= len(piece)
                self.write(piece)
                await self.flush()

    async def _tell(self) -> None:
        if not self._path.is_file():
            raise HTTPError(404)
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Accept-Ranges", "bytes")
        if "adler32" in self.request.headers.get("Want-Digest", "").lower():
            loop = asyncio.get_running_loop()
            self.set_header("Digest", f"adler32={await loop.run_in_executor(None, _adler32, self._path):08x}")

    def delete(self, *_: str) -> None:
        """Remove a file, or a folder with all that is in it."""
        if not self._path.exists():
            raise HTTPError(404)
        if self._path.is_dir():
            shutil.rmtree(self._path)
        else:
            self._path.unlink()
        self.set_status(204)

    def options(self, *_: str) -> None:
        """Say what is spoken here."""
        self.set_header("DAV", "1")
        self.set_header("Allow", ", ".join(self.SUPPORTED_METHODS))

    def mkcol(self, *_: str) -> None:
        """Make a folder: 405 where it is, 409 without the one around it. The VO's own is always there."""
        if self._path.exists():
            raise HTTPError(405)
        if not self._path.parent.is_dir():
            raise HTTPError(409)
        self._path.mkdir()
        self.set_status(201)

    def propfind(self, *_: str) -> None:
        """Say what lies in a folder, and what it is: 207 with a response for each, the folder's own first."""
        if not self._path.exists():
            raise HTTPError(404)
        if self.request.headers.get("Depth") not in ("0", "1"):
            raise HTTPError(403)
        self.set_status(207)
        self.set_header("Content-Type", 'application/xml; charset="utf-8"')
        self.write('<?xml version="1.0" encoding="utf-8"?>\n<D:multistatus xmlns:D="DAV:">')
        self._respond(self._path, self.request.path)
        if self.request.headers["Depth"] == "1" and self._path.is_dir():
            for inside in sorted(self._path.iterdir()):
                if not inside.name.startswith("."):  # an upload that is under way
                    self._respond(inside, f"{self.request.path.rstrip('/')}/{quote(inside.name)}")
        self.write("</D:multistatus>")

    def _respond(self, path: Path, href: str) -> None:
        if path.is_dir():
            facts = "<D:resourcetype><D:collection/></D:resourcetype>"
        else:
            facts = f"<D:resourcetype/><D:getcontentlength>{path.stat().st_size}</D:getcontentlength>"
        status = "<D:status>HTTP/1.1 200 OK</D:status>"
        prop = f"<D:propstat><D:prop>{facts}</D:prop>{status}</D:propstat>"
        self.write(f"<D:response><D:href>{escape(href)}</D:href>{prop}</D:response>\n")

    def move(self, *_: str) -> None:
        """Give a file another name: 412 where that is taken and may not be."""
        where = unquote(urlsplit(self.request.headers.get("Destination", "")).path)
        element, path = self._folder / str(self.path_args[0]), where.removeprefix(f"/storage/{self.path_args[0]}")
        if path == where:
            raise HTTPError(502)
        self._check(path)
        target = element / path.strip("/")
        if not self._path.exists():
            raise HTTPError(404)
        if not target.parent.is_dir():
            raise HTTPError(409)
        was_there = target.exists()
        if was_there and self.request.headers.get("Overwrite", "T").upper() == "F":
            raise HTTPError(412)
        self._path.replace(target)
        self.set_status(204 if was_there else 201)


def _adler32(path: Path) -> int:
    value = 1
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            value = zlib.adler32(piece, value)
    return value
