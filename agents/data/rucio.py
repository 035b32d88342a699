"""Rucio as this room's FileCatalogue, by its REST interface: files are named by LFN, as DIRAC's plug-in does."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import NamedTuple, TypeVar

from agents.credentials.identity import Identity
from agents.data import checksum
from agents.data.catalogue import FileRecord, MissingFile, NewFile
from agents.errors import AccessDenied, BadAnswer, NoAnswer, Refused, ServiceError, Unreachable
from agents.wms.https import session
from ce_backends.untrusted import strict_json
from ce_backends.untrusted.bounded_http import Answer, Failure, TooLarge, exchange

_AT_ONCE = 500  # files in one request
_EARLY_S = 60.0  # a token is renewed before its end
_USUAL_S = 600.0  # a token's life where the server does not say
_TOKEN = "x-rucio-auth-token"  # noqa: S105 - a header's name
_SAID = 200
_PASSING = ("DatabaseException", "ServiceUnavailable", "CannotAuthenticate", "AccessDenied")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RucioServer:
    """Where a Rucio is, and who asks.

    Attributes:
        url: of its REST interface (RucioHost).
        auth_url: where tokens are given (AuthHost).
        account: the owner's name.
        vo: of a server for several; empty for one of a single VO.
    """

    url: str
    auth_url: str
    account: str
    vo: str = ""


class _Token(NamedTuple):
    text: str
    ends_s: float


class Rucio:
    """Asks Rucio with the owner's proxy. One thread at a time.

    Args:
        server: which one.
        owner: whose proxy is shown.
    """

    name = "RucioFileCatalog"

    def __init__(self, server: RucioServer, owner: Identity) -> None:
        self._server = server
        self._session = session(owner.certificate, owner.ca)
        self._token = _Token("", 0.0)

    def look_up(self, lfns: Iterable[str]) -> dict[str, FileRecord | MissingFile]:
        """See FileCatalogue. Rucio is not asked for GUIDs, which it has only one by one."""
        wanted = list(dict.fromkeys(lfns))
        found: dict[str, FileRecord | MissingFile] = {}
        for some in _chunks(wanted):
            dids = [{"scope": scope_of(lfn), "name": lfn} for lfn in some]
            answer = self._asked("POST", "/replicas/list", {"dids": dids, "all_states": False})
            if answer.status == HTTPStatus.NOT_FOUND:
                continue
            _check(answer, "replicas/list")
            for row in _rows(answer.body):
                record = _record(row)
                if record.lfn in some:
                    found[record.lfn] = record
        return {lfn: found.get(lfn) or MissingFile(lfn, f"{lfn}: Rucio does not know it") for lfn in wanted}

    def register(self, files: Sequence[NewFile]) -> dict[str, str]:
        """See FileCatalogue. By the call that is made for DIRAC: the folders above, and a rule, are made with it."""
        said: dict[str, str] = {}
        for some in _chunks(files):
            rows = [{"lfn": file.lfn, "rse": file.element, "guid": _guid(file), **_facts(file)} for file in some]
            answer = self._asked("POST", "/dirac/addfiles", {"lfns": rows, "ignore_availability": True})
            if not _exception(answer):
                _check(answer, "addfiles")
            if len(some) > 1 and answer.status != HTTPStatus.CREATED:  # one of them is why: none is registered
                for file in some:
                    said |= self.register([file])
            else:
                said |= self._registered(some, "" if answer.status == HTTPStatus.CREATED else _said(answer))
        return said

    def _registered(self, files: Sequence[NewFile], reason: str) -> dict[str, str]:
        """Look what has come of it: what Rucio knows already it passes over without a word, whatever its content."""
        known, said = self.look_up(file.lfn for file in files), {}
        for file in files:
            found = known[file.lfn]
            if isinstance(found, MissingFile):
                said[file.lfn] = reason or "Rucio took it, and does not know it"
            elif not found.holds(file.size_bytes, file.adler32):
                said[file.lfn] = f"Rucio knows {file.lfn} with other content: {found.size_bytes} bytes"
            elif file.element in found.replicas:
                said[file.lfn] = ""
            else:
                said |= self._add_replicas(file.element, [file])
        return said

    def add_replicas(self, files: Sequence[NewFile]) -> dict[str, str]:
        """See FileCatalogue. A replica gets a rule, so that Rucio keeps it."""
        said: dict[str, str] = {}
        for element in dict.fromkeys(file.element for file in files):
            for some in _chunks([file for file in files if file.element == element]):
                said |= self._add_replicas(element, some)
        return said

    def _add_replicas(self, element: str, files: Sequence[NewFile]) -> dict[str, str]:
        rows = [{"scope": scope_of(file.lfn), "name": file.lfn, **_facts(file)} for file in files]
        body = {"rse": element, "files": rows, "ignore_availability": True}
        reason = self._reason(self._asked("POST", "/replicas", body), files)
        if reason and len(files) > 1:
            return {lfn: text for file in files for lfn, text in self._add_replicas(element, [file]).items()}
        if not reason:
            dids = [{"scope": scope_of(file.lfn), "name": file.lfn} for file in files]
            rule = {"dids": dids, "copies": 1, "rse_expression": element, "account": self._server.account}
            answer = self._asked("POST", "/rules/", {**rule, "grouping": "NONE", "lifetime": None})
            if answer.status not in (HTTPStatus.CREATED, HTTPStatus.CONFLICT):
                reason = f"no rule for it: {_said(answer)}"
        return dict.fromkeys([file.lfn for file in files], reason)

    def _reason(self, answer: Answer, files: Sequence[NewFile]) -> str:
        """Return why a registration is none; empty where it is, or where the very same was registered before."""
        if answer.status == HTTPStatus.CREATED:
            return ""
        if not _exception(answer):
            _check(answer, "registration")
        known = self.look_up(file.lfn for file in files)
        if all(_is_registered(known[file.lfn], file) for file in files):
            return ""
        return _said(answer)

    def _asked(self, method: str, path: str, body: Mapping[str, object]) -> Answer:
        """Make a request with a token; a token that is not taken any more is renewed once."""
        for _ in range(2):
            headers = {_TOKEN: self._current_token(), "Content-Type": "application/json", **self._vo()}
            answer = self._exchanged(method, self._server.url + path, headers, json.dumps(body).encode())
            if answer.status != HTTPStatus.UNAUTHORIZED:
                return answer
            self._token = _Token("", 0.0)
        raise AccessDenied(f"{self._server.url}{path}: Rucio does not take its own token of {self._server.account}")

    def _current_token(self) -> str:
        if time.time() > self._token.ends_s - _EARLY_S:
            url = f"{self._server.auth_url}/auth/x509_proxy"
            answer = self._exchanged("GET", url, {"X-Rucio-Account": self._server.account, **self._vo()}, b"")
            text = answer.headers.get(_TOKEN, "")
            if answer.status != HTTPStatus.OK or not text.isascii() or not text.isprintable() or not text:
                raise AccessDenied(f"{url}: no token for {self._server.account} (HTTP {answer.status})")
            self._token = _Token(text, _ends_s(answer.headers.get("x-rucio-auth-token-expires", "")))
        return self._token.text

    def _vo(self) -> dict[str, str]:
        return {"X-Rucio-VO": self._server.vo} if self._server.vo else {}

    def _exchanged(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        try:
            return exchange(self._session, method, url, data=body, headers=headers)
        except TooLarge as error:
            raise BadAnswer(str(error)) from error
        except Failure as error:
            kind = NoAnswer if error.was_written else Unreachable
            raise kind(f"{url}: {str(error)[:_SAID]}") from error


def scope_of(lfn: str) -> str:
    """Return the scope of an LFN, as Rucio finds it for DIRAC: the part after the VO."""
    return lfn.split("/")[2]


def _facts(file: NewFile) -> dict[str, object]:
    return {"bytes": file.size_bytes, "adler32": checksum.text_of(file.adler32)}


def _guid(file: NewFile) -> str:
    return file.guid.replace("-", "").lower()


def _is_registered(known: FileRecord | MissingFile, file: NewFile) -> bool:
    if isinstance(known, MissingFile):
        return False
    return file.element in known.replicas and known.holds(file.size_bytes, file.adler32)


def _rows(body: bytes) -> Iterator[Mapping[str, object]]:
    """Yield the objects of a stream of them, one a line."""
    for line in body.splitlines():
        if not line.strip():
            continue
        try:
            row = strict_json.read(line)
        except strict_json.NotJson as error:
            raise BadAnswer(f"Rucio: expected JSON, got {line[:60]!r}") from error
        if not isinstance(row, Mapping):
            raise BadAnswer(f"Rucio: expected a file, got {line[:60]!r}")
        yield row


def _record(row: Mapping[str, object]) -> FileRecord:
    name, size, places = row.get("name"), row.get("bytes"), row.get("rses")
    if not isinstance(name, str) or isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise BadAnswer(f"Rucio: expected name and bytes of a file, got {str(row)[:80]}")
    if not isinstance(places, Mapping):
        raise BadAnswer(f"Rucio: {name[:80]}: expected its elements, got {str(places)[:40]!r}")
    pfns = {str(rse): next((pfn for pfn in _list(urls) if isinstance(pfn, str)), "") for rse, urls in places.items()}
    return FileRecord(lfn=name, size_bytes=size, adler32=checksum.number_of(row.get("adler32")), replicas=pfns)


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def _check(answer: Answer, call: str, *borne: int) -> None:
    """Raise what an answer that is none asks to do."""
    if answer.status in (HTTPStatus.OK, HTTPStatus.CREATED, *borne):
        return
    sentence = f"Rucio: {call}: HTTP {answer.status}: {_said(answer)}"
    kind: type[ServiceError] = Refused
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        kind = AccessDenied
    elif answer.status >= 500 or answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        kind = NoAnswer
    raise kind(sentence)


def _said(answer: Answer) -> str:
    """Return Rucio's own words, from a body that is JSON or whatever a server before it sends."""
    text = _exception(answer) or f"HTTP {answer.status}"
    return "".join(filter(str.isprintable, text[:_SAID]))


def _exception(answer: Answer) -> str:
    """Return what Rucio itself, and not a server before it, has against a request; it says some of it by HTTP 500."""
    try:
        said = strict_json.read(answer.body)
    except strict_json.NotJson:
        return ""
    words = said.get("ExceptionMessage") if isinstance(said, Mapping) else None
    is_passing = isinstance(said, Mapping) and said.get("ExceptionClass") in _PASSING
    return words if isinstance(words, str) and not is_passing else ""


def _ends_s(date: str) -> float:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return time.time() + _USUAL_S


def _chunks(values: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for at in range(0, len(values), _AT_ONCE):
        yield values[at : at + _AT_ONCE]
