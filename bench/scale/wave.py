"""A wave of pilots on real servers: each asks the Matcher, over TLS with its own connections, when its agent would.

What a pilot is besides its requests (a process, a payload) is left out; there are no jobs, so that all go on asking.
"""

import heapq
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agents.credentials.identity import Identity
from agents.errors import ServiceError
from agents.wms.matcher import Matcher
from agents.wms.server_clock import ServerClock
from agents.wms.service import Retry, Service
from agents.wms.transports import speaking_as
from bench.scale.simulation import SEED, Agents

THREADS = 24
STEP_S, END_S = 0.05, 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where to ask, and as whom.

    Attributes:
        matcher: its URL.
        proxy: of the pilot.
        ca: directory of CAs.
        vo: of the pilot.
        offer: what a slot is.
    """

    matcher: str
    proxy: Path
    ca: Path
    vo: str
    offer: Mapping[str, object]


@dataclass(slots=True)
class Seen:
    """What came of a wave: when requests were made, in seconds after its beginning, and how long the answers took."""

    moments: list[float] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    failed: int = 0


class Wave:
    """Pilots that come within a time and ask for jobs until so long after the beginning.

    A pilot of ours keeps its connection, one of DIRAC's makes a new one for each request, as the agents do.
    """

    def __init__(self, server: Server, agent: Agents, pilots: int, within_s: float) -> None:
        chance = random.Random(SEED)
        starts = [chance.uniform(0.0, within_s) for _ in range(pilots)]
        self._server = server
        self._due = [(start_s + at_s, pilot) for pilot, start_s in enumerate(starts) for at_s in agent.idle(chance)]
        self._keeps = agent.name == "gridpilot"
        self._kept: dict[int, Callable[[], None]] = {}
        self._waiting: queue.SimpleQueue[tuple[float, int] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._begun = 0.0
        self.seen = Seen()

    def run(self, lasts_s: float) -> Seen:
        """Return what happened; takes as long."""
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(THREADS)]
        heapq.heapify(self._due)
        self._begun = time.monotonic()
        for thread in threads:
            thread.start()
        while self._due and self._due[0][0] < lasts_s:
            while self._due and self._due[0][0] <= time.monotonic() - self._begun:
                self._waiting.put(heapq.heappop(self._due))
            time.sleep(STEP_S)
        for _ in threads:
            self._waiting.put(None)
        for thread in threads:
            thread.join(END_S)
        return self.seen

    def _work(self) -> None:
        while item := self._waiting.get():
            _, pilot = item
            ask = self._kept.get(pilot) or _asking(self._server)
            if self._keeps:
                self._kept[pilot] = ask
            started, failed = time.monotonic(), 0
            try:
                ask()
            except ServiceError:
                failed = 1
            with self._lock:
                self.seen.moments.append(started - self._begun)
                self.seen.took_s.append(time.monotonic() - started)
                self.seen.failed += failed


def _asking(server: Server) -> Callable[[], None]:
    """Return what asks once, over connections of its own."""
    identity = Identity(certificate=server.proxy, ca=server.ca)
    transport = speaking_as(identity, ServerClock(), vo=server.vo, setup="None")
    service = Service("Matcher", [server.matcher], transport, Retry(attempts=2, base_s=0.5))
    matcher = Matcher(service, lambda _dn: None)  # there is no job whose owner would be looked up

    def ask() -> None:
        matcher.request_job(server.offer)

    return ask
