"""Pilot and agent take and refuse the same proxies: what was sent with pilots, and is it of use to any server?"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from agents.credentials import proxy
from agents.errors import CredentialError
from agents.local_wms.authority import Authority, Holder, open_authority
from pilot import errors as pilots
from pilot.settings import Settings
from pilot.wms import credential

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return open_authority(tmp_path_factory.mktemp("ca"), lambda: NOW)


def of_rfc_3820(authority: Authority) -> Holder:
    return authority.delegate(authority.issue("Lab Pilot"), "lab_pilot")


def of_a_proxy(authority: Authority) -> Holder:
    return authority.delegate(of_rfc_3820(authority), None)


def limited(authority: Authority) -> Holder:
    return authority.delegate(authority.issue("Lab Pilot"), None, limited=True)


def without_its_issuer(authority: Authority) -> Holder:
    whole = of_rfc_3820(authority)
    return Holder(whole.certificate, whole.key)


def of_globus_2(authority: Authority) -> Holder:
    user = authority.issue("Lab Pilot")
    name = x509.Name([*user.certificate.subject, x509.NameAttribute(NameOID.COMMON_NAME, "proxy")])
    builder = x509.CertificateBuilder(user.certificate.subject, name, user.key.public_key(), 7, NOW, NOW + HOUR)
    return Holder(builder.sign(user.key, hashes.SHA256()), user.key, (user.certificate,))


def expired(authority: Authority) -> Holder:
    return authority.delegate(authority.issue("Lab Pilot"), None, life=timedelta(minutes=-1))


def the_users_own_certificate(authority: Authority) -> Holder:
    return authority.issue("Lab Pilot")


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("make", "refusal"),
    [
        (of_rfc_3820, ""),
        (of_a_proxy, ""),
        (limited, ""),  # what HTCondor delegates; DIRAC takes it from a pilot
        (the_users_own_certificate, ""),
        (without_its_issuer, "without the certificate that issued it"),
        (of_globus_2, "of an old kind (before RFC 3820)"),
        (expired, "expired at"),
    ],
)
def test_pilot_and_agent_say_the_same_of_a_proxy(
    make: Callable[[Authority], Holder], refusal: str, authority: Authority, tmp_path: Path
) -> None:
    path = tmp_path / "proxy.pem"
    path.write_bytes(make(authority).pem())
    path.chmod(0o600)

    said = (by_the_pilot(path), by_the_agent(path))

    assert all(refusal in each if refusal else not each for each in said), said


def by_the_pilot(path: Path) -> str:
    try:
        credential.load(Settings(), {"X509_USER_PROXY": str(path)}, now=NOW)
    except pilots.CredentialError as error:
        return str(error)
    return ""


def by_the_agent(path: Path) -> str:
    try:
        proxy.load(path, NOW)
    except CredentialError as error:
        return str(error)
    return ""
