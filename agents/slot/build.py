"""Wires what watches the slot; `agents.command_line` calls it."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from agents.clock import SteadyClock, boottime_s
from agents.jobs.ledger import Ledger
from agents.settings.agent import AgentSettings
from agents.slot import health
from agents.slot.benchmark import Benchmark, memory, this_machine
from agents.slot.circuit_breaker import CircuitBreaker, Patience
from agents.slot.command import Commands
from agents.slot.monitor import Power, SlotMonitor
from agents.slot.time_left import TimeLeft
from ce_backends.cfg import Section
from ce_backends.linux.processes import boot_id

_ROOT = Path("/")
_LEAST_HS06 = 0.1  # a site's 0 must not divide


def _first_start_s(ledger: Ledger, clock: SteadyClock) -> float:
    """Return when the agent first started in this slot, on this clock, whatever was done to the machine's since."""
    epoch_s = float(ledger.fact("first_start_epoch_s", repr(clock())))
    since_boot_s = float(ledger.fact("first_start_since_boot_s", repr(boottime_s())))
    if ledger.fact("first_start_boot_id", boot_id()) != boot_id():  # the machine was started again meanwhile
        return epoch_s
    return clock() - (boottime_s() - since_boot_s)


def _breaker(settings: AgentSettings) -> CircuitBreaker:
    """Return the circuit breaker as the settings want it."""
    patience = Patience(
        failures=settings.fast_failures, soon_s=settings.fast_failure_s, pause_s=max(1.0, settings.polling_s)
    )
    return CircuitBreaker(patience, time.monotonic)


def _benchmark(cfg: Section, settings: AgentSettings, processors: int, kept_in: Path) -> Benchmark | None:
    """Return what measures the power of a processor; None where the site tells it, or does not want it."""
    if not settings.measures_power or cfg.text("/LocalSite/CPUNormalizationFactor"):
        return None
    copies = min(processors, len(os.sched_getaffinity(0)))  # a slot may be declared larger than its machine
    return Benchmark(this_machine(_ROOT, copies), kept_in)


def build_slot_monitor(
    cfg: Section,
    settings: AgentSettings,
    ledger: Ledger,
    environ: Mapping[str, str],
    *,
    work_dir: Path,
    processors: int,
    is_remote: bool = False,
) -> SlotMonitor:
    """Wire what watches the slot, and have a first look at its end.

    Time is counted from the agent's first start in this slot, so that a restart gives no time back.

    Args:
        cfg: of the agent: does the site tell the power of its processors?
        settings: the same, read.
        ledger: remembers the first start.
        environ: of the batch job.
        work_dir: of the agent.
        processors: of the slot.
        is_remote: jobs run on other nodes, each with the time that the queue gives it: nothing here counts down.
    """
    clock = SteadyClock()
    started_s = _first_start_s(ledger, clock)
    environ = {} if is_remote else environ
    now = (lambda: started_s) if is_remote else clock
    budget_s = settings.cpu_time_left_hs06s / max(settings.pilot_benchmark_hs06, _LEAST_HS06)
    monitor = SlotMonitor(
        environ=environ,
        processors=processors,
        clock=clock,
        started_s=started_s,
        time_left=TimeLeft(now, started_s=started_s, margin_s=settings.stop_margin_s, budget_s=budget_s),
        ask=Commands(environ),
        power=Power(settings.pilot_benchmark_hs06),
        benchmark=None if is_remote else _benchmark(cfg, settings, processors, memory(environ, work_dir)),
        node=health.Node(
            work_dir=work_dir,
            temporary=Path(environ.get("TMPDIR", "/tmp")),  # noqa: S108 - where programs really write, safe or not
            root=_ROOT,
            environ=environ,
            least_disk_mb=settings.least_disk_mb,
        ),
        breaker=_breaker(settings),
    )
    monitor.first_look()
    return monitor
