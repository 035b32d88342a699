"""Sandboxes in S3, with the owner's token: DiracX gives a URL that carries its authorisation, the store the bytes."""

import functools
import hashlib
import re
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from urllib3.filepost import encode_multipart_formdata

from agents.errors import BadAnswer, Busy, NoAnswer, Refused
from agents.log import EventLog
from agents.wms import answers
from agents.wms.diracx.published import path_of
from agents.wms.diracx.rest import Rest, Trust, asked, patiently
from agents.wms.https import retry_after_s
from agents.wms.server_clock import ServerClock
from agents.wms.service import Clock, Retry
from ce_backends.untrusted.bounded_http import Answer, Limits

log = EventLog("diracx")

_HASHED = re.compile(r"/sha256:([0-9a-f]{64})\.[a-z0-9.]{1,20}")
_CODE = re.compile(rb"<Code>([A-Za-z.]{1,60})</Code>")
_EXPIRED = re.compile(rb"<Code>ExpiredToken</Code>|<Message>[^<]{0,80}[Ee]xpired")
_HEAD_BYTES = 4096
_ABSENT = ("NoSuchKey", "NoSuchBucket", "AccessDenied")  # the last of what is not there, where one may not list
_STORED = (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT)
_URLS = 3  # asked for one sandbox when the ones before have expired
_LIMITS = Limits(body_mb=128, least_kb_s=20)  # DiracX takes 100 MiB


class _Stale(Exception):
    """The store does not take a presigned URL, any more or at all; the message is its word for it."""


