"""What the slot has to offer: the least of what node, configuration and options say, each with its origin."""

from __future__ import annotations

import time
from collections.abc import Callable

from pilot.errors import UsageError
from pilot.node.worker_node import Fact
from pilot.readers import comma_list, yes_no
from pilot.steps.state import LOCAL, Pilot

ASSUMED_POWER_HS06 = 10.0  # a processor of about 2015; sites set CPUNormalizationFactor


def processors(pilot: Pilot) -> Fact:
    """Return the processors to offer; -P wins, and -m is never exceeded."""
    settings, node, origins = pilot.settings, pilot.node.processors, pilot.loaded.origins
    cores = node if is_whole_node(pilot) else least(pilot, node, "NumberOfProcessors")
    if settings.processors:
        cores = Fact(settings.processors, origins["processors"])
    if cores.value > node.value:
        pilot.log.warning("processors.too_many", given=cores.value, node=node.value, origin=node.origin)
    if 0 < settings.max_processors < cores.value:
        return Fact(settings.max_processors, origins["max_processors"])
    return cores


def least(pilot: Pilot, found: Fact, name: str) -> Fact:
    """Return the smaller of what was found and what the configuration says of CE or queue; 0 stands for unknown."""
    told = pilot.options.get(f"{LOCAL}/{name}", "")
    if told and not told.isdecimal():
        pilot.log.warning("ce.parameter_ignored", name=name, value=told, expected="a whole number")
    value = int(told) if told.isdecimal() else 0
    return min((Fact(value, f"{name} of CE or queue"), found), key=lambda fact: fact.value or float("inf"))


def tags(pilot: Pilot, name: str, more: tuple[str, ...]) -> tuple[str, ...]:
    """Return the configuration's tags of this kind and some more, each once."""
    return tuple(dict.fromkeys((*comma_list(pilot.options.get(f"{LOCAL}/{name}", "")), *more)))


def is_whole_node(pilot: Pilot) -> bool:
    """Return whether option or tag say that this slot is a whole node."""
    return _is_said(pilot, "WholeNode") or "WholeNode" in tags(pilot, "Tag", pilot.settings.tags)


def _is_said(pilot: Pilot, name: str) -> bool:
    """Return whether an option of CE or queue says yes; what is neither yes nor no is told, and no."""
    told = pilot.options.get(f"{LOCAL}/{name}", "")
    try:
        return yes_no(told)
    except ValueError:
        pilot.log.warning("ce.parameter_ignored", name=name, value=told, expected="yes or no")
        return False


def inner_ce(pilot: Pilot) -> str:
    """Return how the agent runs jobs: option, pilot.json, the queue's LocalCEType, else one at a time."""
    return pilot.settings.inner_ce or pilot.options.get(f"{LOCAL}/LocalCEType", "") or "InProcess"


def is_node_a_queue(pilot: Pilot) -> bool:
    """Tell whether this node is the place behind the agent's CE: its tasks outlive pilots, as those of queues."""
    return inner_ce(pilot) == "Local" and pilot.option(f"{LOCAL}/BatchSystem") == "Host"


def is_power_told(pilot: Pilot) -> bool:
    """Tell whether option or configuration say what a processor can do."""
    return bool(pilot.option(f"{LOCAL}/CPUNormalizationFactor"))


def power_hs06(pilot: Pilot) -> float:
    """Return the power of one processor; what option or configuration say, else 10."""
    told = pilot.option(f"{LOCAL}/CPUNormalizationFactor")
    try:
        power = float(told) if told else ASSUMED_POWER_HS06
    except ValueError:
        power = 0.0
    if not 0 < power < 1000:  # DIRAC has seen 2250 (issue 7760)
        raise UsageError(f"{LOCAL}/CPUNormalizationFactor: {told!r}; expected a number between 0 and 1000, in HS06")
    return power


def time_left(pilot: Pilot, now: Callable[[], float] = time.time) -> Fact | None:
    """Return the seconds until the slot ends, the least of batch system and queue; None when nobody says."""
    known = []
    if pilot.slot.end:
        known.append(Fact(max(0, pilot.slot.end.value - int(now())), pilot.slot.end.origin))
    minutes = pilot.options.get(f"{LOCAL}/maxCPUTime", "")
    if minutes.isdecimal():
        known.append(Fact(int(minutes) * 60, "maxCPUTime of the queue"))
    return min(known, key=lambda fact: fact.value, default=None)


def agent_options(pilot: Pilot) -> dict[str, object]:
    """Return the agent's options."""
    settings = pilot.settings
    return {
        "MaxCycles": settings.max_cycles,
        "PollingTime": settings.polling_s,
        "StopOnApplicationFailure": settings.stop_on_application_failure,
        "StopAfterFailedMatches": settings.stop_after_failed_matches,
        "FillingModeFlag": True,
        "LogLevel": "DEBUG" if settings.debug else settings.log_level,
    }
