"""In which sections DIRAC looks for the options of the CE that runs a slot's payloads, and which of them wins."""

from ce_backends.cfg import Section, Value

CE_DEFAULTS = "/Resources/Computing/CEDefaults"
LOCAL = "/LocalSite"


def slot_sections(ce_type: str, ce_name: str) -> list[str]:
    """Return the paths of these sections in DIRAC's order: of two that set an option the later one wins.

    `Pool/Singularity` has those of Pool, then those of Singularity.

    Args:
        ce_type: of the inner CE, as /LocalSite/LocalCE has it.
        ce_name: of the CE through which the pilot came, as /LocalSite/GridCE has it; empty where it is not known.
    """
    outer, *inner = ce_type.split("/")
    computing = (f"/Resources/Computing/{name}" for name in (outer, *inner))
    local = (f"{LOCAL}/{name}" for name in (*inner, ce_name or outer))
    return [CE_DEFAULTS, *computing, *local, LOCAL]


def slot_options(cfg: Section, ce_type: str, ce_name: str) -> dict[str, Value]:
    """Return what a configuration says in these sections, those that are for others than the CE too."""
    merged: dict[str, Value] = {}
    for path in slot_sections(ce_type, ce_name):
        merged |= cfg.section(path).options()
    return merged
