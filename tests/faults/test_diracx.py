"""Scenario 49: DiracX takes reports beside DIRAC, and one of both is away or busy.

DiracX is a stand-in that passes reports on to the local WMS, as both write to the same databases. The real one, with
its S3, is in `tests/joined`.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agents.credentials import diracx_block
from agents.local_wms.authority import open_authority
from agents.local_wms.client import connect
from tests.faults import invariants
from tests.faults.payloads import SHORT, sleeps
from tests.faults.scene import AGENT, Options, Scene
from tests.unit.diracx_stand_in import Asked, Said, StandIn, standing_in, tokens

WMS = "/Systems/WorkloadManagement/URLs"
FUTURE = "/DiracX/FutureClientEnabled/WorkloadManagement/JobStateUpdate"
LEAST = {f"{AGENT}/StopAfterFailedMatches": "3"}
ROUTES = ("PATCH /api/jobs/status", "PATCH /api/jobs/metadata", "PATCH /api/jobs/heartbeat")
GONE = {f"{WMS}/JobStateUpdate": ""}
AWAY = Said(503, {"detail": "database"}, {"Retry-After": "1"})


class Relay:
    """DiracX's routes for reports, on the local WMS."""

    def __init__(self, scene: Scene, diracx: StandIn, environment: Mapping[str, str]) -> None:
        self.diracx = diracx
        self.environment = environment
        self._client = connect(replace(scene.endpoint, user_proxy=scene.endpoint.admin_proxy))
        self._lock = threading.Lock()
        self.failing: Callable[[], bool] = lambda: False
        for route in ROUTES:
            diracx.on(route, self.answer)
        diracx.on("GET /api/health/ready", lambda _: AWAY if self.failing() else Said(200, {}))

    def answer(self, asked: Asked) -> Said:
        """Pass one call on."""
        if self.failing():
            return AWAY
        ((job_id, said),) = dict(asked.json).items()  # type: ignore[call-overload]
        with self._lock:
            return getattr(self, asked.path.rpartition("/")[2])(int(job_id), said)  # type: ignore[no-any-return]

    def status(self, job_id: int, said: Mapping[str, Mapping[str, str]]) -> Said:
        moments = {_without_zone(when): dict(words) for when, words in said.items()}
        _, values = self._client.call("JobStateUpdate", "setJobStatusBulk", job_id, moments, False)
        held = values[0] if values else None
        return Said(200, {"success": {str(job_id): {"Status": held}}, "failed": {}})

    def metadata(self, job_id: int, said: Mapping[str, str]) -> Said:
        self._client.call("JobStateUpdate", "setJobParameters", job_id, [list(pair) for pair in said.items()])
        return Said(204)

    def heartbeat(self, job_id: int, said: Mapping[str, Any]) -> Said:
        numbers = {name: value for name, value in said.items() if not isinstance(value, str)}
        commands = self._client.call("JobStateUpdate", "sendHeartBeat", job_id, numbers, {})
        return Said(200, [{"job_id": job_id, "command": command} for command in commands or {}])


def _without_zone(when: str) -> str:
    return datetime.fromisoformat(when).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


