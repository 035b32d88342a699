"""The HTTPS process: DIRAC's request format on Tornado, one event loop, no threads."""

import asyncio
import inspect
import logging
import os
import signal
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.ioloop import PeriodicCallback
from tornado.iostream import IOStream
from tornado.web import Application, HTTPError, RequestHandler, stream_request_body

from agents.local_wms import jencode
from agents.local_wms.authority import Authority, open_authority
from agents.local_wms.calls import (
    MOST_BYTES,
    MOST_BYTES_OF_STRANGERS,
    BadForm,
    OneEntry,
    arguments_of,
    form_of,
    group_of,
    shown,
)
from agents.local_wms.credentials import Doorman
from agents.local_wms.database import open_database
from agents.local_wms.home import Endpoint, Home
from agents.local_wms.jobs import Jobs
from agents.local_wms.registry import ADMIN, CE, PILOT, QUEUE, SITE, USER, VO
from agents.local_wms.services.base import Answer, Caller, Method, RawContent, Refusal, Service
from agents.local_wms.services.configuration import Configuration, local_tree, path_of
from agents.local_wms.services.file_catalog import FileCatalog
from agents.local_wms.services.job_manager import JobManager
from agents.local_wms.services.job_monitoring import JobMonitoring
from agents.local_wms.services.job_state_update import JobStateUpdate
from agents.local_wms.services.matcher import Matcher
from agents.local_wms.services.pilot_logging import PilotLogging
from agents.local_wms.services.pilot_manager import PilotManager, Pilots
from agents.local_wms.services.proxy_manager import ProxyManager, Sign
from agents.local_wms.services.req_manager import ReqManager
from agents.local_wms.services.sandbox_store import SandboxStore
from agents.local_wms.storage import Storage
from agents.local_wms.web.handlers import routes

HEAD_S = 60.0  # for TLS and the head of a request; who sends none for so long has his connection closed
BODY_S = 60.0
MOST_CONNECTIONS = 400  # a process has 1024 descriptors
RENEWAL_MS = 6 * 3600 * 1000  # how often the proxies are looked at
LOG = logging.getLogger(__name__)


def utc_now() -> datetime:
    """Return the time; the one place where the server looks at a clock."""
    return datetime.now(UTC)


@stream_request_body
class CallReceiver(RequestHandler):
    """One POST is one call; what goes wrong has the HTTP code that DIRAC's own server gives."""

    form: Mapping[str, str] = MappingProxyType({})

    def initialize(self, methods: Mapping[str, Method], doorman: Doorman) -> None:
        """Take what the route holds (Tornado calls this)."""
        self.methods = methods
        self.doorman = doorman

    def prepare(self) -> None:
        """Take little from those who show no certificate."""
        self._pieces: list[bytes] = []
        connection = self.request.connection
        if isinstance(connection, HTTP1Connection) and self.doorman.identify(connection.stream, "") is None:
            connection.set_max_body_size(MOST_BYTES_OF_STRANGERS)

    def data_received(self, chunk: bytes) -> None:
        """Take a piece of the body."""
        self._pieces.append(chunk)

    async def post(self) -> None:
        """Answer a call: 400 without a method, 501 for an unknown one, then 401, and only then the call itself."""
        try:
            self.form = form_of(self._pieces)
        except BadForm as error:
            raise HTTPError(400) from error
        if not self.form.get("method"):
            raise HTTPError(400)
        method = self.methods.get(self.form["method"])
        if method is None:
            raise HTTPError(501)
        caller = self.doorman.identify(_stream(self), group_of(self.form))
        if caller is None or not method.permits(caller):
            raise HTTPError(401)
        # what a method raises, a wrong number of arguments and bad JSON alike, is Tornado's 500
        await self._reply(method, caller, arguments_of(self.form))

    async def _reply(self, method: Method, caller: Caller, arguments: list[Any]) -> None:
        try:
            value = method(caller, arguments)
            if inspect.isawaitable(value):
                value = await value
        except Refusal as refusal:
            answer = {"OK": False, "Errno": refusal.errno, "Message": refusal.text, **refusal.further}
        else:
            if isinstance(value, RawContent):
                self.set_header("Content-Type", "application/octet-stream")
                self.write(value.content)
                return
            further = value.further if isinstance(value, Answer) else {}
            answer = {"OK": True, "Value": value.value if isinstance(value, Answer) else value, **further}
        self.set_header("Content-Type", "application/json")
        self.write(jencode.encode(answer))


def _stream(handler: RequestHandler) -> object:
    return getattr(handler.request.connection, "stream", None)


