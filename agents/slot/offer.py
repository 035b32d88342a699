"""The offer: what the Matcher is asked with. Keys and types as DIRAC's own agent sends them.

Types matter: the real Matcher formats PilotBenchmark as a number after it has set the job Matched, so a text
there loses a job for two hours.
"""

from collections.abc import Mapping

from agents.cfg import Section
from agents.jobs.allocation import Slot
from agents.settings import AgentSettings

_WHOLE_NODE = "WholeNode"  # true only while no job holds a processor


def can_offer(settings: AgentSettings, slot: Slot) -> bool:
    """Tell whether there is anything to offer: the Matcher refuses required tags that are not offered too."""
    return slot.free_processors > 0 and (slot.is_all_free or _WHOLE_NODE not in settings.required_tags)


def offer(
    settings: AgentSettings, slot: Slot, *, work_left_hs06s: int, requirements: Mapping[str, object], first: bool
) -> dict[str, object]:
    """Describe what is free now.

    Args:
        settings: who and where we are.
        slot: its free processors and memory are what is offered.
        work_left_hs06s: CPU work that one processor can still do.
        requirements: `/AgentJobRequirements` of the site, on top.
        first: this pilot has not reported its benchmark yet.
    """
    description: dict[str, object] = {
        "Site": settings.site,
        "GridCE": settings.ce_name,
        "CEQueue": settings.queue,
        "Queue": settings.queue,
        "LocalCE": settings.ce_type,
        "CEType": settings.ce_type.partition("/")[0],
        "CPUTime": work_left_hs06s,
        "CPUTimeLeft": work_left_hs06s,
        "CPUNormalizationFactor": settings.pilot_benchmark_hs06,
        "NumberOfProcessors": slot.free_processors,
        "MaxRAM": slot.free_memory_mb,
        "PilotReference": settings.pilot_reference,
        "PilotBenchmark": float(settings.pilot_benchmark_hs06),
        "PilotInfoReportedFlag": not first,
    }
    optional: dict[str, object] = {
        "Tag": [tag for tag in settings.tags if tag != _WHOLE_NODE or slot.is_all_free],
        "RequiredTag": list(settings.required_tags),
        "Platform": settings.platform,
        "VirtualOrganization": settings.vo,
        "DIRACVersion": settings.release_version,
        "ReleaseVersion": settings.release_version,
        "ReleaseProject": settings.release_project,
    }
    return description | {name: value for name, value in optional.items() if value} | dict(requirements)


def site_requirements(cfg: Section) -> dict[str, object]:
    """Return `/AgentJobRequirements`: which jobs this site takes, in the Matcher's own words."""
    requirements: dict[str, object] = {}
    for name, value in cfg.section("/AgentJobRequirements").options():
        if name != "ExtraOptions" and value.text:
            words = [word.strip() for word in value.text.split(",")]
            requirements[name] = words if len(words) > 1 else value.text
    return requirements
