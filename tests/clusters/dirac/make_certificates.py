"""A throw-away CA, host certificates with SAN, and user certificates; what is valid for another day is kept."""

import datetime as dt
import ipaddress
import os
import subprocess
from pathlib import Path

import stack
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = dt.timedelta(days=1)
NO_USAGE = dict.fromkeys(
    (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ),
    False,
)


def subject(common_name: str) -> x509.Name:
    """The X.509 name that `stack.distinguished_name` spells."""
    organization = stack.DN_PREFIX.split("/O=")[1].split("/")[0]
    parts = (
        (NameOID.COUNTRY_NAME, "CH"),
        (NameOID.ORGANIZATION_NAME, organization),
        (NameOID.COMMON_NAME, common_name),
    )
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])


def write_key(path: Path) -> rsa.RSAPrivateKey:
    """Make a key and leave it at `path`, never readable by anybody else."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as file:
        file.write(pem)
    return key


def lasts_another_day(path: Path) -> bool:
    """True for a certificate that need not be made again."""
    if not path.exists():
        return False
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return certificate.not_valid_after_utc > dt.datetime.now(dt.UTC) + DAY


def unsigned(common_name: str, issuer: x509.Name, key: rsa.RSAPrivateKey, days: int) -> x509.CertificateBuilder:
    """What a CA certificate and the others have in common."""
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject(common_name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + days * DAY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def make_ca(folder: Path) -> None:
    """The CA, which also forgets every certificate of the one before it."""
    for old in folder.glob("*.pem"):
        old.unlink()
    key = write_key(folder / "ca.key")
    name = "Throw-away CA"
    usage = x509.KeyUsage(**(NO_USAGE | {"digital_signature": True, "key_cert_sign": True, "crl_sign": True}))
    certificate = (
        unsigned(name, subject(name), key, days=365)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def issue(folder: Path, name: str, hosts: list[str]) -> None:
    """`<name>cert.pem` and `<name>key.pem`, a host's when `hosts` is not empty."""
    ca_key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(ca_key, rsa.RSAPrivateKey)
    ca = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    key = write_key(folder / f"{name}key.pem")
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH] + ([ExtendedKeyUsageOID.SERVER_AUTH] if hosts else [])
    usage = x509.KeyUsage(**(NO_USAGE | {"digital_signature": True, "key_encipherment": True}))
    builder = (
        unsigned(stack.COMMON_NAMES[name], ca.subject, key, days=90)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    )
    if hosts:
        loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        san = x509.SubjectAlternativeName([*map(x509.DNSName, hosts), loopback])
        builder = builder.add_extension(san, critical=False)
    certificate = builder.sign(ca_key, hashes.SHA256())
    (folder / f"{name}cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def link_ca(folder: Path) -> None:
    """certificates/<subject hash>.0, the name by which OpenSSL looks for a CA in a directory."""
    trusted = folder / "certificates"
    trusted.mkdir(exist_ok=True)
    for old in trusted.iterdir():
        old.unlink()
    ask = ["openssl", "x509", "-in", str(folder / "ca.pem"), "-noout", "-subject_hash"]
    subject_hash = subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip()
    (trusted / "throw-away-ca.pem").write_bytes((folder / "ca.pem").read_bytes())
    (trusted / f"{subject_hash}.0").symlink_to("throw-away-ca.pem")


def main() -> None:
    """Make what is missing or about to expire."""
    folder = stack.home() / "certs"
    if not lasts_another_day(folder / "ca.pem"):
        make_ca(folder)
        link_ca(folder)
    for name, common_name in stack.COMMON_NAMES.items():
        if not lasts_another_day(folder / f"{name}cert.pem"):
            issue(folder, name, [common_name] if name in stack.HOST_CERTIFICATES else [])


if __name__ == "__main__":
    main()