class DiracXSandboxes:
    """The calls of `SandboxStore`, in the name of one owner. Any thread may call.

    Args:
        rest: as the owner: nobody else is given a sandbox.
        trust: whom we take for the store.
        retry: how long the store is waited for.
    """

    def __init__(self, rest: Rest, trust: Trust, retry: Retry, times: Clock = Clock()) -> None:
        self._rest = rest
        self._trust = trust
        self._retry = retry
        self._times = times

    def download(self, reference: str) -> bytes:
        """Return the packed files of a sandbox, which are those that its name promises.

        Raises:
            Refused: it is not the owner's, or was announced and never stored.
            BadAnswer: what the store gives is not what the name says, twice.
            ServiceError: no usable answer.
        """
        path = path_of(reference)
        named = _HASHED.search(path)
        if not named:
            raise Refused(f"{path[:200]}: expected a name with the sha256 of the sandbox in it", is_final=True)
        for is_last in (False, True):
            packed = self._fetched(path)
            if hashlib.sha256(packed).hexdigest() == named[1]:
                return packed
            log.warning("sandbox.spoilt", path=path, size_bytes=len(packed), again=not is_last)
        raise BadAnswer(f"the store gives {len(packed)} bytes that are not the sandbox of that name")

    def upload_output(self, job_id: int, packed: bytes) -> str:
        """Store a job's output sandbox and assign it to the job; return its reference. Repeating it changes nothing.

        Raises:
            Refused: it is not taken.
            ServiceError: no usable answer.
        """
        info = {
            "checksum_algorithm": "sha256",
            "checksum": hashlib.sha256(packed).hexdigest(),
            "size": len(packed),
            "format": "tar.bz2",
        }
        reference = said = ""
        for _ in range(_URLS):
            call = "DiracX: POST /api/jobs/sandbox"
            told = answers.mapping(self._rest.post("/api/jobs/sandbox", info), call, "where to store it")
            reference = answers.text(told.get("pfn"), call, "a text as pfn")
            if not told.get("url"):  # it is there already
                break
            url = answers.text(told["url"], call, "a text as url")
            fields = answers.mapping(told.get("fields", {}), call, "the form's fields")
            try:
                self._store(url, {str(name): str(value) for name, value in fields.items()}, packed)
                break
            except _Stale as stale:
                said = str(stale)
        else:
            raise BadAnswer(f"the store takes no sandbox: HTTP 403 {said} for each of {_URLS} URLs")
        self._assign(job_id, reference)
        return reference

    def _assign(self, job_id: int, reference: str) -> None:
        try:
            self._rest.patch(f"/api/jobs/{job_id}/sandbox/output", reference)
        except Refused as refusal:
            if "already assigned" not in str(refusal) or not self._has(job_id, reference):
                raise

    def _has(self, job_id: int, reference: str) -> bool:
        held = self._rest.get(f"/api/jobs/{job_id}/sandbox/output")
        names = [path_of(one) for one in held if isinstance(one, str)] if isinstance(held, list) else []
        return path_of(reference) in names

    def _fetched(self, path: str) -> bytes:
        """Return what the store has under a path, by a URL that is asked for anew when it is no longer good."""
        call, said = "DiracX: GET /api/jobs/sandbox", ""
        for _ in range(_URLS):
            told = answers.mapping(self._rest.get("/api/jobs/sandbox", pfn=path), call, "a URL")
            url = answers.text(told.get("url"), call, "a text as url")
            try:
                return patiently(functools.partial(self._get, url, path), self._retry, self._times)
            except _Stale as stale:
                log.info("sandbox.url_refused", path=path, cause=stale)
                said = str(stale)
        if said in _ABSENT:
            raise Refused(_never_stored(path, said), is_final=True)
        raise BadAnswer(f"the store gives nothing: HTTP 403 {said} for each of {_URLS} URLs")

    def _get(self, url: str, path: str) -> bytes:
        answer = self._asked("GET", url, b"", {})
        if answer.status == HTTPStatus.OK:
            return answer.body
        code = _code(answer)
        if answer.status == HTTPStatus.NOT_FOUND and code in _ABSENT:
            raise Refused(_never_stored(path, code), is_final=True)
        raise BadAnswer(f"{_where(url)}: HTTP {answer.status} {code}")

    def _store(self, url: str, fields: Mapping[str, str], packed: bytes) -> None:
        file = ("file", ("file", packed, "application/octet-stream"))
        body, kind = encode_multipart_formdata([*fields.items(), file])

        def attempt() -> None:
            answer = self._asked("POST", url, body, {"Content-Type": kind})
            if answer.status not in _STORED:
                code = _code(answer)
                spoilt = answer.status == HTTPStatus.BAD_REQUEST and code in ("BadDigest", "XAmzContentSHA256Mismatch")
                if spoilt:
                    raise BadAnswer(f"{_where(url)}: HTTP {answer.status} {code}")
                raise Refused(f"{_where(url)}: the store takes no sandbox: HTTP {answer.status} {code}", is_final=True)

        patiently(attempt, self._retry, self._times)

    def _asked(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Make one request to the store, without any credential of ours: the URL is one."""
        if urlsplit(url).scheme not in ("https", "http") or "@" in urlsplit(url).netloc:
            raise BadAnswer(f"DiracX gives a URL that is none of a store: {_where(url)}")
        with self._trust.session(_LIMITS) as session:
            answer = asked(session, method, url, body=body, headers=headers, clock=ServerClock(), trust=self._trust)
        if answer.status == HTTPStatus.FORBIDDEN:
            raise _Stale(_code(answer))
        if answer.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            raise Busy(f"{_where(url)}: busy (HTTP {answer.status})", retry_after_s=retry_after_s(answer.headers))
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise NoAnswer(f"{_where(url)}: HTTP {answer.status}")
        return answer


def _code(answer: Answer) -> str:
    """Return S3's word for what is wrong, of an expired URL as S3's newer word says it."""
    head = answer.body[:_HEAD_BYTES]
    if _EXPIRED.search(head):
        return "ExpiredToken"
    found = _CODE.search(head)
    return found[1].decode() if found else ""


def _never_stored(path: str, code: str) -> str:
    return f"{path[:200]} was announced to DiracX and never stored: its store says {code}"


def _where(url: str) -> str:
    """Return a presigned URL without what it authorises."""
    return url.partition("?")[0][:300]
