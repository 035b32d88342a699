"""A-REX's REST interface, version 1.0: requests and how their answers read. Source: ARC 6.17, as it was seen to behave.

The outer HTTP status of a request about jobs says little: each job has an answer of its own inside. One job makes an
object where several make a list.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import requests

from ce_backends.errors import CEError, CEUnavailable

_CONNECT_S = 10.0
_AT_ONCE = 500  # jobs in one request
_CHUNK_BYTES = 1 << 20


class NoAnswer(CEError):
    """The request may have been carried out all the same."""


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
    """

    status: int
    body: bytes
    location: str = ""

    @property
    def is_refusal(self) -> bool:
        """The request as a whole was not carried out."""
        return 400 <= self.status < 500

    @property
    def sentence(self) -> str:
        """What it says, in one line."""
        text = " ".join(self.body.decode("utf-8", "replace").split())
        return f"HTTP {self.status} {text[:300]}".rstrip()


class Rest:
    """One CE's interface.

    Args:
        url: with the version, `https://host:port/arex/rest/1.0`.
        credential: what to be let in with.
        timeout_s: for an answer.
    """

    def __init__(self, url: str, credential: Credential, *, timeout_s: float) -> None:
        self._url = url
        self._credential = credential
        self._timeout_s = timeout_s
        self._session = requests.Session()
        self._session.trust_env = False  # REQUESTS_CA_BUNDLE would win over `verify`
        self._session.verify = str(credential.ca_directory)

    @property
    def has_proxy(self) -> bool:
        """We are let in by a proxy, which can be delegated."""
        return self._credential.token is None

    def call(self, method: str, path: str, *, body: bytes | IO[bytes] = b"", kind: str = "application/json") -> Answer:
        """Make a request; any HTTP status but a refusal of us is an answer.

        Raises:
            CEUnavailable: surely it was not carried out.
            NoAnswer: it may have been.
        """
        headers = {"Accept": "application/json", "Content-Type": kind, **self._authorization()}
        try:
            timeout = (_CONNECT_S, self._timeout_s)
            done = self._session.request(method, self._url + path, data=body, headers=headers, timeout=timeout)
        except requests.RequestException as error:
            raise _failure(error, self._url) from error
        answer = Answer(done.status_code, done.content, done.headers.get("Location", ""))
        if answer.status in (401, 403):
            who = "proxy" if self.has_proxy else "token"
            raise CEUnavailable(f"{self._url} does not let us in with this {who}: {answer.sentence}")
        if answer.status >= 500:
            raise NoAnswer(f"{method} {self._url}{path}: {answer.sentence}")
        return answer

    def download(self, path: str, into: Path) -> bool:
        """Bring a file; False if there is none.

        Raises:
            CEError: it could not be brought.
        """
        timeout = (_CONNECT_S, self._timeout_s)
        try:
            with self._session.get(
                self._url + path, headers=self._authorization(), timeout=timeout, stream=True
            ) as done:
                if done.status_code == 404:
                    return False
                done.raise_for_status()
                with into.open("wb") as file:
                    for chunk in done.iter_content(_CHUNK_BYTES):
                        file.write(chunk)
        except (requests.RequestException, OSError) as error:
            raise CEError(f"{self._url}{path} cannot be brought: {error}") from error
        return True

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

    def _authorization(self) -> dict[str, str]:
        token = self._credential.token
        if token is None:
            self._session.cert = str(self._credential.proxy)
            return {}
        try:
            return {"Authorization": f"Bearer {token.read_text('ascii').strip()}"}
        except (OSError, UnicodeDecodeError) as error:
            raise CEUnavailable(f"token {token} cannot be read: {error}") from error


def jobs(answer: Answer) -> Sequence[Mapping[str, Any]]:
    """Return the answers for each job in an answer.

    Raises:
        CEError: it cannot be understood.
    """
    try:
        found = json.loads(answer.body)["job"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CEError(f"an answer about jobs cannot be understood: {answer.sentence}") from error
    listed = found if isinstance(found, list) else [found]
    if not all(isinstance(job, dict) for job in listed):
        raise CEError(f"an answer about jobs cannot be understood: {answer.sentence}")
    return listed


def texts(value: object) -> list[str]:
    """Return what may be one text, several, or nothing."""
    if isinstance(value, list):
        return [str(item) for item in value]
    return [] if value is None else [str(value)]


def _failure(error: requests.RequestException, url: str) -> CEError:
    """Return what a failed request means: only what never got through was surely not carried out."""
    cause = getattr(error.args[0], "reason", None) if error.args else None
    never = isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.SSLError)
    if never or type(cause).__name__ in ("NewConnectionError", "NameResolutionError"):
        return CEUnavailable(f"{url} cannot be reached: {cause or error}")
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidHeader):
        return CEUnavailable(f"{url}: {error}")
    return NoAnswer(f"no answer from {url}: {error}")


def _chunks(values: Sequence[str]) -> Iterable[Sequence[str]]:
    return (values[at : at + _AT_ONCE] for at in range(0, len(values), _AT_ONCE))
