"""A token issuer for one machine: issuer.py URL CERTIFICATE KEY DIRECTORY.

Serves the two documents that A-REX reads to check a token, and writes tokens into DIRECTORY: `token`,
`token.expired`, `token.forged`. Standard library and the openssl command only.
"""

import base64
import http.server
import json
import ssl
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

LIFE_S = 7 * 86400


def encoded(raw: bytes) -> str:
    """Return base64url without padding (RFC 7515)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def modulus(key: Path) -> bytes:
    """Return the modulus of an RSA key."""
    text = subprocess.run(["openssl", "rsa", "-noout", "-modulus", "-in", key], check=True, capture_output=True).stdout
    return bytes.fromhex(text.decode().strip().partition("=")[2])


def token(issuer: str, key: Path, life_s: int) -> str:
    """Return a signed access token for griduser."""
    now_s = int(time.time())
    header = {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    claims = {
        "wlcg.ver": "1.0",
        "sub": "griduser",
        "iss": issuer,
        "aud": "https://wlcg.cern.ch/jwt/v1/any",
        "iat": now_s - 120,
        "nbf": now_s - 120,
        "exp": now_s + life_s,
        "jti": f"{now_s}-{life_s}",
        "scope": "compute.read compute.create compute.cancel compute.modify",
    }
    signed = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    command = ["openssl", "dgst", "-sha256", "-sign", key]
    signature = subprocess.run(command, input=signed.encode(), check=True, capture_output=True).stdout
    return f"{signed}.{encoded(signature)}"


def documents(issuer: str, key: Path) -> dict[str, object]:
    """Return what is served, by path."""
    public = {"kty": "RSA", "kid": "k1", "use": "sig", "alg": "RS256", "n": encoded(modulus(key)), "e": "AQAB"}
    configuration = {"issuer": issuer, "jwks_uri": f"{issuer}jwks", "token_endpoint": f"{issuer}token"}
    return {"/.well-known/openid-configuration": configuration, "/jwks": {"keys": [public]}}


def handler(served: dict[str, object]) -> type[http.server.BaseHTTPRequestHandler]:
    """Return what answers requests."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = urllib.parse.urlsplit(self.path).path.replace("//", "/")  # A-REX sends the absolute form
            if path not in served:
                self.send_error(404)
                return
            body = json.dumps(served[path]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


def main(issuer: str, certificate: str, key: str, directory: str) -> None:
    """Write the tokens, then serve until told to stop."""
    good = token(issuer, Path(key), LIFE_S)
    texts = {"token": good, "token.expired": token(issuer, Path(key), -60), "token.forged": good[:-8] + "AAAAAAAA"}
    for name, text in texts.items():
        (Path(directory) / name).write_text(text)
    port = urllib.parse.urlsplit(issuer).port or 443
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler(documents(issuer, Path(key))))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


main(*sys.argv[1:])
