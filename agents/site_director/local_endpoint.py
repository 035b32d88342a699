"""A local WMS as configuration: what its `endpoint.json` says, in the sections where DIRAC has it."""

import json
from collections.abc import Sequence
from pathlib import Path

from agents.errors import ConfigurationError
from agents.settings.option import SITE_DIRECTOR
from ce_backends.cfg import Section
from ce_backends.errors import plain_word

_NEEDED = ("configuration", "ca_dir", "pilot_proxy", "site", "ce", "queue", "vo")
_MOST_BYTES = 100_000


def of_local_wms(home: Path, ce_type: str, ce_options: Sequence[str]) -> Section:
    """Return the configuration that makes a SiteDirector work for the local WMS in a directory.

    Args:
        home: its directory.
        ce_type: of the CE that gets the pilots; empty where the CFG files define CEs themselves.
        ce_options: NAME=VALUE, of that CE.

    Raises:
        ConfigurationError: no local WMS runs there, or an option is none.
    """
    found = _read(home / "endpoint.json", home)
    made = Section()
    for path, value in (
        ("/DIRAC/Configuration/Servers", found["configuration"]),
        ("/DIRAC/Security/CALocation", found["ca_dir"]),
        ("/DIRAC/Security/ProxyFile", found["pilot_proxy"]),
        (f"{SITE_DIRECTOR}/VO", found["vo"]),
        (f"{SITE_DIRECTOR}/ToldOfJobs", "yes"),
    ):
        made.set(path, value, str(home / "endpoint.json"))
    if ce_type:
        ce = f"/Resources/Sites/LOCAL/{found['site']}/CEs/{found['ce']}"
        made.set(f"{ce}/CEType", ce_type, "option -y")
        for written in ce_options:
            name, equals, value = written.partition("=")
            if not equals or not name.isidentifier():
                raise ConfigurationError(f"-c {written}: expected NAME=VALUE, an option of CE type {ce_type}")
            made.set(f"{ce}/Queues/{found['queue']}/{name}", value, "option -c")
        if not ce_options:
            made.set(f"{ce}/Queues/{found['queue']}/VO", found["vo"], "option -y")
    return made


def _read(path: Path, home: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_MOST_BYTES))
    except FileNotFoundError:
        raise ConfigurationError(f"no local WMS runs in {home}: start one with `gridpilot wms serve`") from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {plain_word(error)}") from error
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in _NEEDED):
        raise ConfigurationError(f"{path}: expected {', '.join(_NEEDED)}, each a text")
    return {name: found[name] for name in _NEEDED}
