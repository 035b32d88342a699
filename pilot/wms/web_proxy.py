"""The way to an https service: straight, or by a tunnel (CONNECT) through the web proxy that the environment names.

TLS is with the service itself either way. Of the environment `https_proxy`, `all_proxy` and `no_proxy` count, in small
letters or large. dips cannot be carried so.
"""

from __future__ import annotations

import base64
import http.client
import ssl
import urllib.request
from urllib.parse import unquote, urlsplit

from pilot.errors import UsageError


def of(host: str) -> str:
    """Return the proxy's URL for a host, "" for none; who is on this machine is called without."""
    if host == "localhost" or host.startswith("127.") or host == "::1" or urllib.request.proxy_bypass(host):
        return ""
    named = urllib.request.getproxies_environment()
    return named.get("https") or named.get("all") or ""


def shown(proxy: str) -> str:
    """Return a proxy's host and port, without the password that its URL may hold."""
    return _place(proxy).netloc.rpartition("@")[2]


def connection(host: str, port: int, context: ssl.SSLContext, timeout_s: float) -> http.client.HTTPSConnection:
    """Return a connection that is not open yet.

    Raises:
        UsageError: what the environment names is no proxy that we can use.
    """
    proxy = of(host)
    if not proxy:
        return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)
    place = _place(proxy)
    made = http.client.HTTPSConnection(place.hostname or "", place.port or 3128, timeout=timeout_s, context=context)
    made.set_tunnel(host, port, _credentials(place.username, place.password))
    return made


def _place(proxy: str) -> urllib.parse.SplitResult:
    place = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if place.scheme != "http" or not place.hostname:
        raise UsageError(f"https_proxy names {place.netloc.rpartition('@')[2]}: expected http://host:port")
    return place


def _credentials(user: str | None, password: str | None) -> dict[str, str]:
    if not user:
        return {}
    told = f"{unquote(user)}:{unquote(password or '')}".encode()
    return {"Proxy-Authorization": f"Basic {base64.b64encode(told).decode('ascii')}"}
