"""Settings of who we are towards the services: the same for every agent."""

from dataclasses import dataclass

from agents.settings.option import option


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentitySettings:
    """Certificate, proxy, token, and whom we trust."""

    use_server_certificate: bool = option(
        "/DIRAC/Security/UseServerCertificate", default=False, doc="Identify with the host certificate, not a proxy."
    )
    certificate_file: str = option("/DIRAC/Security/CertFile", default="", doc="Host certificate (PEM).")
    key_file: str = option("/DIRAC/Security/KeyFile", default="", doc="Its private key (PEM, mode 0600).")
    use_tokens: bool = option(
        "/DIRAC/Security/UseTokens", default=False, doc="Show a bearer token to https services; dips needs the proxy."
    )
    proxy_file: str = option(
        "/DIRAC/Security/ProxyFile", default="", doc="Proxy of the pilot; otherwise X509_USER_PROXY."
    )
    ca_location: str = option(
        "/DIRAC/Security/CALocation",
        default="",
        doc="CA directory or bundle; otherwise X509_CERT_DIR, /etc/grid-security.",
    )
