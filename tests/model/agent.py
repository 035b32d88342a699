"""What the agent does: its main thread, and its reporter's."""

from tests.model.state import Code, Fault, Ledger, Move, Moves, Protection, State
from tests.model.world import beaten, rescheduled, told

_LAST_WORDS = {"D": ("D",), "X": ("X", "o"), "K": ("K",), "T": ()}


def moves(state: State, code: Code) -> Moves:
    """Yield what a living agent may do next."""
    if state.step or state.has_match:
        yield from _between_transactions(state, code)
    else:
        yield from _main(state, code)
    yield from _reporter(state, code)


# ---- the main thread ----


def _saying(state: State, *words: str) -> tuple[str, ...]:
    return () if state.is_disowned else tuple(dict.fromkeys((*state.ledger.unsent, *words)))


def _finished(state: State, end: str, code: Code) -> State:
    """Return the state when the last words about the job are to be told."""
    if end == "X" and state.task == "g":
        state = state._replace(wrong="RERUN")
    words = _LAST_WORDS[end]
    if Protection.ORDER_IN_ONE_STEP not in code and "o" in words:
        return state._replace(step="order").writing(phase="P", end=end, unsent=_saying(state, "X"))
    return state.writing(phase="P", end=end, unsent=_saying(state, *words))


def _between_transactions(state: State, code: Code) -> Moves:
    """Yield the one thing that the main thread does next: an effect follows what was written."""
    if state.has_match:
        new = state._replace(has_match=False, searches=False, is_disowned=False, is_rebooted=False, is_unsure=False)
        yield Move(
            "the match is written down", new.writing(phase="M", end="", unsent=_saying(new, "m"), has_asked=False)
        )
    elif state.step == "hand":
        yield from _hand_over(state.synced() if Protection.SYNC_BEFORE_START in code else state, code)
    elif state.step == "handed":
        yield Move(
            "that it runs is written down", state._replace(step="").writing(phase="N", unsent=_saying(state, "r"))
        )
    elif state.step == "order":
        yield Move("the order is written down", state._replace(step="").writing(unsent=_saying(state, "o")))
    else:
        yield Move("the job is closed", _closed(state))


def _closed(state: State) -> State:
    ended = state._replace(step="", is_unsure=False, is_said_again=False, ownership=False)
    return ended.writing(phase="-", end="", unsent=(), attempts=state.ledger.attempts + 1)


def _hand_over(state: State, code: Code) -> Moves:
    if state.task == "-":
        wrong = state.wrong or ("" if state.owner == "me" else "FOREIGN")
        begun = state._replace(task="r", begins=state.begins + 1, step="handed", wrong=wrong)
        yield Move("the task is handed over and its payload begins", begun)
    elif Protection.STAMP_RUNS_ONCE in code:
        yield Move("the task is handed over again: it is known", state._replace(step="handed"))
    else:
        yield Move("the task begins again", state._replace(task="r", begins=state.begins + 1, step="handed"))


def _main(state: State, code: Code) -> Moves:
    phase, end = state.ledger.phase, state.ledger.end
    if phase == "-":
        yield from _asking(state, code)
    elif phase == "M" and end:
        yield Move("it ends before it began", _finished(state, end, code))
    elif phase == "M" and not state.is_unasked:
        yield Move("that it is handed over is written down", _submitting(state))
    elif phase == "U" and (end or not state.is_unasked):
        yield from _found_or_not(state, code)
    elif phase == "N":
        yield from _polled(state, code)
    elif phase == "P" and not state.ledger.unsent:
        yield from _closing(state, code)
    if state.may(Fault.SLOT) and phase in ("M", "U", "N") and not end:
        stopping = state.after(Fault.SLOT)._replace(is_stopping=True)
        yield Move("the slot ends", stopping.writing(end="X"), is_fault=True)


