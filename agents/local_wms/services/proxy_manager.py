"""Delegates the users' proxies (FrameworkSystem/Service/ProxyManagerHandler); our authority itself has their keys."""

from collections.abc import Callable

from agents.local_wms.registry import GENERIC_PILOT, LIMITED_DELEGATION, PEOPLE, Person
from agents.local_wms.services.base import Caller, Refusal, Service, exported

Sign = Callable[[Person, str, str, int], str]


class ProxyManager(Service):
    """Serves pilots.

    Args:
        sign: returns the chain (PEM) for a request (PEM) of a person's group, for so many seconds at most.
    """

    name = "Framework/ProxyManager"

    def __init__(self, sign: Sign) -> None:
        self._sign = sign

    @exported("getProxy", LIMITED_DELEGATION, GENERIC_PILOT)
    def proxy(self, _caller: Caller, dn: str, group: str, request_pem: str, life_s: int) -> str:
        """Return a limited proxy of somebody, for a key that the caller holds."""
        person = next((person for person in PEOPLE if person.dn == dn and group in person.groups), None)
        if person is None:
            raise Refusal(f"Can't get a proxy for {dn}@{group}: no such proxy")
        try:
            return self._sign(person, group, request_pem, life_s)
        except ValueError as error:
            raise Refusal(f"Error while generating chain from request: {error}") from error
