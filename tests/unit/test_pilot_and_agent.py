"""What pilot and agent must both have, since the pilot imports nothing of ours: one table of cases each for both.

Others of these tables: settings (test_settings_readers), secrets (test_secrets_in_text), CFG (test_field_cfg), proxies
(test_field_proxies), DISET (test_dips), JSON (test_hostile_servers).
"""

import errno
import os
import stat
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from agents import errors as agents_errors
from agents import private as agents_private
from agents.credentials import voms
from agents.jobs import unforeseen
from ce_backends.counted import counted as agents_counted
from pilot import errors as pilots_errors
from pilot import private as pilots_private
from pilot.counted import counted as pilots_counted
from pilot.wms import certificate as pilots_certificate
from tests.unit.test_credentials_voms import FQANS, VOMS, certificate, der, extension

REFUSED = (agents_errors.StopAgent, pilots_errors.UsageError, pilots_errors.CredentialError)
BOTH = ("agent", "pilot")


# ---- numbers with their nouns ----


@pytest.mark.parametrize("counted", [agents_counted, pilots_counted], ids=BOTH)
@pytest.mark.parametrize(("number", "text"), [(0, "0 jobs"), (1, "1 job"), (2, "2 jobs"), (-1, "-1 jobs")])
def test_numbers_are_written_with_their_nouns(counted: Callable[[int, str], str], number: int, text: str) -> None:
    assert counted(number, "job") == text


# ---- errors ----


def test_exit_codes_are_the_same() -> None:
    assert {code.value for code in agents_errors.ExitCode} == set(pilots_errors.EXIT_CODES)


@pytest.mark.parametrize(
    ("of_agent", "of_pilot"),
    [
        (agents_errors.ConfigurationError, pilots_errors.UsageError),
        (agents_errors.CredentialError, pilots_errors.CredentialError),
        (agents_errors.ServiceMissing, pilots_errors.ServiceUnreachable),
        (agents_errors.PilotRefused, pilots_errors.ServiceRefused),
        (agents_errors.NodeUnfit, pilots_errors.NodeUnfit),
        (agents_errors.AgentError, pilots_errors.PilotError),
    ],
)
def test_the_same_trouble_has_the_same_exit_code(of_agent: type, of_pilot: type) -> None:
    assert of_agent.exit_code == of_pilot.exit_code  # type: ignore[attr-defined] # each has one


def caused(inner: BaseException) -> BaseException:
    """Return an error that another one led to."""
    outer = RuntimeError("while closing")
    outer.__context__ = inner
    return outer


LACKS = {
    "descriptors": (OSError(errno.EMFILE, "Too many open files"), "this process may open no more files"),
    "files of the node": (OSError(errno.ENFILE, "x"), "the node may open no more files"),
    "processes": (BlockingIOError(errno.EAGAIN, "x"), "no more processes or threads may be started"),
    "threads": (RuntimeError("can't start new thread"), "no more processes or threads may be started"),
    "memory": (MemoryError(), "there is no memory left"),
    "memory for a fork": (OSError(errno.ENOMEM, "x"), "there is no memory left"),
    "memory for a library": (ImportError("libx.so: Cannot allocate memory"), "there is no memory left"),
    "room for a library": (ImportError("libx.so: failed to map segment from shared object"), "there is no memory left"),
    "disk": (OSError(errno.ENOSPC, "No space left on device", "/a/b"), "/a/b: there is no space left on the disk"),
    "quota": (OSError(errno.EDQUOT, "x"), "the disk quota is used up"),
    "a disk that may be written": (OSError(errno.EROFS, "x"), "the disk is read-only"),
    "a disk that works": (OSError(errno.EIO, "x"), "the disk fails"),
    "rights": (PermissionError(errno.EACCES, "x"), "the node does not allow it"),
    "other rights": (PermissionError(errno.EPERM, "x"), "the node does not allow it"),
    "behind another error": (caused(OSError(errno.ENOSPC, "x")), "there is no space left on the disk"),
    "nothing: a file is not there": (FileNotFoundError(errno.ENOENT, "x"), ""),
    "nothing: a module is not there": (ImportError("No module named x"), ""),
    "nothing: another error": (ValueError("x"), ""),
}


@pytest.mark.parametrize(("error", "sentence"), LACKS.values(), ids=LACKS)
def test_what_a_node_lacks_is_told_in_the_same_words(error: BaseException, sentence: str) -> None:
    assert unforeseen.lack(error) == pilots_errors.lack(error)
    assert pilots_errors.lack(error).startswith(sentence)
    assert bool(pilots_errors.lack(error)) == bool(sentence)


