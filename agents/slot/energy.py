"""Energy of payloads: the node's own counters shared out by CPU time, or a figure of the site.

A node tells what it used as a whole. A payload's share of it is its CPU time over the CPU time of everything that ran
on the node meanwhile, so that what an idle node burns is shared by those who use it. Used by the agent's main thread.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from agents.jobs.energy import Energy, co2_g
from agents.log import EventLog
from agents.settings.energy import EnergySettings

log = EventLog("energy")

POWERCAP = Path("/sys/class/powercap")
_MOST_BYTES = 64  # of a file with one number
_MOST_WATTS = 1e5  # of one node


class Meter(Protocol):
    """Counts the energy of the whole node."""

    source: str

    def joules(self) -> float:
        """Return what was used since the meter was made.

        Raises:
            OSError, ValueError: it cannot be read now.
        """


class Rapl:
    """The processors' own counters: packages, with the memory where that is counted apart.

    Linux, Documentation/power/powercap/powercap.rst; AMD's processors are found there by the same names. A counter
    begins again at its range, which a busy package reaches within minutes to hours: it has to be read once a minute.
    """

    source = "RAPL"

    def __init__(self, domains: Sequence[Path]) -> None:
        self._ranges_uj = {domain: _number(domain / "max_energy_range_uj") for domain in domains}
        self._last_uj = {domain: _number(domain / "energy_uj") for domain in domains}
        self._total_uj = 0.0

    def joules(self) -> float:
        """Return what was used since the meter was made."""
        for domain, last_uj in self._last_uj.items():
            now_uj = _number(domain / "energy_uj")
            self._total_uj += now_uj - last_uj if now_uj >= last_uj else now_uj + self._ranges_uj[domain] - last_uj
            self._last_uj[domain] = now_uj
        return self._total_uj / 1e6


class PowerReading:
    """A file that tells the node's power now, such as a battery's, or one that a site's BMC reader keeps.

    Args:
        file: one number.
        watts: that one of its units is (a battery's power_now has microwatts: 1e-6).
        now: seconds, by a clock that does not jump.
    """

    def __init__(self, file: Path, watts: float, now: Callable[[], float] = time.monotonic) -> None:
        self.source = f"power read from {file}"
        self._file = file
        self._watts = watts
        self._now = now
        self._total_j = 0.0
        self._last = (now(), self._power())

    def joules(self) -> float:
        """Return what was used since the meter was made: the mean of two readings over the time between them."""
        then_s, then_w = self._last
        now_s, now_w = self._last = (self._now(), self._power())
        self._total_j += (now_s - then_s) * (then_w + now_w) / 2
        return self._total_j

    def _power(self) -> float:
        watts = _number(self._file) * self._watts
        if not 0 <= watts <= _MOST_WATTS:
            raise ValueError(f"{self._file}: {watts:g} W; expected 0 to {_MOST_WATTS:g}")
        return watts


@dataclass(frozen=True, slots=True)
class _Reading:
    joules: float
    busy_s: float


class EnergyAccount:
    """Tells what each payload used; nothing where nobody can know.

    Args:
        settings: the site's figures.
        meter: of this node; None where there is none, or where payloads run elsewhere.
        busy_s: CPU time of all that ever ran on the node.
    """

    def __init__(
        self,
        settings: EnergySettings | None = None,
        meter: Meter | None = None,
        busy_s: Callable[[], float] | None = None,
    ) -> None:
        self._settings = settings or EnergySettings()
        self._meter = meter
        self._busy_s = busy_s or _busy_s
        self._begun: dict[str, _Reading] = {}

    def look(self) -> None:
        """Read the meter, which has to be done once a minute at least; one that fails is used no more."""
        self._read()

    def begun(self, stamp: str) -> None:
        """Take note that a payload starts."""
        if reading := self._read():
            self._begun[stamp] = reading

    def used(self, stamp: str, cpu_s: float | None) -> Energy | None:
        """Return what an ended payload used; None where nobody can know.

        Args:
            stamp: as it was begun; of one that began before this agent there is no reading, and it is estimated.
            cpu_s: its CPU time, None when that is not known.
        """
        began, now = self._begun.pop(stamp, None), self._read()
        if cpu_s is None:
            return None
        if self._meter and began and now:
            share = cpu_s / max(cpu_s, now.busy_s - began.busy_s, 1e-9)
            return self._energy((now.joules - began.joules) * share, self._meter.source, is_measured=True)
        if watts := self._settings.processor_w:
            return self._energy(cpu_s * watts, f"estimated: {watts:g} W a busy processor", is_measured=False)
        return None

    def _energy(self, joules: float, source: str, *, is_measured: bool) -> Energy:
        return Energy(joules, source, is_measured, co2_g(joules, self._settings.carbon_g_per_kwh))

    def _read(self) -> _Reading | None:
        if self._meter is None:
            return None
        try:
            return _Reading(self._meter.joules(), self._busy_s())
        except (OSError, ValueError) as error:
            log.warning("energy.not_read", source=self._meter.source, cause=error)
            self._meter = None
            self._begun.clear()
            return None


def account(settings: EnergySettings, *, is_remote: bool, powercap: Path = POWERCAP) -> EnergyAccount:
    """Return the account of an agent, and say in the log how it knows.

    Args:
        settings: of the site.
        is_remote: payloads run on other nodes: nothing that is read here says anything of them.
        powercap: the kernel's directory of counters.
    """
    meter = None if is_remote else _meter(settings, powercap)
    if meter:
        log.info("energy.measured", source=meter.source)
    return EnergyAccount(settings, meter)


def _meter(settings: EnergySettings, powercap: Path) -> Meter | None:
    """Return what can be read here: what the site names before what the processors count."""
    try:
        if settings.power_reading:
            return PowerReading(Path(settings.power_reading), settings.power_reading_w)
        domains = _domains(powercap)
        return Rapl(domains) if domains else None
    except (OSError, ValueError) as error:  # since Linux 5.10 RAPL is for root alone
        (log.warning if settings.power_reading else log.debug)("energy.not_read", cause=error)
        return None


def _domains(powercap: Path) -> list[Path]:
    """Return the counters that together are the node's, each part once: packages, and memory where it is apart."""
    return [
        zone
        for zone in sorted(powercap.glob("intel-rapl:*"))
        if (name := (zone / "name").read_text(encoding="ascii")[:_MOST_BYTES].strip()).startswith("package")
        or name == "dram"
    ]


def _number(file: Path) -> float:
    with file.open("rb") as opened:
        text = opened.read(_MOST_BYTES)
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{file}: {text!r} is no number") from None


def _busy_s() -> float:
    times = psutil.cpu_times()
    return sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq"))
