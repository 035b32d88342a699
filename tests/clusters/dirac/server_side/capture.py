"""One JSON line for each RPC that reached a service, over https and dips: what an agent really sends, and how much.

Keys: t (Unix seconds at its start), proto, service, method, user, group, args, result, status (HTTP only), ms,
connection (server process and number: equal for requests on one TLS connection), bytes_in and bytes_out (as seen
above TLS: HTTP headers and bodies, DISET frames; handshakes are not in it). Long strings are cut.
DIRAC's classes are wrapped when they are imported; what they do is not changed.
"""

import importlib.abc
import importlib.util
import itertools
import json
import os
import sys
import threading
import time
from typing import Any

Record = dict[str, Any]
LONGEST_STRING = 2000


class Log:
    """Appends lines; one write each, so that several processes can share the file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connections = itertools.count(1)

    def new_connection(self) -> str:
        """A name for a connection that no other one has."""
        return f"{os.getpid()}-{next(self._connections)}"

    def write(self, record: Record) -> None:
        """Append one record; what JSON cannot say is described."""
        line = json.dumps(shortened(record), default=lambda other: f"<{type(other).__name__} {str(other)[:80]}>") + "\n"
        with self._lock:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            os.write(file, line.encode())
            os.close(file)


def shortened(value: Any) -> Any:
    """The same value with its long strings cut: a sandbox travels as one string."""
    if isinstance(value, str) and len(value) > LONGEST_STRING:
        return f"{value[:LONGEST_STRING]}... {len(value)} characters"
    if isinstance(value, dict):
        return {str(key): shortened(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [shortened(item) for item in value]
    return value


def arguments(request: Any) -> Any:
    """The positional arguments of an https call, or the text when it is not JSON."""
    text = request.get_body_argument("args", default="[]")
    try:
        return json.loads(text)
    except ValueError:
        return text


def count_stream(module: Any, log: Log) -> None:
    """Count on each https connection, above TLS."""
    stream = module.M2IOStream
    initialize, read, write = stream.initialize, stream.read_from_fd, stream.write

    def counted_initialize(self: Any, *args: Any, **how: Any) -> Any:
        self.capture = {"connection": log.new_connection(), "in": 0, "out": 0}
        return initialize(self, *args, **how)

    def counted_read(self: Any, buffer: Any) -> Any:
        size = read(self, buffer)
        self.capture["in"] += size or 0
        return size

    def counted_write(self: Any, content: Any, *rest: Any) -> Any:
        self.capture["out"] += len(content)
        return write(self, content, *rest)

    stream.initialize, stream.read_from_fd, stream.write = counted_initialize, counted_read, counted_write


def record_https(module: Any, log: Log) -> None:
    """Write a line when the answer of a Tornado service has been handed to its connection."""
    service = module.TornadoService
    on_finish = service.on_finish

    def recorded(self: Any) -> None:
        on_finish(self)
        seconds = self.request.request_time()
        caller = getattr(self, "credDict", {})
        seen = self.request.connection.stream.capture
        log.write(
            {
                "t": time.time() - seconds,
                "proto": "https",
                "service": self._fullComponentName,
                "method": self.get_argument("method", None),
                "user": caller.get("username"),
                "group": caller.get("group"),
                "args": arguments(self),
                "result": getattr(self, "_BaseRequestHandler__result", None),
                "status": self.get_status(),
                "ms": round(1000 * seconds, 2),
                "connection": seen["connection"],
                "bytes_in": seen["in"],
                "bytes_out": seen["out"],
            }
        )
        seen["in"] = seen["out"] = 0

    service.on_finish = recorded


def record_dips(module: Any, log: Log) -> None:
    """Remember an executed DISET RPC on its transport, which writes the line when it is closed."""
    handler = module.RequestHandler
    call = handler._RequestHandler__RPCCallFunction

    def recorded(self: Any, method: str, args: Any) -> Any:
        start = time.time()
        sent = json.loads(json.dumps(args, default=str))  # the services change their arguments
        result = None
        try:
            result = call(self, method, args)
            return result
        finally:
            caller = self.getRemoteCredentials()
            transport = self._RequestHandler__trPool.get(self.srv_getTransportID())
            transport.capture = {
                "t": start,
                "proto": "dips",
                "service": self.serviceInfoDict.get("serviceName"),
                "method": method,
                "user": caller.get("username"),
                "group": caller.get("group"),
                "args": sent,
                "result": result,
                "ms": round(1000 * (time.time() - start), 2),
                "connection": log.new_connection(),
            }

    handler._RequestHandler__RPCCallFunction = recorded


def count_transport(module: Any, log: Log) -> None:
    """Count on each DISET connection; it carries one RPC."""
    transport = module.SSLTransport
    read, write, close = transport._read, transport._write, transport.close

    def counted_read(self: Any, *args: Any, **how: Any) -> Any:
        done = read(self, *args, **how)
        self.bytes_in = getattr(self, "bytes_in", 0) + len(done.get("Value") or b"")
        return done

    def counted_write(self: Any, content: Any) -> Any:
        done = write(self, content)
        self.bytes_out = getattr(self, "bytes_out", 0) + (done.get("Value") or 0)
        return done

    def recorded_close(self: Any) -> Any:
        record = self.__dict__.pop("capture", None)
        if record:
            log.write(record | {"bytes_in": getattr(self, "bytes_in", 0), "bytes_out": getattr(self, "bytes_out", 0)})
        return close(self)

    transport._read, transport._write, transport.close = counted_read, counted_write, recorded_close


WRAPPERS = {
    "tornado_m2crypto.m2iostream": count_stream,
    "DIRAC.Core.Tornado.Server.TornadoService": record_https,
    "DIRAC.Core.DISET.RequestHandler": record_dips,
    "DIRAC.Core.DISET.private.Transports.M2SSLTransport": count_transport,
}


class Finder(importlib.abc.MetaPathFinder):
    """Lets the usual finders work, then wraps what the module defines."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._waiting = dict(WRAPPERS)

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        """The module's own spec, with a loader that wraps afterwards."""
        wrap = self._waiting.pop(name, None)
        if wrap is None:
            return None
        spec: Any = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_wrap(module: Any) -> None:
            execute(module)
            wrap(module, self._log)

        spec.loader.exec_module = execute_and_wrap
        return spec


def install(path: str) -> None:
    """Capture into `path` from now on; to be called before DIRAC is imported."""
    sys.meta_path.insert(0, Finder(Log(path)))
