"""Commands that a VO brings along: classes in `<Extension>Commands.py`, written for DIRAC's pilot.

They find what they were written against: a module `pilotCommands` (and `pilotTools`) with `CommandBase` and a class for
each standard command, and DIRAC's names in `self.pp`. What they change comes back to the pilot: `self.pp.installEnv`,
and the options in `self.cfg`, which in DIRAC are arguments of `dirac-configure`. There is no DIRAC installation behind
it, so a command that starts `dirac-...` scripts gets exit code 127 from them.
"""

from __future__ import annotations

import importlib.util
import shlex
import subprocess
import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pilot.errors import NodeUnfit, UsageError
from pilot.node import bundle
from pilot.steps import registration, standard
from pilot.steps.extension_parameters import Parameters
from pilot.steps.state import Pilot

HOOKS = ("_getBasicsCFG", "_getSecurityCFG")  # of DIRAC's ConfigureBasics; extensions add options there
STANDARD = {
    "CheckWorkerNode": standard.check_worker_node,
    "ConfigureBasics": standard.configure_basics,
    "CheckCECapabilities": standard.check_ce_capabilities,
    "CheckWNCapabilities": standard.check_wn_capabilities,
    "ConfigureSite": standard.configure_site,
    "ConfigureArchitecture": standard.configure_architecture,
    "ConfigureCPURequirements": standard.configure_cpu_requirements,
    "RegisterPilot": registration.register_pilot,
    "LaunchAgent": standard.launch_agent,
    "InstallDIRAC": lambda pilot: pilot,
}


class CommandBase:
    """What commands of an extension derive from."""

    standard: Any = staticmethod(lambda pilot: pilot)

    def __init__(self, pilotParams: Parameters, dummy: str = "") -> None:  # noqa: N803, ARG002 - DIRAC's signature
        self.pp = pilotParams
        self.log = pilotParams.log
        self.cfg: list[str] = []
        self.debugFlag = pilotParams.debugFlag
        self.releaseVersion = pilotParams.releaseVersion

    def execute(self) -> None:
        """Do what the standard command of this name does here, with the options that hooks add."""
        for hook in HOOKS:
            getattr(self, hook, lambda: None)()
        self.pp.pilot = type(self).standard(self.pp.pilot)

    def _getBasicsCFG(self) -> None:
        """Add nothing."""

    def _getSecurityCFG(self) -> None:
        """Add nothing."""

    def executeAndGetOutput(self, cmd: str, environDict: Mapping[str, str] | None = None) -> tuple[int, str]:  # noqa: N803
        """Run a shell command line, as DIRAC's method of this name does: extensions are written so."""
        done = subprocess.run(
            ["/bin/sh", "-c", cmd],
            env=dict(environDict if environDict is not None else self.pp.installEnv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        output = done.stdout.decode("utf-8", "replace")
        self.log.info(output.rstrip() or f"{cmd}: no output")
        return done.returncode, output

    def exitWithError(self, errorCode: int) -> None:  # noqa: N803
        """End the pilot."""
        raise NodeUnfit(f"command {type(self).__name__} of an extension ended the pilot with code {errorCode}")


@dataclass(frozen=True)
class Extended:
    """A command of an extension."""

    module: str
    made_from: type[CommandBase]

    def run(self, pilot: Pilot) -> Pilot:
        """Run it on a picture of the pilot; what it changed comes back."""
        parameters = Parameters(pilot)
        command = self.made_from(parameters)
        try:
            command.execute()
        except SystemExit as error:  # DIRAC's commands end the pilot so; LaunchAgent with 0
            if error.code not in (0, None):
                raise NodeUnfit(
                    f"command {self.made_from.__name__} of {self.module} ended with {error.code}"
                ) from error
        after = parameters.pilot
        changed = {name: value for name, value in parameters.installEnv.items() if pilot.environ.get(name) != value}
        return replace(after, environ={**after.environ, **changed}, brought=(*after.brought, *changed)).having_all(
            _options(command.cfg)
        )


def folders(environ: Mapping[str, str], work_dir: Path) -> list[Path]:
    """Return where modules of extensions may lie: beside dirac-pilot.py, in the work folder."""
    beside = bundle.read(environ).beside
    return [Path(beside), work_dir] if beside else [work_dir]


def load(names: Sequence[str], places: Sequence[Path]) -> list[types.ModuleType]:
    """Return the modules of the extensions, in their order.

    Raises:
        UsageError: one is not there, or cannot be imported.
    """
    if names:
        _offer_what_they_import()
        sys.path.extend(str(place) for place in places)
    return [_module(f"{name}Commands", places) for name in names]


def _offer_what_they_import() -> None:
    ours = types.ModuleType("pilotCommands")
    ours.CommandBase = CommandBase  # type: ignore[attr-defined]
    for name, command in STANDARD.items():
        setattr(ours, name, type(name, (CommandBase,), {"standard": staticmethod(command)}))
    package = types.ModuleType("Pilot")
    for name in ("pilotCommands", "pilotTools"):
        setattr(package, name, ours)
        sys.modules[name] = sys.modules[f"Pilot.{name}"] = ours
    sys.modules["Pilot"] = package


def _module(name: str, places: Sequence[Path]) -> types.ModuleType:
    found = next((place / f"{name}.py" for place in places if (place / f"{name}.py").is_file()), None)
    spec = importlib.util.spec_from_file_location(name, found) if found else None
    if spec is None or spec.loader is None:
        where = ", ".join(map(str, places))
        raise UsageError(f"command extension: no {name}.py in {where}; put it beside dirac-pilot.py (docs/drop-in.md)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its classes may be asked where they come from
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(f"{found}: cannot be imported: {type(error).__name__}: {error}") from error
    return module


def find(name: str, modules: Sequence[types.ModuleType]) -> Extended | None:
    """Return the command of the first extension that has it."""
    for module in modules:
        made_from = getattr(module, name, None)
        if (
            isinstance(made_from, type)
            and issubclass(made_from, CommandBase)
            and made_from.__module__ == module.__name__
        ):
            return Extended(module.__name__, made_from)
    return None


def _options(arguments: Sequence[str]) -> dict[str, str]:
    """Return the options among arguments for dirac-configure: `-o /Section/Option=value`."""
    words = shlex.split(" ".join(arguments))
    pairs = (words[at + 1].partition("=") for at, word in enumerate(words[:-1]) if word in ("-o", "--option"))
    return {name: value for name, equals, value in pairs if equals and name.startswith("/")}
