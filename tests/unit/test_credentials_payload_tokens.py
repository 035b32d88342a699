"""The token of DiracX in a payload's proxy file: whose it is, when it is asked for, and jobs without it."""

import stat
from pathlib import Path

import pytest

from agents.credentials import diracx_block, proxy
from agents.credentials.diracx_block import TokenPair
from agents.errors import AccessDenied, NoAnswer, Refused, Unreachable
from agents.runner.payload_proxies import PayloadProxies
from tests.unit.diracx_stand_in import tokens
from tests.unit.payload_proxies_scene import JOB, LIFE, START, Manager, authority, manager, proxies, stored

__all__ = ["authority", "manager", "stored"]


class Tokens:
    """DiracX for the owners of `group`: gives `pair`, or fails."""

    def __init__(self, group: str = "lab_user") -> None:
        self.group = group
        self.pair = tokens()
        self.failure: Exception | None = None
        self.asked_with: list[str] = []

    def wants_token(self, group: str) -> bool:
        return group == self.group

    def token_for(self, path: Path) -> TokenPair:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        self.asked_with.append(path.read_text())
        if self.failure:
            raise self.failure
        return self.pair


def with_tokens(manager: Manager, directory: Path, given: Tokens) -> PayloadProxies:
    made = proxies(manager, directory)
    made._tokens = given
    return made


def kept(path: Path | None) -> TokenPair | None:
    assert path is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    return diracx_block.read(path.read_text(), str(path))


def test_where_the_vo_has_diracx_the_proxy_file_holds_the_owner_s_token(manager: Manager, tmp_path: Path) -> None:
    given = Tokens()
    held = with_tokens(manager, tmp_path / "proxies", given)

    held.obtain(JOB)

    path = held.file(JOB)
    found = kept(path)
    assert found is not None
    assert found.access_token == given.pair.access_token
    assert proxy.load(path or Path(), START).group == "lab_user"
    assert ["BEGIN DIRACX" in text for text in given.asked_with] == [False]
    assert [one.name for one in (tmp_path / "proxies").iterdir()] == [path.name if path else ""]


def test_a_group_without_diracx_is_not_asked_for(manager: Manager, tmp_path: Path) -> None:
    given = Tokens("other")
    held = with_tokens(manager, tmp_path / "proxies", given)

    held.obtain(JOB)

    assert kept(held.file(JOB)) is None
    assert not given.asked_with
    assert not held.renew()


@pytest.mark.parametrize("failure", [Refused("403"), AccessDenied("401"), Unreachable("away"), NoAnswer("lost")])
def test_a_job_runs_without_a_token_that_cannot_be_had_and_this_is_said_once(
    manager: Manager, tmp_path: Path, caplog: pytest.LogCaptureFixture, failure: Exception
) -> None:
    given = Tokens()
    given.failure = failure
    held = with_tokens(manager, tmp_path / "proxies", given)

    held.obtain(JOB)
    assert not held.renew()

    assert held.is_ready(JOB)
    assert kept(held.file(JOB)) is None
    assert caplog.text.count("payload_token.missing") == 1
    given.failure = None
    assert held.renew() == [held.file(JOB)]
    assert kept(held.file(JOB)) is not None
    assert not held.renew()


def test_a_renewed_proxy_has_a_new_token_or_keeps_the_old_one(manager: Manager, tmp_path: Path) -> None:
    given = Tokens()
    held = with_tokens(manager, tmp_path / "proxies", given)
    held.obtain(JOB)

    manager.now += LIFE * 2 / 3
    given.pair = tokens("second", refresh_left_s=30 * 86400)
    assert held.renew()
    found = kept(held.file(JOB))
    assert found is not None
    assert found.access_token == given.pair.access_token

    manager.now += LIFE * 2 / 3
    given.failure = Unreachable("away")
    assert held.renew()
    found = kept(held.file(JOB))
    assert found is not None
    assert found.access_token == given.pair.access_token


def test_a_token_that_a_former_agent_left_is_not_asked_for_again(manager: Manager, tmp_path: Path) -> None:
    given = Tokens()
    with_tokens(manager, tmp_path / "proxies", given).obtain(JOB)

    later = with_tokens(manager, tmp_path / "proxies", given)

    assert later.is_ready(JOB)
    assert not later.renew()
    assert len(given.asked_with) == 1
