"""What a DIRAC administrator and its users do once: declare the site active, make proxies.

Runs with the host certificate, against the running services. DIRAC's names are resolved where they are used, because
importing its clients reads the configuration.
"""

import sys
from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any

import data_services
import stack

PROXY_LIFE_S = 20 * 24 * 3600


def value(returned: Mapping[str, Any], doing: str) -> Any:
    """What a DIRAC call returned, or the end of this program."""
    if not returned["OK"]:
        sys.exit(f"{doing}: {returned['Message']}")
    return returned.get("Value")


def make_proxy(name: str, certificate: str, group: str) -> None:
    """An RFC 3820 proxy with DIRAC's group extension, made by DIRAC's own X509Chain."""
    certs = stack.home() / "certs"
    path = certs / f"proxy-{name}.pem"
    path.unlink(missing_ok=True)
    chain = resolve_name("DIRAC.Core.Security.X509Chain:X509Chain")()
    value(chain.loadChainFromFile(str(certs / f"{certificate}cert.pem")), f"certificate {certificate}")
    value(chain.loadKeyFromFile(str(certs / f"{certificate}key.pem")), f"key {certificate}")
    value(chain.generateProxyToFile(str(path), PROXY_LIFE_S, diracGroup=group), f"proxy {name}")


def activate(element: str, name: str, status_type: str, **more: str) -> None:
    """Set one status in the ResourceStatusDB: the optimizers and the sandbox client ask there."""
    client = resolve_name("DIRAC.ResourceStatusSystem.Client.ResourceStatusClient:ResourceStatusClient")()
    words = {"name": name, "statusType": status_type, "status": "Active", "reason": "test", "tokenOwner": "rs_svc"}
    done = client.addOrModifyStatusElement(element, "Status", vO="all", **words, **more)
    value(done, f"status of {name}")


def main() -> None:
    """Idempotent: existing states are set again, proxies are made anew."""
    resolve_name("DIRAC:initialize")(host_credentials=stack.host_credentials())
    for site in (stack.SITE, data_services.FAR_SITE):
        activate("Site", site, "all", elementType="Site")
    for element in (stack.SANDBOX_SE, *data_services.ELEMENTS):
        for access in data_services.ACCESSES:
            activate("Resource", element, access, elementType="StorageElement")
    for name, (certificate, group) in stack.PROXIES.items():
        make_proxy(name, certificate, group)


if __name__ == "__main__":
    main()
