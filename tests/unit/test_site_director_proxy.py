"""The proxy that pilots carry."""

from datetime import timedelta
from pathlib import Path

import pytest

from agents.credentials import proxy
from agents.errors import CredentialError, NoAnswer
from agents.local_wms.authority import Authority, Holder, open_authority
from agents.site_director.pilot_proxy import DelegatedProxy, OwnProxy
from agents.wms.proxy_manager import ProxyManager
from agents.wms.service import Clock, Retry, Service
from tests.unit.payload_proxies_scene import LIFE, START, Manager

NEEDED = timedelta(days=2)
WHOSE = ("/O=Lab/CN=Lab User", "lab_user")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Holder:
    authority: Authority = open_authority(tmp_path_factory.mktemp("ca"), lambda: START)
    return authority.delegate(authority.issue("Lab User"), "lab_user", life=timedelta(days=30))


@pytest.fixture
def manager(stored: Holder) -> Manager:
    return Manager(stored)


def delegated(manager: Manager, path: Path, needed: timedelta = NEEDED) -> DelegatedProxy:
    service = Service("ProxyManager", ["https://h/F/P"], manager.transport, Retry(attempts=1), Clock())
    return DelegatedProxy(path, ProxyManager(service), WHOSE, needed.total_seconds(), now=lambda: manager.now)


def test_it_is_limited_ours_alone_and_long_enough(manager: Manager, tmp_path: Path) -> None:
    held = delegated(manager, tmp_path / "proxies" / "pilot.pem")
    held.renew()
    found = proxy.load(held.file(), START)

    ((method, (dn, group, _, life_s)),) = manager.transport.asked
    assert (method, dn, group) == ("getProxy", *WHOSE)
    assert life_s == (NEEDED * 1.25 + timedelta(hours=1)).total_seconds()
    assert (found.is_limited, found.group, found.not_after) == (True, "lab_user", START + LIFE)
    assert held.file().stat().st_mode & 0o777 == 0o600
    assert held.file().parent.stat().st_mode & 0o777 == 0o700


def test_nobody_waits_for_it_and_there_is_none_before_it_was_renewed(manager: Manager, tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match="not renewed yet"):
        delegated(manager, tmp_path / "p" / "pilot.pem").file()
    assert manager.transport.asked == []


def test_it_is_asked_for_again_only_when_it_is_due_also_by_a_new_director(manager: Manager, tmp_path: Path) -> None:
    path = tmp_path / "p" / "pilot.pem"
    delegated(manager, path).renew()
    delegated(manager, path).renew()
    assert len(manager.transport.calls) == 1

    manager.now = START + LIFE - NEEDED - timedelta(minutes=30)
    delegated(manager, path).renew()
    assert len(manager.transport.calls) == 2


def test_one_that_is_too_short_is_not_given_to_a_pilot(manager: Manager, tmp_path: Path) -> None:
    held = delegated(manager, tmp_path / "p" / "pilot.pem", LIFE + timedelta(hours=1))

    with pytest.raises(CredentialError, match="PilotLifeTime"):
        held.renew()
    with pytest.raises(CredentialError, match="PilotLifeTime"):
        held.file()


def test_the_old_one_serves_while_the_proxy_manager_is_away(manager: Manager, tmp_path: Path) -> None:
    held = delegated(manager, tmp_path / "p" / "pilot.pem")
    held.renew()
    manager.now, manager.failure = START + LIFE - NEEDED - timedelta(minutes=30), NoAnswer("h: gone")
    with pytest.raises(CredentialError, match="h: gone"):
        held.renew()
    assert held.file().exists()

    manager.now = START + LIFE - NEEDED + timedelta(minutes=1)
    with pytest.raises(CredentialError, match="h: gone"):
        held.file()


def test_our_own_proxy_is_given_though_it_is_short(stored: Holder, manager: Manager, tmp_path: Path) -> None:
    path = tmp_path / "p" / "own.pem"
    delegated(manager, path).renew()

    assert OwnProxy(path, 10 * LIFE.total_seconds(), now=lambda: START).file() == path
    with pytest.raises(CredentialError, match="expired"):
        OwnProxy(path, 10.0, now=lambda: START + 2 * LIFE).file()
