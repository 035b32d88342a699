"""The Registry section of the Configuration: who users, groups and hosts are, and what they may do."""

import re

from agents.credentials.identity import Identity
from agents.errors import Blame, HandBack
from ce_backends.cfg import Section
from ce_backends.readers import comma_list

GENERIC_PILOT, FULL_DELEGATION = "GenericPilot", "FullDelegation"


class Registry:
    """Reads `/Registry` of the merged configuration."""

    def __init__(self, cfg: Section) -> None:
        self._cfg = cfg

    def owner_dn(self, owner: str) -> str:
        """Return a user's distinguished name, the first when there are several.

        Raises:
            HandBack: the Registry does not know the user.
        """
        names = _names(self._cfg.text(f"/Registry/Users/{owner}/DN"))
        if not names:
            detail = f"the Configuration has no /Registry/Users/{owner}/DN"
            raise HandBack("Failed to setup proxy", detail, blame=Blame.SERVER)
        return names[0]

    def user(self, dn: str) -> str:
        """Return the name of the user with this distinguished name, empty when the Registry knows none."""
        users = self._cfg.section("/Registry/Users").sections()
        return next((name for name, user in users if dn in _names(user.text("DN"))), "")

    def voms_attribute(self, group: str) -> str:
        """Return the VOMS role of a group, empty when its proxies carry none."""
        default = self._cfg.text("/Registry/DefaultVOMSAttribute")
        return self._cfg.text(f"/Registry/Groups/{group}/VOMSRole", default)

    def group_properties(self, group: str) -> frozenset[str]:
        """Return what the members of a group may do."""
        return frozenset(comma_list(self._cfg.text(f"/Registry/Groups/{group}/Properties")))

    def vo(self, group: str) -> str:
        """Return the virtual organisation of a group, empty when the Registry does not say."""
        return self._cfg.text(f"/Registry/Groups/{group}/VO")

    def host_properties(self, dn: str) -> frozenset[str]:
        """Return what the host with this certificate may do."""
        for _, host in self._cfg.section("/Registry/Hosts").sections():
            if dn in _names(host.text("DN")):
                return frozenset(comma_list(host.text("Properties")))
        return frozenset()

    def default_group(self, dn: str) -> str:
        """Return the group of a user whose proxy names none, empty when there is no default."""
        default = self._cfg.text("/Registry/DefaultGroup")
        for _, user in self._cfg.section("/Registry/Users").sections():
            if dn in _names(user.text("DN")):
                return next(iter(comma_list(user.text("DefaultGroup", default))), "")
        return ""


def vo_of(tree: Section, told: str, identity: Identity) -> str:
    """Return for which VO somebody works, by whose word that is known: options, proxy, the Registry of his group."""
    return told or identity.vo or Registry(tree).vo(identity.group)


def _names(text: str) -> list[str]:
    """Split a list of distinguished names, which may hold commas but begin with a slash."""
    return [name.strip() for name in re.split(r",\s*(?=/)", text) if name.strip()]
