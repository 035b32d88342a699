"""DiracX's own application, unmodified, behind a recorder and a switch for faults (`faults.py`).

Each exchange is one line of JSON in $STACK_DIRACX_CAPTURE; tokens are masked. Without faults requests pass as they
are.
"""

import asyncio
import base64
import json
import os
import re
import time
from pkgutil import resolve_name
from typing import Any

from faults import Faults, note

JWT = re.compile(r"eyJ[\w-]+\.([\w-]+)\.[\w-]+")
KEY = re.compile(r"diracx:legacy:[\w=-]{20,}")
KNOWN = ("preferred_username", "dirac_group", "exp", "jti")
LONGEST = 6000


def who(header: str) -> dict[str, Any]:
    """Return the claims of a bearer token that are worth knowing."""
    found = JWT.search(header)
    if not found:
        return {}
    claims = json.loads(base64.urlsafe_b64decode(found[1] + "=" * (-len(found[1]) % 4)))
    return {name: claims[name] for name in KNOWN if name in claims}


def masked(raw: bytes) -> str:
    """Return a text without tokens and keys."""
    return KEY.sub("<key>", JWT.sub("<JWT>", raw.decode("utf-8", "replace")))[:LONGEST]


class Recorder:
    """An ASGI application around another one."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._faults = Faults(os.environ["STACK_DIRACX_FAULTS"])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send, self._faults.of(scope["method"], scope["path"]))
        try:
            await exchange.carry_out(self._app)
        finally:
            note(os.environ["STACK_DIRACX_CAPTURE"], exchange.line())


class Exchange:
    """One request and its answer."""

    def __init__(self, scope: Any, receive: Any, send: Any, fault: dict[str, Any]) -> None:
        self._scope, self._receive, self._send, self._fault = scope, receive, send, fault
        self._started = time.time()
        self._said = self._answered = b""
        self._status: int | None = None
        self._is_given = False

    async def carry_out(self, app: Any) -> None:
        """Let the application have the request, or do what the fault says."""
        more = True
        while more:
            message = await self._receive()
            self._said += message.get("body", b"")
            more = message.get("more_body", False)
        await asyncio.sleep(self._fault.get("delay", 0))
        if "status" in self._fault:
            await self._answer(self._fault)
        elif self._fault.get("drop") != "before":
            await app(self._scope, self._again, self._listen)
        if self._fault.get("drop"):
            self._receive.__self__.transport.abort()  # uvicorn's own connection: no answer at all

    async def _again(self) -> Any:
        if self._is_given:
            return await self._receive()
        self._is_given = True
        return {"type": "http.request", "body": self._said, "more_body": False}

    async def _listen(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
        else:
            self._answered += message.get("body", b"")
        if not self._fault.get("drop"):
            await self._send(message)

    async def _answer(self, fault: dict[str, Any]) -> None:
        headers = {"content-type": "application/json", **fault.get("headers", {})}
        raw = [(name.lower().encode(), str(value).encode()) for name, value in headers.items()]
        await self._listen({"type": "http.response.start", "status": fault["status"], "headers": raw})
        body = json.dumps(fault.get("body", {"detail": "a fault of the test"})).encode()
        await self._listen({"type": "http.response.body", "body": body})

    def line(self) -> dict[str, Any]:
        """Return what is kept of it."""
        headers = {name.decode().lower(): value.decode() for name, value in self._scope["headers"]}
        return {
            "t": self._started,
            "ms": round(1000 * (time.time() - self._started), 1),
            "connection": self._scope["client"][1],
            "method": self._scope["method"],
            "path": self._scope["path"],
            "query": masked(self._scope["query_string"]),
            "who": who(headers.get("authorization", "")),
            "said": masked(self._said),
            "status": self._status,
            "answered": masked(self._answered),
            "fault": self._fault,
        }


def app() -> Recorder:
    """Return what uvicorn serves."""
    return Recorder(resolve_name("diracx.routers.factory:create_app")())
