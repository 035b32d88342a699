"""Settings of jobs that were made with DIRAC's Job API."""

from dataclasses import dataclass

from agents.settings.option import WRAPPER, option
from agents.settings.watchdog import WatchdogSettings
from ce_backends.configuration.slot_sections import LOCAL


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowSettings(WatchdogSettings):
    """A part of the agent's settings."""

    client_environment: str = option(
        f"{WRAPPER}/PreinstalledEnv",
        default="",
        doc="The diracosrc of a DIRAC client on the node, or its folder: for jobs with a VO's own modules. Read by the "
        "payload's shell alone.",
    )
    client_prefix: str = option(
        f"{WRAPPER}/PreinstalledEnvPrefix",
        default="",
        doc="Folder of DIRAC clients by version: VERSION or pro, then Linux-x86_64/diracosrc.",
    )
    cvmfs_folders: tuple[str, ...] = option(
        f"{LOCAL}/CVMFS_locations",
        default=("/cvmfs/dirac.egi.eu",),
        doc="Where DIRAC clients are looked for last: PROJECTdirac or dirac, VERSION or pro, Linux-x86_64/diracosrc.",
    )
    goes_on: bool = option(
        f"{WRAPPER}/GoOnAfterFailedStep",
        default=False,
        doc="Run a workflow's further steps after one has failed, as DIRAC does; the job fails all the same.",
    )
