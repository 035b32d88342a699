"""What the Configuration service says, and where in it a pilot has to look, for DIRAC 7.3 to 9."""

from __future__ import annotations

import base64
import json
import random
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pilot import cfg, private, readers
from pilot.errors import PilotError, ServiceRefused, ServiceUnreachable
from pilot.wms.client import Services, call_any

SITES = "/Resources/Sites"
SHOWN_NAMES = 10
DOWNLOAD_S = 20.0
TEXT_LIMIT_BYTES = 128 * 1024 * 1024
UNITED = ("Tag", "RequiredTag")  # lists that CE and queue add up; of all else the queue's value wins

KEPT = "configuration.json"  # read by agents/wms/kept_configuration.py


@dataclass(frozen=True)
class Downloaded:
    """What the Configuration service said.

    Attributes:
        root: the configuration.
        version: of it.
        packed: as it was sent.
        servers: that were asked.
    """

    root: cfg.Section = field(default_factory=dict)
    version: str = ""
    packed: str = ""
    servers: tuple[str, ...] = ()

    def keep(self, work_dir: Path) -> None:
        """Leave it for the agent, which asks only for what is newer.

        Raises:
            OSError: the disk does not take it.
        """
        content = {"servers": sorted(self.servers), "newestVersion": self.version, "data": self.packed}
        private.replace(work_dir / KEPT, json.dumps(content))


def download(
    services: Services,
    servers: Sequence[str],
    *,
    clock: Callable[[], float] = time.monotonic,
    shuffled: Callable[[Sequence[str]], Sequence[str]] = lambda servers: random.sample(servers, len(servers)),
) -> Downloaded:
    """Return the whole configuration from the first server that gives it, within 20 s in all.

    Args:
        services: the caller.
        servers: URLs of equal Configuration servers.
        clock: monotonic seconds.
        shuffled: spreads the pilots of a site over the servers.

    Raises:
        ServiceUnreachable: none gave it; the message has what each said.
        ServiceRefused: each of them refused us.
    """
    deadline = clock() + DOWNLOAD_S
    answers: list[PilotError] = []
    for url in shuffled(servers):
        left_s = deadline - clock()
        if left_s <= 0:
            answers.append(ServiceUnreachable(f"{url}: not tried, {DOWNLOAD_S:.0f} s are over"))
            continue
        try:
            return _unpack(url, services.call(url, "getCompressedDataIfNewer", "0", timeout_s=left_s), servers)
        except (ServiceUnreachable, ServiceRefused) as error:
            answers.append(error)
    kind = ServiceRefused if all(isinstance(answer, ServiceRefused) for answer in answers) else ServiceUnreachable
    raise kind(f"no configuration: {'; '.join(map(str, answers))}")


def _unpack(url: str, value: object, servers: Sequence[str]) -> Downloaded:
    packed = value.get("data") if isinstance(value, dict) else None
    if isinstance(packed, dict):  # bytes, as JEncode tags them
        packed = packed.get("obj")
    if isinstance(packed, bytes):  # over dips of DIRAC 8
        packed = base64.b64encode(packed).decode("ascii")
    if not isinstance(packed, str):
        raise ServiceUnreachable(f"{url}: the answer holds no configuration; expected a base64 text under `data`")
    unzip = zlib.decompressobj()
    try:
        text = unzip.decompress(base64.b64decode(packed), TEXT_LIMIT_BYTES)
    except (zlib.error, ValueError) as error:
        raise ServiceUnreachable(f"{url}: the configuration cannot be unpacked: {error}") from error
    if not unzip.eof:
        raise ServiceUnreachable(f"{url}: the configuration is cut off, or longer than {TEXT_LIMIT_BYTES} bytes")
    root = cfg.parse(text.decode("utf-8", "replace"), url)
    version = value.get("newestVersion") if isinstance(value, dict) else None
    return Downloaded(root, version if isinstance(version, str) else "", packed, tuple(servers))


