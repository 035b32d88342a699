"""Which job fits which offer, and if not, why: pure functions on values (WMS/DB/TaskQueueDB, WMS/Client/Matcher)."""

import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents.local_wms.jdl import Record, text_of, texts, whole_number

DAY_S = 86400
# CPU work is rounded up to these, so a slot of 3500 never gets a job of 1801 (taskQueueCPUTimeIntervals)
SEGMENTS_HS06S = (360, 1800, 3600, 21600, 43200, *(days * DAY_S for days in (1, 2, 3, 4, 6, 8, 10, 12.5)))
DEFAULT_CPU_TIME_HS06S = 86400
MAX_GENERATED_TAGS = 1024
ANY = "any"
YES = ("1", "yes", "true", "y")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a job needs. Jobs with equal wishes share a task queue.

    Attributes:
        cpu_time_hs06s: CPU work, already rounded up to a segment.
        processors: without which the job cannot run.
        memory_mb: 0 when the job says nothing.
        tags: all of them must be offered; `4Processors`, `MultiProcessor`, `WholeNode` are made from the JDL.
    """

    owner: str
    owner_group: str
    job_type: str
    cpu_time_hs06s: int
    processors: int
    memory_mb: int
    sites: tuple[str, ...]
    banned_sites: tuple[str, ...]
    grid_ces: tuple[str, ...]
    platforms: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A slot as a pilot describes it to `requestJob`; empty means that it does not say.

    Attributes:
        cpu_time_hs06s: CPU work left, seconds times benchmark.
        memory_mb: None or 0 when unknown.
        job_id: the only job wanted, for debugging.
        banned: DIRAC's Banned<Field> lists, by field.
    """

    site: str
    cpu_time_hs06s: float
    grid_ces: tuple[str, ...]
    platforms: tuple[str, ...]
    job_types: tuple[str, ...]
    owners: tuple[str, ...]
    owner_groups: tuple[str, ...]
    processors: int
    memory_mb: float | None
    tags: frozenset[str]
    required_tags: frozenset[str]
    job_id: int | None
    banned: Mapping[str, tuple[str, ...]]


class BadOffer(Exception):
    """The pilot's description cannot be matched with anything; DIRAC tells the pilot no more than that."""


def wish_of(job: Record, owner: str, owner_group: str) -> Wish:
    """Read a job's needs from its JDL.

    Raises:
        JdlError: a number that is none.
    """
    return Wish(
        owner=owner,
        owner_group=owner_group,
        job_type=text_of(job, "JobType", "User"),
        cpu_time_hs06s=segment(whole_number(job, "CPUTime", DEFAULT_CPU_TIME_HS06S)),
        processors=_minimum_processors(job),
        memory_mb=whole_number(job, "MinRAM", 0) or whole_number(job, "MaxRAM", 0),
        sites=_choices(job, "Site"),
        banned_sites=_choices(job, "BannedSites") + _choices(job, "BannedSite"),
        grid_ces=_choices(job, "GridCE"),
        platforms=_choices(job, "Platform"),
        tags=tuple(job_tags(job)),
    )


def segment(cpu_time_hs06s: int) -> int:
    """Round CPU work up to DIRAC's next segment; beyond the last one it is the last."""
    place = bisect.bisect_left(SEGMENTS_HS06S, cpu_time_hs06s)
    return int(SEGMENTS_HS06S[min(place, len(SEGMENTS_HS06S) - 1)])


def _choices(job: Record, name: str) -> tuple[str, ...]:
    items = texts(job.get(name))
    return () if any(item.lower() == ANY for item in items) else tuple(items)


def _minimum_processors(job: Record) -> int:
    if "NumberOfProcessors" in job:
        return max(1, whole_number(job, "NumberOfProcessors", 1))
    return max(1, whole_number(job, "MinNumberOfProcessors", 1))


def job_tags(job: Record) -> list[str]:
    """Return the tags of the JDL and those made from its processor keys, as the JobScheduling optimizer does."""
    processors = _minimum_processors(job)
    tags = [f"{processors}Processors", "MultiProcessor"] if processors > 1 else []
    if "NumberOfProcessors" not in job and "MinNumberOfProcessors" in job:
        # a minimum without a maximum means: any number from there on
        maximum = whole_number(job, "MaxNumberOfProcessors", -1)
        if maximum == -1 or maximum > 1:
            tags.append("MultiProcessor")
    if text_of(job, "WholeNode", "no").lower() in YES:
        tags += ["WholeNode", "MultiProcessor"]
    return list(dict.fromkeys([*tags, *texts(job.get("Tags")), *texts(job.get("Tag"))]))


def offer_of(resource: Mapping[str, Any]) -> Offer:
    """Read the dictionary of `requestJob`; keys it does not know are ignored.

    Raises:
        BadOffer: no Site, no CPUTime, or tags required that are not offered.
        TypeError, ValueError: a number that is none; on the real one too the request then breaks off.
    """
    if "Site" not in resource or "CPUTime" not in resource:
        raise BadOffer("Site and CPUTime are mandatory")
    tags = _offered_tags(resource)
    required = frozenset(_words(resource.get("RequiredTag"))) if "Tag" in resource else frozenset[str]()
    if not required <= tags:
        raise BadOffer("Wrong conditions")
    memory = resource.get("MaxRAM")
    return Offer(
        site=resource["Site"],
        cpu_time_hs06s=0 + resource["CPUTime"],
        grid_ces=_words(resource.get("GridCE")),
        platforms=_words(resource.get("Platform")),
        job_types=_words(resource.get("JobType")),
        owners=_words(resource.get("Owner")),
        owner_groups=_words(resource.get("OwnerGroup")),
        processors=int(resource.get("NumberOfProcessors") or 1),
        memory_mb=None if memory is None else 0 + memory,
        tags=tags,
        required_tags=required,
        job_id=int(resource["JobID"]) if resource.get("JobID") else None,
        banned={
            field: _words(resource.get(f"Banned{field}")) for field in ("Site", "GridCE", "Platform", "JobType", "Tag")
        },
    )


