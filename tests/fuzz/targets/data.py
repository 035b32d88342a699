"""What storage elements and catalogues send: heads and bodies of HTTP, redirects, blocks of dips, words of programs."""

import time
from collections.abc import Callable
from typing import Any

from agents.data import http_head, pool, storage, tools
from agents.data import rucio as rucio_catalogue
from agents.data.errors import TransferError
from agents.data.http_link import Link
from agents.data.lfn import BadLfn, lfn_of
from agents.data.multistatus import Multistatus
from agents.data.way import Watch
from agents.errors import ServiceError
from agents.wms import dips, dips_files
from ce_backends.cfg import parse
from ce_backends.errors import CfgError
from ce_backends.untrusted.bounded_http import Limits
from tests.fuzz.target import Target
from tests.fuzz.targets.answers import Wire

HERE = "https://door.example:8443/labvo/a"
HEADS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDigest: adler32=084b021f\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 307 There\r\nLocation: https://pool.example/a?authz=x\r\n\r\n",
)
POOL = (
    b'<!DOCTYPE POOLFILECATALOG SYSTEM "InMemory"><POOLFILECATALOG><File ID="0A1B2C3D-0001-4002-8003-00000000000A">'
    b'<physical><pfn filetype="ROOT_All" name="a"/></physical><logical/></File></POOLFILECATALOG>'
)
BLOCKS = (
    b'31:{"OK":true,"Value":"Accepted"}.57:{"OK":true,"Value":[true,{"__dCls":"b64","obj":"aGVsbG8="}]}',
    b'26:{"OK":true,"Value":["a",5]}',
)
REPLICAS = (b'{"scope":"user","name":"/labvo/a","bytes":5,"adler32":"4b021f","rses":{"X":["https://x/a"]}}\n',)
FOLDERS = (
    (
        b'<D:multistatus xmlns:D="DAV:"><D:response><D:href>/labvo/a/b%20c</D:href><D:propstat><D:prop>'
        b"<D:getcontentlength>5</D:getcontentlength></D:prop></D:propstat></D:response></D:multistatus>"
    ),
)
SAID = (b"Size:   6\nFlags:  112 (POSCPending|IsReadable)\n", b"adler32 84b021f\n", b"[3011] no such file")


class Answering(Link):
    """A link to a server that says this, and no more."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        super().__init__(HERE, lambda: None, Watch(silence_s=0.0))  # type: ignore[arg-type, return-value]

    def _connected(self, secure: Callable[[], Any]) -> Any:
        return Wire(self._data)


def _answered(data: bytes) -> None:
    link = Answering(data)
    head = link.ask("GET", HERE, {}, patience_s=0.0)
    if head.status in (301, 302, 307, 308):
        http_head.redirected(HERE, HERE, head.headers.get("location", ""))
    if head.status == 200:
        link.receive(head, lambda piece: None)
    else:
        link.said("GET", head)


def _redirected(data: bytes) -> None:
    there, _ = http_head.redirected(HERE, HERE, data.decode("latin-1"))
    if not there.startswith("https://"):
        raise AssertionError(there)


def _blocks(data: bytes) -> None:
    frames = dips._Frames(Wire(data), Limits(body_mb=1), time.monotonic() + 60, time.monotonic, lambda: None)  # type: ignore[arg-type]
    dips_files.receive(frames, lambda block: None, 10**6)


def _replicas(data: bytes) -> None:
    for row in rucio_catalogue._rows(data):
        rucio_catalogue._record(row)


def _folder(data: bytes) -> None:
    reader = Multistatus(f"{HERE}/", lambda entry: None)
    for at in range(0, len(data), 50):
        reader.feed(memoryview(data[at : at + 50]))
    reader.end()


def _pool(data: bytes) -> None:
    for name, guid in pool.read(data, {"/labvo/a"}).items():
        if "/" in name or len(guid) != 36:
            raise AssertionError(name, guid)


def _lfn(data: bytes) -> None:
    path = lfn_of(data.decode("utf-8", "surrogateescape"), "labvo")
    if not path.startswith("/labvo/") or "/../" in path + "/":
        raise AssertionError(path)


def _elements(data: bytes) -> None:
    for element in storage.read(parse(data.decode("utf-8", "replace"), "fuzz")).values():
        for endpoint in element.endpoints:
            endpoint.url("/labvo/a")


def _said(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for tool in (tools._XRD, tools._GFAL):
        tool.size_in(text), tool.adler32_in(text), tool.error(text)


WORDS = ("HTTP/1.1 ", "\r\n\r\n", "Content-Length: ", "chunked", "Location: ", "https://", "authz=", "Digest: adler32=")
CONFIGURATION = (
    (
        b"Resources\n{\nStorageElements\n{\nA\n{\nBaseSE = B\nDIP\n{\nHost = x\nPort = 1\nPath = /S/E\n}\n}\n}\n"
        b"StorageElementBases\n{\nB\n{\nSEType = T1D0\n}\n}\n}\n"
    ),
)
TARGETS = (
    Target(name="http-answer", run=_answered, errors=(TransferError,), seeds=lambda: HEADS, words=WORDS),
    Target(name="http-redirect", run=_redirected, errors=(TransferError,), seeds=lambda: (HERE.encode(),), words=WORDS),
    Target(
        name="dips-blocks",
        run=_blocks,
        errors=(ServiceError, OSError),
        seeds=lambda: BLOCKS,
        words=('{"OK":true,"Value":', "__dCls", "b64"),
    ),
    Target(
        name="rucio-replicas", run=_replicas, errors=(ServiceError,), seeds=lambda: REPLICAS, words=("rses", "bytes")
    ),
    Target(
        name="webdav-folder",
        run=_folder,
        errors=(TransferError,),
        seeds=lambda: FOLDERS,
        words=("<D:response>", "<D:href>/labvo/a/", "<!DOCTYPE a [", "<!ENTITY ", "&amp;"),
    ),
    Target(
        name="pool-catalogue",
        run=_pool,
        errors=(pool.BadPool,),
        seeds=lambda: (POOL,),
        words=('<File ID="', '<pfn name="', '<lfn name="/labvo/a"/>', "<!ENTITY ", "<!DOCTYPE a ["),
    ),
    Target(name="lfn", run=_lfn, errors=(BadLfn,), seeds=lambda: (b"LFN:/labvo/a/b",), words=("LFN:", "/labvo/", "..")),
    Target(
        name="elements", run=_elements, errors=(CfgError,), seeds=lambda: CONFIGURATION, words=("Host = ", "Port = ")
    ),
    Target(name="copy-programs", run=_said, seeds=lambda: SAID, words=("Size: ", "adler32 ", "[3011]")),
)
