"""The agent's settings: one typed table gives parsing, units, defaults, errors, `--explain` and the documentation."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from agents.pacing import GATHER_S, LONGEST_HEARTBEAT_S, heartbeat_s, is_due
from agents.settings import table
from agents.settings.energy import EnergySettings
from agents.settings.option import AGENT, WRAPPER, option
from agents.settings.table import Explained, Reader
from ce_backends.cfg import Section
from ce_backends.configuration.slot_sections import CE_DEFAULTS, LOCAL
from ce_backends.readers import MOST_PROCESSORS, nearest, yes_no

ONE_AT_A_TIME = frozenset({"InProcess", "Singularity", "Podman", "Bubblewrap"})

# DIRAC's options that have no meaning here, and why: accepted in the agent's section, said once.
WITHOUT_EFFECT: Mapping[str, str] = {
    "SubmissionDelay": "nothing waits between jobs",
    "DefaultLogLevel": "LogLevel is used",
    "JobWrapperTemplate": "there is no wrapper process",
    "ControlDirectory": "signals and the drain file stop the agent",
    "WorkingDirectory": "--work-dir is used",
    "Enabled": "an agent that is started is enabled",
    "WatchdogTime": "every wait has its own deadline",
}


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class Strategy(StrEnum):
    """How a slot of several processors is filled (DIRAC's MultiProcessorStrategy, and strict)."""

    NO = "no"
    YES = "yes"
    STRICT = "strict"


# DIRAC's further words for its log levels (FrameworkSystem/private/standardLogging/LogLevels.py)
_DIRAC_LEVELS: Mapping[str, LogLevel] = {
    "VERBOSE": LogLevel.DEBUG,
    "NOTICE": LogLevel.INFO,
    "WARN": LogLevel.WARNING,
    "FATAL": LogLevel.ERROR,
    "ALWAYS": LogLevel.ERROR,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings(EnergySettings):
    """What the agent was told, frozen at start."""

    site: str = option(f"{LOCAL}/Site", doc="Name of the site, as the WMS knows it.")
    ce_name: str = option(f"{LOCAL}/GridCE", default="", doc="Computing element through which the pilot came.")
    queue: str = option(f"{LOCAL}/CEQueue", f"{LOCAL}/Queue", default="", doc="Queue of that computing element.")
    ce_type: str = option(
        f"{LOCAL}/LocalCE",
        default="InProcess",
        doc="Inner CE that runs the payloads: InProcess, Pool, Singularity, Pool/Singularity, or another CE type.",
    )
    pilot_reference: str = option(
        f"{LOCAL}/PilotReference", default="Unknown", doc="The pilot's reference, as the submitter stored it."
    )
    pilot_benchmark_hs06: float = option(
        f"{LOCAL}/CPUNormalizationFactor",
        default=10.0,
        unit="HS06",
        doc="Power of one processor; turns seconds into CPU work.",
    )
    cpu_time_left_hs06s: int = option(
        f"{LOCAL}/CPUTimeLeft",
        f"{LOCAL}/CPUTime",
        default=0,
        unit="HS06 s",
        doc="CPU work that the slot had left at the agent's first start; 0 when unknown.",
    )
    platform: str = option(
        f"{LOCAL}/Architecture", f"{LOCAL}/Platform", default="", doc="Platform offered to the Matcher."
    )
    release_version: str = option(
        f"{LOCAL}/ReleaseVersion", default="", doc="DIRAC release that the VO's pilots are configured to run."
    )
    release_project: str = option(f"{LOCAL}/ReleaseProject", default="", doc="DIRAC extension of that release.")
    processors: int = option(
        f"{CE_DEFAULTS}/NumberOfProcessors",
        default=0,
        most=MOST_PROCESSORS,
        doc="Processors of the slot; 0 to take what the node offers.",
    )
    memory_mb: int = option(
        f"{CE_DEFAULTS}/MaxRAM", default=0, unit="MB", doc="Memory of the slot; 0 when unknown: no job asks for any."
    )
    tags: tuple[str, ...] = option(f"{CE_DEFAULTS}/Tag", f"{LOCAL}/Tag", default=(), doc="Tags that the slot offers.")
    required_tags: tuple[str, ...] = option(
        f"{CE_DEFAULTS}/RequiredTag", f"{LOCAL}/RequiredTag", default=(), doc="Tags that a job must have."
    )
    multi_processor_strategy: Strategy = option(  # noqa: RUF009 - as for log_level
        f"{CE_DEFAULTS}/MultiProcessorStrategy",
        default=Strategy.NO,
        doc="yes: ask for jobs of many processors first, then for any. strict: leave processors idle rather than give "
        "them to jobs of one.",
    )
    gpus: int = option(
        f"{CE_DEFAULTS}/NumberOfGPUs",
        default=0,
        most=MOST_PROCESSORS,
        doc="GPUs to use at most; 0 to take all that the slot was given.",
    )
    vo: str = option(
        f"{CE_DEFAULTS}/VirtualOrganization", "/DIRAC/VirtualOrganization", default="", doc="VO of the pilot."
    )
    setup: str = option("/DIRAC/Setup", default="None", doc="DIRAC setup (7.3, 8); DIRAC 9 has none.")
    configuration_servers: tuple[str, ...] = option(
        "/DIRAC/Configuration/Servers", default=(), doc="URLs of the Configuration service, tried in order."
    )
    polling_s: float = option(
        f"{AGENT}/PollingTime",
        default=20.0,
        unit="s",
        doc="First wait after an empty match; doubles up to 16 times this, with jitter.",
    )
    lost_match_after_s: float = option(
        f"{AGENT}/LostMatchAfter",
        default=45.0,
        unit="s",
        doc="When the answer to a request was lost: a job that was given to this pilot's reference, and of which "
        "nobody has told anything for so long, is the one. Longer than a first report takes where agents share one.",
    )
    stop_after_failed_matches: int = option(
        f"{AGENT}/StopAfterFailedMatches",
        default=10,
        doc="Empty matches in a row, with no job in hand, after which the agent ends.",
    )
    stop_on_application_failure: bool = option(
        f"{AGENT}/StopOnApplicationFailure", default=False, doc="Take no more jobs after a payload has failed."
    )
    stop_after_host_failures: int = option(
        f"{AGENT}/StopAfterHostFailures",
        default=3,
        doc="Jobs handed back in a row for the node's fault before it ends.",
    )
    filling: bool = option(
        f"{AGENT}/FillingModeFlag", default=True, doc="Take another job while time is left; False for one job."
    )
    max_matches: int = option(
        f"{AGENT}/MaxCycles", default=0, doc="Requests to the Matcher in the agent's life; 0 for no limit."
    )
    minimum_time_left_hs06s: int = option(
        f"{AGENT}/MinimumTimeLeft", default=5000, unit="HS06 s", doc="CPU work below which no job is asked for."
    )
    stop_margin_s: float = option(
        f"{WRAPPER}/StopMargin",
        default=300.0,
        unit="s",
        doc="Kept free at the end of the slot, to bring results away; neither offered nor given to payloads.",
    )
    least_disk_mb: int = option(
        f"{WRAPPER}/MinDiskSpace", default=10, unit="MB", doc="Free disk below which no job is asked for."
    )
    output_buffer_gb: float = option(
        f"{WRAPPER}/MinOutputDataBufferGB",
        default=5.0,
        unit="GB",
        doc="Free disk that stays for what payloads write when input data are downloaded.",
    )
    output_patience_s: float = option(
        f"{WRAPPER}/OutputRetryTime",
        default=3600.0,
        unit="s",
        doc="How long the upload of an output sandbox is tried again while the store is away and the slot has time.",
    )
    measures_power: bool = option(
        f"{AGENT}/MeasurePower",
        default=True,
        doc="Run the DB12 benchmark alongside the first jobs where the site gives no CPUNormalizationFactor; "
        "with the variable GRIDPILOT_CACHE naming a folder of this user, later pilots find the result there.",
    )
    fast_failures: int = option(
        f"{AGENT}/FastFailures",
        default=5,
        doc="Payloads failing at once in a row before the agent pauses, and tries single jobs only; 0 for never.",
    )
    fast_failure_s: float = option(
        f"{AGENT}/FastFailureTime", default=10.0, unit="s", doc="A payload that fails within this time failed at once."
    )
    heartbeat_s: float = option(
        f"{AGENT}/HeartBeatPeriod", default=60.0, unit="s", doc="Between heartbeats of a running job."
    )
    longest_heartbeat_s: float = option(
        f"{AGENT}/HeartBeatLongestPeriod",
        default=LONGEST_HEARTBEAT_S,
        unit="s",
        doc="Heartbeats of a job come further apart as it grows old, a fifth of its age, up to this; the owner's order "
        "to kill comes with the answer. The same as HeartBeatPeriod, or less, for heartbeats that are always as often.",
    )
    gather_s: float = option(
        f"{AGENT}/ReportGatherTime",
        default=GATHER_S,
        unit="s",
        doc="What is to be told of a job that goes on is gathered for so long, its parameters four times as long, and "
        "told in one call; how it ends is told at once, with all of it.",
    )
    drain_file: str = option(
        f"{AGENT}/DrainFile", default="/var/lib/dirac_drain", doc="While this file exists no job is asked for."
    )
    log_level: LogLevel = option(  # noqa: RUF009 - a field like the others; ruff does not know that enums are constant
        f"{AGENT}/LogLevel", default=LogLevel.INFO, doc="DEBUG, INFO, WARNING or ERROR, or DIRAC's other words."
    )
    peek_lines: int = option(
        f"{WRAPPER}/MaxJobPeekLines", default=20, doc="Last lines of a running payload's output sent with a heartbeat."
    )
    output_sandbox_limit_bytes: int = option(
        f"{WRAPPER}/OutputSandboxLimit", default=10 * 1024**2, unit="bytes", doc="Largest output sandbox, packed."
    )
    keep_directories: bool = option(
        f"{WRAPPER}/KeepDirectories",
        default=False,
        doc="Keep the job's directory after it was reported, to look into it.",
    )

    def is_due(self, age_s: float, since_s: float) -> bool:
        """Tell, every HeartBeatPeriod, whether a job of this age has to beat so long after its last heartbeat."""
        return is_due(since_s, heartbeat_s(age_s, self.heartbeat_s, self.longest_heartbeat_s), self.heartbeat_s)

    @property
    def takes_one_job(self) -> bool:
        """True where the inner CE runs one job at a time, whatever the slot holds."""
        return self.ce_type in ONE_AT_A_TIME


def _level(text: str) -> LogLevel:
    word = text.strip().upper()
    return _DIRAC_LEVELS.get(word) or LogLevel(word)


def _strategy(text: str) -> Strategy:
    word = text.strip().lower()
    return Strategy.STRICT if word == Strategy.STRICT else Strategy.YES if yes_no(word) else Strategy.NO


LEVEL: Reader = (_level, f"one of {', '.join([*LogLevel, *_DIRAC_LEVELS])}")
_READERS: Mapping[object, Reader] = {LogLevel: LEVEL, Strategy: (_strategy, "yes, no or strict")}


def load(cfg: Section) -> AgentSettings:
    """Read the settings out of the merged configuration.

    Raises:
        ConfigurationError: an option of ours is missing, of the wrong type, or misspelt.
    """
    table.check_names(cfg, AgentSettings, AGENT, WITHOUT_EFFECT)
    return table.load(cfg, AgentSettings, _READERS)


def nearly_ours(cfg: Section) -> Iterator[str]:
    """Yield a sentence for each option that is probably one of ours, misspelt.

    /LocalSite, CEDefaults and JobWrapper are open: sites put options there for the Matcher, for payloads and for
    DIRAC's own tools, so that an unknown name is no error.
    """
    for section in (LOCAL, CE_DEFAULTS, WRAPPER):
        known = table.known_names(AgentSettings, section)
        folded = {name.lower() for name in known}
        for name, value in cfg.section(section).options():
            near = nearest(name, known, least_alike=0.85)
            if near and name.lower() not in folded and name not in _DIRAC_NAMES:
                yield f"{value.origin}: {section}/{name} has no meaning here; did you mean {near}?"


# DIRAC's own names that lie near one of ours.
_DIRAC_NAMES = frozenset(
    {"MinRAM", "MaxRAM", "CPUTime", "Queue", "NumberOfGPUs", "LocalSE", "GridCEType", "CEQueueName"}
)


def without_effect(cfg: Section) -> Iterator[tuple[str, str]]:
    """Yield the agent's options that are set and have no meaning here, with the reason."""
    for name, _ in cfg.section(AGENT).options():
        if name in WITHOUT_EFFECT:
            yield f"{AGENT}/{name}", WITHOUT_EFFECT[name]


def explain(cfg: Section) -> list[Explained]:
    """Return every setting with its value and where it came from."""
    return table.explain(cfg, AgentSettings)