# ---- files that must be ours alone ----


def plain(path: Path, content: bytes = b"secret\n", mode: int = 0o600) -> None:
    path.write_bytes(content)
    path.chmod(mode)


def link(path: Path) -> None:
    plain(path.with_name("target"))
    path.symlink_to("target")


SECRETS: dict[str, tuple[Callable[[Path], object], str | None]] = {
    "ours": (plain, "secret\n"),
    "read-only": (partial(plain, mode=0o400), "secret\n"),
    "empty": (partial(plain, content=b""), ""),
    "with a comment in UTF-8": (partial(plain, content="Zoë\n".encode()), "Zoë\n"),
    "a link of ours": (link, "secret\n"),
    "no text": (partial(plain, content=b"\xff\xfe"), None),
    "of the largest size": (partial(plain, content=b"x" * 1_000_000), "x" * 1_000_000),
    "too large": (partial(plain, content=b"x" * 1_000_001), None),
    "open to the group": (partial(plain, mode=0o640), None),
    "open to others": (partial(plain, mode=0o604), None),
    "to be written by others": (partial(plain, mode=0o602), None),
    "a folder": (Path.mkdir, None),
    "a pipe": (partial(os.mkfifo, mode=0o600), None),
    "not there": (lambda path: None, None),
    "a link to nothing": (lambda path: path.symlink_to("nowhere"), None),
}


READERS = (partial(agents_private.read_secret, noun="proxy"), pilots_private.read_secret)


@pytest.mark.parametrize(("make", "text"), SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize(
    "read", [partial(agents_private.read_secret, noun="proxy"), pilots_private.read_secret], ids=BOTH
)
def test_a_secret_is_read_only_where_it_is_ours_alone(
    read: Callable[[Path], str], make: Callable[[Path], object], text: str | None, tmp_path: Path
) -> None:
    make(tmp_path / "secret")

    with pytest.raises(REFUSED, match=str(tmp_path / "secret")) if text is None else nullcontext():
        assert read(tmp_path / "secret") == text


@pytest.mark.parametrize(
    ("before", "after"),
    [(None, 0o700), (0o700, 0o700), (0o755, 0o755), (0o775, 0o755), (0o777, 0o755), (0o1777, None), (0o1775, None)],
)
@pytest.mark.parametrize("folder", [agents_private.folder, pilots_private.folder], ids=BOTH)
def test_a_folder_is_one_in_which_only_we_write(
    folder: Callable[[Path], None], before: int | None, after: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "a" / "b"
    if before is not None:
        path.mkdir(parents=True)
        path.chmod(before)

    try:
        folder(path)
    except REFUSED:
        assert after is None
    else:
        assert stat.S_IMODE(path.stat().st_mode) == after


# ---- the VO in a proxy ----


def vo_by_the_agent(encoded: bytes) -> str:
    try:
        found = voms.attributes(encoded)
    except ValueError:
        return ""
    return found.vo if found else ""


def vo_by_the_pilot(encoded: bytes) -> str:
    now = datetime.now(UTC)
    return pilots_certificate.voms_vo(pilots_certificate.Certificate(now, now, encoded))


VOS = {
    "of the authority": (extension(*FQANS), "lab"),
    "of the first group": (extension(*FQANS, authority=""), "lab"),
    "of an authority with another name than its groups": (extension("/lab.example/x", authority="vo://host:1"), "vo"),
    "of a group with dots and dashes": (extension("/vo.my-lab.org/Role=NULL", authority=""), "vo.my-lab.org"),
    "of a group without a role": (extension("/lab", authority=""), "lab"),
    "of an authority without groups": (extension(), "lab"),
    "none: no groups, no authority": (extension(authority=""), ""),
    "none: cut short": (extension(*FQANS)[:-5], ""),
    "none: nothing in it": (b"\x30\x00", ""),
    "none: another attribute": (der(0x30, der(0x06, b"\x2a")), ""),
}


@pytest.mark.parametrize(("content", "vo"), VOS.values(), ids=VOS)
@pytest.mark.parametrize("read", [vo_by_the_agent, vo_by_the_pilot], ids=BOTH)
def test_the_vo_of_a_proxy_is_the_same(read: Callable[[bytes], str], content: bytes, vo: str) -> None:
    assert read(certificate((VOMS, content))) == vo


@pytest.mark.parametrize("read", [vo_by_the_agent, vo_by_the_pilot], ids=BOTH)
def test_a_certificate_without_voms_has_no_vo(read: Callable[[bytes], str]) -> None:
    assert read(certificate()) == ""
