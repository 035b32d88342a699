"""RSA keys for tests, each made once: a key takes longer to make than most tests take, and almost nobody looks at one.

They are kept from run to run in the tests' cache, as long as those that our programs make. No process takes one twice;
where all have been taken, it makes one and leaves it to the next.
"""

import fcntl
import itertools
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from M2Crypto import EVP

from agents.credentials import proxy
from agents.local_wms import authority, testing
from agents.local_wms.home import Home

FOLDER = Path(__file__).parents[1] / ".pytest_cache" / "keys"
MAKE_PROXY_KEY, MAKE_AUTHORITY_KEY = proxy._new_key, authority._new_key  # as our programs do


@cache
def _numbers(_: int) -> Iterator[int]:
    return itertools.count()


def pem() -> bytes:
    """Return a key that this process has not had before."""
    path = FOLDER / f"{next(_numbers(os.getpid()))}.pem"
    if not path.exists():
        _make(path)
    return path.read_bytes()


def _make(path: Path) -> None:
    """Make a key, once however many ask for it."""
    FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return
        new = path.with_suffix(".new")
        new.touch(mode=0o600)
        form = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
        key = MAKE_AUTHORITY_KEY()
        new.write_bytes(key.private_bytes(*form, serialization.NoEncryption()))
        new.rename(path)


def authority_key() -> rsa.RSAPrivateKey:
    """Return one for the local WMS's authority."""
    key = serialization.load_pem_private_key(pem(), None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def proxy_key() -> EVP.PKey:
    """Return one for an agent's proxies."""
    return EVP.load_key_string(pem())


class KeyedHome(Home):
    """Where a local WMS that is started for a test finds its certificates made."""

    def make(self) -> None:
        """Make the folder and what its server would make of keys."""
        super().make()
        authority.open_authority(self.certificates, lambda: datetime.now(UTC)).make_all()


@pytest.fixture(scope="session", autouse=True)
def kept_keys() -> Iterator[None]:
    """Let what runs in the tests' own process, and the servers that it starts, take keys that are kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(testing, "Home", KeyedHome)
        patch.setattr(authority, "_new_key", authority_key)
        patch.setattr(proxy, "_new_key", proxy_key)
        yield
