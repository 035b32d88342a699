"""What a batch system says and we do not know: Unknown, which is not an end, and said once."""

import logging

from ce_backends.base import TaskState, TaskStatus

log = logging.getLogger("gridpilot.ce")


class UnknownWords:
    """The words of one batch system that were not understood."""

    def __init__(self, batch_system: str) -> None:
        self._batch_system = batch_system
        self._said: set[str] = set()

    def status(self, word: str) -> TaskStatus:
        """Return the status for a word that is not known, and log it the first time."""
        if word not in self._said:
            self._said.add(word)
            log.warning("ce.unknown_state batch_system=%s word=%r", self._batch_system, word)
        return TaskStatus(state=TaskState.UNKNOWN, native=word, reason=f"{self._batch_system} says {word!r}")