def _submitting(state: State) -> State:
    return state._replace(step="hand", is_rebooted=False).writing(phase="U", unsent=_saying(state, "r"))


def _found_or_not(state: State, code: Code) -> Moves:
    end, is_other_boot = state.ledger.end, state.is_rebooted and Protection.OTHER_BOOT_GOES_BACK in code
    if state.task != "-" and end:
        yield Move("its task is found, to be ended", state.writing(phase="N"))
    elif state.task != "-" and Protection.STAMP_RUNS_ONCE in code:
        yield Move("its task is found", state._replace(step="handed"))
    elif end or is_other_boot:
        yield Move("its task is not found: it ends", _finished(state, end or "X", code))
    else:
        yield Move("its task is not found: handed over once more", _submitting(state))


def _polled(state: State, code: Code) -> Moves:
    end = state.ledger.end
    if end and state.task == "r":
        yield Move("the payload is ended", state._replace(task="a"))
    elif state.task == "v" and Protection.VANISHED_GOES_BACK not in code:
        return
    elif state.task in ("g", "v", "a"):
        own = "D" if state.task == "g" else "X"
        succeeded = end == "X" and own == "D" and Protection.SUCCESS_STAYS in code
        yield Move("the end of its task is seen", _finished(state, own if not end or succeeded else end, code))
    elif state.task == "-" and Protection.UNKNOWN_IS_LOST in code:
        yield Move("its task is gone: given back", _finished(state, end or "X", code))


def _closing(state: State, code: Code) -> Moves:
    """Yield the close; a last word is sure to be the last only when it is read back after what may be on its way."""
    end = state.ledger.end
    if end in ("X", "T") or not state.is_unsure or Protection.READ_BACK not in code:
        yield Move("its directory is removed", state._replace(task="-", step="clean"))
    elif not state.late:  # none comes later than the agent's patience
        if state.owner == "me" and state.status not in ("D", "F") and not state.is_said_again:
            again = state._replace(is_said_again=True).writing(unsent=_saying(state, *_LAST_WORDS[end]))
            yield Move("read back: the last word is told again", again)
        else:
            yield Move("read back: the last word stands", state._replace(is_unsure=False))


def _asking(state: State, code: Code) -> Moves:
    if state.searches:
        yield from _searching(state, code)
    if state.is_stopping:
        return
    if not state.ledger.has_asked and state.status == "W":
        asks = state.writing(has_asked=True)
        yield Move("a request is written down", asks.synced() if Protection.REQUEST_IS_WRITTEN in code else asks)
    elif state.ledger.has_asked and not state.searches and state.status == "W":
        yield from _requests(state, code)


def _searching(state: State, code: Code) -> Moves:
    owners = ("me",) if Protection.LOOK_WITH_PATIENCE in code else ("me", "twin")
    if state.status == "M" and state.owner in owners:
        yield Move("a lost match is found", state._replace(has_match=True))
    elif "q" not in state.late and (state.status, state.owner) != ("M", "twin"):
        yield Move("nothing is found, and no request is open", state._replace(searches=False).writing(has_asked=False))


def _requests(state: State, code: Code) -> Moves:
    matched = state._replace(status="M", owner="me")
    yield Move("requestJob", matched._replace(has_match=True))
    if state.may(Fault.LOST):
        yield Move("requestJob, its answer is lost", _not_known(matched.after(Fault.LOST), code), is_fault=True)
    if state.may(Fault.MISREAD):
        misread = _not_known(matched.after(Fault.MISREAD), code)
        yield Move("requestJob, carried out and answered with an error", misread, is_fault=True)
    if state.may(Fault.LATE):
        late = state.after(Fault.LATE)._replace(searches=True, late=(*state.late, "q"))
        yield Move("requestJob is given up, and on its way", late, is_fault=True)


def _not_known(state: State, code: Code) -> State:
    """Return the state when nobody knows what came of a request."""
    looks = Protection.LOOK_AFTER_ANY_ERROR in code
    return state._replace(searches=True) if looks else state.writing(has_asked=False)


