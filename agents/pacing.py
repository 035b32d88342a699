"""How long an agent waits before it asks a server: every such wait is worked out here, from numbers and chance alone.

No function reads a clock or sleeps, so that `bench/scale` simulates a grid of agents with this very code.
`docs/scale.md` tells what the numbers do to the servers.
"""

from collections.abc import Callable

Chance = Callable[[], float]  # returns a number from 0 to 1

LONGEST_HEARTBEAT_S = 840.0  # a token of twenty minutes serves two of them: the first finds five minutes left, and more
TOKEN_LEFT_S = 300.0  # an access token with less is refreshed, as DiracX's client does
GATHER_S = 5.0  # what is told of a job that goes on comes together for so long
LOOK_S, LONGEST_LOOK_S = 300.0, 9600.0

_EMPTY_GROWTH = 4  # the wait after answers that brought nothing grows up to 2^4 times PollingTime
_AGE_SHARE = 0.2  # of a job's age: a heartbeat need not come sooner
_TICK_SPREAD = 0.1


def after_nothing_s(polling_s: float, in_a_row: int, chance: Chance) -> float:
    """Return how long to wait after a request that brought no job: half of the window to all of it.

    Args:
        polling_s: the first window; it doubles up to 16 times that.
        in_a_row: requests that brought nothing, this one included.
        chance: spreads agents that asked together.
    """
    return polling_s * (1 << min(_EMPTY_GROWTH, in_a_row - 1)) * (0.5 + chance() / 2)


def before_repeating_s(window_s: float, asked_s: float, chance: Chance) -> float:
    """Return how long to wait before a call that failed is made again: anything within the window.

    Args:
        window_s: longer each time.
        asked_s: what the server asked to wait (Retry-After), 0 for nothing.
        chance: spreads those that met the same failure.
    """
    return after_asked_s(asked_s, window_s, chance) if asked_s > 0 else chance() * window_s


def after_asked_s(asked_s: float, window_s: float, chance: Chance) -> float:
    """Return how long to wait where a server has said how long: never less, and not all at the same moment."""
    return asked_s + chance() * max(window_s, asked_s / 2)


def in_an_outage_s(pause_s: float, chance: Chance) -> float:
    """Return how long to wait while a service is away: half of the pause to all of it; the caller lengthens it."""
    return pause_s * (0.5 + chance() / 2)


def tick_s(period_s: float, spread: Callable[[float, float], float]) -> float:
    """Return when something periodic is due again: about a period later, so that agents do not march in step.

    Args:
        period_s: on average.
        spread: returns a number between two.
    """
    return spread((1 - _TICK_SPREAD) * period_s, (1 + _TICK_SPREAD) * period_s)


def heartbeat_s(age_s: float, least_s: float, most_s: float) -> float:
    """Return how long after a heartbeat the next one is due: a fifth of the job's age, within bounds.

    A young job is killed at once, an old one costs its servers little: the order comes with the answer.
    """
    return max(least_s, min(most_s, age_s * _AGE_SHARE))


def is_due(since_s: float, period_s: float, tick_every_s: float) -> bool:
    """Tell whether what is looked at every so often is due at this look: it is nearer than the next one would be."""
    return since_s >= period_s - tick_every_s / 2


def configuration_look_s(unchanged: int) -> float:
    """Return after how long to ask for a newer configuration that was found unchanged so often: longer each time."""
    return min(LONGEST_LOOK_S, LOOK_S * float(1 << min(unchanged, 8)))
