"""ProxyManager: the stored proxies of job owners, delegated to a key that never leaves this node."""

from agents.wms import answers
from agents.wms.service import Service


class ProxyManager:
    """Asks for proxies of others; the right to it is LimitedDelegation or FullDelegation."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def delegate(self, dn: str, group: str, request_pem: str, life_s: int, voms_attribute: str = "") -> str:
        """Return the PEM chain of a proxy for this request, the new certificate first.

        Args:
            dn: of the owner.
            group: DIRAC group that the proxy shall carry.
            request_pem: what has to be signed.
            life_s: wanted; the service may grant up to half as much again.
            voms_attribute: role that the proxy shall carry, empty for none.

        Raises:
            Refused: there is no such proxy, or not for us.
            ServiceError: it could not be asked.
        """
        arguments = (dn, group, request_pem, life_s)
        if voms_attribute:
            answer = self._service.call("getVOMSProxy", *arguments, voms_attribute)
        else:
            answer = self._service.call("getProxy", *arguments)
        return answers.text(answer, "ProxyManager", "a PEM chain")
