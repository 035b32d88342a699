"""How a certificate is shown in TLS: what OpenSSL will not use is told as a fault of the credential."""

import ssl
from pathlib import Path

from agents.errors import CredentialError


def tls(certificate: Path | tuple[Path, Path], ca: Path) -> ssl.SSLContext:
    """Return a context with this identity, which accepts a server only by the names in its SAN.

    Args:
        certificate: a proxy (leaf, key and chain in one file), or host certificate and key.
        ca: a directory of hashed CA certificates, or a bundle.

    Raises:
        CredentialError: certificate and key do not work together, or the CAs cannot be read.
    """
    chain, key = (certificate, None) if isinstance(certificate, Path) else certificate
    context = anonymous(ca)
    try:
        context.load_cert_chain(chain, key)
    except (ssl.SSLError, OSError) as error:
        raise CredentialError(f"{chain} with the CAs of {ca}: TLS cannot use them: {error}") from error
    return context


def anonymous(ca: Path) -> ssl.SSLContext:
    """Return a context without an identity, which accepts the same servers.

    Raises:
        CredentialError: the CAs cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    try:
        context.load_verify_locations(**{"cafile" if ca.is_file() else "capath": str(ca)})
    except (ssl.SSLError, OSError) as error:
        raise CredentialError(f"the CAs of {ca}: TLS cannot use them: {error}") from error
    return context
