"""The credentials that payloads run with: their owners' own, never the pilot's."""

import hashlib
import threading
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from agents import private
from agents.credentials import diracx_block, proxy
from agents.credentials.diracx_block import TokenPair
from agents.errors import Blame, CredentialError, HandBack, Refused, ServiceError
from agents.jobs.job import MatchedJob
from agents.log import EventLog
from agents.wms.proxy_manager import ProxyManager
from agents.wms.registry import Registry

log = EventLog("credentials")

_PAYLOAD_S = 5 * 86400  # what DIRAC's JobAgent asks for
_RENEW_AFTER = 2 / 3  # of the life of a proxy


class PayloadCredentials(Protocol):
    """Where the proxy of a job's owner is. Called by the agent's main thread, but for `obtain` and `renew`."""

    def is_ready(self, matched: MatchedJob) -> bool:
        """Tell whether `file` has it without asking a service."""

    def obtain(self, matched: MatchedJob) -> None:
        """Get it from the services; runs in a worker.

        Raises:
            HandBack: it cannot be had; the job may run where it can.
        """

    def file(self, matched: MatchedJob) -> Path | None:
        """Return the file, None when payloads run without a credential here."""

    def renew(self) -> Sequence[Path]:
        """Replace what has lived two thirds of its life; return the files that are new. Runs in a worker."""

    def let_go(self, needed: Collection[MatchedJob]) -> None:
        """Leave the credentials of these jobs' owners behind, and no others; nothing is asked for afterwards."""


class PayloadTokens(Protocol):
    """Tokens of DiracX for owners, where their VO has it; `agents.wms.diracx.installation.DiracX`."""

    def wants_token(self, group: str) -> bool:
        """Tell whether the proxy file of this group's owners shall hold one."""

    def token_for(self, path: Path) -> TokenPair:
        """Return a pair for the owner whose proxy this is.

        Raises:
            ServiceError: it is refused, or cannot be had now.
        """


