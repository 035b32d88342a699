"""Accounts, scopes and storage elements of the VO in RUCIO_VO, made by Rucio's own client as its root.

What is there already is left.
"""

import os
from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any

VO = "labvo"
NOBODY = "nobody@example.invalid"
READ_WRITE = {"read": 1, "write": 1, "delete": 1}
COPIES = {"third_party_copy_read": 1, "third_party_copy_write": 1}
# element -> scheme, the port's name in ports.sh, folder
ELEMENTS = {
    "XRD1": ("root", "NEAR_ROOT", f"//{VO}/rucio/"),
    "XRD2": ("https", "FAR_HTTPS", f"/{VO}/rucio/"),
    "DAV": ("https", "WEBDAV", f"/{VO}/rucio/"),
}
IMPLEMENTATIONS = {"root": "xrootd", "https": "webdav"}


def make(call: Callable[..., Any], *arguments: Any) -> None:
    """Unless it exists."""
    known = [resolve_name(f"rucio.common.exception:{name}") for name in ("Duplicate", "DataIdentifierAlreadyExists")]
    try:
        call(*arguments)
    except tuple(known):
        pass


def protocol(scheme: str, port_name: str, prefix: str) -> dict[str, Any]:
    """How an element is reached."""
    return {
        "scheme": scheme,
        "hostname": "localhost",
        "port": int(os.environ[f"STORAGE_PORT_{port_name}"]),
        "prefix": prefix,
        "impl": f"rucio.rse.protocols.{IMPLEMENTATIONS[scheme]}.Default",
        "domains": {"lan": READ_WRITE, "wan": {**READ_WRITE, **COPIES}},
    }


def main() -> None:
    """labuser may add replicas, which Rucio lets ordinary accounts do with the attribute `admin` only."""
    client = resolve_name("rucio.client:Client")()
    make(client.add_account, "labuser", "USER", NOBODY)
    make(client.add_identity, "labuser", "/C=CH/O=gridpilot tests/CN=Lab User", "X509", NOBODY)
    make(client.add_account_attribute, "labuser", "admin", "true")
    make(client.add_scope, "labuser", "user.labuser")
    make(client.add_scope, "root", "data")
    for scope in (VO, "user"):  # of /labvo, and of LFNs /labvo/user/…, as Rucio finds them for DIRAC
        make(client.add_scope, "root", scope)
    make(client.add_container, VO, f"/{VO}")  # Rucio makes the folders below it, and fails without it
    for name, (scheme, port_name, prefix) in ELEMENTS.items():
        make(client.add_rse, name)
        make(client.add_rse_attribute, name, "ANY", "true")  # what Rucio's rules for DIRAC's folders ask for
        make(client.add_protocol, name, protocol(scheme, port_name, prefix))
        for account in ("labuser", "root"):
            make(client.set_local_account_limit, account, name, -1)


if __name__ == "__main__":
    main()
