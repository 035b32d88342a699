"""The proxy that pilots carry: long enough for the longest wait and the pilot's life, mode 0600, replaced in place."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from agents import private
from agents.credentials import proxy
from agents.errors import CredentialError, Refused, ServiceError
from agents.log import EventLog
from agents.wms.proxy_manager import ProxyManager

log = EventLog("credentials")

_EARLY = timedelta(hours=1)


class PilotProxy(Protocol):
    """Gives the file that goes with a pilot."""

    def renew(self) -> None:
        """Get a new one where that is due. It may wait for a service, and has a thread of its own for that.

        Raises:
            CredentialError: it cannot be had, with the reason.
        """

    def file(self) -> Path:
        """Return a proxy that lives long enough, at once.

        Raises:
            CredentialError: there is none, with the reason.
        """

    def ends_s(self) -> float:
        """Return when what `file` gives ends, in seconds since 1970.

        Raises:
            CredentialError: there is none.
        """


class OwnProxy:
    """Our own proxy, where we work with a pilot's."""

    def __init__(self, path: Path, life_s: float, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._path = path
        self._life = timedelta(seconds=life_s)
        self._now = now
        self._was_told = False

    def renew(self) -> None:
        """See PilotProxy. Whoever gave it renews it."""

    def file(self) -> Path:
        """See PilotProxy. A short one is given too: nobody here can make a longer one, and that is said once."""
        held = proxy.load(self._path, self._now())
        if held.not_after - self._now() < self._life and not self._was_told:
            log.warning(
                "pilot_proxy.short", file=self._path, not_after=held.not_after, wanted_s=self._life.total_seconds()
            )
            self._was_told = True
        return self._path

    def ends_s(self) -> float:
        """See PilotProxy."""
        return proxy.load(self._path, self._now()).not_after.timestamp()


class DelegatedProxy:
    """A limited proxy of the VO's pilot user, from the ProxyManager."""

    def __init__(
        self,
        path: Path,
        manager: ProxyManager,
        whose: tuple[str, str],
        life_s: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._path = path
        self._manager = manager
        self._dn, self._group = whose
        self._life = timedelta(seconds=life_s)
        self._now = now
        self._trouble = ""

    def file(self) -> Path:
        """See PilotProxy."""
        if self._left() < self._life:
            raise CredentialError(self._trouble or f"{self._path}: the pilots' proxy is not renewed yet")
        return self._path

    def ends_s(self) -> float:
        """See PilotProxy."""
        return proxy.load(self.file(), self._now()).not_after.timestamp()

    def renew(self) -> None:
        """See PilotProxy. It is due an hour before it would be too short, and lives a quarter longer than it must."""
        if self._left() < self._life + _EARLY:
            try:
                self._obtain()
                self._trouble = ""
            except CredentialError as error:
                self._trouble = str(error)
                raise

    def _left(self) -> timedelta:
        if not self._path.exists():
            return timedelta(0)
        try:
            return proxy.load(self._path, self._now()).not_after - self._now()
        except CredentialError as error:
            log.info("pilot_proxy.unusable", cause=error)
            return timedelta(0)

    def _obtain(self) -> None:
        asked = proxy.request()
        life_s = int((self._life * 1.25 + _EARLY).total_seconds())
        try:
            answer = self._manager.delegate(self._dn, self._group, asked.pem, life_s)
            text = proxy.assemble(answer, asked, limit=True)
            held = proxy.check(text, self._path, self._now())
            if held.not_after - self._now() < self._life:
                given_s = (held.not_after - self._now()).total_seconds()
                wanted_s = self._life.total_seconds()
                raise CredentialError(
                    f"the ProxyManager's proxy of {self._dn}, {self._group} lives {given_s:.0f} s; expected "
                    f"{wanted_s:.0f} s (PilotLifeTime): upload a longer one"
                )
            private.folder(self._path.parent, is_closed=True)
            private.replace(self._path, text)
        except (Refused, ServiceError, OSError) as error:
            raise CredentialError(f"no pilot proxy of {self._dn}, {self._group}: {error}") from error
        log.info("pilot_proxy.obtained", dn=self._dn, group=self._group, not_after=held.not_after)
