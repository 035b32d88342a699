"""Pilots in DiracX: what its routes are asked by pilot and SiteDirector, and when the PilotManager is told instead.

The real routes are asked in `tests/joined/test_pilots_by_stamp.py`.
"""

import base64
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.errors import AccessDenied, BadAnswer, Busy, CredentialError, Refused, ServiceError, Unreachable
from agents.local_wms.authority import Authority
from agents.site_director.pilots import Pilot, PilotReport
from agents.site_director.queues import PilotQueue
from agents.site_director.registrars import ByReference, ByStamp
from agents.wms.diracx.pilots import DiracXPilots
from agents.wms.service import Clock, Retry, Service
from agents.wms.testing import FakeTransport, ok
from pilot.errors import ServiceRefused, ServiceUnreachable
from pilot.wms import diracx
from tests.unit.diracx_scene import Scene, authority, scene
from tests.unit.diracx_stand_in import Said, StandIn, jwt, standing_in
from tests.unit.pilot_scene import CONFIGURATION, Wms, keys, packed, place, run_pilot, serving
from tests.unit.pilot_scene import ok as given
from tests.unit.site_director_scene import chosen, pilot

__all__ = ["authority", "keys", "place", "scene"]

REGISTER, METADATA = "POST /api/pilots/", "PATCH /api/pilots/metadata"
STAMP = "a" * 32
KNOWN = Said(409, {"detail": f"Pilot with stamp '{STAMP}' already exists"})
UNKNOWN = Said(404, {"detail": "At least one pilot does not exist."})
NO_ROUTE = Said(404, {"detail": "Not Found"})
FORBIDDEN = Said(403, {"detail": "Insufficient permissions to manage pilots."})


# ---- the pilot's own part, which has nothing but the standard library


@contextmanager
def of_pilot(authority: Authority, token: str = "t") -> Iterator[tuple[StandIn, diracx.PilotsByStamp]]:
    with standing_in(authority) as server:
        yield server, diracx.PilotsByStamp(server.url, diracx.trusting(authority.certificates, {}), lambda _s: token)


def test_a_pilot_tells_its_status_by_its_stamp(authority: Authority) -> None:
    with of_pilot(authority) as (server, told):
        server.on(METADATA, Said(204))
        told.set_status(STAMP, {"Status": "Running"}, timeout_s=10)

        (asked,) = server.asked
        assert (asked.json, asked.token) == ({STAMP: {"Status": "Running"}}, "t")


@pytest.mark.parametrize("answer", [Said(201), KNOWN])
def test_registering_twice_is_registering_once(authority: Authority, answer: Said) -> None:
    with of_pilot(authority) as (server, told):
        server.on(REGISTER, answer)
        told.register(STAMP, {"vo": "labvo"}, timeout_s=10)

        (asked,) = server.asked
        assert asked.json == {"pilot_stamp": STAMP, "vo": "labvo"}


@pytest.mark.parametrize(
    ("answer", "error", "errno"),
    [
        (UNKNOWN, ServiceRefused, 404),
        (FORBIDDEN, ServiceRefused, 403),
        (Said(401, {"detail": "Invalid JWT"}), ServiceRefused, 401),
        (Said(405, b"<html>"), ServiceRefused, 405),
        (Said(422, {"detail": [{"msg": "too long"}]}), ServiceRefused, 422),
        (Said(429), ServiceUnreachable, None),
        (Said(503, {"detail": "later"}), ServiceUnreachable, None),
        (Said(500, b"Internal Server Error"), ServiceUnreachable, None),
        (Said(cut=True), ServiceUnreachable, None),
        (Said(200, b"x" * 1000, cut=True), ServiceUnreachable, None),
    ],
)
def test_every_other_answer_is_one_sentence_without_the_token(
    authority: Authority, answer: Said, error: type[Exception], errno: int | None
) -> None:
    with of_pilot(authority, "very-secret") as (server, told):
        server.on(METADATA, answer)
        with pytest.raises(error, match=r"^DiracX: ") as caught:
            told.set_status(STAMP, {"Status": "Done"}, timeout_s=10)

    assert getattr(caught.value, "errno", None) == errno
    assert "very-secret" not in str(caught.value)


def test_a_server_of_a_foreign_ca_is_shown_no_token(authority: Authority, tmp_path: Path) -> None:
    with standing_in(authority) as server:
        told = diracx.PilotsByStamp(server.url, ssl.create_default_context(), lambda _s: "t")
        with pytest.raises(ServiceUnreachable, match="certificate"):
            told.set_status(STAMP, {"Status": "Done"}, timeout_s=10)

        assert not server.asked


# ---- its token