@pytest.fixture
def relay(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    authority = open_authority(tmp_path_factory.mktemp("diracx-ca"), lambda: datetime.now(UTC))
    with standing_in(authority) as diracx:
        proxy = _with_token(scene, tmp_path_factory.mktemp("proxy"))
        yield Relay(scene, diracx, {"DIRACX_CA_PATH": str(authority.folder / "ca.pem"), "X509_USER_PROXY": str(proxy)})


def _with_token(scene: Scene, folder: Path) -> Path:
    path = folder / "proxy.pem"
    path.touch(mode=0o600)
    path.write_text(diracx_block.with_block(Path(scene.endpoint.pilot_proxy).read_text(), tokens()))
    return path


def options(relay: Relay, more: Mapping[str, str] = {}) -> Options:
    cfg = {
        **LEAST,
        "/DiracX/URL": relay.diracx.url,
        FUTURE: "True",
        **{key.replace("__", "/"): more[key] for key in more},
    }
    return Options(more=cfg, environment=relay.environment)  # type: ignore[attr-defined]


FAULTS: dict[str, Callable[[Relay], list[Said | Callable[[Asked], Said]]]] = {
    "429 with Retry-After": lambda _: [Said(429, {"detail": "slow down"}, {"Retry-After": "1"})],
    "503 with Retry-After": lambda _: [AWAY, AWAY],
    "500 and a closed connection": lambda _: [Said(500, b"Internal Server Error")] * 2,
    "no answer": lambda _: [Said(cut=True)],
    "an answer that is lost": lambda relay: [lambda asked: replace(relay.answer(asked), body=None, cut=True)],
    "nonsense": lambda _: [Said(200, b"<html>"), Said(200, [])],
}


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.scenario(49, "DiracX alone takes reports, and answers with a fault at first: each report is told once")
def test_report_to_a_diracx_in_trouble_is_told_once(scene: Scene, relay: Relay, kind: str) -> None:
    relay.diracx.on(ROUTES[0], *FAULTS[kind](relay), relay.answer)
    job_id = scene.submit(SHORT)

    agent = scene.agent(options(relay, {**GONE, f"{AGENT}/StopAfterFailedMatches": "100"}))

    scene.until(lambda: scene.statuses()[job_id] == "Done", "it is told")
    agent.signal(10)
    assert agent.ended() == 0, agent.written()[-3000:]
    steps = [step[:2] for step in scene.history(job_id)]
    assert len(steps) == len(set(steps)) or kind == "an answer that is lost", steps
    invariants.check(scene)


@pytest.mark.scenario(49, "DiracX takes reports, and goes away while a job runs; JobStateUpdate is published")
def test_reports_go_by_dirac_while_diracx_is_away(scene: Scene, relay: Relay) -> None:
    job_id = scene.submit(sleeps(3))
    agent = scene.agent(options(relay))
    scene.until(lambda: scene.is_running(job_id), "it runs")
    relay.failing = lambda: True

    assert agent.ended() == 0, agent.written()[-3000:]
    assert scene.statuses()[job_id] == "Done", scene.history(job_id)
    assert relay.diracx.of(ROUTES[0]), "it was asked first"
    invariants.check(scene)


@pytest.mark.scenario(49, "DiracX is published, and nothing listens there; JobStateUpdate is published")
def test_job_runs_as_ever_where_diracx_is_not_there(scene: Scene) -> None:
    job_id = scene.submit(SHORT)

    agent = scene.agent(Options(more={**LEAST, "/DiracX/URL": "https://localhost:9", FUTURE: "True"}))

    assert agent.ended() == 0, agent.written()[-3000:]
    assert scene.statuses()[job_id] == "Done", scene.history(job_id)
    invariants.check(scene)


@pytest.mark.scenario(49, "DiracX alone takes reports and is away for 4 s: no job is matched meanwhile, none is lost")
def test_no_job_is_matched_while_diracx_is_away_that_alone_takes_reports(scene: Scene, relay: Relay) -> None:
    is_away = threading.Event()
    is_away.set()
    relay.failing = is_away.is_set
    job_id = scene.submit(SHORT)
    agent = scene.agent(options(relay, {**GONE, f"{AGENT}/StopAfterFailedMatches": "100"}))
    scene.until(lambda: "no job is asked for while DiracX" in agent.written(), "it waits")
    assert scene.statuses()[job_id] == "Waiting"
    is_away.clear()

    scene.until(lambda: scene.statuses()[job_id] == "Done", "it was matched and told of")
    agent.signal(10)
    assert agent.ended() == 0
    invariants.check(scene)


@pytest.mark.scenario(49, "the pilot's token has expired, and DiracX refuses to renew it; JobStateUpdate is published")
def test_reports_go_by_dirac_where_no_token_can_be_had(scene: Scene, relay: Relay) -> None:
    relay.diracx.on("POST /api/auth/token", Said(401, {"detail": "expired_token"}))
    path = Path(relay.environment["X509_USER_PROXY"])
    path.write_text(diracx_block.with_block(path.read_text(), tokens(left_s=-1)))
    job_id = scene.submit(SHORT)

    agent = scene.agent(options(relay))

    assert agent.ended() == 0, agent.written()[-3000:]
    assert scene.statuses()[job_id] == "Done", scene.history(job_id)
    assert len(relay.diracx.of("POST /api/auth/token")) == 1
    assert not relay.diracx.of(ROUTES[0])
    invariants.check(scene)
