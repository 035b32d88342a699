"""Who speaks: the pilot, and the owners of its jobs, each with an own credential over https and dips."""

import functools
from pathlib import Path

from agents.credentials.context import tls
from agents.credentials.identity import Identity
from agents.wms.dips import DipsTransport
from agents.wms.https import HttpsTransport, session
from agents.wms.server_clock import ServerClock
from agents.wms.service import ByScheme, Transport


def speaking_as(identity: Identity, clock: ServerClock, *, vo: str, setup: str) -> Transport:
    """Return what carries this identity's calls, by the scheme of the URL that the configuration publishes."""
    extra = identity.extra_credentials
    kept_alive = session(identity.certificate, identity.ca)
    if identity.token is not None:
        kept_alive.auth, kept_alive.cert = identity.token, None  # DIRAC looks at a token only without a certificate
    https = HttpsTransport(kept_alive, vo=vo, setup=setup, extra=extra, clock=clock)
    dips = DipsTransport(functools.partial(tls, identity.certificate, identity.ca), vo=vo, setup=setup, extra=extra)
    return ByScheme({"https": https, "dips": dips})


class Transports:
    """Transports by credential, kept: each has connections of its own, and none is used for somebody else."""

    def __init__(self, pilot: Identity, *, vo: str, setup: str) -> None:
        self.pilot = pilot
        self.clock = ServerClock()
        self._vo = vo
        self._setup = setup
        self._known: dict[Path | None, Transport] = {}

    def of(self, credential: Path | None) -> Transport:
        """Return the transport that shows this proxy, the pilot's own credential for None."""
        if credential not in self._known:
            identity = self.pilot if credential is None else Identity(certificate=credential, ca=self.pilot.ca)
            self._known[credential] = speaking_as(identity, self.clock, vo=self._vo, setup=self._setup)
        return self._known[credential]

    def close(self) -> None:
        """Close them all; the last thing that an agent does with them."""
        for transport in list(self._known.values()):
            transport.close()
