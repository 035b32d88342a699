"""The local WMS with a Matcher that takes its time: `python -m bench.slow_wms HOME ANSWER_MS`, until it is stopped.

`requestJob` does its work at once and holds the answer back until so much time has passed since the question came.
"""

import asyncio
import sys
import time
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from agents.local_wms.authority import open_authority
from agents.local_wms.credentials import Doorman
from agents.local_wms.database import open_database
from agents.local_wms.home import Endpoint, Home
from agents.local_wms.jobs import Jobs
from agents.local_wms.registry import ADMIN, CE, PILOT, QUEUE, SITE, USER, VO
from agents.local_wms.server import CallReceiver, Server, services_of, tls_context, utc_now
from agents.local_wms.services.configuration import path_of


class Deliberate(CallReceiver):
    """Answers a match only when its time has come."""

    answer_s = 0.0

    async def post(self) -> None:  # type: ignore[override] # Tornado takes both kinds
        ends = time.monotonic() + self.answer_s
        super().post()
        if self.form.get("method") == "requestJob":
            await asyncio.sleep(ends - time.monotonic())


def build(home: Home, answer_s: float) -> Server:
    """Wire it as agents.local_wms.server.build does."""
    authority = open_authority(home.certificates, utc_now)
    authority.make_all()
    listening = bind_sockets(0, "127.0.0.1")
    url = f"https://localhost:{listening[0].getsockname()[1]}"
    jobs = Jobs(open_database(home.database), utc_now)
    doorman = Doorman(utc_now)
    receiver = type("Matching", (Deliberate,), {"answer_s": answer_s})
    services = services_of(jobs, home, url, str(utc_now()))
    routes = [
        (path_of(service.name), receiver, {"methods": service.methods(), "doorman": doorman}) for service in services
    ]
    http = HTTPServer(Application(routes), ssl_options=tls_context(authority.host(), authority.certificates))
    http.add_sockets(listening)
    endpoint = Endpoint(
        url=url,
        configuration=url + path_of("Configuration/Server"),
        ca_dir=str(authority.certificates),
        pilot_proxy=str(authority.proxy(PILOT)),
        user_proxy=str(authority.proxy(USER)),
        admin_proxy=str(authority.proxy(ADMIN)),
        site=SITE,
        ce=CE,
        queue=QUEUE,
        vo=VO,
        pid=0,
    )
    return Server(http, jobs, authority, endpoint)


async def serve(home: Home, answer_s: float) -> None:
    server = build(home, answer_s)
    await server.run(lambda: home.write_endpoint(server.endpoint))


def main() -> int:
    folder, answer_ms = sys.argv[1:]
    home = Home(Path(folder))
    home.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(serve(home, float(answer_ms) / 1000))
    return 0


if __name__ == "__main__":
    sys.exit(main())
