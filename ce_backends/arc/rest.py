"""A-REX's REST interface, version 1.0: requests and how their answers read.

Source: ARC 6.17, 7.0 and 7.2, as they were seen to behave.

The outer HTTP status of a request about jobs says little: each job has an answer of its own inside. One job makes an
object where several make a list.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from ce_backends.errors import CEError, CEUnavailable, plain_word
from ce_backends.untrusted import bounded_http, strict_json, token_scopes
from ce_backends.untrusted.bounded_http import Limits

_CONNECT_S = 10.0
_AT_ONCE = 500  # jobs in one request
_JOB_ID = re.compile(r"[A-Za-z0-9._-]{1,200}")  # as in the paths that it becomes a part of
_STRANGER = "User can't be assigned configuration"  # the reason of a 500, before anything was done (ARC 7.0, 7.2)
_LENGTH = re.compile(r"\d{1,15}", re.ASCII)
_SCOPES = {
    "POST /jobs?action=new": token_scopes.CREATE,
    "POST /jobs?action=kill": token_scopes.CANCEL,
    "POST /jobs?action=status": token_scopes.READ,
    "POST /jobs?action=info": token_scopes.READ,
    "GET /jobs": token_scopes.READ,
}
_ANSWER_MB = 64
FILE_MB = 4000
_FILE_KB_S = 100  # a file that comes or goes at this speed has time enough, however large


class NoAnswer(CEError):
    """The request may have been carried out all the same."""


class TooLarge(CEError):
    """A file at the CE is larger than we take; what came until then is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a CE lets us in with.

    Attributes:
        proxy: an X.509 proxy, or a certificate with its key in one file; not used where there is a token.
        token: a file with a bearer token, read again for each request; None for none.
        ca_directory: certificates of authorities, named by their hashes.
    """

    proxy: Path
    token: Path | None
    ca_directory: Path


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    Attributes:
        status: of HTTP.
        body: as it came.
        location: where something new is.
        reason: beside the status.
    """

    status: int
    body: bytes
    location: str = ""
    reason: str = ""

    @property
    def lets_nobody_in(self) -> bool:
        """It is not ours to ask: ARC 6 refuses strangers, expired and forged tokens with 403, ARC 7 with a 500."""
        return self.status in (401, 403) or (self.status == 500 and self.reason == _STRANGER)

    @property
    def is_refusal(self) -> bool:
        """The request as a whole was not carried out."""
        return 400 <= self.status < 500

    @property
    def sentence(self) -> str:
        """What it says, in one line."""
        words = (self.reason if self.status >= 400 else "").split() + self.body.decode("utf-8", "replace").split()
        return f"HTTP {self.status} {' '.join(words)[:300]}".rstrip()


