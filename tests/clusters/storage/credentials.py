"""What clients of the storage are let in with, and what must be refused: proxies and tokens, new at each start.

`credentials.py CERTIFICATES HOME ISSUER_PORT` writes HOME/proxies/NAME.pem (RFC 3820, with DIRAC's group in them) and
HOME/tokens/NAME (WLCG profile), and the issuer's keys into the caches of the XRootD servers.
"""

import base64
import datetime as dt
import json
import os
import sqlite3
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

VO = "labvo"
LIFE = dt.timedelta(days=7)
HOUR = dt.timedelta(hours=1)
# proxy -> certificate, DIRAC group, when it ends from now
PROXIES = {
    "user": ("user", f"{VO}_user", LIFE),
    "user2": ("user2", f"{VO}_user", LIFE),
    "admin": ("admin", f"{VO}_admin", LIFE),
    "pilot": ("pilot", f"{VO}_pilot", LIFE),
    "stranger": ("stranger", f"{VO}_user", LIFE),
    "expired": ("user", f"{VO}_user", -HOUR),
}
ALL = "storage.read:/ storage.create:/ storage.modify:/"
# token -> scope, when it ends from now
TOKENS = {"user": (ALL, LIFE), "reader": ("storage.read:/", LIFE), "expired": (ALL, -HOUR)}
PROXY_INFORMATION = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.14")
INHERIT_ALL = bytes.fromhex("300c300a06082b06010505071501")
DIRAC_GROUP = x509.ObjectIdentifier("1.2.42.42")
PEM = serialization.Encoding.PEM
NOTHING = serialization.NoEncryption()


def write(path: Path, content: bytes) -> None:
    """Leave a secret at `path`, never readable by anybody else."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def proxy(certs: Path, certificate: str, group: str, life: dt.timedelta) -> bytes:
    """A proxy, its key and the certificate that signed it, in one file as grid clients expect."""
    issuer = x509.load_pem_x509_certificate((certs / f"{certificate}cert.pem").read_bytes())
    issuer_key: Any = serialization.load_pem_private_key((certs / f"{certificate}key.pem").read_bytes(), None)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    now, serial = dt.datetime.now(dt.UTC), x509.random_serial_number() >> 100
    name = x509.Name([*issuer.subject, x509.NameAttribute(NameOID.COMMON_NAME, str(serial))])
    usage = x509.KeyUsage(True, False, True, False, False, False, False, False, False)
    ia5_text = bytes([0x16, len(group)]) + group.encode()  # DIRAC reads the group from no other kind of text
    leaf = (
        x509.CertificateBuilder(issuer.subject, name, key.public_key(), serial, now - 2 * HOUR, now + life)
        .add_extension(usage, critical=True)
        .add_extension(x509.UnrecognizedExtension(PROXY_INFORMATION, INHERIT_ALL), critical=True)
        .add_extension(x509.UnrecognizedExtension(DIRAC_GROUP, ia5_text), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    private = key.private_bytes(PEM, serialization.PrivateFormat.TraditionalOpenSSL, NOTHING)
    return leaf.public_bytes(PEM) + private + issuer.public_bytes(PEM)


def encoded(raw: bytes) -> str:
    """base64url without padding (RFC 7515)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def token(issuer: str, key: ec.EllipticCurvePrivateKey, scope: str, life: dt.timedelta) -> str:
    """A signed access token of the VO's user."""
    now_s = int(time.time())
    claims = {
        "iss": issuer,
        "sub": "labuser",
        "aud": "https://localhost",
        "wlcg.ver": "1.0",
        "scope": scope,
        "iat": now_s - 7200,
        "nbf": now_s - 7200,
        "exp": now_s + int(life.total_seconds()),
        "jti": uuid.uuid4().hex,
    }
    header = {"alg": "ES256", "typ": "JWT", "kid": "tests"}
    signed = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def known_to(folder: Path, issuer: str, key: ec.EllipticCurvePrivateKey) -> None:
    """Put the issuer's keys into a server's cache: its library trusts no issuer but by the system's authorities."""
    folder.mkdir(exist_ok=True)
    point = key.public_key().public_numbers()
    x, y = (encoded(number.to_bytes(32, "big")) for number in (point.x, point.y))
    jwk = {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "tests", "x": x, "y": y}
    later_s = int(time.time() + LIFE.total_seconds())
    keys = json.dumps({"expires": later_s, "jwks": {"keys": [jwk]}, "next_update": later_s})
    with sqlite3.connect(folder / "scitokens_cpp.sqllite") as cache:
        cache.execute(
            "CREATE TABLE IF NOT EXISTS keycache (issuer text UNIQUE PRIMARY KEY NOT NULL, keys text NOT NULL)"
        )
        cache.execute("INSERT OR REPLACE INTO keycache VALUES (?, ?)", (issuer, keys))


def main(certs: Path, home: Path, issuer: str) -> None:
    """All of them."""
    for folder in ("proxies", "tokens"):
        (home / folder).mkdir(exist_ok=True)
    for name, (certificate, group, life) in PROXIES.items():
        write(home / "proxies" / f"{name}.pem", proxy(certs, certificate, group, life))
    key = ec.generate_private_key(ec.SECP256R1())
    for name, (scope, life) in TOKENS.items():
        write(home / "tokens" / name, token(issuer, key, scope, life).encode())
    forged = token(issuer, ec.generate_private_key(ec.SECP256R1()), ALL, LIFE)
    write(home / "tokens" / "forged", forged.encode())
    for server in ("near", "far"):
        known_to(home / "work" / server / "scitokens", issuer, key)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), f"https://localhost:{sys.argv[3]}")
