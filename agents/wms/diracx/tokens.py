"""Tokens of one identity: the ones that lie in its proxy file, refreshed in time, else got for the proxy from DIRAC.

A refresh token that rotates is used once, whatever happens and whoever else has the file: DiracX takes a second use
for theft, and revokes all of the user's. So its use is written down before it happens, beside the proxy file and under
a lock, and what comes of it is written into the file before it is used.
"""

import fcntl
import hashlib
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlencode

from agents import private
from agents.credentials import diracx_block
from agents.credentials.diracx_block import TokenPair
from agents.errors import AccessDenied, BadAnswer, CredentialError, Refused, ServiceError, Unreachable
from agents.log import EventLog
from agents.pacing import TOKEN_LEFT_S
from agents.wms.diracx.rest import Server
from agents.wms.service import Service
from ce_backends.untrusted import strict_json

log = EventLog("tokens")

_AGAIN_S = 30.0  # after a refusal nobody is asked for a token for so long
_LOCK_S = 90.0  # longer than a refresh of another process takes
_CLIENT = "myDIRACClientID"
_CLIENT_ERROR = re.compile(r"from DiracX: 4\d\d\b")


def exchange(proxy_manager: Service, now: float) -> TokenPair:
    """Return a pair for the proxy that the service is asked with.

    Raises:
        ServiceError: it is refused, or cannot be had now.
    """
    answer = proxy_manager.call("exchangeProxyForToken")
    try:
        return diracx_block.pair(answer, now, "ProxyManager.exchangeProxyForToken")
    except CredentialError as error:
        raise BadAnswer(str(error)) from None


