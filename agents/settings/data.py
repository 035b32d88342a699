"""What the data commands read of a configuration."""

from dataclasses import dataclass

from agents.settings.identity import IdentitySettings
from agents.settings.option import option
from ce_backends.configuration.slot_sections import CE_DEFAULTS, LOCAL


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSettings(IdentitySettings):
    """Where somebody is, and which servers publish the rest; the options are the agent's."""

    site: str = option(f"{LOCAL}/Site", default="", doc="Name of the site, as the WMS knows it.")
    vo: str = option(
        f"{CE_DEFAULTS}/VirtualOrganization",
        "/DIRAC/VirtualOrganization",
        default="",
        doc="VO, where no group has one.",
    )
    setup: str = option("/DIRAC/Setup", default="None", doc="DIRAC setup (7.3, 8); DIRAC 9 has none.")
    configuration_servers: tuple[str, ...] = option(
        "/DIRAC/Configuration/Servers", default=(), doc="URLs of the Configuration service, tried in order."
    )
