"""Expressions and numbers that a job's owner chooses: whatever they are, nothing waits for them for long."""

import importlib
import pkgutil
import re
import signal
import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

import agents
import ce_backends
import pilot
from agents.jobs.jdl import JdlError, StopSignal, describe
from agents.runner.tasks import Tasks
from ce_backends.untrusted.pattern import MOST_CHARACTERS, PatternFailed, found_in, is_expression
from tests.unit.runner_scene import Ce
from tests.waiting import PATIENCE_S, until

LETTERS = "a" * 40 + "!"
SLOW = ["(a+)+$", "(a|a)*$", "(a|aa)+$", "(.*a){20}$", r"^(([a-z])+.)+[A-Z]([a-z])+$", "(?i)(A+)+$"]
NO_EXPRESSIONS = ["(", "[", "a**", "(?P<n>a)(?P<n>b)", "a{99999999999999}", "(" * 128 + ")" * 120, "x\0y"]
TOO_MUCH = ["a" * (MOST_CHARACTERS + 1), "(" * 5000 + ")" * 5000]


@pytest.mark.parametrize("pattern", SLOW)
def test_an_expression_that_goes_back_and_forth_is_given_up_and_nobody_stands_still(pattern: str) -> None:
    ticks = [time.monotonic()]
    stop = threading.Event()
    ticker = threading.Thread(
        target=lambda: [ticks.append(time.monotonic()) for _ in iter(lambda: stop.wait(0.02), True)]
    )
    ticker.start()
    began = time.monotonic()

    with pytest.raises(PatternFailed):
        found_in(pattern, [LETTERS], within_s=0.5)

    took_s = time.monotonic() - began
    stop.set()
    ticker.join()
    assert took_s < 5
    assert max(after - before for before, after in pairwise(ticks)) < 0.8 * took_s


@pytest.mark.parametrize("pattern", NO_EXPRESSIONS)
def test_what_is_no_expression_finds_nothing(pattern: str) -> None:
    assert not is_expression(pattern)


@pytest.mark.parametrize("pattern", TOO_MUCH)
def test_an_expression_that_is_too_long_is_none(pattern: str) -> None:
    assert not is_expression(pattern)
    with pytest.raises(PatternFailed, match="more than 256 characters"):
        found_in(pattern, ["x"])


@pytest.mark.parametrize(
    "pattern", ["[\0-\U0010ffff]", "(?:[\\x00-\\U0010ffff]|b)" * 10, "a{1,9999}" * 20, "(?=a)" * 50]
)
def test_compiling_an_expression_takes_no_time(pattern: str) -> None:
    began_s = time.thread_time()

    is_expression(pattern)

    assert time.thread_time() - began_s < 0.5


def test_texts_are_found_as_python_finds_them() -> None:
    texts = ["python x.py", "sh -c y\nz", "", "müller \udcff", "sleep 1\0 2"]

    found = [found_in(pattern, texts) for pattern in ("^python", "(?i)MÜLLER", "z$", "^$", "1  2")]

    assert found == [[0], [3], [1], [2], [4]]


def test_an_expression_that_wants_memory_finds_nothing() -> None:
    with pytest.raises(PatternFailed):
        found_in("(?:(?:a{0,60000}){0,60000}){0,60000}(b|c)", ["a" * 4000], within_s=0.5)


@pytest.mark.parametrize("attribute", ["CPUTime", "MaxRAM", "MinRAM", "NumberOfProcessors", "NumberOfGPUs"])
def test_a_number_that_no_node_has_is_refused(attribute: str) -> None:
    with pytest.raises(JdlError, match=f"JDL attribute {attribute} is '99999999999', expected .* at most 10000000000"):
        describe(f"[ JobID = 1; {attribute} = 99999999999 ]")


def test_a_signal_is_wanted_no_longer_than_a_day_before_the_end() -> None:
    stop = describe('[ JobID = 1; StopSigRegex = "x"; StopSigFinishSeconds = 9999999999 ]').stop_signal

    assert stop is not None
    assert stop.lead_s == 86_400


class SlowCe(Ce):
    """A CE that is at somebody's expression."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def signal(self, task_id: str, number: int, matching: str) -> int:
        self.go_on.wait(2 * PATIENCE_S)
        return 0


@pytest.fixture
def ce() -> Iterator[SlowCe]:
    made = SlowCe()
    yield made
    made.go_on.set()


def test_the_agent_goes_on_while_an_expression_is_tried(ce: SlowCe) -> None:
    tasks = Tasks(ce)  # type: ignore[arg-type] # the border
    began = time.monotonic()

    tasks.wind_down("t", StopSignal(regex="(a+)+$", number=signal.SIGINT, lead_s=600), 600)

    assert time.monotonic() - began < PATIENCE_S  # a CE that is waited for takes twice as long
    assert ce.cancelled == []


def test_a_payload_of_which_nothing_got_the_signal_is_ended_when_that_is_known(ce: SlowCe) -> None:
    tasks = Tasks(ce)  # type: ignore[arg-type] # the border
    tasks.wind_down("t", StopSignal(regex="(a+)+$", number=signal.SIGINT, lead_s=600), 600)
    ce.go_on.set()

    def has_ended_something() -> bool:
        tasks.poll({})
        return bool(ce.cancelled)

    until(has_ended_something)
    assert ce.cancelled == ["t"]


def test_no_expression_of_ours_is_one_that_debian_12_matches_wrongly() -> None:
    """Python 3.11 before 3.11.5 takes a possessive quantifier of a group too far (gh-106052)."""
    checked, wrong = 0, []
    for package in (agents, ce_backends, pilot):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.endswith("__main__"):
                continue
            for name, value in vars(importlib.import_module(module.name)).items():
                if isinstance(value, re.Pattern):
                    checked += 1
                    text = value.pattern if isinstance(value.pattern, str) else value.pattern.decode("latin-1")
                    if re.search(r"(?<!\\)[*+?}]\+|\(\?>", text):
                        wrong.append(f"{module.name}.{name}: {text}")

    assert checked > 50
    assert wrong == []
