"""Ports of loopback for servers that a test has somebody start."""

import socket

_held: list[socket.socket] = []


def held_port() -> int:
    """Return a port that nobody else is given while this process lives.

    It is bound here and not listened at: who asks for just this port with SO_REUSEADDR, as servers do, gets it, and the
    kernel gives it to nobody who asks for any port (socket(7), bind(2)).
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    _held.append(holder)
    return int(holder.getsockname()[1])
