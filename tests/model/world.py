"""What happens around the agent: payload, WMS, other pilots, the network, the owner, the node."""

from tests.model.state import Code, Fault, Ledger, Move, Moves, Protection, State

MAX_ORDERS = 3
_WORDS = {"m": "R", "r": "R", "D": "D", "X": "X", "K": "F"}


def told(state: State, words: tuple[str, ...], code: Code) -> State:
    """Return the state when the WMS was told these statuses: nothing follows an end, nor what seems older."""
    if state.owner != "me" or (state.is_behind and Protection.MOMENTS_GO_ON not in code):
        return state
    status = state.status
    for word in words:
        if status not in ("D", "F"):
            status = _WORDS[word]
    return state._replace(status=status)


def rescheduled(state: State) -> State:
    """Return the state when the WMS was told to put the job back, whatever it is: that undoes a kill too."""
    state = state._replace(is_killed=False)
    if state.orders >= MAX_ORDERS:
        return state._replace(status="F", owner="-")
    return state._replace(status="W", owner="-", orders=state.orders + 1)


def beaten(state: State) -> State:
    """Return the state when the WMS got a heartbeat of ours: it sets the job Running, whatever it was."""
    return state._replace(status="R") if state.owner in ("me", "-") else state


def moves(state: State, code: Code) -> Moves:
    """Yield what others may do next."""
    yield from _others(state)
    yield from _late_calls(state)
    if state.task == "r":
        yield Move("the payload ends well", state._replace(task="g", successes=state.successes + 1))
    if state.is_alive:
        yield from _deaths(state)
    else:
        yield from _restarts(state, code)


def _others(state: State) -> Moves:
    if state.status == "W":
        yield Move("another pilot runs the job", state._replace(status="R", owner="other", begins=state.begins + 1))
    if (state.status, state.owner) in (("R", "other"), ("R", "twin")):
        yield Move("its payload ends well there", state._replace(status="D", successes=state.successes + 1))
    if state.status == "W" and state.may(Fault.SHARED):
        to = state.after(Fault.SHARED)._replace(status="M", owner="twin")
        yield Move("another agent of our pilot gets the job", to, is_fault=True)
    if (state.status, state.owner) == ("M", "twin"):
        yield Move("the other agent tells of it", state._replace(status="R", begins=state.begins + 1))
    if state.may(Fault.KILL) and state.status in ("M", "R") and state.owner == "me" and not state.is_killed:
        to = state.after(Fault.KILL)._replace(status="F", is_killed=True, has_command=True)
        yield Move("the owner kills the job", to, is_fault=True)


def _late_calls(state: State) -> Moves:
    for number, call in enumerate(state.late):
        to = state._replace(late=state.late[:number] + state.late[number + 1 :])
        if call == "q" and to.status == "W":
            yield Move("a late requestJob is carried out", to._replace(status="M", owner="me"))
        elif call == "q":
            yield Move("a late requestJob finds nothing", to)
        elif call == "o":
            yield Move("a late order to reschedule is carried out", rescheduled(to))
        else:
            yield Move("a late heartbeat is carried out", beaten(to))


def _dead(state: State, fault: Fault) -> State:
    """Return the state without what only the agent's memory had."""
    return state.after(fault)._replace(
        is_alive=False,
        searches=False,
        ownership=False,
        is_unasked=False,
        is_unsure=False,
        is_said_again=False,
        has_match=False,
        step="",
        is_disowned=False,
        is_stopping=False,
        is_behind=False,
    )


def _deaths(state: State) -> Moves:
    lost = "v" if state.task == "r" else state.task
    if state.may(Fault.CRASH):
        yield Move("the agent dies", _dead(state, Fault.CRASH), is_fault=True)
    if state.may(Fault.DEATH):
        to = _dead(state, Fault.DEATH)._replace(task=lost)
        yield Move("agent, wrapper and payload die", to, is_fault=True)
    if state.may(Fault.POWER):
        for version in state.older | {state.ledger}:
            for task in {"-", lost}:
                to = _dead(state, Fault.POWER)._replace(ledger=version, older=frozenset(), task=task, is_rebooted=True)
                yield Move(f"the power goes: {_words(version)}, the directory is {task}", to, is_fault=True)


def _words(ledger: Ledger) -> str:
    return f"the ledger says {ledger.phase}{ledger.end} {'+'.join(ledger.unsent) or 'all told'}"


def _restarts(state: State, code: Code) -> Moves:
    if state.status in ("M", "R") and state.owner == "me" and state.may(Fault.TAKEN):
        yield Move("the WMS takes the job away", rescheduled(state.after(Fault.TAKEN)), is_fault=True)
    if state.task in ("v", "g") and state.ledger.phase in ("N", "P") and state.may(Fault.GONE):
        yield Move("the task's directory is removed", state.after(Fault.GONE)._replace(task="-"), is_fault=True)
    again = _born(state, code)
    yield Move("an agent is started", again)
    if state.may(Fault.CLOCK) and state.ledger.phase != "-":
        yield Move(
            "an agent is started, its clock set back", again.after(Fault.CLOCK)._replace(is_behind=True), is_fault=True
        )


def _born(state: State, code: Code) -> State:
    """Return the state with a new agent, which knows what the ledger says."""
    has_job = state.ledger.phase != "-"
    is_all_said = state.ledger.phase == "P" and not state.ledger.unsent
    asks = has_job and not is_all_said and Protection.ASK_AFTER_RESTART in code
    may_not_begin = state.ledger.phase in ("M", "U") and not state.ledger.end and Protection.ASK_BEFORE_START in code
    return state._replace(
        is_alive=True,
        searches=state.ledger.has_asked,
        ownership=asks,
        is_unasked=may_not_begin and asks,
        is_unsure=has_job,
    )
