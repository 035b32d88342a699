"""Goes through all that can happen, and tells what must not."""

import re
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from tests.model import agent, world
from tests.model.state import AS_IT_IS, Code, Fault, Move, State

_WRONG = {
    "RERUN": "put back although its payload was known to have ended well",
    "FOREIGN": "a payload began of a job that is somebody else's",
    "SPOILED": "an order of ours put back what somebody else has",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A promise that was broken.

    Attributes:
        sentence: which, and where things stood.
        trace: the steps that led there, a shortest way.
    """

    sentence: str
    trace: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explored:
    """What came of it.

    Attributes:
        states: how many there are.
        findings: one for each kind of broken promise.
        is_whole: nothing was left out.
    """

    states: int
    findings: tuple[Finding, ...]
    is_whole: bool


def explore(
    faults: Mapping[Fault, int], code: Code = AS_IT_IS, *, most_states: int = 3_000_000, seconds: float = 300.0
) -> Explored:
    """Go through all states that can be reached with so many faults, the nearest first."""
    start = State(left=tuple(faults.get(fault, 0) for fault in Fault))
    came: dict[State, tuple[State, str] | None] = {start: None}
    waiting, broken = deque([start]), dict[str, tuple[State, str]]()
    give_up_at = time.monotonic() + seconds
    while waiting and len(came) < most_states and time.monotonic() < give_up_at:
        state = waiting.popleft()
        following = _following(state, code)
        is_quiet = all(move.is_fault or move.to == state for move in following)
        if sentence := _broken(state, is_quiet=is_quiet):
            broken.setdefault(sentence.partition(":")[0], (state, sentence))
            continue
        for move in following:
            if move.to not in came:
                came[move.to] = (state, move.name)
                waiting.append(move.to)
    findings = tuple(Finding(sentence, _trace(came, state)) for state, sentence in broken.values())
    return Explored(len(came), findings, not waiting)


def _following(state: State, code: Code) -> list[Move]:
    following = list(world.moves(state, code))
    if state.is_alive:
        following += agent.moves(state, code)
    return following


def _broken(state: State, *, is_quiet: bool) -> str:
    """Return which promise is broken, empty while none is."""
    if state.begins > 1 + state.orders:
        return "DOUBLE: a payload began without an order to reschedule"
    if state.status == "D" and not state.successes:
        return "LIE: Done, and no payload has ended well"
    if state.status == "D" and state.is_killed and state.owner == "me":
        return "KILLED: its owner has killed it, and it is Done"
    if state.wrong:
        return f"{state.wrong}: {_WRONG[state.wrong]}"
    if is_quiet and state.status not in ("D", "F", "W"):
        ledger, task = state.ledger, state.task
        return f"LOST: nothing goes on, and the job is {state.status} of {state.owner}; {ledger}, task {task}"
    if is_quiet and state.is_alive and state.ledger.phase != "-":
        return f"STUCK: nothing goes on, and the agent waits; {state.ledger}, task {state.task}"
    return ""


def _trace(came: Mapping[State, tuple[State, str] | None], state: State) -> tuple[str, ...]:
    steps: list[str] = []
    while step := came[state]:
        state, name = step
        steps.append(name)
    return tuple(reversed(steps))


def faults_of(text: str) -> dict[Fault, int]:
    """Return faults by name, each with how often, as in `CRASH:2,POWER`.

    Raises:
        ValueError: this names none.
    """
    found: dict[Fault, int] = {}
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"([A-Z]+)(?::([1-9]))?", part)
        if match is None or match[1] not in Fault.__members__:
            raise ValueError(f"{part!r} is no fault; expected one of {', '.join(Fault.__members__)}, with :COUNT")
        found[Fault[match[1]]] = int(match[2] or 1)
    return found
