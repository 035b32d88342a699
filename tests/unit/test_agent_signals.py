"""What the agent makes of signals."""

import os
import signal
from collections.abc import Iterator

import pytest

from agents.process import agent_process as process
from agents.process.events import Events, SignalReceived
from tests.waiting import PATIENCE_S

NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "environ", "urgent"),
    [
        (signal.SIGTERM, {}, True),
        (signal.SIGINT, {}, True),
        (signal.SIGHUP, {}, False),
        (signal.SIGUSR1, {"SGE_TASK_ID": "undefined"}, False),
        (signal.SIGUSR2, {}, False),
        (signal.SIGUSR2, {"SGE_TASK_ID": "undefined"}, True),  # its notice of SIGKILL, qsub(1), -notify
    ],
)
def test_a_signal_that_announces_the_end_of_the_slot_is_urgent(
    number: signal.Signals, environ: dict[str, str], urgent: bool
) -> None:
    events = Events()
    process.listen(events, environ)

    os.kill(os.getpid(), number)

    assert events.next(PATIENCE_S) == SignalReceived(number.name, is_urgent=urgent)


def test_what_an_agent_that_died_was_told_comes_first_and_in_its_order() -> None:
    events = Events()

    process.listen(events, {"GRIDPILOT_SIGNALS_BEFORE": "SIGUSR1,SIGTERM,SIGNONE,SIGKILL,"})
    os.kill(os.getpid(), signal.SIGHUP)

    heard = [events.next(PATIENCE_S) for _ in range(3)]
    assert heard == [
        SignalReceived("SIGUSR1", is_urgent=False),
        SignalReceived("SIGTERM", is_urgent=True),
        SignalReceived("SIGHUP", is_urgent=False),
    ]
    assert events.next(0.0) is None
