"""Serve Rucio's REST application over https: `rucio_serve.py PORT`.

In an installation Apache tells the application whose certificate the client has; here this does. An RFC 3820 proxy
stands for the certificate that signed it. Rucio's code is unmodified.
"""

import os
import ssl
import sys
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID
from werkzeug.serving import WSGIRequestHandler, make_server

NAMES = {NameOID.COUNTRY_NAME: "C", NameOID.ORGANIZATION_NAME: "O", NameOID.COMMON_NAME: "CN"}
PROXY_INFORMATION = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.14")


def subject(der: bytes) -> str:
    """The name of whom a certificate or a proxy stands for, in the spelling of Rucio's identities."""
    certificate = x509.load_der_x509_certificate(der)
    try:
        certificate.extensions.get_extension_for_oid(PROXY_INFORMATION)
        name = certificate.issuer
    except x509.ExtensionNotFound:
        name = certificate.subject
    return "".join(f"/{NAMES[part.oid]}={part.value!s}" for part in name)


class Handler(WSGIRequestHandler):
    """One request, with the client's name where Apache would put it."""

    def make_environ(self) -> Any:
        environ = super().make_environ()
        connection: Any = self.connection
        der = connection.getpeercert(binary_form=True)
        if der:
            environ["SSL_CLIENT_S_DN"] = subject(der)
            environ["SSL_CLIENT_VERIFY"] = "SUCCESS"
        return environ


def main(port: int) -> None:
    """Until killed."""
    etc = Path(os.environ["STORAGE_HOME"]) / "etc"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(etc / "hostcert.pem", etc / "hostkey.pem")
    context.load_verify_locations(cafile=etc / "ca.pem")
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_ALLOW_PROXY_CERTS
    application = resolve_name("rucio.web.rest.flaskapi.v1.main:application")
    make_server(
        "127.0.0.1", port, application, threaded=True, request_handler=Handler, ssl_context=context
    ).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
