"""Where the stack lives and what it is called: env.sh decides paths and ports, this module the names."""

import os
from importlib.metadata import version
from pathlib import Path

VO = "labvo"
SITE = "LAB.Local.ch"
CE = "lab-ce.localhost"
QUEUE = "labqueue"
SANDBOX_SE = "LabSandboxSE"
# DIRAC 8 as most of its installations are: no https, and levels of setup and instance in the Configuration
IS_DIRAC_8 = os.environ.get("STACK_RELEASE") == "8.0"
DN_PREFIX = "/C=CH/O=gridpilot tests/CN="
# certificate -> common name
COMMON_NAMES = {
    "host": "localhost",
    "pilothost": "pilothost.localhost",
    "user": "Lab User",
    "user2": "Lab User Two",
    "admin": "Lab Admin",
    "pilot": "Lab Pilot",
    "stranger": "Lab Stranger",  # a valid certificate that the Registry does not know
}
HOST_CERTIFICATES = ("host", "pilothost")
# proxy -> (certificate, DIRAC group)
PROXIES = {
    "user": ("user", f"{VO}_user"),
    "user2": ("user2", f"{VO}_user"),
    "admin": ("admin", f"{VO}_admin"),
    "pilot": ("pilot", f"{VO}_pilot"),
    "stranger": ("stranger", f"{VO}_user"),
}


def dirac_version() -> str:
    """The version of DIRAC in the stack's own environment, for what runs in it."""
    return version("DIRAC")


def home() -> Path:
    """The folder of everything that is not source code."""
    return Path(os.environ["STACK_HOME"])


def host_credentials() -> tuple[Path, Path]:
    """Certificate and key of the services."""
    return home() / "certs" / "hostcert.pem", home() / "certs" / "hostkey.pem"


def port(name: str, of: str = "STACK") -> int:
    """The loopback port that env.sh gave to a server, by the end of its variable's name; of STORAGE, its ports.sh."""
    return int(os.environ[f"{of}_PORT_{name}"])


def distinguished_name(certificate: str) -> str:
    """The subject of one of our certificates, in DIRAC's spelling."""
    return DN_PREFIX + COMMON_NAMES[certificate]


def configuration_url() -> str:
    """The master Configuration server."""
    if IS_DIRAC_8:
        return dips_url("Configuration/Server", "CONFIGURATION")
    return f"https://localhost:{port('CONFIGURATION')}/Configuration/Server"


def dips_url(system_and_service: str, port_name: str, of: str = "STACK") -> str:
    """The URL of a DISET service."""
    return f"dips://localhost:{port(port_name, of)}/{system_and_service}"