class Exchange:
    """A ProxyManager that counts."""

    def __init__(self, answer: object) -> None:
        self.answer, self.calls = answer, 0

    def call(self, _url: str, method: str, *_arguments: object, timeout_s: float) -> object:
        assert (method, timeout_s > 0) == ("exchangeProxyForToken", True)
        self.calls += 1
        return self.answer


def proxy(folder: Path, content: object) -> Path:
    path = folder / "proxy.pem"
    path.touch(0o600)
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    path.write_text(f"-----BEGIN DIRACX-----\n{base64.b64encode(raw).decode()}\n-----END DIRACX-----\n")
    return path


def token_of(path: Path, exchange: Exchange, *managers: str) -> str:
    return diracx.token(exchange, managers or ("https://h",), path, timeout_s=5)  # type: ignore[arg-type]


def test_the_token_in_the_proxy_file_is_used_while_it_lives(tmp_path: Path) -> None:
    exchange, kept = Exchange(None), jwt(jti="kept")
    path = proxy(tmp_path, {"access_token": kept, "refresh_token": jwt(), "expires_on": time.time() + 600})

    assert token_of(path, exchange) == kept
    assert not exchange.calls


@pytest.mark.parametrize(
    "content",
    [
        {"access_token": jwt(), "expires_on": time.time() + 5},
        {"access_token": "no\r\ntoken", "expires_on": time.time() + 600},
        {"access_token": jwt(), "expires_on": "soon"},
        [1],
        b"\xff",
    ],
)
def test_one_that_is_none_or_lives_no_more_is_got_for_the_proxy(tmp_path: Path, content: object) -> None:
    given = jwt(jti="given")
    exchange = Exchange({"access_token": given})

    assert (token_of(proxy(tmp_path, content), exchange), exchange.calls) == (given, 1)


@pytest.mark.parametrize("answer", [None, {}, {"access_token": 1}, {"access_token": "a\r\nX-Evil: 1"}, "x"])
def test_an_answer_without_a_token_is_no_token(tmp_path: Path, answer: object) -> None:
    with pytest.raises(ServiceUnreachable, match="holds no token"):
        token_of(proxy(tmp_path, {}), Exchange(answer))


def test_without_a_proxy_manager_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(ServiceUnreachable, match="no ProxyManager is published"):
        diracx.token(Exchange(None), (), proxy(tmp_path, {}), timeout_s=5)  # type: ignore[arg-type]


# ---- a whole pilot that cannot have it


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("PilotsByStamp = True", "the configuration has no /DiracX/URL for this VO"),
        (
            "PilotsByStamp = perhaps",
            "Operations of the configuration: Pilot/PilotsByStamp = perhaps: expected True or False",
        ),
        ("PilotsByStamp = False", ""),
    ],
)
def test_a_pilot_says_once_why_it_is_not_in_diracx_and_is_in_the_pilot_manager(
    keys: Path, place: Any, written: str, said: str
) -> None:
    text = CONFIGURATION.replace("Version = 9.1.22", f"{written}\n      Version = 9.1.22")
    wms = Wms()
    with serving(keys, wms) as wms.url:
        wms._answers = {"getCompressedDataIfNewer": given(packed(text.format(url=wms.url)))}
        done = run_pilot(place, wms.url, "--ca-dir", str(keys / "ca.pem"))

    assert done.returncode == 0
    assert done.stdout.count("pilot.not_by_stamp") == bool(said)
    assert said in done.stdout
    assert [args[1] for args in wms.told("setPilotStatus")] == ["Running", "Done"]


# ---- the SiteDirector


class Told:
    """A SiteDirector's two registrars: a stand-in for DiracX, a recording PilotManager."""

    def __init__(self, scene: Scene) -> None:
        scene.retry = Retry(attempts=1)
        self.now_s = 0.0
        self.legacy = FakeTransport({"addPilotReferences": ok(), "setPilotStatus": ok(1)})
        clock = Clock(sleep=lambda _s: None)
        service = Service("PilotManager", ["https://a"], self.legacy, Retry(attempts=1), clock)
        self.to = ByStamp(
            lambda: DiracXPilots(scene.rest), ByReference(service, "example"), "example", lambda: self.now_s
        )

    def methods(self) -> list[str]:
        return [method for method, _ in self.legacy.asked]


def placed(*numbers: int) -> list[tuple[Pilot, PilotQueue | None]]:
    return [(pilot(number), chosen()[0]) for number in numbers]


