"""Let the tornado 5.1.1 of PyPI serve DIRAC; imported for its effect.

DIRAC's Tornado services need a build of tornado in which SSLIOStream can be replaced by tornado_m2crypto's, with
two methods more on a request. It is on conda only ("5.1.1+dirac", the iostreamConfigurable branch of DIRACGrid's
fork); with the PyPI one the servers stop at start: "type object 'SSLIOStream' has no attribute 'configure'".
The hooks are added here at run time, and the one alias that Python 3.10 removed and tornado 5.1.1 still uses.
"""

import collections
import collections.abc
import importlib
from typing import Any

aliased: Any = collections
aliased.MutableMapping = collections.abc.MutableMapping

from tornado import gen, httputil, iostream, tcpserver  # noqa: E402 - needs the line above
from tornado.ioloop import IOLoop  # noqa: E402
from tornado.log import app_log  # noqa: E402

plain_connection: Any = tcpserver.TCPServer._handle_connection


def configure(cls: Any, dotted_name: str) -> None:
    """SSLIOStream.configure, as DIRAC calls it: the class that secure connections shall be."""
    module, _, name = dotted_name.rpartition(".")
    cls.replacement = getattr(importlib.import_module(module), name)


def secure_connection(server: Any, connection: Any, address: Any) -> None:
    """Take a new connection as the replacement class, which is set up by initialize() and not by its constructor."""
    replacement = getattr(iostream.SSLIOStream, "replacement", None)
    if server.ssl_options is None or replacement is None:
        plain_connection(server, connection, address)
        return
    try:
        stream = replacement()
        stream.initialize(
            connection,
            max_buffer_size=server.max_buffer_size,
            read_chunk_size=server.read_chunk_size,
            ssl_options=server.ssl_options,
            server_side=True,
            do_handshake_on_connect=False,
            create_context_on_init=True,
        )
        handled = server.handle_stream(stream, address)
        if handled is not None:
            IOLoop.current().add_future(gen.convert_yielded(handled), lambda done: done.result())
    except Exception:  # noqa: BLE001 - as tornado's own: a bad connection must not end the accepting loop
        app_log.exception("connection from %s", address)
        connection.close()


stream_class: Any = iostream.SSLIOStream
stream_class.configure = classmethod(configure)
server_class: Any = tcpserver.TCPServer
server_class._handle_connection = secure_connection
request_class: Any = httputil.HTTPServerRequest
request_class.get_ssl_certificate = lambda self, **how: self.connection.stream.get_ssl_certificate(**how)
request_class.get_ssl_certificate_chain = lambda self, **how: self.connection.stream.get_ssl_certificate_chain(**how)
