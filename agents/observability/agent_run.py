"""The agent's own life in its ledger: when it began, for which slot, when it was last seen, and why it ended."""

import os
import socket
from collections.abc import Mapping

import psutil

from agents import __version__
from agents.jobs.ledger import Ledger
from agents.settings.agent import AgentSettings
from agents.slot.allocation import Slot
from agents.slot.idle import Idle


class AgentRun:
    """One agent process; the next one in the same work directory has a life of its own."""

    def __init__(self, ledger: Ledger, about: Mapping[str, object]) -> None:
        self._ledger = ledger
        self._number = ledger.begin_life(about)
        self._idle = Idle.ASKING

    def goes_on(self) -> None:
        """Take note that the agent is alive."""
        self._ledger.still_alive(self._number)

    def idles(self, why: Idle) -> None:
        """Take note why processors that are free have no job."""
        if why != self._idle:
            self._idle = why
            self._ledger.idles(why)

    def ends(self, reason: str) -> None:
        """Take note of the end and why it came."""
        self._ledger.still_alive(self._number, reason)


def about(settings: AgentSettings, slot: Slot, pilot_pid: int) -> dict[str, object]:
    """Return what is to be known of a slot when only its ledger is left.

    Args:
        settings: where the slot is.
        slot: what it has.
        pilot_pid: of the pilot that started this agent, 0 when none did.
    """
    return {
        "site": settings.site,
        "ce": settings.ce_name,
        "queue": settings.queue,
        "ce_type": settings.ce_type,
        "pilot": settings.pilot_reference,
        "host": socket.gethostname(),
        "processor_ids": slot.processor_ids,
        "memory_mb": slot.memory_mb,
        "gpus": slot.free_gpus,
        "power_hs06": settings.pilot_benchmark_hs06,
        "version": __version__,
        "pid": os.getpid(),
        "pilot_started_s": _started_s(pilot_pid),
    }


def _started_s(pid: int) -> float | None:
    """Return when a process began, s since 1970; None when there is none."""
    try:
        return psutil.Process(pid).create_time() if pid else None
    except psutil.Error:
        return None
