"""How a setting is described: one call gives its option paths, meaning, default and unit."""

from dataclasses import MISSING, field
from typing import Any

from ce_backends.readers import MOST_WHOLE

AGENT = "/Systems/WorkloadManagement/Agents/JobAgent"
SITE_DIRECTOR = "/Systems/WorkloadManagement/Agents/SiteDirector"
WRAPPER = "/Systems/WorkloadManagement/JobWrapper"


def option(*paths: str, doc: str, default: object = MISSING, unit: str = "", most: int = MOST_WHOLE) -> Any:
    """Describe a setting: DIRAC's option paths (the first that is set wins), meaning, default, unit, most."""
    metadata = {"paths": paths, "doc": doc, "unit": unit, "most": most}
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)
