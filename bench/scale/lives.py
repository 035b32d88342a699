"""When one agent asks whom: ours by the very functions that it waits by, DIRAC's by what its source says.

A life is a stream of requests, each a moment in seconds after the agent's start and a service.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agents import pacing

DAY_S = 86400.0
POLLING_S, MOST_EMPTY = 20.0, 10  # both agents' defaults
TICK_S, CHORES_S = 60.0, 300.0  # ours: HeartBeatPeriod, `agents.wiring.CHORES_S`
TOKEN_S = (
    1200.0 - 15.0 - pacing.TOKEN_LEFT_S
)  # a token of DiracX's default life is refreshed at its next use after this
DIRAC_BEAT_S = 1800.0  # Watchdog: CheckingTime
DIRAC_GAP_S = 30.0  # SubmissionDelay 10 s, and the agent's own cycle of PollingTime
DIRAC_REFRESH_S = 300.0  # Refresher: RefreshTime
CONFIGURATION, REPORTS, ACCOUNTING = "Server", "DiracX", "DataStore"
Request = tuple[float, str]
Measured = Mapping[str, Mapping[str, float]]  # start, job → service → requests


@dataclass(frozen=True, slots=True)
class Agent:
    """How one agent spends its slot.

    Attributes:
        name: for tables.
        measured: requests at its start and for each job, by service.
    """

    name: str
    measured: Measured

    def at(self, moment_s: float, what: str, chance: random.Random) -> Iterator[Request]:
        """Yield what was measured for something, all at one moment; a fraction is one request in as many cases."""
        for service, number in self.measured[what].items():
            for _ in range(int(number) + (chance.random() < number % 1)):
                yield moment_s, service


class Ours(Agent):
    """gridpilot's agent, one job after the other."""

    def idle(self, chance: random.Random) -> Iterator[float]:
        """Yield the moments at which it asks for a job that never comes."""
        now_s = 0.0
        for in_a_row in range(1, MOST_EMPTY + 1):
            yield now_s
            now_s += pacing.after_nothing_s(POLLING_S, in_a_row, chance.random)

    def busy(self, job_s: float, chance: random.Random) -> Iterator[Request]:
        """Yield the requests of a day in which there is always a job."""
        yield from (each for each in self.at(0.0, "start", chance) if each[1] != ACCOUNTING)
        looked_s, unchanged, begun_s, token_s = 0.0, 0, 0.0, 0.0
        beat_s, has_accounts = float("-inf"), False
        tick_s = pacing.tick_s(TICK_S, chance.uniform)
        chores_s = pacing.tick_s(CHORES_S, chance.uniform)
        yield from self.at(0.0, "job", chance)
        while (now_s := min(tick_s, chores_s, begun_s + job_s)) < DAY_S:
            if now_s == begun_s + job_s:
                begun_s, beat_s, has_accounts = now_s, float("-inf"), True
                if now_s - looked_s >= pacing.LOOK_S:
                    looked_s, unchanged = now_s, unchanged + 1
                    yield now_s, CONFIGURATION
                yield from self.at(now_s, "job", chance)
            elif now_s == tick_s:
                tick_s += pacing.tick_s(TICK_S, chance.uniform)
                period_s = pacing.heartbeat_s(now_s - begun_s, TICK_S, pacing.LONGEST_HEARTBEAT_S)
                if pacing.is_due(now_s - beat_s, period_s, TICK_S):
                    beat_s = now_s
                    yield now_s, REPORTS
                    if now_s - token_s >= TOKEN_S:
                        token_s = now_s
                        yield now_s, REPORTS
            else:
                chores_s += pacing.tick_s(CHORES_S, chance.uniform)
                if has_accounts:  # of all jobs that have ended since
                    has_accounts = False
                    yield now_s, ACCOUNTING
                if pacing.is_due(now_s - looked_s, pacing.configuration_look_s(unchanged), CHORES_S):
                    looked_s, unchanged = now_s, unchanged + 1
                    yield now_s, CONFIGURATION


class Diracs(Agent):
    """DIRAC's JobAgent with its JobWrapper, InProcess."""

    def idle(self, _chance: random.Random) -> Iterator[float]:
        """Yield the same: it sleeps PollingTime × (failed + 1) × 2, and its cycle of PollingTime on top; no chance."""
        now_s = 0.0
        for failed in range(1, MOST_EMPTY + 2):
            yield now_s
            now_s += POLLING_S * (failed + 1) * 2 + POLLING_S

    def busy(self, job_s: float, chance: random.Random) -> Iterator[Request]:
        """Yield the same; a heartbeat is a discovery, a token, a call, and a look at the configuration, older then.

        That its client gets a new token for each, half an hour after the last one, tests/joined/test_dirac_s_beats.py
        shows.
        """
        yield from self.at(0.0, "start", chance)
        begun_s = 0.0
        while begun_s < DAY_S:
            yield from self.at(begun_s, "job", chance)
            for number in range(1, int(job_s // DIRAC_BEAT_S) + 1):
                moment_s = begun_s + number * DIRAC_BEAT_S
                yield from (*[(moment_s, REPORTS)] * 3, (moment_s, CONFIGURATION))
            begun_s += job_s + DIRAC_GAP_S
            if job_s + DIRAC_GAP_S >= DIRAC_REFRESH_S:
                yield begun_s, CONFIGURATION
