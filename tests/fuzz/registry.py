"""All targets, by name: one table for each kind of foreign text."""

import importlib
from collections.abc import Mapping

from tests.fuzz.target import Target

GROUPS = ("jobs", "configuration", "credentials", "batch", "node", "answers", "data", "archives", "local_wms")
CONTROL = "planted"  # a parser with a bug: not among the others, it is there to be found


def group(name: str) -> Mapping[str, Target]:
    """Return the targets of a kind, which is a module of `targets`."""
    module = importlib.import_module(f"tests.fuzz.targets.{name}")
    return {target.name: target for target in module.TARGETS}


def everything() -> Mapping[str, str]:
    """Return the group of each target."""
    return {name: kind for kind in GROUPS for name in group(kind)}
