"""The pilot under the names that commands of extensions know: DIRAC's PilotParams."""

from __future__ import annotations

from pilot.log import Log
from pilot.steps.state import Pilot


class Lines:
    """A log as extensions use it: whole sentences, no fields."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def debug(self, message: object, *_rest: object) -> None:
        """Log for somebody who looks for a fault."""
        self._log.debug("extension.says", text=message)

    def info(self, message: object, *_rest: object) -> None:
        """Log what happened."""
        self._log.info("extension.says", text=message)

    def warn(self, message: object, *_rest: object) -> None:
        """Log what somebody should look at."""
        self._log.warning("extension.says", text=message)

    warning = warn

    def error(self, message: object, *_rest: object) -> None:
        """Log what went wrong."""
        self._log.error("extension.says", text=message)


class Parameters:
    """What a command of an extension may read, and change in `installEnv` only."""

    def __init__(self, pilot: Pilot) -> None:
        told = pilot.settings
        self.pilot = pilot
        self.log = Lines(pilot.log)
        self.installEnv = dict(pilot.environ)
        self.debugFlag = told.debug
        self.site, self.ceName, self.queueName = told.site, told.ce, told.queue
        self.gridCEType, self.ceType = told.grid_ce_type, told.inner_ce or "InProcess"
        self.setup, self.configServer, self.wnVO = told.setup, ",".join(told.servers), pilot.vo
        self.releaseVersion, self.releaseProject = told.release, told.project
        self.tags, self.reqtags = list(told.tags), list(told.required_tags)
        self.pilotProcessors = told.processors or pilot.node.processors.value
        self.maxNumberOfProcessors, self.minDiskSpace = told.max_processors, told.min_disk_mb
        self.maxCycles, self.pollingTime = told.max_cycles, told.polling_s
        self.userGroup, self.userDN, self.executeCmd = told.owner_group, told.owner_dn, told.program
        self.useServerCertificate, self.certsLocation = told.use_host_certificate, told.host_certificate_folder
        self.pilotReference, self.pilotUUID, self.flavour = pilot.slot.reference, pilot.slot.stamp, pilot.slot.flavour
        self.workingDir = self.rootPath = self.pilotRootPath = self.originalRootPath = str(pilot.work_dir)
        self.localConfigFile, self.pilotCFGFile = "pilot.cfg", told.pilot_json or "pilot.json"
        self.genericOption = dict(told.options)
        self.commandOptions = dict(told.command_options)
        self.commandExtensions, self.commands = list(told.extensions), list(told.commands)
