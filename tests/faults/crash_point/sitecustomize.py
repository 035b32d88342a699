"""Kills the agent by SIGKILL at a numbered step of its ledger; on the agent's PYTHONPATH in these tests only.

GRIDPILOT_CRASH_AT is `NUMBER:before` or `NUMBER:after`: which change of the ledger, counted from 1, and whether the
agent dies before it is written or right after it. GRIDPILOT_CRASH_LOG, if set, gets a line for each change.
GRIDPILOT_CRASH_STEPS names the methods that are counted, all that save jobs and reports if it is not set.
GRIDPILOT_CRASH_IN, if set, names another ledger, `MODULE:CLASS`.
"""

import functools
import importlib
import itertools
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

STEPS = os.environ.get("GRIDPILOT_CRASH_STEPS", "save,sent").split(",")


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _counted(change: Callable[..., Any], name: str, numbers: Iterator[int], at: str, log: str) -> Callable[..., Any]:
    """Return a change of the ledger that kills the agent when it is the one."""

    @functools.wraps(change)
    def counted(*arguments: Any, **named: Any) -> Any:
        number = next(numbers)
        if log:
            with Path(log).open("a", encoding="ascii") as lines:
                lines.write(f"{number} {name}\n")
        if at == f"{number}:before":
            _die()
        result = change(*arguments, **named)
        if at == f"{number}:after":
            _die()
        return result

    return counted


def _install(at: str, log: str) -> None:
    module, _, name = os.environ.get("GRIDPILOT_CRASH_IN", "agents.jobs.ledger:Ledger").partition(":")
    ledger = getattr(importlib.import_module(module), name)  # only now: any other Python here must start without it
    numbers = itertools.count(1)
    for step in STEPS:
        setattr(ledger, step, _counted(getattr(ledger, step), step, numbers, at, log))


if os.environ.get("GRIDPILOT_CRASH_AT"):
    _install(os.environ["GRIDPILOT_CRASH_AT"], os.environ.get("GRIDPILOT_CRASH_LOG", ""))
