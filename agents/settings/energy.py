"""What a site says of energy: all of it off unless it is said, or the processors count for themselves."""

from dataclasses import dataclass

from agents.settings.observability import ObservabilitySettings
from agents.settings.option import option


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergySettings(ObservabilitySettings):
    """A part of the agent's settings."""

    processor_w: float = option(
        "/LocalSite/WattsPerProcessor",
        default=0.0,
        unit="W",
        doc="What the site reckons for a busy processor, with its share of the node: energy of payloads is estimated "
        "by their CPU time where nothing can be measured; 0 for no estimate.",
    )
    power_reading: str = option(
        "/LocalSite/PowerReading",
        default="",
        doc="File that tells the node's power now as one number: a battery's power_now, or one that a reader of the "
        "BMC keeps. Without it the processors' own counters (RAPL) are used where they may be read.",
    )
    power_reading_w: float = option(
        "/LocalSite/PowerReadingUnit",
        default=1.0,
        unit="W",
        doc="What one unit of that number is; 0.000001 for a battery's power_now.",
    )
    carbon_g_per_kwh: float = option(
        "/LocalSite/CarbonIntensity",
        default=0.0,
        unit="g/kWh",
        doc="CO2 of the grid's electricity: what payloads used is told in grams too; 0 when not known.",
    )
