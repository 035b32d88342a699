"""Proxies, host certificates and CAs: what is wrong with one is said in a sentence before the first request."""

import functools
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from agents.credentials import der, proxy
from agents.credentials.identity import establish
from agents.errors import CredentialError
from agents.local_wms.authority import Authority, Holder, open_authority
from agents.settings.agent import AgentSettings, load
from ce_backends.cfg import from_options

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return open_authority(tmp_path_factory.mktemp("ca"), lambda: NOW)


@pytest.fixture(scope="module")
def user(authority: Authority) -> Holder:
    return authority.issue("Lab Pilot")


@pytest.fixture(scope="module")
def pilot(authority: Authority, user: Holder) -> Holder:
    return authority.delegate(user, "lab_pilot")


def written(directory: Path, content: bytes, mode: int = 0o600) -> Path:
    path = directory / "proxy.pem"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def refusal(path: Path, now: datetime = NOW) -> str:
    with pytest.raises(CredentialError) as caught:
        proxy.load(path, now)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


def test_a_proxy_says_whose_it_is_and_how_long(tmp_path: Path, pilot: Holder) -> None:
    found = proxy.load(written(tmp_path, pilot.pem()), NOW)

    assert (found.identity, found.group, found.is_limited) == (
        "/O=Gridpilot local WMS/CN=Lab Pilot",
        "lab_pilot",
        False,
    )
    assert found.not_after == pilot.certificate.not_valid_after_utc
    assert found.rsa_bits == 2048


def test_a_proxy_of_a_proxy_keeps_the_group_and_is_valid_as_long_as_the_shortest(
    tmp_path: Path, authority: Authority, user: Holder
) -> None:
    short = authority.delegate(user, "lab_pilot", life=timedelta(hours=1))
    longer = authority.delegate(short, None, life=timedelta(days=5))

    found = proxy.load(written(tmp_path, longer.pem()), NOW)

    assert (found.group, found.identity) == ("lab_pilot", "/O=Gridpilot local WMS/CN=Lab Pilot")
    assert found.not_after == short.certificate.not_valid_after_utc


def test_a_limited_proxy_anywhere_in_the_chain_is_limited(tmp_path: Path, authority: Authority, user: Holder) -> None:
    limited = authority.delegate(user, None, limited=True)

    found = proxy.load(written(tmp_path, authority.delegate(limited, "g").pem()), NOW)

    assert (found.is_limited, found.group) == (True, "g")


def test_an_expired_proxy_is_refused_with_its_time(tmp_path: Path, authority: Authority, user: Holder) -> None:
    old = authority.delegate(user, "g", life=timedelta(hours=-1))

    when = old.certificate.not_valid_after_utc
    expected = f"the proxy of /O=Gridpilot local WMS/CN=Lab Pilot expired at {when:%Y-%m-%d %H:%M:%S} UTC"
    assert refusal(written(tmp_path, old.pem())) == expected


def test_a_proxy_of_tomorrow_is_refused_with_a_look_at_the_clock(tmp_path: Path, pilot: Holder) -> None:
    sentence = refusal(written(tmp_path, pilot.pem()), NOW - timedelta(days=1))

    assert sentence.endswith("UTC; is this node's clock right?")


def test_a_clock_that_is_a_little_late_is_no_reason_to_refuse(tmp_path: Path, pilot: Holder) -> None:
    late = pilot.certificate.not_valid_before_utc - timedelta(minutes=4)

    assert proxy.load(written(tmp_path, pilot.pem()), late).group == "lab_pilot"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_proxy_that_others_can_read_is_refused_with_the_remedy(tmp_path: Path, pilot: Holder, mode: int) -> None:
    sentence = refusal(written(tmp_path, pilot.pem(), mode))

    assert sentence == f"others can read the proxy (mode {mode:04o}); expected 0600: chmod 600 it"


def test_a_missing_proxy_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no") == "the proxy cannot be read: No such file or directory"


def test_a_directory_is_no_proxy(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "the proxy cannot be read: Is a directory"


def _key_alone(holder: Holder) -> bytes:
    return holder.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _locked_key(holder: Holder) -> bytes:
    locked = holder.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"passphrase"),
    )
    return holder.certificate.public_bytes(serialization.Encoding.PEM) + locked


def _other_key(holder: Holder) -> bytes:
    other = ec.generate_private_key(ec.SECP256R1())
    pem = other.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return holder.certificate.public_bytes(serialization.Encoding.PEM) + pem


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (lambda holder: b"", "there is no certificate in it"),
        (lambda holder: b"\xff\xfe", "the proxy cannot be read: it is not text"),
        (_key_alone, "there is no certificate in it"),
        (
            lambda holder: holder.certificate.public_bytes(serialization.Encoding.PEM),
            "there is no private key in it",
        ),
        (_other_key, "its private key does not belong to its certificate"),
        (_locked_key, "its private key cannot be read: "),
        (
            lambda holder: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "a certificate in it cannot be read: ",
        ),
        (lambda holder: holder.pem()[:600], "there is no certificate in it"),
    ],
)
def test_a_file_that_is_no_usable_proxy_is_refused(
    tmp_path: Path, pilot: Holder, content: Callable[[Holder], bytes], sentence: str
) -> None:
    assert refusal(written(tmp_path, content(pilot))).startswith(sentence)


