"""Why processors that are free have no job."""

from enum import StrEnum


class Idle(StrEnum):
    """A reason; the words are those of the slot's page."""

    ASKING = "asking"
    NO_MATCH = "no match"
    NO_ANSWER = "no answer"
    NO_ROOM = "no room"
    LITTLE_LEFT = "too little left"
    DRAINING = "draining"
    UNFIT = "unfit"
    NO_AGENT = "no agent"


MEANINGS = {
    Idle.ASKING: "between two jobs: the next one was asked for",
    Idle.NO_MATCH: "the WMS had no job for this slot",
    Idle.NO_ANSWER: "the WMS did not answer, or refused the pilot",
    Idle.NO_ROOM: "nothing to offer: one job at a time, or memory, disk or a processor was lacking",
    Idle.LITTLE_LEFT: "the slot ended too soon for another job",
    Idle.DRAINING: "no more jobs were wanted here: a drain file, a signal, a limit that was set",
    Idle.UNFIT: "the node was not fit for jobs, or jobs had gone back for its fault",
    Idle.NO_AGENT: "the agent had died and the next one had not begun",
}