def _items(value: Any) -> tuple[str, ...]:
    """Return the items of a list, or of a text `a, b` or `[a, b]`."""
    if not value:
        return ()
    parts = value.strip("[] ").split(",") if isinstance(value, str) else [str(item) for item in value]
    return tuple(part.strip("\"' ") for part in parts)


def _words(value: Any) -> tuple[str, ...]:
    """Return the items, none where one of them is `any`: then there is no condition."""
    items = _items(value)
    return () if any(item.lower() == ANY for item in items) else items


def _offered_tags(resource: Mapping[str, Any]) -> frozenset[str]:
    tags = {ANY if item.lower() == ANY else item for item in _items(resource.get("Tag"))}
    processors = int(resource.get("NumberOfProcessors") or 1)
    if 1 < processors <= MAX_GENERATED_TAGS:
        tags.update(f"{count}Processors" for count in range(2, processors + 1))
        tags.add("MultiProcessor")
    memory_gb = int((resource.get("MaxRAM") or 0) / 1000)
    if memory_gb <= MAX_GENERATED_TAGS:
        tags.update(f"{count}GB" for count in range(2, memory_gb + 1))
    if "WholeNode" in resource:
        tags.add("WholeNode")
    return frozenset(tags)


def why_not(wish: Wish, offer: Offer) -> str | None:
    """Return the first reason why a job with this wish cannot have this slot, None when it can."""
    return next(filter(None, (rule(wish, offer) for rule in RULES)), None)


def _site(wish: Wish, offer: Offer) -> str | None:
    if wish.sites and offer.site not in wish.sites:
        return f"it may run at {', '.join(wish.sites)} only, the slot is at {offer.site}"
    if offer.site in wish.banned_sites:
        return f"it may not run at {offer.site}"
    return None


def _owner(wish: Wish, offer: Offer) -> str | None:
    if offer.owner_groups and wish.owner_group not in offer.owner_groups:
        return f"the slot takes jobs of group {', '.join(offer.owner_groups)}, not of {wish.owner_group}"
    if offer.owners and wish.owner not in offer.owners:
        return f"the slot takes jobs of {', '.join(offer.owners)}, not of {wish.owner}"
    return None


def _processors(wish: Wish, offer: Offer) -> str | None:
    if f"{wish.processors}Processors" in wish.tags and wish.processors > offer.processors:
        return f"it needs {wish.processors} processors, the slot has {offer.processors}"
    return None


def _cpu_time(wish: Wish, offer: Offer) -> str | None:
    if wish.cpu_time_hs06s > offer.cpu_time_hs06s:
        return f"it needs {wish.cpu_time_hs06s} HS06 s of CPU work, the slot has {offer.cpu_time_hs06s} left"
    return None


def _memory(wish: Wish, offer: Offer) -> str | None:
    if offer.memory_mb and wish.memory_mb > offer.memory_mb:
        return f"it needs {wish.memory_mb} MB of memory, the slot has {offer.memory_mb}"
    return None


def _tags(wish: Wish, offer: Offer) -> str | None:
    missing = [] if ANY in offer.tags else [tag for tag in wish.tags if tag not in offer.tags]
    if "WholeNode" in missing:
        return "it needs a whole node, the slot offers only a part of one"
    if missing == ["MultiProcessor"]:
        return "it is a multi-processor job, the slot has one processor"
    if missing:
        return f"it needs tag {', '.join(missing)}, the slot does not offer it"
    if lacking := sorted(offer.required_tags - set(wish.tags)):
        return f"the slot takes only jobs with tag {', '.join(lacking)}"
    return None


def _listed(wish: Wish, offer: Offer) -> str | None:
    """Compare the fields where the job lists what it accepts and the slot says what it is."""
    for noun, accepted, offered in (
        ("CE", wish.grid_ces, offer.grid_ces),
        ("platform", wish.platforms, offer.platforms),
        ("job type", (wish.job_type,), offer.job_types),
    ):
        if accepted and offered and not set(accepted) & set(offered):
            return f"its {noun} is {', '.join(accepted)}, the slot's is {', '.join(offered)}"
    return None


def _banned(wish: Wish, offer: Offer) -> str | None:
    mine = {
        "Site": wish.sites,
        "GridCE": wish.grid_ces,
        "Platform": wish.platforms,
        "JobType": (wish.job_type,),
        "Tag": wish.tags,
    }
    for field, banned in offer.banned.items():
        if hit := sorted(set(mine[field]) & set(banned)):
            return f"the slot takes no job with {field} {', '.join(hit)}"
    return None


RULES = (_site, _owner, _processors, _cpu_time, _memory, _tags, _listed, _banned)
