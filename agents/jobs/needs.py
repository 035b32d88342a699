"""What a job needs and this agent cannot do: such a job is handed back before it runs, never half done and Done."""

from collections.abc import Sequence

from agents.errors import Blame, HandBack
from agents.jobs.jdl import JobDescription
from agents.jobs.job import Minor

_SHOWN = 5  # names in a sentence


def check(description: JobDescription, *, moves_data: bool) -> None:
    """Let a job pass that can be run here as a whole, as far as its JDL tells.

    Args:
        description: of the job.
        moves_data: input and output data are moved.

    Raises:
        HandBack: it needs something more; the sentence says what. The node is to blame, so that a pilot which meets
            only such jobs ends before it has used up the reschedulings of many.
    """
    lacking = [] if moves_data else _data(description)
    if lacking:
        detail = f"This agent cannot do what the job needs: {'; '.join(lacking)}"
        raise HandBack(Minor.UNMET, detail, blame=Blame.SITE)


def _data(description: JobDescription) -> list[str]:
    files = [name for name in description.input_sandbox if name.upper().startswith("LFN:")]
    named = {
        "input data": description.input_data,
        "files of a catalogue in its input sandbox": files,
        "output data": description.output_data,
    }
    return [f"{what} ({_listed(names)})" for what, names in named.items() if names]


def _listed(names: Sequence[str]) -> str:
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