class ProxyTokens:
    """The tokens that go with a proxy file. Any thread may ask.

    Args:
        path: of the proxy; None where there is no file (a host certificate).
        server: refreshes.
        proxy_manager: gives a pair for the proxy.
        is_ours: the file is ours to refresh a rotating token of; one that somebody else has too is exchanged instead.
    """

    def __init__(self, path: Path | None, server: Server, proxy_manager: Service, *, is_ours: bool) -> None:
        self._path = path
        self._server = server
        self._proxy_manager = proxy_manager
        self._is_ours = is_ours
        self._lock = threading.RLock()
        self._pair: TokenPair | None = None
        self._read_at: int | None = None
        self._is_exchanged = False
        self._dead = ""  # a refresh token that was refused
        self._not_before = 0.0
        self._refusal: ServiceError | None = None

    def token(self) -> str:
        """Return one that is good for some minutes; errors as in `refreshed`."""
        with self._lock:
            self._look()
            if self._pair is None:
                return self._exchange()
            if self._pair.expires_on - time.time() > TOKEN_LEFT_S:
                return self._pair.access_token
            try:
                return self._refresh(self._pair) or self._exchange()
            except ServiceError:
                if self._pair.expires_on <= time.time():
                    raise
                return self._pair.access_token  # good for some minutes yet

    def refreshed(self, refused: str) -> str | None:
        """Return another access token than the refused one, None when there is none to be had by refreshing.

        Raises:
            ServiceError: none can be had now; the call that needs one was not made.
        """
        with self._lock:
            if self._pair and self._pair.access_token != refused:
                return self._pair.access_token
            return self._refresh(self._pair) if self._pair else None

    def exchanged(self, refused: str) -> str | None:
        """Return a new access token for the proxy; None when the refused one has just come that way."""
        with self._lock:
            if self._pair and self._pair.access_token == refused and self._is_exchanged:
                return None
            return self._exchange()

    def _look(self) -> None:
        """Take what is in the file, if that has changed: whoever renews the proxy may have brought new tokens."""
        if self._path is None:
            return
        try:
            changed = self._path.stat().st_mtime_ns
            if changed != self._read_at:
                self._read_at = changed
                found = diracx_block.read(private.read_secret(self._path, "proxy"), str(self._path))
                if found and (self._pair is None or found.expires_on > self._pair.expires_on):
                    self._pair, self._is_exchanged = found, False
        except (OSError, CredentialError) as error:
            log.warning("token.unreadable", cause=error)

    def _refresh(self, old: TokenPair) -> str | None:
        """Return a new access token, None where the refresh token is not taken, or is not to be used (again)."""
        if time.time() >= old.refresh_ends > 0 or old.refresh_token == self._dead:
            return None
        if not old.rotates:
            return self._keep(self._refreshed(old), is_exchanged=False)
        if not self._is_ours or self._path is None:
            return None
        try:
            with _alone(self._path) as note:
                return self._rotated(old, self._path, note)
        except (OSError, CredentialError) as error:
            log.warning("token.not_rotated", cause=error)
            return None

    def _rotated(self, old: TokenPair, path: Path, note: "_Note") -> str | None:
        text = private.read_secret(path, "proxy")
        kept = diracx_block.read(text, str(path))
        if kept and kept.refresh_token != old.refresh_token:  # another process was first
            old = kept
            if kept.expires_on - time.time() > TOKEN_LEFT_S:
                return self._keep(kept, is_exchanged=False)
        if note.was_used(old.refresh_token):
            return None
        note.use(old.refresh_token)
        try:
            new = self._refreshed(old)
        except ServiceError as error:  # it may be used up
            log.warning("token.rotation_uncertain", cause=error)
            return None
        if new:
            private.replace(path, diracx_block.with_block(text, new))
        return self._keep(new, is_exchanged=False)

    def _refreshed(self, old: TokenPair) -> TokenPair | None:
        """Ask once; None when the refresh token is not taken."""
        form = {"grant_type": "refresh_token", "refresh_token": old.refresh_token, "client_id": _CLIENT}
        answer = self._server.ask(
            "POST",
            "/api/auth/token",
            urlencode(form).encode(),
            {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
        )
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.BAD_REQUEST):
            self._dead = old.refresh_token
            log.info("token.not_refreshed", status=answer.status)
            return None
        if answer.status != HTTPStatus.OK:
            raise BadAnswer(f"DiracX: POST /api/auth/token: HTTP {answer.status}")
        try:
            return diracx_block.pair(strict_json.read(answer.body), time.time(), "DiracX: POST /api/auth/token")
        except (strict_json.NotJson, CredentialError):
            raise BadAnswer("DiracX: POST /api/auth/token: the answer is no pair of tokens") from None

    def _exchange(self) -> str:
        """Return an access token for the proxy.

        Raises:
            AccessDenied: DIRAC or DiracX gives none for it.
            Unreachable: there is none now: whatever it was wanted for was not done, and may be tried again.
        """
        if self._refusal and time.monotonic() < self._not_before:
            raise type(self._refusal)(str(self._refusal))
        try:
            made = exchange(self._proxy_manager, time.time())
        except ServiceError as error:
            kind = AccessDenied if _is_final(error) else Unreachable
            self._not_before = time.monotonic() + _AGAIN_S
            self._refusal = kind(f"no token of DiracX for the proxy: {error}")
            raise self._refusal from error
        log.info("token.exchanged", expires_in_s=round(made.expires_on - time.time()))
        self._pair, self._is_exchanged = made, True
        return made.access_token

    def _keep(self, new: TokenPair | None, *, is_exchanged: bool) -> str | None:
        if new is None:
            return None
        self._pair, self._is_exchanged = new, is_exchanged
        return new.access_token


def _is_final(error: ServiceError) -> bool:
    """Tell whether an exchange will be refused again: DIRAC's certificate check, or a 4xx that DiracX gave DIRAC."""
    return isinstance(error, AccessDenied) or (isinstance(error, Refused) and bool(_CLIENT_ERROR.search(str(error))))


class _Note:
    """Which refresh token was used last, by its hash, in an open file that nobody else has now."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def was_used(self, token: str) -> bool:
        return os.pread(self._fd, 64, 0) == _hash(token)

    def use(self, token: str) -> None:
        os.pwrite(self._fd, _hash(token), 0)
        os.fsync(self._fd)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).hexdigest().encode()


@contextmanager
def _alone(path: Path) -> Iterator[_Note]:
    """Wait, not for ever, until no other process refreshes the tokens of a proxy file.

    Raises:
        OSError: one still does, or what lies beside the file is not ours.
    """
    beside = path.with_name(f"{path.name}.diracx")
    fd = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if os.fstat(fd).st_uid != os.geteuid():
            raise PermissionError(f"{beside}: belongs to another account")
        ends = time.monotonic() + _LOCK_S
        while not _locked(fd):
            if time.monotonic() > ends:
                raise TimeoutError(f"{beside}: another process has held it for {_LOCK_S:.0f} s")
            time.sleep(0.1)
        yield _Note(fd)
    finally:
        os.close(fd)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
