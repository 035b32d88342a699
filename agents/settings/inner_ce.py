"""The options of the CE that runs the payloads, out of the agent's configuration."""

from agents.settings.agent import AgentSettings
from ce_backends.cfg import Section
from ce_backends.configuration.slot_sections import slot_options
from ce_backends.registry import backend


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
    found = slot_options(cfg, settings.ce_type, settings.ce_name)
    return {name: value.text for name, value in found.items() if name in known}