@pytest.mark.parametrize(
    ("environ", "configured", "expected"),
    [
        ({}, "", f"/tmp/x509up_u{os.getuid()}"),
        ({"X509_USER_PROXY": "/a"}, "", "/a"),
        ({"X509_USER_PROXY": "/a"}, "/b", "/b"),
    ],
)
def test_the_proxy_is_looked_for_where_dirac_looks(environ: dict[str, str], configured: str, expected: str) -> None:
    assert proxy.locate(environ, configured) == Path(expected)


@pytest.mark.parametrize("content", [b"", b"\x16", b"\x16\x05ab", b"\x02\x01\x01"])
def test_a_string_that_is_not_der_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"element|tag"):
        der.text(content)


def settings(**options: str) -> AgentSettings:
    security = {f"/DIRAC/Security/{name}": text for name, text in options.items()}
    return load(from_options({"/LocalSite/Site": "X"} | security, "x"))


def identity_refusal(chosen: AgentSettings, **environ: str) -> str:
    with pytest.raises(CredentialError) as caught:
        establish(chosen, environ)
    return str(caught.value)


def test_an_identity_is_a_proxy_and_the_cas(tmp_path: Path, authority: Authority, pilot: Holder) -> None:
    path = written(tmp_path, pilot.pem())
    environ = {"X509_USER_PROXY": str(path), "X509_CERT_DIR": str(authority.certificates)}

    found = establish(settings(), environ)

    assert (found.certificate, found.ca, found.extra_credentials) == (path, authority.certificates, None)


def test_what_openssl_will_not_use_is_a_fault_of_the_credential(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = functools.partial(rsa.generate_private_key, public_exponent=65537, key_size=1024)
    issuer = authority.issue("Pilot")
    monkeypatch.setattr("agents.local_wms.authority._new_key", short)
    path = written(tmp_path, authority.delegate(issuer, "lab_pilot").pem())

    sentence = identity_refusal(settings(CALocation=str(authority.certificates)), X509_USER_PROXY=str(path))

    assert sentence.startswith(f"{path} with the CAs of {authority.certificates}: TLS cannot use them: ")
    assert "TOO_SMALL" in sentence


def test_a_ca_bundle_serves_as_well(tmp_path: Path, authority: Authority, pilot: Holder) -> None:
    bundle = authority.folder / "ca.pem"
    chosen = settings(CALocation=str(bundle), ProxyFile=str(written(tmp_path, pilot.pem())))

    assert establish(chosen, {}).ca == bundle


def test_missing_cas_are_named_with_the_remedy(tmp_path: Path) -> None:
    sentence = identity_refusal(settings(), X509_CERT_DIR=str(tmp_path / "no"))

    assert sentence.startswith(f"{tmp_path}/no: there are no CA certificates there; set X509_CERT_DIR")


def test_a_directory_without_hashed_cas_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")

    assert identity_refusal(settings(CALocation=str(tmp_path))).endswith(f"run 'openssl rehash {tmp_path}'")


def test_a_host_certificate_stands_for_the_group_of_hosts(tmp_path: Path, authority: Authority, pilot: Holder) -> None:
    both = written(tmp_path, pilot.pem())
    chosen = settings(
        UseServerCertificate="yes", CertFile=str(both), KeyFile=str(both), CALocation=str(authority.certificates)
    )

    found = establish(chosen, {})

    assert (found.certificate, found.extra_credentials) == ((both, both), "hosts")


def test_a_host_certificate_that_is_not_named_or_not_there_is_refused(tmp_path: Path, authority: Authority) -> None:
    cas = str(authority.certificates)

    unnamed = identity_refusal(settings(UseServerCertificate="yes", CALocation=cas))
    missing = identity_refusal(
        settings(UseServerCertificate="yes", CALocation=cas, CertFile=f"{tmp_path}/no", KeyFile="/x")
    )

    assert "expected CertFile and KeyFile in /DIRAC/Security" in unnamed
    assert f"{tmp_path}/no" in missing


def test_a_host_key_that_others_can_read_is_refused(tmp_path: Path, authority: Authority, pilot: Holder) -> None:
    both = written(tmp_path, pilot.pem(), 0o644)
    chosen = settings(
        UseServerCertificate="yes", CertFile=str(both), KeyFile=str(both), CALocation=str(authority.certificates)
    )

    assert identity_refusal(chosen).startswith(f"{both}: others can read the host's key ")


@pytest.mark.parametrize("text", ["-----BEGIN A-----" * 60_000, "-----BEGIN A-----" + "x" * 10**6 + "-----END B-----"])
def test_beginnings_without_ends_take_no_time(text: str) -> None:
    began_s = time.thread_time()

    assert proxy._blocks(text, "CERTIFICATE") == []

    assert time.thread_time() - began_s < 2
