"""CEs as DIRAC's configuration defines them: sites with their CEs and queues, or the slot's own section.

Resources/Sites/GRID/SITE/CEs/CE          CEType, options; in Queues/QUEUE options of one queue over them
LocalSite                                 LocalCE, options, those of CEDefaults and Computing/TYPE below them
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ce_backends.ce_types.local_and_ssh import batch_system_of
from ce_backends.cfg import Section, Value
from ce_backends.configuration.slot_sections import LOCAL, slot_options, slot_sections
from ce_backends.errors import CEMisconfigured
from ce_backends.options import Option, OptionValue, option_of
from ce_backends.readers import nearest
from ce_backends.registry import backend, ce_types

SITES = "/Resources/Sites"
SLOT = "LocalSite"
_TYPE_OPTIONS = ("CEType", "LocalCEType", "LocalCE")

# DIRAC's and old names for a place and a batch system
ALIASES: Mapping[str, tuple[str, str]] = {
    "SSHTorque": ("SSH", "Torque"),
    "SSHGE": ("SSH", "GE"),
    "SSHCondor": ("SSH", "Condor"),
    "SSHLSF": ("SSH", "LSF"),
    "SSHOAR": ("SSH", "OAR"),
    "SLURM": ("Local", "SLURM"),
    "Slurm": ("Local", "SLURM"),
    "GE": ("Local", "GE"),
    "Torque": ("Local", "Torque"),
    "LSF": ("Local", "LSF"),
    "OAR": ("Local", "OAR"),
    "ARC": ("AREX", ""),
    "ARC6": ("AREX", ""),
}
RENAMED = {"ExecQueue": "Queue", "CEQueueName": "Queue", "Timeout": "CommandTimeout", "MaxNumberOfJobs": "MaxTotalJobs"}

# What pilots, the Matcher and the accounting read in these sections: it has its effect there.
_FOR_OTHERS = """
Architecture CEQueue CPUNormalizationFactor CPUScalingFactor CPUTime CPUTimeLeft CVMFS_locations Description
ExtraPilotOptions GridCE GridCEType GridMiddleware HostRAM InstancePath LocalSE MaxProcessors MaxRAM MinRAM
MultiProcessorStrategy Name NumberOfGPUs NumberOfProcessors OS Pilot PilotReference Platform Price Queue
ReleaseProject ReleaseVersion RequiredTag ReservedRAM SI00 Site Tag UserEnvVariables VO VOs VirtualOrganization
WholeNode maxCPUTime wnTmpDir
"""
FOR_OTHERS = frozenset(_FOR_OTHERS.split())
# What DIRAC's own CEs read there, for their way of doing things: here it has no effect.
_FOR_DIRACS_CES = """
BatchError BatchOutput BundleProxy ClearWorkArea ExecutableArea ExecutionContext GridEnv InfoArea JobExecDir
ParallelLibrary RemoveOutput SSHType SubmissionMode WaitingToRunningRatio WorkArea WorkingDirectory
"""
NOT_FOR_CES = FOR_OTHERS | frozenset(_FOR_DIRACS_CES.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One CE, for one queue if it has any.

    Attributes:
        name: `CE/QUEUE`, or `LocalSite`.
        ce_type: as the registry has it.
        options: by name, with where they stand; those that are not for the CE too.
        notes: what was understood in another way than it is written.
        mistakes: why this is no CE, or not the one that was meant.
        site: whose it is, empty for the slot's own.
    """

    name: str
    ce_type: str
    options: Mapping[str, Value]
    notes: Sequence[str] = ()
    mistakes: Sequence[str] = ()
    site: str = ""


def definitions(cfg: Section) -> list[Definition]:
    """Return all CEs that a configuration defines.

    Raises:
        CEMisconfigured: it defines none.
    """
    found = [*_of_sites(cfg), *_of_slot(cfg)]
    if not found:
        expected = f"expected {SITES}/GRID/SITE/CEs/CE with CEType, or {LOCAL} with LocalCE"
        raise CEMisconfigured("; ".join([f"no CE is defined: {expected}", *_nearly_sections(cfg)]))
    return [replace(each, mistakes=[*cfg.slips, *each.mistakes]) for each in found]


def _nearly_sections(cfg: Section) -> Iterator[str]:
    """Yield a sentence for each section on the way to a CE that has nearly the right name."""
    grids = [grid for _, grid in cfg.section(SITES).sections()]
    sites = [site for grid in grids for _, site in grid.sections()]
    levels = [(cfg, ("Resources", "LocalSite")), (cfg.section("/Resources"), ("Sites",))]
    for section, expected in [*levels, *((site, ("CEs",)) for site in sites)]:
        for name, inner in section.sections():
            near = nearest(name, expected, least_alike=0.75)
            if near and name not in expected:
                yield f"{inner.origin}: section {name}: did you mean {near}?"


def _of_sites(cfg: Section) -> Iterator[Definition]:
    for grid_name, grid in cfg.section(SITES).sections():
        for site_name, site in grid.sections():
            slips = [*grid.slips, *site.slips, *site.section("CEs").slips]
            for ce_name, ce in site.section("CEs").sections():
                path = f"{SITES}/{grid_name}/{site_name}/CEs/{ce_name}"
                for each in _of_ce(ce_name, ce, path):
                    yield replace(each, site=site_name, mistakes=[*slips, *each.mistakes])


