"""Imported by Python at the start of every server process: what the stack cannot configure.

DIRAC's services bind to all interfaces and have no option for that; here they listen on loopback only.
"""

import os
import socket
from typing import Any

_bind = socket.socket.bind
LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def bind_on_loopback(self: socket.socket, address: Any, *rest: Any) -> None:
    """Bind as asked, but never to all interfaces."""
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] in LOOPBACK:
        host = LOOPBACK[address[0]]
        if self.family == socket.AF_INET6 and host == "127.0.0.1":
            host = "::ffff:127.0.0.1"  # a dual-stack socket that is asked for by IPv4 clients
        address = (host, *address[1:])
    _bind(self, address, *rest)


replaceable: Any = socket.socket
replaceable.bind = bind_on_loopback
if os.environ.get("DIRAC_USE_TORNADO_IOLOOP"):
    import tornado_patch  # noqa: F401 - imported for its effect
if os.environ.get("STACK_CAPTURE"):
    import capture

    capture.install(os.environ["STACK_CAPTURE"])
