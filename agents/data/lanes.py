"""Several files at a time, but not too many: so many of one job, and so many of the whole node."""

import threading
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import TypeVar

_OF_A_JOB, _OF_THE_NODE = 4, 8
Item = TypeVar("Item")


class Lanes:
    """Where all jobs of a node share the network. Any thread may call."""

    def __init__(self, of_a_job: int = _OF_A_JOB, of_the_node: int = _OF_THE_NODE) -> None:
        self._of_a_job = of_a_job
        self._free = threading.Semaphore(of_the_node)

    def each(self, work: Callable[[Item], object], items: Iterable[Item]) -> None:
        """Do a piece of work for each item, in the order given, several at once; return when all have ended.

        After an error no further item is begun; the first one is raised when those under way have ended too.
        """
        waiting: SimpleQueue[Item] = SimpleQueue()
        count = 0
        for item in items:
            waiting.put(item)
            count += 1
        errors: list[BaseException] = []

        def run() -> None:
            while not errors:
                try:
                    item = waiting.get_nowait()
                except Empty:
                    return
                try:
                    with self._free:
                        work(item)
                except BaseException as error:  # noqa: BLE001 - raised by whoever waits
                    errors.append(error)

        at_once = min(count, self._of_a_job)
        threads = [threading.Thread(target=run, name=f"data-{n}", daemon=True) for n in range(at_once)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
