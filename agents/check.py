"""`python -m agents.check`: would an agent take this configuration? The pilot's doctor asks, on standard input."""

import json
import sys

from agents.errors import ConfigurationError
from agents.redaction import without_secrets
from agents.settings import AgentSettings, ce_options, load, nearly_ours
from agents.wms.configuration import without_setups
from ce_backends.cfg import Section, from_options, parse
from ce_backends.errors import CEMisconfigured
from ce_backends.registry import backend, validate


def known_options(ce_type: str) -> set[str]:
    """Return the names of a CE type's options.

    Raises:
        CEMisconfigured: there is no such type.
    """
    return {option.name for option in backend(ce_type).OPTIONS}


def inner_ce_options(cfg: Section, settings: AgentSettings) -> dict[str, str]:
    """Return what the configuration says of the inner CE, in options that its type has.

    Raises:
        CEMisconfigured: there is no such type.
    """
    known = known_options(settings.ce_type)
    return {name: text for name, text in ce_options(cfg, settings).items() if name in known}


def check(published: str, local: dict[str, str]) -> list[str]:
    """Go through the settings that an agent would have; return a sentence for each option that looks misspelt.

    Args:
        published: CFG text of the Configuration service.
        local: options of pilot.cfg, which win, by path.

    Raises:
        ConfigurationError: an option of the agent is missing, wrong or unknown.
        CEMisconfigured: there is no such CE type, or an option of it is wrong.
    """
    ours = from_options(local, "pilot.cfg")
    tree = without_setups(parse(published, "configuration").merge(ours))
    settings = load(tree)
    validate(settings.ce_type, inner_ce_options(tree, settings))
    return list(nearly_ours(ours))


def main() -> None:
    """Read `[published, local]`, as `check` takes them; write `[fault, odd]`: a sentence or "", and sentences."""
    published, local = json.load(sys.stdin)
    try:
        found = ["", check(published, local)]
    except (ConfigurationError, CEMisconfigured) as error:
        found = [str(error), []]
    print(json.dumps(without_secrets(found)))


if __name__ == "__main__":
    main()
