"""Which commands run, in which order, and how long each may take.

DIRAC's names. The list comes from `-X`, from `Commands` in pilot.json for this type of CE, or is DIRAC's own; a command
of an extension (`<Extension>Commands.py`) comes before a standard one of the same name, as in DIRAC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pilot.errors import UsageError
from pilot.steps import deadline, extensions, nagios, registration, standard
from pilot.steps.state import Pilot

Command = Callable[[Pilot], Pilot]
USUAL_S = 60.0
EXTENSION_S = 300.0
NO_LIMIT = 0.0  # the agent has the whole slot

STANDARD: Mapping[str, tuple[Command, float]] = {
    "CheckWorkerNode": (standard.check_worker_node, USUAL_S),
    "ConfigureBasics": (standard.configure_basics, USUAL_S),
    "RegisterPilot": (registration.register_pilot, USUAL_S),
    "CheckCECapabilities": (standard.check_ce_capabilities, USUAL_S),
    "CheckWNCapabilities": (standard.check_wn_capabilities, USUAL_S),
    "ConfigureSite": (standard.configure_site, USUAL_S),
    "ConfigureArchitecture": (standard.configure_architecture, USUAL_S),
    "ConfigureCPURequirements": (standard.configure_cpu_requirements, USUAL_S),
    "LaunchAgent": (standard.launch_agent, NO_LIMIT),
}
OTHERS: Mapping[str, tuple[Command, float]] = {
    "ConfigureArchitectureWithoutCLI": (standard.configure_architecture, USUAL_S),
    "MultiLaunchAgent": (standard.launch_pool_agent, NO_LIMIT),
    "NagiosProbes": (nagios.run_probes, NO_LIMIT),  # each probe has a limit of its own
}
NOT_NEEDED = ("GetPilotVersion", "InstallDIRAC", "ReplaceDIRACCode", "SetPilotStatus")


@dataclass(frozen=True)
class Step:
    """One command of this pilot.

    Attributes:
        name: DIRAC's name of it.
        command: takes what is known so far and returns it with more.
        limit_s: how long it may take, 0 for no limit.
        is_foreign: it comes from an extension.
    """

    name: str
    command: Command
    limit_s: float
    is_foreign: bool = False

    def run(self, pilot: Pilot) -> Pilot:
        """Run the command within its limit."""
        if not self.limit_s:
            return self.command(pilot)
        with deadline.within(self.limit_s, f"command {self.name}"):
            return self.command(pilot)


def chosen(pilot: Pilot) -> list[Step]:
    """Return the commands of this pilot.

    Raises:
        UsageError: one that was named does not exist.
    """
    modules = extensions.load(pilot.settings.extensions, extensions.folders(pilot.environ, pilot.work_dir))
    steps = []
    for name in pilot.settings.commands or STANDARD:
        extended = extensions.find(name, modules)
        if extended:
            pilot.log.info("command.extended", name=name, module=extended.module)
            steps.append(Step(name, extended.run, EXTENSION_S, is_foreign=True))
        elif name in NOT_NEEDED:
            pilot.log.info("command.skipped", name=name, why="gridpilot has no need of it")
        else:
            steps.append(_standard(name, pilot))
    return steps


def _standard(name: str, pilot: Pilot) -> Step:
    known = {**STANDARD, **OTHERS}
    if name not in known:
        where = pilot.loaded.origins["commands"]
        raise UsageError(
            f"{where}: no command {name!r}; expected some of {', '.join(known)}, "
            "or one of a module that CommandExtensions (-E) names"
        )
    return Step(name, *known[name])
