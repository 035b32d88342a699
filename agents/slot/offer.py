"""The offer: what the Matcher is asked with. Keys and types as DIRAC's own agent sends them.

Types matter: the real Matcher formats PilotBenchmark as a number after it has set the job Matched, so a text
there loses a job for two hours.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from agents.settings.agent import AgentSettings, Strategy
from agents.slot.allocation import GPU_TAG, Slot
from ce_backends.cfg import Section

_WHOLE_NODE = "WholeNode"  # true only while no job holds a processor
_MULTI = "MultiProcessor"
_COUNTED = re.compile(r"(\d{1,6})Processors")
_SEVERAL = 2


def can_offer(settings: AgentSettings, slot: Slot) -> bool:
    """Tell whether there is anything to offer."""
    return slot.free_processors > 0 and bool(_required(settings, slot))


def offers(
    settings: AgentSettings, slot: Slot, *, work_left_hs06s: int, requirements: Mapping[str, object], first: bool
) -> list[dict[str, object]]:
    """Describe what is free now: once, or, with a MultiProcessorStrategy, for the best use of it first.

    The offers are to be tried in order until one gives a job.

    Args:
        settings: who and where we are.
        slot: its free processors, memory and GPUs are what is offered.
        work_left_hs06s: CPU work that one processor can still do.
        requirements: `/AgentJobRequirements` of the site, on top.
        first: this pilot has not reported its benchmark yet.
    """
    described = _description(settings, slot, work_left_hs06s, first=first)
    local = requirements.get("RequiredTag", ())
    site_tags = [local] if isinstance(local, str) else list(local) if isinstance(local, Sequence) else []
    tried = [list(dict.fromkeys((*tags, *site_tags))) for tags in _required(settings, slot)]
    return [described | dict(requirements) | ({"RequiredTag": tags} if tags else {}) for tags in tried]


def _description(settings: AgentSettings, slot: Slot, work_left_hs06s: int, *, first: bool) -> dict[str, object]:
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
        "MaxRAM": _offered_memory_mb(slot),
        "PilotReference": settings.pilot_reference,
        "PilotBenchmark": float(settings.pilot_benchmark_hs06),
        "PilotInfoReportedFlag": not first,
    }
    optional: dict[str, object] = {
        "NumberOfGPUs": slot.free_gpus,
        "Tag": _offered_tags(settings, slot),
        "Platform": settings.platform,
        "VirtualOrganization": settings.vo,
        "DIRACVersion": settings.release_version,
        "ReleaseVersion": settings.release_version,
        "ReleaseProject": settings.release_project,
    }
    return description | {name: value for name, value in optional.items() if value}


def _offered_memory_mb(slot: Slot) -> int:
    """Return the free memory; never 0 where it is known, for that means "no limit" to the Matcher."""
    return max(1, slot.free_memory_mb) if slot.memory_mb else 0


def _offered_tags(settings: AgentSettings, slot: Slot) -> list[str]:
    """Return the site's tags that are true now, and GPU for as long as one that we found is free."""
    tags = dict.fromkeys((*settings.tags, GPU_TAG) if slot.has_gpus else settings.tags)
    if not slot.is_all_free:
        tags.pop(_WHOLE_NODE, None)
    if slot.has_gpus and not slot.free_gpus:
        tags.pop(GPU_TAG, None)
    return list(tags)


def _required(settings: AgentSettings, slot: Slot) -> list[Sequence[str]]:
    """Return the tags that a job must have, for one offer after another.

    The Matcher refuses required tags that are not offered too; an offer whose tags are not true now is left out.
    """
    offered = _offered_tags(settings, slot)
    tried = (tuple(dict.fromkeys((*settings.required_tags, *more))) for more in _sequence(settings, slot))
    return [tags for tags in tried if all(tag in offered or not _is_lost(tag, slot) for tag in tags)]


def _is_lost(tag: str, slot: Slot) -> bool:
    """Tell whether a tag that comes and goes is not true now; the Matcher itself generates those with numbers."""
    if tag == _MULTI:
        return slot.free_processors < _SEVERAL
    if counted := _COUNTED.fullmatch(tag):
        return int(counted[1]) > slot.free_processors
    return tag in (_WHOLE_NODE, GPU_TAG)


def _sequence(settings: AgentSettings, slot: Slot) -> Iterator[Sequence[str]]:
    """Yield DIRAC's sequence: the whole node, all that is free, several processors, anything.

    Strict leaves the last out, unless the slot has but one processor: it rather waits than is filled with jobs of one.
    """
    if settings.multi_processor_strategy is not Strategy.NO and slot.processors > 1:
        if slot.is_all_free and _WHOLE_NODE in settings.tags:
            yield (_WHOLE_NODE,)
        if slot.free_processors > 1:
            yield (f"{slot.free_processors}Processors",)
            yield (_MULTI,)
        if settings.multi_processor_strategy is Strategy.STRICT:
            return
    yield ()


def site_requirements(cfg: Section) -> dict[str, object]:
    """Return `/AgentJobRequirements`: which jobs this site takes, in the Matcher's own words."""
    requirements: dict[str, object] = {}
    for name, value in cfg.section("/AgentJobRequirements").options():
        if name != "ExtraOptions" and value.text:
            words = [word.strip() for word in value.text.split(",")]
            requirements[name] = words if len(words) > 1 else value.text
    return requirements
