"""The queues that pilots are submitted to: sites, CEs and queues of the configuration, in DIRAC's names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from agents.errors import ConfigurationError
from agents.settings.site_director import SiteDirectorSettings
from ce_backends.cfg import Section
from ce_backends.configuration import site_file
from ce_backends.configuration.site_file import Definition
from ce_backends.options import OptionValue
from ce_backends.readers import comma_list, number, whole_number
from ce_backends.registry import backend

Value = TypeVar("Value")
_LONGEST_HS06S = int(12.5 * 86400)  # as much as DIRAC's task queues tell apart
_SI00_OF_HS06 = 250.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PilotQueue:
    """One queue of a CE.

    Attributes:
        name: `CE/QUEUE`.
        site: DIRAC's name of it.
        ce: name of the CE.
        queue: of the CE.
        ce_type: as the registry has it.
        options: for `registry.create`.
        processors: of a pilot.
        most_total, most_waiting: pilots that have not ended, and of these, that wait.
        matcher: what the Matcher is told of it.
        pilot_options: more of the pilot's command line.
        price: of a processor hour beside that of others.
    """

    name: str
    site: str
    ce: str
    queue: str
    ce_type: str
    options: Mapping[str, OptionValue]
    processors: int
    most_total: int
    most_waiting: int
    matcher: Mapping[str, object]
    pilot_options: str = ""
    price: float = 1.0


def queues_of(cfg: Section, settings: SiteDirectorSettings) -> tuple[list[PilotQueue], list[str]]:
    """Return the queues that the settings choose, and a sentence for each thing that is understood in another way.

    Raises:
        ConfigurationError: none is defined or chosen, or one that is chosen cannot be used; all mistakes are named.
        CEMisconfigured: no CE is defined at all.
    """
    chosen = [each for each in site_file.definitions(cfg) if each.site and _is_chosen(each, settings)]
    if not chosen:
        raise ConfigurationError(
            "no queue is chosen: expected one below /Resources/Sites that Sites, CEs, CETypes, Tags and VO of the "
            "SiteDirector let in"
        )
    queues: list[PilotQueue] = []
    mistakes: list[str] = []
    notes: list[str] = []
    for definition in chosen:
        reading = site_file.read(definition)
        mistakes += reading.mistakes
        notes += reading.notes
        if not reading.mistakes:
            try:
                queues.append(_queue(definition, reading.options, settings))
            except ConfigurationError as error:
                mistakes.append(str(error))
    if mistakes:
        raise ConfigurationError("; ".join(mistakes))
    return queues, notes


def _is_chosen(definition: Definition, settings: SiteDirectorSettings) -> bool:
    ce, _, _ = definition.name.partition("/")
    vos = _listed(definition, "VO")
    return all(
        (
            not settings.sites or definition.site in settings.sites,
            not settings.ces or ce in settings.ces,
            not settings.ce_types or definition.ce_type in settings.ce_types,
            set(settings.tags) <= set(_listed(definition, "Tag")),
            not vos or not settings.vo or settings.vo in vos,
        )
    )


def _queue(definition: Definition, options: Mapping[str, OptionValue], settings: SiteDirectorSettings) -> PilotQueue:
    ce, _, queue = definition.name.partition("/")
    processors = _read(definition, "NumberOfProcessors", 1, lambda text: whole_number(text, 1))
    table = {option.name for option in backend(definition.ce_type).OPTIONS}
    limits = {name: _read(definition, name, most, whole_number) for name, most in settings.limits.items()}
    ours = {
        "StatusInterval": settings.status_s,
        **{name: limit for name, limit in limits.items() if limit > 0},  # 0 is no value that CE types take
    }
    return PilotQueue(
        name=definition.name,
        site=definition.site,
        ce=ce,
        queue=queue,
        ce_type=definition.ce_type,
        options={**{name: value for name, value in ours.items() if name in table}, **options},
        processors=processors,
        most_total=limits["MaxTotalJobs"],
        most_waiting=limits["MaxWaitingJobs"],
        matcher=_offer(definition, ce, queue, processors, settings.vo),
        pilot_options=_text(definition, "ExtraPilotOptions"),
        price=_read(definition, "Price", 1.0, lambda text: number(text, 0.001)),
    )


def _offer(definition: Definition, ce: str, queue: str, processors: int, vo: str) -> Mapping[str, object]:
    """Return what a pilot of this queue will offer, as far as it is known before."""
    known: dict[str, object] = {
        "Site": definition.site,
        "GridCE": ce,
        "Queue": queue,
        "NumberOfProcessors": processors,
        "CPUTime": _cpu_work_hs06s(definition),
    }
    if vo:
        known["VirtualOrganization"] = vo
    for name in ("Tag", "RequiredTag"):
        if listed := _listed(definition, name):
            known[name] = list(listed)
    if memory_mb := _read(definition, "MaxRAM", 0, whole_number):
        known["MaxRAM"] = memory_mb
    if platform := _text(definition, "Platform"):
        known["Platform"] = platform
    if _text(definition, "WholeNode").lower() in ("yes", "true", "1", "y"):
        known["WholeNode"] = True
    return known


def _cpu_work_hs06s(definition: Definition) -> int:
    """Return CPUTime, else what maxCPUTime (minutes) at SI00 makes, else as much as there is."""
    work = _read(definition, "CPUTime", 0.0, number)
    minutes, power = _read(definition, "maxCPUTime", 0.0, number), _read(definition, "SI00", 0.0, number)
    work = work or minutes * 60 * power / _SI00_OF_HS06
    return min(int(work), _LONGEST_HS06S) if work else _LONGEST_HS06S


def _text(definition: Definition, name: str) -> str:
    value = definition.options.get(name)
    return value.text if value else ""


def _listed(definition: Definition, name: str) -> Sequence[str]:
    return comma_list(_text(definition, name))


def _read(definition: Definition, name: str, default: Value, read: Callable[[object], Value]) -> Value:
    value = definition.options.get(name)
    if value is None or not value.text:
        return default
    try:
        return read(value.text)
    except ValueError:
        raise ConfigurationError(f"{value.origin}: {name} = {value.text}: expected a number of at least 0") from None
