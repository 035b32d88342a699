"""DiracX's stand-in, and our side of it with times that a test decides."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from agents.local_wms.authority import Authority, open_authority
from agents.wms.diracx.rest import Rest, Server, Trust
from agents.wms.server_clock import ServerClock
from agents.wms.service import Clock, Retry
from tests.unit.diracx_stand_in import StandIn, standing_in


class Times:
    """A clock on which sleeping takes no time of ours."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.slept: list[float] = []
        self.chance = 1.0
        self.clock = Clock(monotonic=lambda: self.now_s, sleep=self._sleep, jitter=lambda: self.chance)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


class FixedTokens:
    """Hands out `first`, then what refreshing and exchanging give; None where they give nothing."""

    def __init__(self, refresh: str | None = "refreshed", exchange: str | None = "exchanged") -> None:
        self.steps: list[str] = []
        self._refresh, self._exchange = refresh, exchange

    def token(self) -> str:
        return "first"

    def refreshed(self, _refused: str) -> str | None:
        self.steps.append("refresh")
        return self._refresh

    def exchanged(self, _refused: str) -> str | None:
        self.steps.append("exchange")
        return self._exchange


class Scene:
    """One DiracX, and a client of it."""

    def __init__(self, diracx: StandIn, authority: Authority) -> None:
        self.diracx = diracx
        self.times = Times()
        self.tokens = FixedTokens()
        self.trust = Trust(authority.certificates)
        self.clock = ServerClock()
        self.server = Server(lambda: diracx.url, self.trust, self.clock, self.times.clock)
        self.retry = Retry(attempts=5, base_s=1, cap_s=4, budget_s=60)

    @property
    def rest(self) -> Rest:
        return Rest(self.server, self.tokens, self.retry)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return open_authority(tmp_path_factory.mktemp("ca"), lambda: datetime.now(UTC))


@pytest.fixture
def scene(authority: Authority) -> Iterator[Scene]:
    with standing_in(authority) as diracx:
        yield Scene(diracx, authority)