# ---- the reporter's thread ----


def _reporter(state: State, code: Code) -> Moves:
    if state.ownership:
        yield from _settling(state)
    elif state.ledger.unsent:
        yield from _telling(state.synced() if Protection.SYNC_BEFORE_TELLING in code else state, code)
    elif state.may(Fault.BEATS) and _beats(state.ledger, code):
        yield from _beating(state.after(Fault.BEATS), code)


def _settling(state: State) -> Moves:
    asked = state._replace(ownership=False, is_unasked=False)
    if _is_ours(state):
        yield Move("the WMS is asked: it is ours", asked)
    else:
        end = "T" if state.ledger.phase != "-" else ""
        yield Move("the WMS is asked: it was taken away", asked._replace(is_disowned=True).writing(unsent=(), end=end))


def _is_ours(state: State) -> bool:
    if state.owner in ("other", "twin"):
        return state.ledger.phase == "-"
    if state.ledger.unsent == ("o",):
        return state.status == "X"
    if (state.status, state.ledger.end) in (("D", "D"), ("F", "K")):  # our own last word, told before
        return True
    return state.status in ("M", "R") or (state.status == "X" and "o" in state.ledger.unsent)


def _telling(state: State, code: Code) -> Moves:
    words = tuple(word for word in state.ledger.unsent if word != "o")
    waits = "o" in state.ledger.unsent and state.is_unsure and Protection.READ_BACK in code
    if waits and not state.late:  # what is put back must not be met by a call of ours that was given up
        yield Move("what is put back has waited", state._replace(is_unsure=False, ownership=True))
    elif words and not waits:
        rest = tuple(word for word in state.ledger.unsent if word == "o")
        heard = told(state, words, code)
        yield Move(f"told: {' '.join(words)}", heard.writing(unsent=rest))
        if state.may(Fault.LOST):
            lost = heard.after(Fault.LOST)._replace(is_unsure=True)
            yield Move(f"told: {' '.join(words)}, the answer is lost", lost, is_fault=True)
    elif not waits:
        yield from _ordering(state, code)


def _ordering(state: State, code: Code) -> Moves:
    done = rescheduled(state if state.owner == "me" else state._replace(wrong="SPOILED"))
    yield Move("the order to reschedule", done.writing(unsent=()))
    ownership = Protection.DOUBT_AFTER_ANY_ERROR in code
    if state.may(Fault.LOST):
        lost = done.after(Fault.LOST)._replace(is_unsure=ownership)
        yield Move("the order, its answer is lost", lost, is_fault=True)
    if state.may(Fault.MISREAD):
        misread = done.after(Fault.MISREAD)._replace(is_unsure=ownership)
        yield Move("the order, carried out and answered with an error", misread, is_fault=True)
    if state.may(Fault.LATE):
        late = state.after(Fault.LATE)._replace(is_unsure=True, late=(*state.late, "o"))
        yield Move("the order is given up, and on its way", late, is_fault=True)


def _beats(ledger: Ledger, code: Code) -> bool:
    """Tell whether a heartbeat may be sent: none after the end is known."""
    phases = ("N",) if Protection.BEATS_END_FIRST in code else ("N", "P")
    return ledger.phase in phases and (not ledger.end or Protection.BEATS_END_FIRST not in code)


def _beating(state: State, code: Code) -> Moves:
    heard = beaten(state)
    obeys = state.has_command and Protection.KILL_IS_OBEYED in code
    heard = heard._replace(has_command=False)
    yield Move("a heartbeat", heard.writing(end="K") if obeys else heard)
    if state.may(Fault.LATE):
        late = state.after(Fault.LATE)._replace(ownership=True, is_unsure=True, late=(*state.late, "h"))
        yield Move("a heartbeat is given up, and on its way", late, is_fault=True)
