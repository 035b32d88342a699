"""DiracX as one agent meets it: made once, asked through what is given out here."""

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from agents.credentials import proxy
from agents.credentials.diracx_block import TokenPair
from agents.errors import CredentialError, Unreachable
from agents.jobs.job import MatchedJob
from agents.jobs.ways import WAY
from agents.log import EventLog
from agents.wms.diracx import tokens
from agents.wms.diracx.either import EitherJobState, EitherSandboxes, KeepsSandboxes, TellsJobState
from agents.wms.diracx.job_state import DiracXJobState
from agents.wms.diracx.pilots import DiracXPilots
from agents.wms.diracx.published import DiracXPublished
from agents.wms.diracx.rest import Rest, Server, trust_of
from agents.wms.diracx.sandboxes import DiracXSandboxes
from agents.wms.matcher import Asks
from agents.wms.published import Published
from agents.wms.service import Retry, Service
from agents.wms.transports import Transports
from ce_backends.untrusted.compression import can_read_zstd

log = EventLog("diracx")

_WMS = "WorkloadManagement"
_PROXY_MANAGER = "Framework/ProxyManager"
_ONCE = Retry(attempts=2, base_s=0.5, budget_s=30)  # reports have their own patience
_PATIENT = Retry(attempts=400, base_s=0.5, cap_s=10, budget_s=600)  # of a job whose files only DiracX has
_URGENT = Retry(attempts=2, base_s=0.5, budget_s=30)
Ways = tuple[Sequence[str], str]


class DiracX:
    """Gives out who speaks with DiracX, and with DIRAC where DiracX is not, or not now. Any thread may ask.

    Args:
        published: the configuration; what changes in it counts from the next call on.
        transports: of the pilot and the owners, to DIRAC.
        environ: DIRACX_CA_PATH is looked up in it.
        vo: of the pilot.
        keep: is told by name which way things go and why, for whoever explains it later.
    """

    def __init__(
        self,
        published: Published,
        transports: Transports,
        environ: Mapping[str, str],
        *,
        vo: str,
        keep: Callable[[str, str], object] = lambda _name, _way: None,
    ) -> None:
        self._published = published
        self._transports = transports
        self._says = DiracXPublished(published.tree, vo)
        self._trust = trust_of(environ, transports.pilot.ca)
        self._server = Server(self._says.url, self._trust, transports.clock, failed=published.doubt)
        certificate = transports.pilot.certificate
        own = certificate if isinstance(certificate, Path) else None
        self._pilot = tokens.ProxyTokens(own, self._server, self._proxy_manager(None), is_ours=True)
        self._owners: dict[Path, tokens.ProxyTokens] = {}
        self._lock = threading.Lock()
        self._is_needed_by_jobs = False
        self._keep = keep
        self._told: dict[str, str] = {}

    @property
    def is_there(self) -> bool:
        """Tell whether the pilot's VO has DiracX."""
        return bool(self._says.url())

    @property
    def environ(self) -> dict[str, str]:
        """What a payload gets to find DiracX."""
        return {"DIRACX_URL": self._says.url()} if self.is_there else {}

    def job_state(self, dirac: TellsJobState) -> EitherJobState:
        """Return who tells of jobs."""
        told = DiracXJobState(Rest(self._server, self._pilot, _ONCE), self._transports.clock)
        return EitherJobState(
            dirac,
            told,
            lambda: self._tell("reports", self._way_of_reports()),
            lambda: self._tell("orders to reschedule", self._way_back()),
        )

    def pilots(self, credential: Path) -> DiracXPilots:
        """Return who is told of pilots, by whoever has this proxy."""
        return DiracXPilots(Rest(self._server, self._tokens_of(credential), _ONCE))

    def sandboxes(self, credential: Path | None, dirac: KeepsSandboxes) -> KeepsSandboxes:
        """Return who keeps the sandboxes of the owner whose proxy this is."""
        if credential is None:
            return dirac
        group = _group(credential)
        rest = Rest(self._server, self._tokens_of(credential), _PATIENT)
        in_s3 = _Noted(DiracXSandboxes(rest, self._trust, _PATIENT), self._note_need)
        return EitherSandboxes(
            dirac,
            in_s3,
            lambda: self._tell("input sandboxes in S3", self._way_in(group)),
            lambda: self._tell("output sandboxes", self._way_out(group)),
        )

    def matcher(self, asks: Asks) -> "MatchesWhereServed":
        """Return a Matcher that is not asked for jobs while they would need a DiracX that is away."""
        return MatchesWhereServed(asks, self._server, self._is_needed)

    def wants_token(self, group: str) -> bool:
        """Tell whether the payloads of a group's owners shall have a token."""
        return bool(self._says.url(group)) and self._published.has_had(_PROXY_MANAGER)

    def token_for(self, path: Path) -> TokenPair:
        """Return a pair for the owner whose proxy this is; errors as in `tokens.exchange`."""
        return tokens.exchange(self._proxy_manager(path), datetime.now(UTC).timestamp())

    def say(self) -> None:
        """Say, once at the start, what is done how, and why."""
        self._tell("reports", self._way_of_reports())
        if not self.is_there:
            return
        self._tell("input sandboxes in S3", self._way_in(""))
        self._tell("output sandboxes", self._way_out(""))
        for lack in self._lacks():
            log.warning("diracx.lacks", note=lack)

    def close(self) -> None:
        """Let connections go."""
        self._server.close()

    def _lacks(self) -> list[str]:
        """Return why jobs of this installation will come to grief here, as far as that can be known before any."""
        found = []
        if not self._published.has(_PROXY_MANAGER):
            found.append("no ProxyManager is published: no token for owners, so no sandbox in S3")
        if self._transports.pilot.is_host and not self._has("JobStateUpdate"):
            found.append("no JobStateUpdate is published, and DiracX gives a host certificate no token: no report")
        if not can_read_zstd():
            found.append("no reader for zstd, in which DiracX's sandboxes are packed: expected backports.zstd")
        return found

    def _tell(self, what: str, ways: Ways) -> Sequence[str]:
        """Say and keep which way something goes, when that is new."""
        names, why = ways
        sentence = f"{' then '.join(names)}: {why}"
        if self._told.get(what) != sentence:
            self._told[what] = sentence
            log.info("way", of=what, way=" then ".join(names), why=why)
            self._keep(f"{WAY}{what}", sentence)
        return names

    def _proxy_manager(self, credential: Path | None) -> Service:
        transport = self._transports.of(credential)
        return Service("ProxyManager", lambda: self._published.urls(_PROXY_MANAGER), transport, _URGENT)

    def _tokens_of(self, credential: Path) -> tokens.ProxyTokens:
        with self._lock:
            if credential not in self._owners:
                manager = self._proxy_manager(credential)
                self._owners[credential] = tokens.ProxyTokens(credential, self._server, manager, is_ours=False)
            return self._owners[credential]

    def _has(self, service: str) -> bool:
        return self._published.has(f"{_WMS}/{service}")

    def _note_need(self) -> None:
        self._is_needed_by_jobs = True

    def _is_needed(self) -> bool:
        """Tell whether jobs of today would come to grief without DiracX."""
        if not self.is_there:
            return False
        has_all = self._has("JobStateUpdate") and self._has("SandboxStore")
        return not has_all or self._says.stores_outputs or self._is_needed_by_jobs

    def _way_of_reports(self) -> Ways:
        has_dirac = self._has("JobStateUpdate")
        if not self.is_there:
            return ("dirac",), "the VO has no DiracX"
        if not has_dirac:
            return ("diracx",), "no JobStateUpdate is published"
        if self._says.has_taken_over("JobStateUpdate"):
            return ("diracx", "dirac"), "/DiracX/FutureClientEnabled/WorkloadManagement/JobStateUpdate is true"
        return ("dirac", "diracx"), "JobStateUpdate is published, and FutureClientEnabled does not name it"

    def _way_back(self) -> Ways:
        if not self.is_there:
            return ("dirac",), "the VO has no DiracX"
        if not self._has("JobManager"):
            return ("diracx",), "no JobManager is published"
        return ("dirac", "diracx"), "JobManager tells the optimizers, DiracX does not"

    def _way_in(self, group: str) -> Ways:
        if not self._says.url(group):
            return ("dirac",), "the VO has no DiracX"
        if self._has("SandboxStore"):
            return ("diracx", "dirac"), "it is in S3; DIRAC's SandboxStore is a go-between"
        return ("diracx",), "it is in S3"

    def _way_out(self, group: str) -> Ways:
        if not self._says.url(group):
            return ("dirac",), "the VO has no DiracX"
        if not self._has("SandboxStore"):
            return ("diracx",), "no SandboxStore is published"
        if self._says.stores_outputs:
            return ("diracx", "dirac"), "UseDiracXBackend is true"
        return ("dirac", "diracx"), "a SandboxStore is published, without UseDiracXBackend"


