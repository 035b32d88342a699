"""What a batch system says and we do not know: Unknown, which is not an end, and said once."""

import logging

from ce_backends.base import TaskState, TaskStatus

log = logging.getLogger("gridpilot.ce")


_LONGEST = 100  # characters of a word
_MOST = 100  # words that are told of


class UnknownWords:
    """The words of one batch system that were not understood."""

    def __init__(self, batch_system: str) -> None:
        self._batch_system = batch_system
        self._said: set[str] = set()

    def status(self, word: str) -> TaskStatus:
        """Return the status for a word that is not known, and log it the first time."""
        word = word[:_LONGEST]
        if word not in self._said and len(self._said) < _MOST:
            self._said.add(word)
            log.warning("ce.unknown_state batch_system=%s word=%r", self._batch_system, word)
        return TaskStatus(state=TaskState.UNKNOWN, native=word, reason=f"{self._batch_system} says {word!r}")