class Rest:
    """One CE's interface.

    Args:
        url: with the version, `https://host:port/arex/rest/1.0`.
        credential: what to be let in with.
        timeout_s: for a request, and for its answer; a file has more by its size.
    """

    def __init__(self, url: str, credential: Credential, *, timeout_s: float) -> None:
        self._url = url
        self._credential = credential
        limits = Limits(connect_s=min(_CONNECT_S, timeout_s), read_s=timeout_s, whole_s=timeout_s, body_mb=_ANSWER_MB)
        self._session = bounded_http.Session(limits)
        self._files = bounded_http.Session(replace(limits, body_mb=FILE_MB, least_kb_s=_FILE_KB_S))
        self._session.verify = self._files.verify = str(credential.ca_directory)

    @property
    def has_proxy(self) -> bool:
        """We are let in by a proxy, which can be delegated."""
        return self._credential.token is None

    def call(self, method: str, path: str, *, body: bytes | IO[bytes] = b"", kind: str = "application/json") -> Answer:
        """Make a request; any HTTP status but a refusal of us is an answer.

        Raises:
            CEUnavailable: surely it was not carried out; the token may be one for other operations.
            NoAnswer: it may have been.
        """
        authorization = self._authorization(_SCOPES.get(f"{method} {path}", ""))
        headers = {"Accept": "application/json", "Content-Type": kind, **authorization}
        session = self._session if isinstance(body, bytes) else self._files
        try:
            done = bounded_http.exchange(session, method, self._url + path, data=body, headers=headers)
        except bounded_http.TooLarge as error:
            raise NoAnswer(str(error)) from error
        except bounded_http.Failure as error:
            if error.was_written:
                raise NoAnswer(f"no answer from {self._url}: {error}") from error
            raise CEUnavailable(f"{self._url} cannot be reached: {error}") from error
        answer = Answer(done.status, done.body, done.headers.get("Location", ""), done.reason)
        if answer.lets_nobody_in:
            who = "proxy" if self.has_proxy else "token"
            raise CEUnavailable(f"{self._url} does not let us in with this {who}: {answer.sentence}")
        if answer.status >= 500 or 300 <= answer.status < 400:  # we let nobody send a job and a credential elsewhere
            raise NoAnswer(f"{method} {self._url}{path}: {answer.sentence}")
        return answer

    def download(self, path: str, into: Path, *, most_mb: int = FILE_MB) -> bool:
        """Bring a file of at most this size; False if there is none.

        Raises:
            TooLarge: of what came the beginning is there.
            CEError: it could not be brought.
        """
        url, headers = self._url + path, self._authorization()
        try:
            with into.open("wb") as file:
                status = bounded_http.save(self._files, url, file, most_mb=most_mb, headers=headers)
        except bounded_http.TooLarge as error:
            raise TooLarge(str(error)) from error
        except (bounded_http.Failure, OSError) as error:
            raise CEError(f"{url} cannot be brought: {error}") from error
        if status not in (200, 404):
            raise CEError(f"{url} cannot be brought: HTTP {status}")
        return status == 200

    def upload(self, path: str, source: Path) -> None:
        """Put a file there.

        Raises:
            CEError: it may not be there, or not as a whole.
        """
        with source.open("rb") as file:
            answer = self.call("PUT", path, body=file, kind="application/octet-stream")
        if answer.status not in (200, 201):
            raise CEError(f"{path} cannot be put there: {answer.sentence}")

    def has(self, path: str) -> bool:
        """Tell whether a file is there.

        Raises:
            CEError: there was no answer.
        """
        url, headers = self._url + path, self._authorization()
        try:
            return self._exchange("HEAD", url, headers).status == 200
        except bounded_http.Failure as error:
            raise CEError(f"{url} cannot be looked at: {error}") from error

    def tail(self, path: str, max_bytes: int) -> bytes:
        """Return the last bytes of a file; empty if there is none, or it is too large for a CE that sends all of it.

        Raises:
            CEError: there was no answer.
        """
        url, headers = self._url + path, self._authorization()
        try:
            told = self._exchange("HEAD", url, headers)
            length = told.headers.get("Content-Length", "")
            if told.status != 200 or not _LENGTH.fullmatch(length) or not int(length):
                return b""
            part = f"bytes={max(0, int(length) - max_bytes)}-{int(length) - 1}"
            done = self._exchange("GET", url, {**headers, "Range": part})
        except bounded_http.TooLarge:
            return b""
        except bounded_http.Failure as error:
            raise CEError(f"{url} cannot be looked at: {error}") from error
        return done.body[-max_bytes:] if done.status in (200, 206) else b""

    def _exchange(self, method: str, url: str, headers: Mapping[str, str]) -> bounded_http.Answer:
        return bounded_http.exchange(self._session, method, url, headers=headers)

    def act(self, action: str, job_ids: Collection[str]) -> dict[str, Mapping[str, Any]]:
        """Do something with jobs; return each job's own answer by id, those the CE does not know left out.

        Raises:
            CEError: there was no answer, or one that cannot be understood.
        """
        answers: dict[str, Mapping[str, Any]] = {}
        for some in _chunks(sorted(job_ids)):
            body = json.dumps({"job": [{"id": job_id} for job_id in some]}).encode()
            for job in jobs(self.call("POST", f"/jobs?action={action}", body=body)):
                if job.get("status-code") != "404" and "id" in job:
                    answers[str(job["id"])] = job
        return answers

    def close(self) -> None:
        """Release connections."""
        self._session.close()
        self._files.close()

    def _authorization(self, scope: str = "") -> dict[str, str]:
        token = self._credential.token
        if token is None:
            self._session.cert = self._files.cert = str(self._credential.proxy)
            return {}
        try:
            text = token.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CEUnavailable(f"token {token} cannot be read: {plain_word(error)}") from error
        if scope and (lack := token_scopes.lacking(text, scope)):
            raise CEUnavailable(f"token {token} cannot be used: {lack}")
        return {"Authorization": f"Bearer {text}"}


def jobs(answer: Answer) -> Sequence[Mapping[str, Any]]:
    """Return the answers for each job in an answer.

    Raises:
        CEError: it cannot be understood.
    """
    try:
        found = strict_json.read(answer.body)["job"]
    except (ValueError, KeyError, TypeError) as error:
        raise CEError(f"an answer about jobs cannot be understood: {answer.sentence}") from error
    listed = found if isinstance(found, list) else [found]
    if not all(isinstance(job, dict) and _is_id(job.get("id", "none")) for job in listed):
        raise CEError(f"an answer about jobs cannot be understood: {answer.sentence}")
    return listed


def _is_id(given: object) -> bool:
    return isinstance(given, str) and _JOB_ID.fullmatch(given) is not None


def texts(value: object) -> list[str]:
    """Return what may be one text, several, or nothing."""
    if isinstance(value, list):
        return [str(item) for item in value]
    return [] if value is None else [str(value)]


def _chunks(values: Sequence[str]) -> Iterable[Sequence[str]]:
    return (values[at : at + _AT_ONCE] for at in range(0, len(values), _AT_ONCE))
