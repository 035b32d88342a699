"""What a payload used in energy, and how that is known."""

from collections.abc import Iterable
from dataclasses import dataclass

_J_PER_KWH = 3.6e6


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy that a payload used.

    Attributes:
        joules: of its share of the node, or by the site's figure.
        source: how that is known, for people: "RAPL", "estimated: 8 W a busy processor".
        is_measured: False when it was worked out from CPU time.
        co2_g: grams of CO2, None where the site does not give its grid's intensity.
    """

    joules: float
    source: str
    is_measured: bool
    co2_g: float | None = None

    @property
    def watt_hours(self) -> float:
        """The same in the unit that people pay for."""
        return self.joules / 3600

    def __str__(self) -> str:
        co2 = "" if self.co2_g is None else f", {self.co2_g:.2f} g CO2"
        return f"{self.watt_hours:.3f} Wh ({self.source}){co2}"


def co2_g(joules: float, g_per_kwh: float) -> float | None:
    """Return grams of CO2; None where the grid's intensity is not known."""
    return joules / _J_PER_KWH * g_per_kwh if g_per_kwh else None


def total(parts: Iterable[Energy | None]) -> Energy | None:
    """Return what several payloads used together; None when nothing is known of any."""
    known = [part for part in parts if part]
    if not known:
        return None
    grams = [part.co2_g for part in known if part.co2_g is not None]
    sources = ", ".join(dict.fromkeys(part.source for part in known))
    joules = sum(part.joules for part in known)
    return Energy(joules, sources, all(part.is_measured for part in known), sum(grams) if grams else None)
