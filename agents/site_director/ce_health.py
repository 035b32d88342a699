"""How one kind of call to a CE does: whether it is made now, and why not. Times are of the monotonic clock."""

from collections.abc import Callable
from dataclasses import dataclass

_FIRST_REST_S, _LONGEST_REST_S = 10.0, 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CeHealth:
    """How it does.

    Attributes:
        failures: in a row.
        rest_until_s: the CE is left alone with it until then.
        why: what the CE said last, empty while it does what it is asked.
    """

    failures: int = 0
    rest_until_s: float = 0.0
    why: str = ""

    def failed(self, why: str, now_s: float, jitter: Callable[[], float]) -> "CeHealth":
        """Return it after a failure: it rests for 10 s, then twice as long each time, 15 min at most."""
        rest_s = min(_FIRST_REST_S * 2.0 ** min(self.failures, 20), _LONGEST_REST_S) * (0.75 + jitter() / 2)
        return CeHealth(failures=self.failures + 1, rest_until_s=now_s + rest_s, why=why)

    def rests(self, now_s: float) -> bool:
        """Tell whether the CE is left alone now."""
        return now_s < self.rest_until_s


WELL = CeHealth()