class FixedProxy:
    """One proxy for all payloads: the pilot's own, where it runs the jobs of its owner only; or none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def is_ready(self, matched: MatchedJob) -> bool:  # noqa: ARG002 - the same for every job
        """Tell that nothing has to be asked for."""
        return True

    def obtain(self, matched: MatchedJob) -> None:
        """Do nothing."""

    def file(self, matched: MatchedJob) -> Path | None:  # noqa: ARG002 - the same for every job
        """Return the one proxy."""
        return self._path

    def renew(self) -> Sequence[Path]:
        """Return nothing: whoever gave the proxy renews it."""
        return ()

    def let_go(self, needed: Collection[MatchedJob]) -> None:
        """Do nothing: whoever gave the proxy takes it away."""


class PayloadProxies:
    """Proxies delegated by the ProxyManager, one for each owner and group, mode 0600, replaced atomically.

    Where the VO has DiracX, the file holds a token of the owner too. Without one a payload runs all the same.
    """

    def __init__(
        self,
        directory: Path,
        manager: ProxyManager,
        registry: Registry,
        *,
        limit: bool,
        tokens: PayloadTokens | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._directory = directory
        self._manager = manager
        self._registry = registry
        self._limit = limit
        self._tokens = tokens
        self._pairs: dict[tuple[str, str], TokenPair] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._told_missing: set[tuple[str, str]] = set()
        self._now = now
        self._lock = threading.Lock()
        self._held: dict[tuple[str, str], proxy.Proxy] = {}

    def is_ready(self, matched: MatchedJob) -> bool:
        """Tell whether a proxy is here that is not due for renewal; one that a former agent left counts too."""
        if matched.owner_dn:
            self._names[_whose(matched)] = matched.owner_dn
        held = self._held.get(_whose(matched)) or self._left(*_whose(matched))
        return held is not None and not self._is_due(held)

    def _left(self, owner: str, group: str) -> proxy.Proxy | None:
        path = self._path(owner, group)
        if not path.is_file():
            return None
        try:
            self._held[owner, group] = proxy.load(path, self._now())
            if kept := diracx_block.read(private.read_secret(path, "proxy"), str(path)):
                self._pairs[owner, group] = kept
        except CredentialError as error:
            log.info("payload_proxy.unusable", owner=owner, group=group, cause=error)
        return self._held.get((owner, group))

    def obtain(self, matched: MatchedJob) -> None:
        """Get a proxy unless a fresh one is here.

        Raises:
            HandBack: it cannot be had.
        """
        with self._lock:
            if self.is_ready(matched):
                return
            try:
                self._delegate(matched.owner, matched.group)
            except Refused as error:
                raise HandBack("Failed to setup proxy", str(error), blame=Blame.USER) from error
            except (ServiceError, CredentialError, OSError) as error:
                raise HandBack("Failed to setup proxy", str(error), blame=Blame.SERVER) from error

    def file(self, matched: MatchedJob) -> Path | None:
        """Return where the owner's proxy is, or will be."""
        return self._path(*_whose(matched))

    def renew(self) -> Sequence[Path]:
        """Replace what is due; one that cannot be renewed now is tried again the next time."""
        renewed = []
        with self._lock:
            for (owner, group), held in list(self._held.items()):
                if self._is_due(held):
                    renewed += self._renewed(owner, group, held)
                elif self._lacks_token(owner, group):
                    renewed += self._completed(owner, group)
        return renewed

    def let_go(self, needed: Collection[MatchedJob]) -> None:
        """Remove what no job needs any more, and the directory when it is empty; what cannot be removed is logged."""
        kept = {self._path(*_whose(matched)) for matched in needed}
        with self._lock:
            try:
                for path in set(self._directory.glob("*")) - kept if self._directory.is_dir() else ():
                    path.unlink()
                if self._directory.is_dir() and not kept:
                    self._directory.rmdir()
            except OSError as error:
                log.warning("payload_proxies.left", directory=self._directory, cause=error)

    def _renewed(self, owner: str, group: str, held: proxy.Proxy) -> list[Path]:
        try:
            return [self._delegate(owner, group).path]
        except (ServiceError, CredentialError, HandBack, OSError) as error:
            log.warning("payload_proxy.not_renewed", owner=owner, group=group, not_after=held.not_after, cause=error)
            return []

    def _lacks_token(self, owner: str, group: str) -> bool:
        if self._tokens is None or not self._tokens.wants_token(group):
            return False
        held = self._pairs.get((owner, group))
        return held is None or 0 < held.refresh_ends <= self._now().timestamp()

    def _completed(self, owner: str, group: str) -> list[Path]:
        """Add the token that could not be had before."""
        path = self._path(owner, group)
        try:
            text = private.read_secret(path, "proxy")
            if self._obtained(owner, group, text):
                private.replace(path, diracx_block.with_block(text, self._pairs[owner, group]))
                return [path]
        except (CredentialError, OSError) as error:
            log.warning("payload_proxy.not_renewed", owner=owner, group=group, cause=error)
        return []

    def _is_due(self, held: proxy.Proxy) -> bool:
        return self._now() >= held.not_before + (held.not_after - held.not_before) * _RENEW_AFTER

    def _delegate(self, owner: str, group: str) -> proxy.Proxy:
        asked = proxy.request()
        dn = self._names.get((owner, group)) or self._registry.owner_dn(owner)
        answer = self._manager.delegate(dn, group, asked.pem, _PAYLOAD_S, self._registry.voms_attribute(group))
        path = self._path(owner, group)
        text = proxy.assemble(answer, asked, limit=self._limit)
        held = proxy.check(text, path, self._now())
        private.folder(path.parent, is_closed=True)
        self._obtained(owner, group, text)
        private.replace(path, diracx_block.with_block(text, self._pairs.get((owner, group))))
        self._held[owner, group] = held
        log.info("payload_proxy.obtained", owner=owner, group=group, not_after=held.not_after, limited=held.is_limited)
        return held

    def _obtained(self, owner: str, group: str, text: str) -> bool:
        """Get a token for a proxy where the VO has DiracX; one that an earlier proxy got is kept where there is none.

        Payloads see their owner's file only when it is whole: until then the proxy lies beside it.
        """
        if self._tokens is None or not self._tokens.wants_token(group):
            self._pairs.pop((owner, group), None)
            return False
        aside = self._path(owner, group).with_suffix(".asking")
        try:
            private.replace(aside, text)
            self._pairs[owner, group] = self._tokens.token_for(aside)
        except (ServiceError, OSError) as error:
            if (owner, group) not in self._told_missing:
                self._told_missing.add((owner, group))
                log.warning("payload_token.missing", owner=owner, group=group, cause=error, note="jobs run without")
            return False
        finally:
            aside.unlink(missing_ok=True)
        self._told_missing.discard((owner, group))
        return True

    def _path(self, owner: str, group: str) -> Path:
        name = hashlib.sha256(f"{owner}\0{group}".encode()).hexdigest()[:16]  # an owner's name may hold any character
        return self._directory / f"{name}.pem"


class ProxiesWherePublished:
    """Proxies from the ProxyManager from the moment on when the configuration has published one; none before.

    Args:
        proxies: from it.
        is_published: tells whether there is one, or was: one that is away for a while costs no payload its proxy.
    """

    def __init__(self, proxies: PayloadProxies, is_published: Callable[[], bool]) -> None:
        self._proxies = proxies
        self._is_published = is_published

    def is_ready(self, matched: MatchedJob) -> bool:
        """Tell whether nothing has to be asked for."""
        return self._now.is_ready(matched)

    def obtain(self, matched: MatchedJob) -> None:
        """Get it where there is one; errors as in `PayloadProxies.obtain`."""
        self._now.obtain(matched)

    def file(self, matched: MatchedJob) -> Path | None:
        """Return where it is, None where payloads have none."""
        return self._now.file(matched)

    def renew(self) -> Sequence[Path]:
        """Replace what is due."""
        return self._now.renew()

    def let_go(self, needed: Collection[MatchedJob]) -> None:
        """Remove what no job needs any more."""
        self._proxies.let_go(needed)

    @property
    def _now(self) -> PayloadCredentials:
        return self._proxies if self._is_published() else _NONE


_NONE = FixedProxy(None)


def _whose(matched: MatchedJob) -> tuple[str, str]:
    return matched.owner, matched.group
