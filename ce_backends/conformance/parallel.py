"""The conformance suite with several checks at the same time: where a queue is slow, a check mostly waits for it."""

import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from ce_backends.base import ComputingElement
from ce_backends.conformance import suite as conformance
from ce_backends.conformance.subject import Subject
from ce_backends.conformance.suite import Check, Result
from ce_backends.options import OptionValue
from ce_backends.registry import create


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """What every check is to be run with.

    Attributes:
        ce_type: the CE under test.
        options: its options.
        scratch: a directory that the tasks see too.
        deadline_s: how long any step may take.
    """

    ce_type: str
    options: Mapping[str, OptionValue]
    scratch: Path
    deadline_s: float

    def subject(self, state: str = "state") -> Subject:
        """Return the CE with one state below `scratch`."""
        return Subject(
            lambda: self._created(self.scratch / state), self.scratch, self.deadline_s, create_at=self._created
        )

    def _created(self, state: Path) -> ComputingElement:
        return create(self.ce_type, self.options, state)

    def run(self, checks: Sequence[Check], at_once: int) -> Iterator[Result]:
        """Run the checks, so many at a time, and tell of each in their order.

        Each has a process and a state of its own, as if so many agents used the CE: the limits that the options set
        hold for each of them.
        """
        if at_once == 1:
            yield from conformance.run(self.subject(), checks)
            return
        with ProcessPoolExecutor(at_once, multiprocessing.get_context("fork")) as processes:
            running = [(check, processes.submit(self._run_one, check)) for check in checks]
            for check, result in running:
                try:
                    yield result.result()
                except BrokenProcessPool:
                    yield conformance.broken(check, "the CE, or what it has started, ended the process of the suite")

    def _run_one(self, check: Check) -> Result:
        (result,) = conformance.run(self.subject(f"states/{check.__name__}"), [check])
        return result
