"""Who and what exists in the local WMS: one VO, three people, one host, one site."""

from dataclasses import dataclass

VO = "localvo"
SITE = "LOCAL.Demo.ch"
CE = "local-ce.localhost"
QUEUE = "local"
SANDBOX_SE = "LocalSandboxSE"
DISK_SE, FAILOVER_SE = "LOCAL-disk", "FAR-disk"  # the site's own, and one elsewhere
ORGANIZATION = "Gridpilot local WMS"

# DIRAC's properties (Core/Security/Properties), those that our services ask for
NORMAL_USER = "NormalUser"
GENERIC_PILOT = "GenericPilot"
LIMITED_DELEGATION = "LimitedDelegation"
OPERATOR = "Operator"
JOB_ADMINISTRATOR = "JobAdministrator"
TRUSTED_HOST = "TrustedHost"

HOSTS_GROUP = "hosts"
DEFAULT_GROUP = f"{VO}_user"


@dataclass(frozen=True, slots=True)
class Person:
    """A name in the Registry and the certificate that proves it."""

    username: str
    common_name: str
    groups: tuple[str, ...]

    @property
    def dn(self) -> str:
        """The subject as DIRAC writes it: slashes, most general part first."""
        return f"/O={ORGANIZATION}/CN={self.common_name}"


USER = Person("localuser", "Local User", (f"{VO}_user",))
ADMIN = Person("localadmin", "Local Admin", (f"{VO}_admin", f"{VO}_user"))
PILOT = Person("localpilot", "Local Pilot", (f"{VO}_pilot",))
HOST = Person("localhost", "localhost", (HOSTS_GROUP,))
PEOPLE = (USER, ADMIN, PILOT)

GROUPS: dict[str, frozenset[str]] = {
    f"{VO}_user": frozenset({NORMAL_USER}),
    f"{VO}_admin": frozenset({OPERATOR, JOB_ADMINISTRATOR, NORMAL_USER}),
    f"{VO}_pilot": frozenset({GENERIC_PILOT, LIMITED_DELEGATION}),
    HOSTS_GROUP: frozenset({TRUSTED_HOST, OPERATOR, JOB_ADMINISTRATOR, GENERIC_PILOT}),
}


def person_of(dn: str) -> Person | None:
    """Return the one whose certificate has this subject, None for a stranger."""
    return next((person for person in (*PEOPLE, HOST) if person.dn == dn), None)
