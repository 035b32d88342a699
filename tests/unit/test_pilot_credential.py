from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pilot.errors import CredentialError
from pilot.settings import Settings
from pilot.wms import certificate, credential

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEY = ec.generate_private_key(ec.SECP256R1())


def voms_extension(fqan):
    """The attribute of a VOMS certificate that a VO's name is read from: policy authority and FQANs."""

    def element(tag, content):
        return bytes([tag, len(content)]) + content

    authority = element(0xA0, element(0x86, b"vo.example://voms.example:15000"))
    fqans = element(0x30, element(0x04, fqan))
    attribute = element(0x30, certificate.VOMS_FQANS + element(0x31, element(0x30, authority + fqans)))
    return x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.8005.100.100.5"), attribute)


def pem(start=NOW - HOUR, end=NOW + HOUR, extension=None):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Pilot")])
    builder = x509.CertificateBuilder(name, name, KEY.public_key(), 7, start, end)
    if extension is not None:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def key_pem():
    return KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.fixture
def proxy(tmp_path):
    path = tmp_path / "proxy.pem"
    path.write_text(pem() + key_pem() + pem(end=NOW + 2 * HOUR))
    path.chmod(0o600)
    return path


def load(path, now=NOW):
    return credential.load(Settings(), {"X509_USER_PROXY": str(path)}, now=now)


def test_a_good_proxy_is_loaded_with_its_earliest_end(proxy):
    found = load(proxy)

    assert (found.certificate, found.key, found.origin) == (proxy, proxy, "X509_USER_PROXY")
    assert found.not_after == NOW + HOUR
    assert found.vo == ""


def test_the_vo_is_read_from_the_voms_extension(proxy):
    proxy.write_text(pem(extension=voms_extension(b"/vo.example/Role=pilot/Capability=NULL")) + key_pem())

    assert load(proxy).vo == "vo.example"


@pytest.mark.parametrize(
    ("now", "said"), [(NOW + 90 * HOUR, "expired at 2026-11-22"), (NOW - 9 * HOUR, "not valid before")]
)
def test_a_proxy_at_the_wrong_time_is_refused(proxy, now, said):
    with pytest.raises(CredentialError) as caught:
        load(proxy, now)

    assert f"{proxy}: {said}" in str(caught.value)


def test_a_clock_that_is_behind_by_minutes_is_borne_as_the_agent_bears_it(proxy):
    behind = NOW - HOUR - timedelta(minutes=4)

    assert load(proxy, behind).not_after == NOW + HOUR


def test_a_clock_that_is_behind_by_more_is_told(proxy):
    with pytest.raises(CredentialError, match="this node's clock says"):
        load(proxy, NOW - HOUR - timedelta(minutes=6))


def test_an_expired_certificate_further_up_the_chain_counts(proxy):
    proxy.write_text(pem() + key_pem() + pem(start=NOW - 9 * HOUR, end=NOW - HOUR))

    with pytest.raises(CredentialError, match="expired at"):
        load(proxy)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no certificate in it"),
        (pem(), "no private key in it"),
        ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "a certificate in it is damaged"),
        ("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n", "a certificate in it is damaged"),
        (pem().replace("\nMII", "\nMIJ", 1) + key_pem(), "a certificate in it is damaged"),
    ],
)
def test_what_is_no_credential_gets_one_sentence(proxy, text, said):
    proxy.write_text(text)

    with pytest.raises(CredentialError) as caught:
        load(proxy)

    assert f"{proxy}: {said}" in str(caught.value)


def test_a_missing_proxy_is_named(tmp_path):
    with pytest.raises(CredentialError, match=r"gone.pem: there is no such credential"):
        load(tmp_path / "gone.pem")


def test_a_folder_in_place_of_a_proxy_is_not_readable(tmp_path):
    with pytest.raises(CredentialError, match="the credential is not readable"):
        load(tmp_path)


def test_a_key_that_others_can_read_is_refused(proxy):
    proxy.chmod(0o640)

    with pytest.raises(CredentialError, match=r"its mode 0640 lets others read the private key"):
        load(proxy)


def test_a_host_certificate_has_its_key_beside_it_and_its_group_may_read_it(tmp_path):
    (tmp_path / "hostcert.pem").write_text(pem())
    (tmp_path / "hostkey.pem").write_text(key_pem())
    (tmp_path / "hostkey.pem").chmod(0o640)
    settings = Settings(use_host_certificate=True, host_certificate_folder=str(tmp_path))

    found = credential.load(settings, {}, now=NOW)

    assert (found.is_host, found.key) == (True, tmp_path / "hostkey.pem")


def test_years_after_2049_are_read():
    far = datetime(2051, 1, 2, 3, 4, 5, tzinfo=UTC)

    (found,) = certificate.read_chain(pem(end=far))

    assert found.not_after == far


def test_named_cas_come_before_all_others(tmp_path):
    (tmp_path / "ca.0").write_text("x")
    bundle = tmp_path / "ca.0"

    by_environment = credential.trusted_cas(Settings(), {"X509_CERT_DIR": str(tmp_path)})
    by_option = credential.trusted_cas(Settings(ca_folder=str(bundle)), {"X509_CERT_DIR": "/nowhere"})

    assert by_environment == (tmp_path, "X509_CERT_DIR")
    assert by_option == (bundle, "option --ca-dir")


def test_an_empty_ca_folder_that_was_named_is_an_error(tmp_path):
    with pytest.raises(CredentialError, match="no CA certificates there"):
        credential.trusted_cas(Settings(), {"X509_CERT_DIR": str(tmp_path)})


@pytest.mark.skipif(Path("/etc/grid-security/certificates").is_dir(), reason="this machine has CAs")
def test_without_any_ca_every_place_is_named():
    with pytest.raises(CredentialError, match=r"looked in /etc/grid-security/certificates, /cvmfs/none"):
        credential.trusted_cas(Settings(cvmfs_folders=("/cvmfs/none",)), {})
