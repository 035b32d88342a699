"""A proxy that cuts connections after some bytes, as a bad network does."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

BLOCK = 1 << 16


class Cut:
    """Connections to a port of this machine, some of which are cut.

    Args:
        target: the port.
        after_bytes: that the client has sent.
        times: how many connections are cut; those after them stay.
    """

    def __init__(self, target: int, *, after_bytes: int, times: int) -> None:
        self._target = target
        self._after_bytes = after_bytes
        self._left = times
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.sent_bytes = 0

    @property
    def is_spent(self) -> bool:
        """Whether as many were cut as was wanted."""
        return self._left == 0

    @contextmanager
    def serving(self) -> Iterator["Cut"]:
        """Serve meanwhile."""
        thread = threading.Thread(target=self._serve, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):  # the listener was shut down
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(target=self._up, args=(client, server), daemon=True).start()
                threading.Thread(target=self._down, args=(server, client), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        passed = 0
        with client, server, suppress(OSError):
            while block := client.recv(BLOCK):
                server.sendall(block)
                passed += len(block)
                self.sent_bytes += len(block)
                if self._left and passed > self._after_bytes:
                    self._left -= 1
                    break
            for end in (client, server):
                end.shutdown(socket.SHUT_RDWR)

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while block := server.recv(BLOCK):
                client.sendall(block)
            client.shutdown(socket.SHUT_WR)
