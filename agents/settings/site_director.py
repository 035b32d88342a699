"""What can be set for the SiteDirector, in DIRAC's words."""

from collections.abc import Mapping
from dataclasses import dataclass

from agents.settings import table
from agents.settings.agent import LEVEL, LogLevel
from agents.settings.identity import IdentitySettings
from agents.settings.option import SITE_DIRECTOR, option
from agents.settings.table import Explained
from ce_backends.cfg import Section

_PILOT = "/Operations/Defaults/Pilot"

# DIRAC's options that have no meaning here, and why: accepted in the section, said once.
WITHOUT_EFFECT: Mapping[str, str] = {
    "MaxPilotsToSubmit": "what is needed is submitted, within MaxTotalJobs and MaxWaitingJobs of the queue",
    "FailedQueueCycleFactor": "a CE that fails is left alone for 10 s, then twice as long each time, 15 min at most",
    "PilotStatusUpdateCycleFactor": "StatusInterval says how often a CE is asked",
    "PilotSubmissionCycleFactor": "pilots are submitted when they are needed",
    "MaxQueueLength": "PilotLifeTime says how long a pilot's proxy must live",
    "SendPilotAccounting": "no accounting records of pilots are sent",
    "WorkDirectory": "--work-dir is used",
    "Enabled": "an agent that is started is enabled",
    "ControlDirectory": "signals stop it",
    "MaxCycles": "it works until it is told to stop",
    "Module": "there is one",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteDirectorSettings(IdentitySettings):
    """What it was told, frozen at start."""

    vo: str = option(
        f"{SITE_DIRECTOR}/VO",
        f"{SITE_DIRECTOR}/Community",
        "/DIRAC/VirtualOrganization",
        default="",
        doc="VO whose jobs get pilots: one for each SiteDirector.",
    )
    sites: tuple[str, ...] = option(
        f"{SITE_DIRECTOR}/Sites", f"{SITE_DIRECTOR}/Site", default=(), doc="Sites to submit to; all if empty."
    )
    ces: tuple[str, ...] = option(f"{SITE_DIRECTOR}/CEs", default=(), doc="CEs to submit to; all if empty.")
    ce_types: tuple[str, ...] = option(f"{SITE_DIRECTOR}/CETypes", default=(), doc="Types of CEs; all if empty.")
    tags: tuple[str, ...] = option(f"{SITE_DIRECTOR}/Tags", default=(), doc="Tags that a queue must have, all of them.")
    polling_s: float = option(
        f"{SITE_DIRECTOR}/PollingTime", default=5.0, unit="s", doc="Between two questions for waiting jobs."
    )
    is_told: bool = option(
        f"{SITE_DIRECTOR}/ToldOfJobs",
        default=False,
        doc="The Matcher tells when jobs begin to wait, as that of the local WMS does; it is asked at once then.",
    )
    status_s: float = option(
        f"{SITE_DIRECTOR}/StatusInterval",
        default=10.0,
        unit="s",
        doc="Between two questions to a batch system, where its CE sets no StatusInterval of its own.",
    )
    most_total: int = option(
        f"{SITE_DIRECTOR}/MaxTotalJobs", default=1000, doc="Pilots of a queue that have not ended, where it sets none."
    )
    most_waiting: int = option(
        f"{SITE_DIRECTOR}/MaxWaitingJobs", default=100, doc="Of these, pilots that wait, where the queue sets none."
    )
    call_s: float = option(
        f"{SITE_DIRECTOR}/CallDeadline",
        default=300.0,
        unit="s",
        doc="A call to a CE that takes longer is given up: the CE is failing, and a new connection is made.",
    )
    start_up_s: float = option(
        f"{SITE_DIRECTOR}/PilotStartUp", default=45.0, unit="s", doc="From a pilot's start to its first question."
    )
    pilot_life_s: float = option(
        f"{SITE_DIRECTOR}/PilotLifeTime",
        default=388800.0,
        unit="s",
        doc="How long the proxy of a pilot must live when it is submitted: the longest wait, and the pilot's life.",
    )
    reserve: float = option(
        f"{SITE_DIRECTOR}/Reserve",
        default=0.0,
        doc="Share of the busy processors that is kept free besides while there is work: shorter waits for idle hours.",
    )
    look_ahead: bool = option(
        f"{SITE_DIRECTOR}/LookAhead",
        default=False,
        doc="Count on what running jobs free before a new pilot would start: fewer pilots for longer waits.",
    )
    bundle: str = option(
        f"{SITE_DIRECTOR}/Bundle",
        default="",
        doc="gridpilot.pyz, which goes with each pilot; otherwise nodes run this installation's code where it lies.",
    )
    keep_outputs: int = option(
        f"{SITE_DIRECTOR}/KeepOutputs", default=200, doc="Ended pilots whose output is kept, the newest ones."
    )
    keep_outputs_s: int = option(
        f"{SITE_DIRECTOR}/KeepOutputsTime",
        default=604_800,
        unit="s",
        doc="So long the output of an ended pilot is kept, a megabyte each of stdout and stderr at most.",
    )
    pilot_dn: str = option(
        f"{SITE_DIRECTOR}/PilotDN",
        f"{_PILOT}/GenericPilotDN",
        default="",
        doc="Whose proxy pilots carry; that of GenericPilotUser if empty.",
    )
    pilot_user: str = option(f"{_PILOT}/GenericPilotUser", default="", doc="User whose proxy pilots carry.")
    pilot_group: str = option(
        f"{_PILOT}/GenericPilotGroup", default="", doc="Group of that proxy; our own proxy is given where it is empty."
    )
    pilots_by_stamp: bool = option(
        f"{_PILOT}/PilotsByStamp",
        default=False,
        doc="Pilots are registered, and how they stand is told, in DiracX by their stamps; the pilots read it too. By "
        "DIRAC's PilotManager while DiracX refuses that or is away.",
    )
    log_level: LogLevel = option(  # noqa: RUF009 - a field like the others; ruff does not know that enums are constant
        f"{SITE_DIRECTOR}/LogLevel", default=LogLevel.INFO, doc="DEBUG, INFO, WARNING or ERROR, or DIRAC's other words."
    )
    setup: str = option("/DIRAC/Setup", default="None", doc="DIRAC setup (7.3, 8); DIRAC 9 has none.")
    configuration_servers: tuple[str, ...] = option(
        "/DIRAC/Configuration/Servers", default=(), doc="URLs of the Configuration service, tried in order."
    )

    @property
    def limits(self) -> Mapping[str, int]:
        """Limits of a queue that sets none, by the names that queues have for them."""
        return {"MaxTotalJobs": self.most_total, "MaxWaitingJobs": self.most_waiting}


def load(cfg: Section) -> SiteDirectorSettings:
    """Read the settings out of the merged configuration.

    Raises:
        ConfigurationError: an option is of the wrong type, or misspelt.
    """
    table.check_names(cfg, SiteDirectorSettings, SITE_DIRECTOR, WITHOUT_EFFECT)
    return table.load(cfg, SiteDirectorSettings, {LogLevel: LEVEL})


def explain(cfg: Section) -> list[Explained]:
    """Return every setting with its value and where it came from."""
    return table.explain(cfg, SiteDirectorSettings)
