"""What the agent's own data code needs of the real DIRAC and the real storage: configuration, elements, catalogue."""

import functools
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agents.credentials.identity import Identity
from agents.data.catalogue import FileCatalogue
from agents.data.catalogues import catalogue_for
from agents.data.choice import Source, Target
from agents.data.elements import Elements, Nearness
from agents.data.transfer import Transfers
from agents.wms.published import Published
from agents.wms.resource_status import ResourceStatus
from agents.wms.server_clock import ServerClock
from agents.wms.service import Service
from agents.wms.transports import speaking_as
from ce_backends.cfg import Section
from tests.system.dirac_stack import Stack
from tests.system.storage import Storage, home, script

VO = "labvo"
SITE = "LAB.Local.ch"


class Scene:
    """One user of the real DIRAC, with the agent's own parts.

    Attributes:
        elements: as DIRAC publishes them.
        catalogue: DIRAC's FileCatalog.
        transfers: with the user's proxy.
    """

    def __init__(self, stack: Stack, storage: Storage, who: str = "user", catalogue_url: str = "") -> None:
        self.storage = storage
        self.owner = Identity(certificate=Path(storage.proxy(who)), ca=Path(storage.endpoint["ca_dir"]))
        if who in ("user", "user2", "admin"):  # of DIRAC's own, with a group
            self.owner = Identity(certificate=Path(stack.endpoint[f"{who}_proxy"]), ca=self.owner.ca)
        reader = Identity(certificate=Path(stack.endpoint["user_proxy"]), ca=self.owner.ca)
        transport = speaking_as(reader, ServerClock(), vo=VO, setup="None")
        configuration = Service("Configuration/Server", [stack.endpoint["configuration"]], transport)
        self.published = Published(configuration, Section())
        self.published.load()
        states = ResourceStatus(_service(self.published, "ResourceStatus/ResourceStatus", transport), VO)
        self.elements = Elements(self.published.tree, site=SITE, vo=VO, states=states.elements)
        if catalogue_url:
            self.published.tree.set("/Systems/DataManagement/URLs/FileCatalog", catalogue_url, "test")
        mine = speaking_as(self.owner, ServerClock(), vo=VO, setup="None")
        self.catalogue: FileCatalogue = catalogue_for(self.published, mine, self.owner, vo=VO, user="labuser")
        self.transfers = Transfers(self.owner, self.elements, VO)

    def source(self, element: str, lfn: str) -> Source:
        """The replica on an element."""
        known = self.elements.all()[element]
        endpoint = self.elements.to_read(known)[0]
        return Source(element=known, endpoint=endpoint, url=endpoint.url(lfn), nearness=Nearness.LOCAL)

    def target(self, element: str) -> Target:
        """An element to write to."""
        known = self.elements.all()[element]
        return Target(element=known, endpoint=self.elements.to_write(known)[0])


def _service(published: Published, name: str, transport: object) -> Service:
    return Service(name, functools.partial(published.urls, name), transport)  # type: ignore[arg-type]


def _pids(server: str) -> list[int]:
    """A server and what it has started."""
    first = int((home() / "run" / server).read_text(encoding="ascii").split()[0])
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], check=True, capture_output=True, text=True).stdout
    rows = [tuple(map(int, line.split())) for line in listed.splitlines()]
    found = [first]
    for pid in found:
        found += [child for child, parent in rows if parent == pid]
    return found


@contextmanager
def stopped(server: str) -> Iterator[None]:
    """A server that does not move, for as long as the block takes."""
    for pid in _pids(server):
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in _pids(server):
            os.kill(pid, signal.SIGCONT)


def kill(server: str) -> None:
    """End a server without a word."""
    for pid in reversed(_pids(server)):
        os.kill(pid, signal.SIGKILL)


def start_again() -> None:
    """Start what was killed."""
    script("up.sh")


@contextmanager
def mounted(folder: Path, options: str, owner: str) -> Iterator[None]:
    """Another file system in the place of a folder, for as long as the block takes."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        subprocess.run(["chown", owner, str(folder)], check=False)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