class _Noted:
    """Sandboxes in S3; that a job has needed one is noted."""

    def __init__(self, kept: KeepsSandboxes, needed: Callable[[], None]) -> None:
        self._kept = kept
        self._needed = needed

    def download(self, reference: str) -> bytes:
        """See SandboxStore."""
        self._needed()
        return self._kept.download(reference)

    def upload_output(self, job_id: int, packed: bytes) -> str:
        """See SandboxStore."""
        return self._kept.upload_output(job_id, packed)


class MatchesWhereServed:
    """A Matcher that gives no job while what its jobs need is away: they stay where they wait, and burn no reschedule.

    Args:
        asks: the Matcher.
        server: DiracX.
        is_needed: tells whether jobs would come to grief without it.
    """

    def __init__(self, asks: Asks, server: Server, is_needed: Callable[[], bool]) -> None:
        self._asks = asks
        self._server = server
        self._is_needed = is_needed

    def request_job(self, offer: Mapping[str, object]) -> MatchedJob | None:
        """Return the job that fits the offer, None when there is none; errors as in `Matcher.request_job`.

        Raises:
            Unreachable: no job was asked for.
        """
        if self._is_needed() and self._server.trouble and not self._server.is_back():
            raise Unreachable(f"no job is asked for while DiracX, which it needs, is away: {self._server.trouble}")
        return self._asks.request_job(offer)


def _group(credential: Path) -> str:
    """Return the group in a proxy, empty when it cannot be read: whoever uses it will say so."""
    try:
        return proxy.load(credential, datetime.now(UTC)).group
    except CredentialError:
        return ""
