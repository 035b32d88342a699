"""What would be asked of an ARC CE, without asking: its requests, recorded instead of made."""

import json
import os
from collections.abc import Sequence
from typing import IO

from ce_backends.arc.delegation import Delegation
from ce_backends.arc.rest import Answer, Credential, Rest

_ACTIVITY = b"<ActivityDescription "


class RecordedRest(Rest):
    """A CE that is not there: it takes every job and is never done with one."""

    def __init__(self, url: str, credential: Credential) -> None:
        super().__init__(url, credential, timeout_s=0.0)
        self.steps: list[str] = [f"let in at {url} with {_what(credential)}"]

    def call(
        self,
        method: str,
        path: str,
        *,
        body: bytes | IO[bytes] = b"",
        kind: str = "application/json",  # noqa: ARG002
    ) -> Answer:
        """See Rest."""
        line = f"{method} {self._url}{path}"
        if not isinstance(body, bytes):
            self.steps.append(f"{line} ({os.fstat(body.fileno()).st_size} bytes)")
            return Answer(200, b"")
        self.told(line, body.decode())
        return Answer(200, _answer(body))

    def told(self, line: str, body: str) -> None:
        """Keep a request as one step, so that two with equal lines in them stay whole."""
        self.steps.append("\n    ".join([line, *body.splitlines()]))

    def delegated(self, proxy: object) -> str:
        """Keep the requests of a delegation; return what stands for its id."""
        self.told(f"POST {self._url}/delegations?action=new", "the answer is a request for a certificate")
        self.told(f"PUT {self._url}/delegations/DELEGATION", f"that certificate, signed with {proxy}, its chain")
        return "DELEGATION"


class RecordedDelegation(Delegation):
    """A delegation for which nothing is signed: the proxy need not be there."""

    def __init__(self, rest: RecordedRest, credential: Credential) -> None:
        super().__init__(rest, credential.proxy, renew_before_s=0.0)
        self._recorded = rest

    def current(self) -> str:
        """See Delegation."""
        return self._recorded.delegated(self._proxy)


def _what(credential: Credential) -> str:
    return f"proxy {credential.proxy}" if credential.token is None else f"the token in {credential.token}"


def _answer(body: bytes) -> bytes:
    """Return what a CE says of new jobs, which it numbers, or of those that it is asked about."""
    if body.startswith(b"{"):
        asked: Sequence[str] = [job["id"] for job in json.loads(body)["job"]]
    else:
        asked = [f"JOB{number + 1}" for number in range(body.count(_ACTIVITY))]
    return json.dumps({"job": [{"id": one, "status-code": "201", "state": "RUNNING"} for one in asked]}).encode()
