"""Which jobs wait, asked of the Matcher: the task queues that a pilot of each queue could take jobs from.

A task queue has a number, and so is counted once however many queues it fits.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.errors import BadAnswer
from agents.site_director.queues import PilotQueue
from agents.site_director.supply import WaitingJobs
from agents.wms import answers
from agents.wms.service import Service

_CALL = "Matcher.getMatchingTaskQueues"
_PROCESSORS = re.compile(r"([1-9][0-9]{0,4})Processors", re.ASCII)
_MOST_JOBS = 10_000_000


@dataclass(frozen=True, slots=True)
class TaskQueue:
    """Jobs that the Matcher cannot tell apart."""

    jobs: int
    processors: int


class Demand:
    """Asks the Matcher. No thread of its own."""

    def __init__(self, matcher: Service, queues: Sequence[PilotQueue]) -> None:
        self._matcher = matcher
        self._queues = queues

    def wait(self, number: int) -> int:
        """Return how often jobs have begun to wait, once that is not `number` any more, or after some time.

        Raises:
            ServiceError: the Matcher gave no usable answer, or has no such call: DIRAC's has none.
        """
        answer = self._matcher.call("waitForJobs", number)
        if isinstance(answer, bool) or not isinstance(answer, int):
            raise BadAnswer("Matcher.waitForJobs: expected a number")
        return answer

    def ask(self) -> list[WaitingJobs]:
        """Return the jobs that wait and fit at least one queue; one call for all queues that offer the same.

        Raises:
            ServiceError: the Matcher gave no usable answer: nothing is known then.
        """
        found: dict[str, TaskQueue] = {}
        fits: dict[str, set[str]] = {}
        for offer, names in _by_offer(self._queues):
            task_queues = task_queues_of(self._matcher.call("getMatchingTaskQueues", dict(offer)))
            found |= task_queues
            for number in task_queues:
                fits.setdefault(number, set()).update(names)
        return [
            WaitingJobs(jobs=each.jobs, processors=each.processors, queues=frozenset(fits[number]))
            for number, each in found.items()
        ]


def _by_offer(queues: Sequence[PilotQueue]) -> list[tuple[Mapping[str, object], list[str]]]:
    offers: dict[str, tuple[Mapping[str, object], list[str]]] = {}
    for queue in queues:
        offers.setdefault(json.dumps(queue.matcher, sort_keys=True), (queue.matcher, []))[1].append(queue.name)
    return list(offers.values())


def task_queues_of(answer: object) -> dict[str, TaskQueue]:
    """Return what the Matcher has answered, by the number of the task queue.

    Raises:
        BadAnswer: it is not that.
    """
    found = {}
    for number, row in answers.mapping(answer, _CALL, "task queues by number").items():
        facts = answers.mapping(row, f"{_CALL}: task queue {str(number)[:20]}")
        jobs = facts.get("Jobs")
        if isinstance(jobs, bool) or not isinstance(jobs, int) or not 0 <= jobs <= _MOST_JOBS:
            raise BadAnswer(f"{_CALL}: task queue {str(number)[:20]}: expected a number of jobs")
        found[str(number)] = TaskQueue(jobs, _processors(facts.get("Tags", ())))
    return found


def _processors(tags: object) -> int:
    """Return what a job needs, which only its tags tell."""
    listed = answers.sequence(tags, _CALL, "a list of tags")
    sizes = [found[1] for tag in listed if isinstance(tag, str) and (found := _PROCESSORS.fullmatch(tag))]
    return max(map(int, sizes), default=1)
