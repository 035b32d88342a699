"""Tokens of a proxy: the file's own, refreshed in time, exchanged where there are none; a rotating one used once."""

import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from agents.credentials import diracx_block
from agents.credentials.diracx_block import TokenPair
from agents.errors import AccessDenied, Unreachable
from agents.local_wms.authority import Authority, open_authority
from agents.wms.diracx.rest import Server, Trust
from agents.wms.diracx.tokens import ProxyTokens
from agents.wms.server_clock import ServerClock
from agents.wms.service import Clock, Retry, Service
from agents.wms.testing import FakeTransport, ok, refused
from tests.unit.diracx_stand_in import Said, StandIn, standing_in, tokens, told

TOKEN = "POST /api/auth/token"
PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return open_authority(tmp_path_factory.mktemp("ca"), lambda: datetime.now(UTC))


@pytest.fixture
def diracx(authority: Authority) -> Iterator[StandIn]:
    with standing_in(authority) as made:
        yield made


@pytest.fixture
def server(diracx: StandIn, authority: Authority) -> Server:
    return Server(lambda: diracx.url, Trust(authority.certificates), ServerClock())


def proxy(folder: Path, pair: TokenPair | None) -> Path:
    path = folder / "proxy.pem"
    path.touch(mode=0o600)
    path.write_text(diracx_block.with_block(PEM, pair))
    return path


def of(path: Path | None, server: Server, *answers: object, is_ours: bool = True) -> tuple[ProxyTokens, FakeTransport]:
    transport = FakeTransport(in_turn=answers)
    clock = Clock(monotonic=lambda: 0.0, sleep=lambda _: None, jitter=lambda: 0.0)
    manager = Service("ProxyManager", ["https://h/F/P"], transport, Retry(attempts=1), clock)
    return ProxyTokens(path, server, manager, is_ours=is_ours), transport


def test_the_file_s_own_token_is_shown_and_nobody_is_asked(tmp_path: Path, server: Server, diracx: StandIn) -> None:
    pair = tokens()
    source, dirac = of(proxy(tmp_path, pair), server)

    assert source.token() == pair.access_token
    assert not dirac.calls
    assert not diracx.asked


def test_without_a_block_the_proxy_is_exchanged_once(tmp_path: Path, server: Server) -> None:
    pair = tokens()
    source, dirac = of(proxy(tmp_path, None), server, ok(told(pair)))

    assert (source.token(), source.token()) == (pair.access_token, pair.access_token)
    assert dirac.asked == [("exchangeProxyForToken", [])]


def test_a_token_with_less_than_five_minutes_is_refreshed(tmp_path: Path, server: Server, diracx: StandIn) -> None:
    new = tokens("new")
    diracx.on(TOKEN, Said(200, told(new)))
    source, _ = of(proxy(tmp_path, tokens("old", left_s=299)), server)

    assert (source.token(), source.token()) == (new.access_token, new.access_token)
    (asked,) = diracx.of(TOKEN)
    form = parse_qs(asked.body.decode())
    assert (form["grant_type"], form["client_id"]) == (["refresh_token"], ["myDIRACClientID"])
    assert not asked.token


def test_a_token_that_is_good_for_a_while_is_shown_while_diracx_is_away(
    tmp_path: Path, server: Server, diracx: StandIn
) -> None:
    pair = tokens(left_s=120)
    diracx.on(TOKEN, Said(503, {"detail": "away"}))
    source, dirac = of(proxy(tmp_path, pair), server)

    assert source.token() == pair.access_token
    assert not dirac.calls


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refused("Error getting token from DiracX: 403 not in the group"), AccessDenied),
        (refused("Error getting token from DiracX: 503 disabled"), Unreachable),
        (refused("HTTPSConnectionPool: Connection refused"), Unreachable),
        (AccessDenied("HTTP 401"), AccessDenied),
        (ok({"access_token": "x"}), Unreachable),
    ],
)
def test_a_refused_exchange_says_whether_to_try_again_and_is_not_repeated_at_once(
    tmp_path: Path, server: Server, answer: object, kind: type[Exception]
) -> None:
    source, dirac = of(proxy(tmp_path, None), server, answer)

    for _ in range(2):
        with pytest.raises(kind, match="no token of DiracX for the proxy"):
            source.token()
    assert len(dirac.calls) == 1