def operations(root: cfg.Section, name: str, *, setup: str, vo: str) -> str:
    """Return an option of Operations, "" if there is none, in the order of DIRAC's own helper.

    `agents/wms/configuration.py` has the same: Defaults, setup, `<VO>/Defaults`, `<VO>/<setup>` where there are setups
    (DIRAC 7.3 and 8); Defaults, `<VO>` in DIRAC 9. The last one that has it wins.
    """
    has_setups = bool(setup and cfg.section(root, f"/DIRAC/Setups/{setup}"))
    levels = ["Defaults", setup] if has_setups else ["Defaults"]
    if vo:
        levels += [f"{vo}/Defaults", f"{vo}/{setup}"] if has_setups else [vo]
    found = ""
    for level in levels:
        place, _, last = f"/Operations/{level}/{name}".rpartition("/")
        value = cfg.section(root, place).get(last)
        found = value if isinstance(value, str) else found
    return found


def service_urls(root: cfg.Section, system: str, service: str, *, setup: str, vo: str) -> tuple[str, ...]:
    """Return the URLs of a service, then its fail-over URLs."""
    instance = cfg.option(root, f"/DIRAC/Setups/{setup}/{system}") if setup else ""
    base = f"/Systems/{system}/{instance}".rstrip("/")  # DIRAC 9 has no instances
    main_servers = readers.comma_list(operations(root, "MainServers", setup=setup, vo=vo))
    urls: list[str] = []
    for kind in ("URLs", "FailoverURLs"):
        for url in readers.comma_list(cfg.option(root, f"{base}/{kind}/{service}")):
            hosts = main_servers if "$MAINSERVERS$" in url else ("",)
            urls += (url.replace("$MAINSERVERS$", host) for host in hosts)
    return tuple(dict.fromkeys(urls))


def ce_parameters(root: cfg.Section, *, site: str, ce: str, queue: str) -> dict[str, str]:
    """Return the options of a CE and one of its queues; {} for a CE that the configuration does not have."""
    place = f"{SITES}/{_grid(site)}/{site}/CEs/{ce}"
    of_ce = cfg.options(cfg.section(root, place))
    of_queue = cfg.options(cfg.section(root, f"{place}/Queues/{queue}")) if queue else {}
    merged = {**of_ce, **of_queue}
    for name in UNITED:
        if name in merged:
            both = (*readers.comma_list(of_ce.get(name, "")), *readers.comma_list(of_queue.get(name, "")))
            merged[name] = ", ".join(dict.fromkeys(both))
    return merged


def queues(root: cfg.Section, *, site: str, ce: str) -> tuple[str, ...]:
    """Return the names of a CE's queues."""
    return _names(root, f"{SITES}/{_grid(site)}/{site}/CEs/{ce}/Queues")


def nearest(root: cfg.Section, *, site: str, ce: str, queue: str) -> str:
    """Return the end of a sentence about an entry that is not there: the nearest name that is."""
    grid = f"{SITES}/{_grid(site)}"
    for kind, name, place in (
        ("site", site, grid),
        ("CE", ce, f"{grid}/{site}/CEs"),
        ("queue", queue, f"{grid}/{site}/CEs/{ce}/Queues"),
    ):
        known = _names(root, place)
        if name and name not in known:
            near = readers.nearest(name, known)
            there_are = f"; there are {', '.join(known[:SHOWN_NAMES])}" if known else ""
            return f"; did you mean {kind} {near}?" if near else f": no {kind} {name}{there_are}"
    return ""


def _grid(site: str) -> str:
    return site.partition(".")[0]


def _names(root: cfg.Section, place: str) -> tuple[str, ...]:
    return tuple(name for name, inner in cfg.section(root, place).items() if isinstance(inner, dict))


def set_status(
    services: Services, urls: Sequence[str], reference: str, status: str, *details: str, timeout_s: float
) -> None:
    """Tell PilotManager where a pilot stands.

    Args:
        services: the caller.
        urls: of PilotManager.
        reference: of the pilot.
        status: DIRAC's word.
        details: destination, reason, grid site, queue.
        timeout_s: for each server.
    """
    call_any(services, urls, "setPilotStatus", reference, status, *details, timeout_s=timeout_s)
