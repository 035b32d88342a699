"""Tells those who wait that jobs wait: instead of a question every second, one that is answered when there is news."""

import asyncio


class Changes:
    """Counts when jobs began to wait. All of it belongs to the server's event loop."""

    def __init__(self) -> None:
        self.number = 0
        self._listeners: set[asyncio.Event] = set()

    def note(self) -> None:
        """Take note that there is another job that waits."""
        self.number += 1
        for listener in self._listeners:
            listener.set()

    async def beyond(self, number: int, limit_s: float) -> int:
        """Return the count as soon as it is another one than `number`, after so many seconds as it is."""
        heard = asyncio.Event()
        self._listeners.add(heard)
        try:
            if self.number == number:
                await asyncio.wait_for(heard.wait(), limit_s)
        except TimeoutError:
            pass
        finally:
            self._listeners.discard(heard)
        return self.number
