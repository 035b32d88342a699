"""The Configuration with the levels that DIRAC 7.3 and 8 have more than 9: a setup, an instance of each system."""

from collections.abc import Mapping
from typing import Any

SETUP = "LabSetup"
INSTANCE = "Production"
SYSTEM_WIDE = ("Databases", "NoSQLDatabases", "Tornado")
OF_THE_SETUP = "Pilot"  # of the Operations, what stands under the setup and not under Defaults


def levelled(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The same options, each where DIRAC 8 looks for it."""
    systems = flat["Systems"]
    names = [name for name in systems if name not in SYSTEM_WIDE]
    tree = {
        **flat,
        "DIRAC": {**flat["DIRAC"], "Setup": SETUP, "Setups": {SETUP: dict.fromkeys(names, INSTANCE)}},
        "Systems": {name: {INSTANCE: of} if name in names else of for name, of in systems.items()},
    }
    if "Operations" in flat:
        defaults = dict(flat["Operations"]["Defaults"])
        tree["Operations"] = {SETUP: {OF_THE_SETUP: defaults.pop(OF_THE_SETUP)}, "Defaults": defaults}
    return tree
