"""Waking a thread that waits for descriptors."""

import os
import select


class Wakeup:
    """Waits until somebody rings, or a descriptor it follows becomes readable. Open between `open` and `close`."""

    def __init__(self) -> None:
        self._rung = -1
        self._poller: select.epoll | None = None

    def open(self) -> None:
        """Take the two descriptors this needs.

        Raises:
            OSError: there are none left.
        """
        self._rung = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poller = select.epoll()
        self._poller.register(self._rung, select.EPOLLIN)

    def close(self) -> None:
        """Give them back, as far as they were taken."""
        if self._poller is not None:
            self._poller.close()
        if self._rung >= 0:
            os.close(self._rung)
        self._rung = -1  # the number may soon be another file's

    def wake(self) -> None:
        """Wake the waiting thread; from any thread."""
        os.eventfd_write(self._rung, 1)

    def follow(self, fd: int) -> None:
        """Be woken by this descriptor too; from any thread, also while another one waits."""
        self._opened.register(fd, select.EPOLLIN)

    def unfollow(self, fd: int) -> None:
        """Do not be woken by it any more; to be called before it is closed."""
        self._opened.unregister(fd)

    def wait(self, limit_s: float | None) -> list[int]:
        """Return the followed descriptors that are readable, after at most this long (None: for ever)."""
        ready = [fd for fd, _ in self._opened.poll(limit_s)]
        if self._rung in ready:
            os.eventfd_read(self._rung)
        return [fd for fd in ready if fd != self._rung]

    @property
    def _opened(self) -> select.epoll:
        assert self._poller is not None, "open() comes first"
        return self._poller