def _of_ce(name: str, ce: Section, path: str) -> Iterator[Definition]:
    place = f"{ce.origin}: {path}" if ce.origin else path
    slips = [*ce.slips, *ce.section("Queues").slips, *_outside_queues(ce)]
    queues = list(ce.section("Queues").sections())
    for queue_name, queue in queues:
        options = {**dict(ce.options()), **dict(queue.options())}
        options.setdefault("Queue", options.get("CEQueueName", Value(queue_name, queue.origin or path)))
        yield _definition(f"{name}/{queue_name}", options, place, [*slips, *queue.all_slips()])
    if not queues:
        yield _definition(name, dict(ce.options()), place, slips)


def _outside_queues(ce: Section) -> Iterator[str]:
    """Yield a sentence for each section that nobody reads; most are queues that were written one level too high."""
    for name, inner in ce.sections():
        if name != "Queues":
            near = nearest(name, ["Queues"], least_alike=0.7)
            hint = "did you mean Queues?" if near else "a queue's stands in the section Queues"
            yield f"{inner.origin}: section {name} is read by nobody; {hint}"


def _of_slot(cfg: Section) -> Iterator[Definition]:
    local = dict(cfg.section(LOCAL).options())
    ce_type = local.get("LocalCE") or local.get("LocalCEType")
    if ce_type is None:
        return
    ce_name = cfg.text(f"{LOCAL}/GridCE")
    slips = [slip for path in slot_sections(ce_type.text, ce_name) for slip in cfg.section(path).slips]
    yield _definition(SLOT, slot_options(cfg, ce_type.text, ce_name), LOCAL, slips)


def _definition(name: str, options: dict[str, Value], place: str, mistakes: Sequence[str]) -> Definition:
    written = next((options[key] for key in _TYPE_OPTIONS if key in options), None)
    if written is None:
        missing = f"{place}: CEType is not set: expected one of {', '.join(ce_types())}"
        return Definition(name=name, ce_type="", options=options, mistakes=[*mistakes, missing])
    ce_type, batch_system = ALIASES.get(written.text, (written.text, ""))
    notes = []
    if written.text in ALIASES:
        with_system = f" with BatchSystem = {batch_system}" if batch_system else ""
        notes.append(f"{written.origin}: CEType = {written.text} is taken for CEType = {ce_type}{with_system}")
    if batch_system:
        options.setdefault("BatchSystem", Value(batch_system, written.origin))
    rest = {key: value for key, value in options.items() if key not in _TYPE_OPTIONS}
    try:
        if any(option.name == "CEName" for option in backend(ce_type).OPTIONS):
            rest.setdefault("CEName", Value(name.partition("/")[0], place))
    except CEMisconfigured as error:
        mistakes = [*mistakes, f"{written.origin}: {error}"]
    return Definition(name=name, ce_type=ce_type, options=rest, notes=notes, mistakes=mistakes)


@dataclass(frozen=True, slots=True)
class Reading:
    """A definition as its CE would get it.

    Attributes:
        options: for `registry.create`.
        mistakes: sentences; with any of them the CE cannot be made.
        notes: sentences about what has no effect on anybody.
    """

    options: Mapping[str, OptionValue]
    mistakes: Sequence[str]
    notes: Sequence[str]


def read(definition: Definition) -> Reading:
    """Check every option of a definition; all mistakes are found, not only the first."""
    options: dict[str, OptionValue] = {}
    mistakes = list(definition.mistakes)
    notes = list(definition.notes)
    try:
        table = {option.name: option for option in backend(definition.ce_type).OPTIONS}
    except CEMisconfigured as error:  # of a definition that came from elsewhere
        return Reading(options, mistakes or [str(error)], notes)
    for written, value in definition.options.items():
        name = written if option_of(table.values(), written) else RENAMED.get(written, written)
        if option := option_of(table.values(), name):
            _take(replace(option, name=name), value, definition.ce_type, options, mistakes)
        elif (system := batch_system_of(name)) and definition.name != SLOT:  # a slot's has those of its CE outside too
            mistakes.append(
                f"{value.origin}: {name} is for BatchSystem = {system}, not for CE type {definition.ce_type}"
            )
        elif name not in FOR_OTHERS and not _nearest(name, table):
            notes.append(f"{value.origin}: {name} has no effect on CE type {definition.ce_type}")
    return Reading(options, [*misspelt(definition), *mistakes], notes)


def misspelt(definition: Definition) -> list[str]:
    """Return a sentence for each option that is probably one of the CE type's, with another name."""
    table = {option.name: option for option in backend(definition.ce_type).OPTIONS}
    unknown = {
        name: value
        for name, value in definition.options.items()
        if name not in RENAMED and not option_of(table.values(), name)
    }
    return [
        f"{value.origin}: unknown option {name} = {value.text}; did you mean {near}?"
        for name, value in unknown.items()
        if (near := _nearest(name, table))
    ]


def _take(option: Option, value: Value, ce_type: str, into: dict[str, OptionValue], mistakes: list[str]) -> None:
    try:
        into[option.name] = option.parse(value.text, ce_type)
    except CEMisconfigured as error:
        mistakes.append(f"{value.origin}: {error}")


def _nearest(name: str, table: Mapping[str, Option]) -> str:
    return "" if name in NOT_FOR_CES else nearest(name, table, least_alike=0.8)
