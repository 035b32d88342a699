"""Calls of DiracX: what each answer means, and what is done about it."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from agents.errors import AccessDenied, BadAnswer, Busy, NoAnswer, Refused, ServiceError, Unreachable
from agents.local_wms.authority import Authority, open_authority
from agents.wms.diracx.rest import Server, Trust, trust_of
from agents.wms.server_clock import ServerClock
from tests.unit.diracx_scene import FixedTokens, Scene, authority, scene
from tests.unit.diracx_stand_in import Said

__all__ = ["authority", "scene"]

STATUS = "PATCH /api/jobs/status"


def patched(scene: Scene) -> object:
    return scene.rest.patch("/api/jobs/status", {"1": {}})


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return open_authority(tmp_path_factory.mktemp("other"), lambda: datetime.now(UTC), "Another CA")


def test_a_call_shows_the_token_and_keeps_its_connection(scene: Scene) -> None:
    scene.diracx.on(STATUS, Said(200, {"success": {}}))
    rest = scene.rest

    for _ in range(5):
        assert rest.patch("/api/jobs/status", {"1": {}}) == {"success": {}}

    assert {one.token for one in scene.diracx.asked} == {"first"}
    assert scene.diracx.connections == 1


def test_a_query_is_quoted(scene: Scene) -> None:
    scene.diracx.on("GET /api/jobs/sandbox", Said(200, {"url": "u"}))

    scene.rest.get("/api/jobs/sandbox", pfn="/S3/a b/x&y=z")

    assert scene.diracx.asked[0].query == {"pfn": ["/S3/a b/x&y=z"]}


@pytest.mark.parametrize(
    ("refresh", "exchange", "answers", "steps"),
    [
        ("refreshed", "exchanged", [401, 200], ["refresh"]),
        ("refreshed", "exchanged", [401, 401, 200], ["refresh", "exchange"]),
        (None, "exchanged", [401, 200], ["refresh", "exchange"]),
    ],
)
def test_a_401_is_followed_by_a_refresh_then_an_exchange(
    scene: Scene, refresh: str | None, exchange: str | None, answers: list[int], steps: list[str]
) -> None:
    scene.tokens = FixedTokens(refresh, exchange)
    scene.diracx.on(STATUS, *(Said(code, {"detail": "Invalid JWT"} if code == 401 else {}) for code in answers))

    assert patched(scene) == {}

    assert scene.tokens.steps == steps
    assert len(scene.diracx.asked) == len(answers)


def test_after_both_a_401_is_final(scene: Scene) -> None:
    scene.diracx.on(STATUS, Said(401, {"detail": "Invalid JWT"}))

    with pytest.raises(AccessDenied, match="Invalid JWT"):
        patched(scene)

    assert len(scene.diracx.asked) == 3


@pytest.mark.parametrize("code", [400, 403, 404, 409, 422])
def test_what_diracx_refuses_is_said_with_route_and_detail_and_not_repeated(scene: Scene, code: int) -> None:
    detail: object = "no such thing"
    if code == 422:
        detail = [{"loc": ["body", "1", "Status"], "msg": "no such thing", "type": "enum", "input": "x"}]
    scene.diracx.on(STATUS, Said(code, {"detail": detail}))

    with pytest.raises(Refused, match=f"PATCH /api/jobs/status: HTTP {code}: .*no such thing") as caught:
        patched(scene)

    assert caught.value.is_final
    assert len(scene.diracx.asked) == 1


@pytest.mark.parametrize("code", [404, 429, 503])
def test_who_says_not_now_without_being_diracx_is_waited_for(scene: Scene, code: int) -> None:
    scene.diracx.on(STATUS, Said(code, b"<html>front end</html>"), Said(200, {}))

    assert patched(scene) == {}


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_obeyed_by_all_who_ask_this_server(scene: Scene, code: int) -> None:
    scene.diracx.on(STATUS, Said(code, {"detail": "busy"}, {"Retry-After": "7"}), Said(200, {}))

    assert patched(scene) == {}
    assert scene.times.slept == [10.5], "seven seconds, and up to half of that, so that not all agents come at once"

    scene.diracx.on(STATUS, Said(code, {"detail": "busy"}, {"Retry-After": "600"}), Said(200, {}))
    with pytest.raises(Busy):
        patched(scene)
    before = len(scene.diracx.asked)
    with pytest.raises(Busy, match="left alone"):
        patched(scene)
    assert len(scene.diracx.asked) == before


def test_a_500_is_repeated_on_a_fresh_connection_with_the_same_body(scene: Scene) -> None:
    scene.diracx.on(STATUS, Said(500, b"Internal Server Error"), Said(200, {}))

    assert patched(scene) == {}

    first, second = scene.diracx.asked
    assert first.body == second.body
    assert scene.diracx.connections == 2


def test_a_lost_answer_is_asked_for_again_where_that_changes_nothing(scene: Scene) -> None:
    scene.diracx.on(STATUS, Said(cut=True), Said(200, {}))
    assert patched(scene) == {}

    scene.diracx.on("POST /api/jobs/reschedule", Said(cut=True), Said(200, {}))
    with pytest.raises(NoAnswer):
        scene.rest.post("/api/jobs/reschedule", {"job_ids": [1]}, repeatable=False)


@pytest.mark.parametrize("body", [b"", b"[", b"x" * 10, b"[" * 5000])
def test_an_answer_that_is_not_json_is_a_bad_one(scene: Scene, body: bytes) -> None:
    scene.diracx.on(STATUS, Said(200, body))
    if not body:
        assert patched(scene) is None
        return
    with pytest.raises(BadAnswer):
        patched(scene)


def test_a_server_of_another_ca_is_refused_and_the_stores_are_named(scene: Scene, stranger: Authority) -> None:
    trust = Trust(stranger.certificates)
    server = Server(lambda: scene.diracx.url, trust, ServerClock(), scene.times.clock)

    with pytest.raises(Unreachable, match="not trusted") as caught:
        server.ask("GET", "/api/health/ready", b"", {})

    assert str(stranger.certificates) in str(caught.value)
    assert "of the system" in str(caught.value)


def test_what_diracx_ca_path_names_is_trusted_too(scene: Scene, stranger: Authority, authority: Authority) -> None:
    for named in (authority.folder / "ca.pem", authority.certificates):
        trust = trust_of({"DIRACX_CA_PATH": str(named)}, stranger.certificates)
        scene.diracx.on("GET /api/health/ready", Said(200, {}))

        assert Server(lambda: scene.diracx.url, trust, ServerClock(), scene.times.clock).is_back()


def test_without_a_url_nothing_is_asked(scene: Scene) -> None:
    server = Server(lambda: "", scene.trust, ServerClock(), scene.times.clock)

    with pytest.raises(Unreachable, match="no /DiracX/URL"):
        server.ask("GET", "/", b"", {})


def test_whoever_asks_next_knows_that_it_was_away(scene: Scene) -> None:
    assert scene.server.trouble
    scene.diracx.on(STATUS, Said(200, {}))
    patched(scene)
    assert not scene.server.trouble

    scene.diracx.on(STATUS, Said(503, {"detail": "database"}))
    with pytest.raises(ServiceError):
        patched(scene)
    assert "503" in scene.server.trouble

    scene.diracx.on("GET /api/health/ready", Said(200, {"status": "ready"}))
    assert scene.server.is_back()
    assert not scene.server.trouble


def test_the_server_s_clock_is_heard(scene: Scene) -> None:
    scene.diracx.on(STATUS, Said(200, {}, {"Date": "Mon, 30 Nov 2099 09:02:25 GMT"}))

    patched(scene)

    assert scene.clock.ahead().days > 1000


def test_a_date_that_is_a_second_old_sets_no_clock_back(scene: Scene) -> None:
    """Uvicorn makes one date for a second's answers: a status stamped by it would be older than its job's match."""
    late = format_datetime(datetime.now(UTC) - timedelta(seconds=2), usegmt=True)
    scene.diracx.on(STATUS, Said(200, {}, {"Date": late}))

    patched(scene)

    assert scene.clock.ahead() == timedelta(0)
