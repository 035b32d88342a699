"""Which web proxy a call goes through: the environment says, and who is on this machine is called without."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies


def web_proxies(url: str) -> dict[str, str]:
    """Return the proxies for a URL as requests takes them; none for who is on this machine."""
    return {} if is_here(urlsplit(url).hostname or "") else get_environ_proxies(url)


def is_here(host: str) -> bool:
    """Tell whether a host is this machine by its name or address."""
    return host in ("localhost", "::1") or (host.startswith("127.") and host.replace(".", "").isdigit())


def way(proxies: Mapping[str, str]) -> str:
    """Return the end of a sentence on a call: through which proxy it went, empty for none."""
    proxy = proxies.get("https") or proxies.get("all")
    return f", through the web proxy {(urlsplit(proxy).netloc or proxy).rpartition('@')[2]}" if proxy else ""