def test_a_refused_refresh_leads_to_one_exchange(tmp_path: Path, server: Server, diracx: StandIn) -> None:
    new = tokens("new")
    diracx.on(TOKEN, Said(401, {"detail": "expired_token"}))
    source, dirac = of(proxy(tmp_path, tokens(left_s=-1)), server, ok(told(new)))

    assert source.token() == new.access_token
    assert (len(diracx.of(TOKEN)), len(dirac.calls)) == (1, 1)


def test_a_refresh_token_that_was_refused_is_not_shown_again(tmp_path: Path, server: Server, diracx: StandIn) -> None:
    diracx.on(TOKEN, Said(401, {"detail": "expired_token"}))
    source, _ = of(proxy(tmp_path, tokens(left_s=-1)), server, refused("from DiracX: 503"))

    for _attempt in range(3):
        with pytest.raises(Unreachable):
            source.token()
    assert len(diracx.of(TOKEN)) == 1


def test_a_rotating_token_is_written_down_before_it_is_used(tmp_path: Path, server: Server, diracx: StandIn) -> None:
    old, new = tokens("old", left_s=10, rotates=True), tokens("new", rotates=True)
    diracx.on(TOKEN, Said(200, told(new)))
    path = proxy(tmp_path, old)

    assert of(path, server)[0].token() == new.access_token

    kept = diracx_block.read(path.read_text(), "proxy")
    assert kept is not None
    assert kept.refresh_token == new.refresh_token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    note = (tmp_path / "proxy.pem.diracx").read_text()
    assert "eyJ" not in note
    assert path.read_text().startswith(PEM)


def test_of_many_who_hold_a_rotating_token_one_uses_it(tmp_path: Path, server: Server, diracx: StandIn) -> None:
    """Each source stands for a process: they share nothing but the file."""
    new = tokens("new", rotates=True)
    diracx.on(TOKEN, Said(200, told(new)), Said(401, {"detail": "Revoked refresh token reused"}))
    path = proxy(tmp_path, tokens("old", left_s=10, rotates=True))
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(of(path, server)[0].token())) for _ in range(6)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert found == [new.access_token] * 6
    assert len(diracx.of(TOKEN)) == 1


def test_a_rotating_token_whose_answer_was_lost_is_never_used_again(
    tmp_path: Path, server: Server, diracx: StandIn
) -> None:
    new = tokens("new")
    diracx.on(TOKEN, Said(cut=True))
    path = proxy(tmp_path, tokens(left_s=-1, rotates=True))

    for _ in range(2):  # the second stands for the agent that is started again
        source, dirac = of(path, server, ok(told(new)))
        assert source.token() == new.access_token
        assert len(dirac.calls) == 1
    assert len(diracx.of(TOKEN)) == 1


def test_a_rotating_token_that_a_payload_has_too_is_left_alone(tmp_path: Path, server: Server, diracx: StandIn) -> None:
    new = tokens("new")
    source, dirac = of(proxy(tmp_path, tokens(left_s=-1, rotates=True)), server, ok(told(new)), is_ours=False)

    assert source.token() == new.access_token
    assert not diracx.asked
    assert len(dirac.calls) == 1


def test_a_new_block_in_the_file_is_taken(tmp_path: Path, server: Server) -> None:
    path = proxy(tmp_path, tokens("old", left_s=600))
    source, _ = of(path, server)
    source.token()

    new = tokens("new", left_s=1200)
    proxy(tmp_path, new)

    assert source.token() == new.access_token
