"""Agents whose service is no use for two minutes; all at once, so that they take no more than that."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agents.local_wms.home import Endpoint
from tests.faults import fault_kinds
from tests.faults.fault_proxy import FaultProxy, passes
from tests.faults.payloads import waits_for
from tests.faults.scene import AGENT, Options, Scene

BEATS = {f"{AGENT}/StopAfterFailedMatches": "1000", f"{AGENT}/HeartBeatPeriod": "1"}
# what the service does when it is asked for a job, while another job runs
SILENCES = {
    "accepts and is silent": fault_kinds.silent,
    "sends a byte of the head each second": fault_kinds.dripping_head,
    "sends a byte of the body each second": fault_kinds.dripping_body,
}


class Silence:
    """An agent with one running job whose next request for work meets a service that is no use."""

    def __init__(self, endpoint: Endpoint, folder: Path, kind: str) -> None:
        folder.mkdir()
        self._began_s = time.monotonic()
        self.proxy = FaultProxy(endpoint).__enter__()
        self.scene = Scene(endpoint, folder)
        self.go = folder / "go"
        self.job_id = self.scene.submit(waits_for(self.go))
        self.proxy.on("requestJob", passes, SILENCES[kind])
        self.agent = self.scene.agent(Options(url=self.proxy.url, more=BEATS))

    def left_s(self, limit_s: float) -> float:
        """Return how much of a time that began with it is left."""
        return max(1.0, self._began_s + limit_s - time.monotonic())

    def wall(self, monotonic_s: float) -> str:
        """Return a moment as the WMS writes it."""
        moment = datetime.now(UTC) - timedelta(seconds=time.monotonic() - monotonic_s)
        return moment.strftime("%Y-%m-%d %H:%M:%S.%f")

    def close(self) -> None:
        """Leave nothing of it."""
        self.scene.close()
        self.proxy.__exit__(None, None, None)


@contextmanager
def begun(endpoint: Endpoint, folder: Path) -> Iterator[list[Silence]]:
    """Run all of them until the block ends."""
    with ExitStack() as everything:
        yield [
            everything.enter_context(closing(Silence(endpoint, folder / str(number), kind)))
            for number, kind in enumerate(SILENCES)
        ]