def test_each_pilot_is_registered_with_its_reference_and_nobody_else_is_told(scene: Scene) -> None:
    told = Told(scene)
    scene.diracx.on(REGISTER, Said(201), KNOWN)
    told.to.register(placed(1, 2))

    assert [asked.json for asked in scene.diracx.asked] == [
        {
            "pilot_stamp": one.stamp,
            "vo": "example",
            "grid_type": "Local",
            "grid_site": "LCG.One.ch",
            "destination_site": "ce1.one.ch",
            "pilot_reference": one.reference,
        }
        for one, _ in placed(1, 2)
    ]
    assert not told.legacy.asked


def test_how_a_pilot_stands_is_told_in_the_words_of_the_route(scene: Scene) -> None:
    told, (one, queue) = Told(scene), placed(1)[0]
    scene.diracx.on(METADATA, Said(204))
    told.to.set_status(one, PilotReport(one.stamp, "Failed", "x" * 300), queue)
    told.to.set_status(replace(one, queue="gone"), PilotReport(one.stamp, "Done"), None)

    assert [asked.json for asked in scene.diracx.asked] == [
        {
            one.stamp: {
                "Status": "Failed",
                "StatusReason": "x" * 255,
                "DestinationSite": "ce1.one.ch",
                "GridSite": "LCG.One.ch",
                "Queue": "short",
            }
        },
        {one.stamp: {"Status": "Done", "DestinationSite": "gone"}},
    ]
    assert not told.legacy.asked


@pytest.mark.parametrize("answer", [NO_ROUTE, FORBIDDEN, Said(422, {"detail": [{"msg": "stamp"}]}), Said(401)])
def test_a_refusal_is_told_once_and_the_pilot_manager_is_used_for_an_hour(
    scene: Scene, answer: Said, caplog: pytest.LogCaptureFixture
) -> None:
    told = Told(scene)
    scene.tokens._refresh = scene.tokens._exchange = None
    scene.diracx.on(REGISTER, answer)
    told.to.register(placed(1, 2))
    told.to.register(placed(3))
    asked = len(scene.diracx.asked)
    told.now_s = 3601.0
    told.to.register(placed(4))

    assert (asked, len(scene.diracx.asked)) == (1, 2)
    assert told.methods() == ["addPilotReferences"] * 3
    one, two = (pilot(number).reference for number in (1, 2))
    assert told.legacy.asked[0][1][0] == [one, two], "all that DiracX has not, in one call"
    assert caplog.text.count("pilots.not_by_stamp") == 1


def test_what_diracx_has_taken_before_it_refuses_is_told_nobody_else(scene: Scene) -> None:
    told = Told(scene)
    scene.diracx.on(REGISTER, Said(201), FORBIDDEN)
    told.to.register(placed(1, 2, 3))

    ((_, (references, *_)),) = told.legacy.asked
    assert references == [pilot(number).reference for number in (2, 3)]


@pytest.mark.parametrize("answer", [Said(503), Said(500, b"x"), Said(cut=True)])
def test_what_may_have_been_done_is_not_done_again_by_another(scene: Scene, answer: Said) -> None:
    """It is asked for anew first; the PilotManager has no unique key."""
    told = Told(scene)
    scene.diracx.on(REGISTER, answer)
    with pytest.raises((Busy, BadAnswer, ServiceError)):
        told.to.register(placed(1))
    before = list(told.legacy.asked)
    told.to.register(placed(1))

    assert (before, told.methods()) == ([], ["addPilotReferences"])


@pytest.mark.parametrize("error", [Unreachable("nobody listens"), CredentialError("not renewed yet")])
def test_after_a_minute_diracx_is_asked_again(error: Exception) -> None:
    asked: list[float] = []
    times = [0.0]

    def nobody() -> DiracXPilots:
        asked.append(times[0])
        raise error

    legacy: Any = FakeTransport({"setPilotStatus": ok(1)})
    service = Service("PilotManager", ["https://a"], legacy, Retry(attempts=1))
    to = ByStamp(nobody, ByReference(service, "example"), "example", lambda: times[0])
    for times[0] in (0.0, 59.0, 61.0):
        to.set_status(pilot(1), PilotReport(pilot(1).stamp, "Running"), None)

    assert (asked, len(legacy.asked)) == ([0.0, 61.0], 3)


@pytest.mark.parametrize("error", [AccessDenied("no"), Refused("no")])
def test_who_may_not_register_with_either_is_told_by_the_pilot_manager(error: Exception) -> None:
    def nobody() -> DiracXPilots:
        raise error

    legacy = FakeTransport({"addPilotReferences": AccessDenied("not with this credential")})
    service = Service("PilotManager", ["https://a"], legacy, Retry(attempts=1))
    with pytest.raises(AccessDenied, match="this credential"):
        ByStamp(nobody, ByReference(service, "example"), "example").register(placed(1))