class Listener(HTTPServer):
    """Keeps so many connections and no more: the descriptors that are left are for files."""

    doorman: Doorman
    kept: Sequence[IOStream] = ()

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Begin with a connection; where there are too many, the oldest of somebody unknown makes room for it."""
        kept = [one for one in self.kept if not one.closed()]
        self.kept = [*kept, stream]
        if len(kept) >= MOST_CONNECTIONS:
            next(one for one in self.kept if not self.doorman.knows(one)).close()
        super().handle_stream(stream, address)


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens; `run` keeps it going, `endpoint` tells how to reach it."""

    http: HTTPServer
    jobs: Jobs
    authority: Authority
    endpoint: Endpoint

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until SIGTERM or SIGINT, then let go of everything."""
        stop = asyncio.Event()
        renewal = PeriodicCallback(self.authority.make_all, RENEWAL_MS)
        renewal.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        ready()
        await stop.wait()
        renewal.stop()
        self.http.stop()
        await self.http.close_all_connections()
        self.jobs.database.close()


def services_of(jobs: Jobs, home: Home, base_url: str, version: str, sign: Sign | None = None) -> list[Service]:
    """Wire all services; without anybody who signs there is no ProxyManager, and payloads have no proxies."""
    pilots = Pilots(jobs)
    services: list[Service] = [
        Matcher(jobs, pilots),
        JobManager(jobs),
        JobStateUpdate(jobs),
        JobMonitoring(jobs),
        PilotManager(pilots),
        SandboxStore(jobs, home.sandboxes),
        PilotLogging(home.pilot_logs),
        FileCatalog(jobs),
        ReqManager(jobs),
        *([ProxyManager(sign)] if sign else []),
    ]
    names = [service.name for service in services] + [Configuration.name]
    return [*services, Configuration(local_tree(base_url, version, names), version)]


def build(home: Home, port: int, receiver: type[CallReceiver] = CallReceiver) -> Server:
    """Make a server that listens on this port of the loopback interface (0: any free one), and receives calls so."""
    authority = open_authority(home.certificates, utc_now)
    authority.make_all()
    listening = socket.create_server(("127.0.0.1", port), backlog=128)
    listening.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    url = f"https://localhost:{listening.getsockname()[1]}"
    jobs = Jobs(open_database(home.database), utc_now)
    doorman = Doorman(utc_now)
    services = services_of(jobs, home, url, str(utc_now()), authority.sign_request)
    http = Listener(
        _application(services, jobs, doorman, home.storage, receiver),
        ssl_options=tls_context(authority.host(), authority.certificates),
        max_body_size=MOST_BYTES,
        max_buffer_size=MOST_BYTES,
        idle_connection_timeout=HEAD_S,
        body_timeout=BODY_S,
    )
    http.doorman = doorman
    http.add_sockets([listening])
    return Server(http, jobs, authority, _endpoint(url, authority))


def _application(
    services: list[Service], jobs: Jobs, doorman: Doorman, storage: Path, receiver: type[CallReceiver]
) -> Application:
    calls = [
        (path_of(service.name), receiver, {"methods": service.methods(), "doorman": doorman}) for service in services
    ]
    (sandboxes,) = (service for service in services if isinstance(service, SandboxStore))
    (logs,) = (service for service in services if isinstance(service, PilotLogging))
    pages = routes(jobs, sandboxes, logs, doorman)
    files = (r"/storage/([^/]+)(/.*)", Storage, {"folder": storage, "doorman": doorman})
    return Application([*pages, files, *calls], compress_response=True, log_function=_log_problem)


def _log_problem(answered: RequestHandler) -> None:
    request, code = answered.request, answered.get_status()
    if code >= 400:
        method = answered.form.get("method", "") if isinstance(answered, CallReceiver) else ""
        LOG.warning("%s %s %s: %d", shown(str(request.method)), shown(request.path), shown(method), code)


def tls_context(host_pem: Path, ca_dir: Path) -> ssl.SSLContext:
    """Return a context that asks for a client certificate and also takes RFC 3820 proxies.

    No certificate is no TLS error: the answer is then HTTP 401, as from DIRAC.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(host_pem)
    context.load_verify_locations(capath=ca_dir)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_ALLOW_PROXY_CERTS
    # a resumed session has no chain any more, only the leaf
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    return context


def _endpoint(url: str, authority: Authority) -> Endpoint:
    return Endpoint(
        url=url,
        configuration=url + path_of(Configuration.name),
        ca_dir=str(authority.certificates),
        pilot_proxy=str(authority.proxy(PILOT)),
        user_proxy=str(authority.proxy(USER)),
        admin_proxy=str(authority.proxy(ADMIN)),
        site=SITE,
        ce=CE,
        queue=QUEUE,
        vo=VO,
        pid=os.getpid(),
    )


def serve(home: Home, port: int, announce: Callable[[Endpoint], None]) -> None:
    """Run a server in this directory until it is told to stop.

    Raises:
        LocalWmsError: another one runs there.
        OSError: the port is taken.
    """
    with home.lock():
        log = logging.FileHandler(home.log)
        log.setFormatter(OneEntry("%(asctime)s %(levelname)s %(message)s"))
        logging.basicConfig(handlers=[log], level=logging.INFO)
        asyncio.run(_serve(home, port, announce))


async def _serve(home: Home, port: int, announce: Callable[[Endpoint], None]) -> None:
    server = build(home, port)

    def ready() -> None:
        home.write_endpoint(server.endpoint)
        announce(server.endpoint)

    try:
        await server.run(ready)
    finally:
        home.endpoint.unlink(missing_ok=True)
