"""`gridpilot wms web`: the server's page for a browser, which has no certificate to show.

What is listened to is this machine's loopback alone, and one path that cannot be guessed: other accounts see nothing.
"""

import secrets
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

from agents.local_wms.home import Endpoint, LocalWmsError
from agents.local_wms.web.handlers import PATHS

TIMEOUT_S = 60
_HERE = "127.0.0.1"
_PASSED_ON = (
    "Cache-Control",
    "Content-Disposition",
    "Content-Security-Policy",
    "Content-Type",
    "Cross-Origin-Resource-Policy",
    "Etag",
    "Referrer-Policy",
    "X-Content-Type-Options",
)


class Door(ThreadingHTTPServer):
    """Answers with the server's page whoever knows the path."""

    daemon_threads = True

    def __init__(self, endpoint: Endpoint, port: int) -> None:
        super().__init__((_HERE, port), _Visit)
        self.endpoint = endpoint
        self.path = f"/{secrets.token_urlsafe(24)}/"

    @property
    def url(self) -> str:
        """Where a browser goes."""
        return f"http://{_HERE}:{self.server_address[1]}{self.path}"

    def fetched(self, path: str, tag: str | None) -> requests.Response:
        """Fetch a page, or what it asks for, with the user's proxy.

        Args:
            path: of the server.
            tag: of what the browser has already.
        """
        with requests.Session() as session:
            session.trust_env = False
            return session.get(
                f"{self.endpoint.url}/{path}",
                headers={"If-None-Match": tag} if tag else {},
                cert=self.endpoint.user_proxy,
                verify=self.endpoint.ca_dir,
                timeout=TIMEOUT_S,
                allow_redirects=False,
            )


class _Visit(BaseHTTPRequestHandler):
    server: Door

    def do_GET(self) -> None:
        """Answer with what the server has there, or 404 for any other path, 502 where the server does not answer."""
        secret = self.server.path
        path, _, query = self.path[len(secret) :].partition("?")
        if not secrets.compare_digest(self.path[: len(secret)].encode(), secret.encode()) or not PATHS.fullmatch(path):
            self.send_error(404)
            return
        try:
            told = self.server.fetched(f"{path}?{query}" if query else path, self.headers.get("If-None-Match"))
        except requests.RequestException:
            self.send_error(502, "the local WMS does not answer")
            return
        self.send_response(told.status_code)
        for name in _PASSED_ON:
            if name in told.headers:
                self.send_header(name, told.headers[name])
        self.send_header("Content-Length", str(len(told.content)))
        self.end_headers()
        self.wfile.write(told.content)

    def log_message(self, *_: object) -> None:
        """Say nothing of each request: the path is a secret."""


def show(endpoint: Endpoint, port: int) -> int:
    """Let a browser see the page until Ctrl-C.

    Raises:
        LocalWmsError: the port is taken.
    """
    try:
        door = Door(endpoint, port)
    except OSError as error:
        raise LocalWmsError(f"cannot listen on port {port}: {error.strerror}") from error
    with door:
        print(f"{door.url}   (Ctrl-C ends it)", flush=True)
        try:
            door.serve_forever()
        except KeyboardInterrupt:
            print(file=sys.stderr)
    return 0
