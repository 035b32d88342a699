"""Nobody else reads or writes what pilot, agent and local WMS make, whatever the umask that they are started with."""

import os
import stat
from pathlib import Path
from types import ModuleType

import pytest

import agents.errors
import agents.private
import pilot.errors
import pilot.private
from agents.__main__ import main as agent_main
from agents.local_wms.home import Home, LocalWmsError
from agents.process.agent_process import lock

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="root alone can give files away")
SIDES = [(pilot.private, pilot.errors.UsageError), (agents.private, agents.errors.ConfigurationError)]
CREDENTIALS = [
    (pilot.private.read_secret, pilot.errors.CredentialError),
    (lambda path: agents.private.read_secret(path, "proxy"), agents.errors.CredentialError),
]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("side", "_error"), SIDES)
def test_folder_is_made_for_us_alone_also_under_umask_0(side: ModuleType, _error: type, tmp_path: Path) -> None:
    os.umask(0)

    side.folder(tmp_path / "work")

    assert mode(tmp_path / "work") == 0o700


@pytest.mark.parametrize(("side", "_error"), SIDES)
def test_folder_of_ours_that_others_may_write_is_taken_from_them(
    side: ModuleType, _error: type, tmp_path: Path
) -> None:
    tmp_path.chmod(0o777)

    side.folder(tmp_path)

    assert mode(tmp_path) == 0o755


@pytest.mark.parametrize(("side", "error"), SIDES)
def test_folder_that_is_shared_on_purpose_is_refused(side: ModuleType, error: type[Exception], tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)

    with pytest.raises(error, match=r"\(mode 1777\); give .*a folder of our own"):
        side.folder(tmp_path)


@needs_root
@pytest.mark.parametrize(("side", "error"), SIDES)
def test_folder_of_another_account_is_refused(side: ModuleType, error: type[Exception], tmp_path: Path) -> None:
    os.chown(tmp_path, 4321, -1)

    with pytest.raises(error, match="belongs to another account"):
        side.folder(tmp_path)


@pytest.mark.parametrize(("read", "error"), CREDENTIALS)
@pytest.mark.parametrize("open_to", [0o604, 0o640, 0o602, 0o660, 0o666])
def test_credential_that_is_open_to_others_is_refused(read, error, open_to: int, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    proxy = tmp_path / "proxy"
    proxy.touch()
    proxy.chmod(0o600)
    assert read(proxy) == ""  # the control
    proxy.chmod(open_to)

    with pytest.raises(error, match=f"{open_to:04o}"):
        read(proxy)


@needs_root
@pytest.mark.parametrize(("read", "error"), CREDENTIALS)
@pytest.mark.parametrize("whose", ["the file", "the link to it"])
def test_credential_that_another_account_can_replace_is_refused(read, error, whose: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    proxy, link = tmp_path / "proxy", tmp_path / "x509up_u0"
    proxy.touch(mode=0o600)
    link.symlink_to(proxy)
    assert read(link) == ""  # the control
    os.chown(proxy if whose == "the file" else link, 4321, -1, follow_symlinks=False)

    with pytest.raises(error, match="belongs to another account"):
        read(link)


def test_what_an_earlier_agent_has_left_open_is_closed(tmp_path: Path) -> None:
    for name in ("jobs", "tasks"):
        (tmp_path / name).mkdir(mode=0o755)
    for name in ("agent.log", "ledger.sqlite", "ledger.sqlite-wal"):
        (tmp_path / name).touch(mode=0o644)

    lock(tmp_path).close()

    assert {path.name for path in tmp_path.iterdir() if mode(path) & 0o077} <= {"agent.lock"}


def test_agent_started_under_umask_0_opens_nothing_to_others(tmp_path: Path) -> None:
    os.umask(0)

    agent_main(
        ["-o", "/LocalSite/Site=LCG.A.ch", "--work-dir", str(tmp_path / "work")]
    )  # it ends soon, without a proxy

    made = [path for path in (tmp_path / "work").rglob("*") if mode(path) & 0o077]
    assert (tmp_path / "work/agent.log").exists()
    assert made == []


def test_home_of_the_local_wms_that_is_open_is_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)

    Home(tmp_path).make()

    assert mode(tmp_path) == 0o700


@needs_root
def test_home_of_the_local_wms_that_is_another_account_s_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 4321, -1)

    with pytest.raises(LocalWmsError, match="belongs to another account"):
        Home(tmp_path).make()
