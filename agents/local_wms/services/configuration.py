"""Hands out the Configuration in DIRAC's format (ConfigurationSystem/Service/TornadoConfigurationHandler)."""

import base64
import zlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from agents.local_wms.registry import (
    CE,
    DEFAULT_GROUP,
    DISK_SE,
    FAILOVER_SE,
    GROUPS,
    HOST,
    HOSTS_GROUP,
    PEOPLE,
    QUEUE,
    SANDBOX_SE,
    SITE,
    VO,
)
from agents.local_wms.services.base import Caller, Service, exported

Tree = Mapping[str, "str | int | Tree"]
PILOT_VERSION = "9.1.22"  # the DIRAC whose wire format is spoken; checked by nobody here (CheckVersion)
HTTPS_STORAGE = {"Protocol": "https", "InputProtocols": "https", "OutputProtocols": "https", "AccessProtocols": "https"}
CATALOGUE: Tree = {"Status": "Active", "AccessType": "Read-Write"}
# maxCPUTime is in minutes; SI00 of 2500 is a benchmark of 10 HS06 per processor
QUEUE_OPTIONS: Tree = {"maxCPUTime": 5760, "SI00": 2500, "MaxWaitingJobs": 10, "MaxTotalJobs": 10, "VO": VO}


class Configuration(Service):
    """Serves one configuration that does not change while the server runs."""

    name = "Configuration/Server"

    def __init__(self, tree: Tree, version: str) -> None:
        self._tree = tree
        self._version = version

    @exported("getVersion", "all")
    def version(self, _caller: Caller) -> str:
        """Return when the configuration was made."""
        return self._version

    @exported("getCompressedData", "all")
    def compressed(self, _caller: Caller) -> str:
        """Return the CFG text, zlib-compressed, in base64."""
        return base64.b64encode(zlib.compress(cfg_text(self._tree).encode())).decode()

    @exported("getCompressedDataIfNewer", "all")
    def compressed_if_newer(self, caller: Caller, version: str) -> dict[str, Any]:
        """Return our version, and the text when the client's is older."""
        if version >= self._version:
            return {"newestVersion": self._version}
        return {"newestVersion": self._version, "data": self.compressed(caller)}


def cfg_text(tree: Tree, indent: str = "") -> str:
    """Print sections and options as DIRAC's CFG files do."""
    lines = []
    for name, value in tree.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}{name}\n{indent}{{\n{cfg_text(value, indent + '  ')}{indent}}}\n"]
        else:
            lines += [f"{indent}{name} = {value}\n"]
    return "".join(lines)


def local_tree(base_url: str, version: str, services: Sequence[str]) -> Tree:
    """Return the configuration of a server at this URL with these services (`System/Service`)."""
    urls: dict[str, dict[str, str]] = {}
    for service in services:
        system, _, name = service.partition("/")
        urls.setdefault(system, {})[name] = base_url + path_of(service)
    server = urls["Configuration"]["Server"]
    return {
        "DIRAC": {
            "VirtualOrganization": VO,
            "Configuration": {"Name": "LocalWMS", "Version": version, "MasterServer": server, "Servers": server},
        },
        "Systems": {system: {"URLs": names} for system, names in urls.items()},
        "Registry": _registry(),
        "Operations": {"Defaults": {"Pilot": {"Version": PILOT_VERSION, "CheckVersion": "False"}, **_data()}},
        "Resources": {
            "FileCatalogs": {"FileCatalog": {"CatalogType": "FileCatalog", **CATALOGUE}},
            "StorageElements": {
                SANDBOX_SE: {"AccessProtocol.1": HTTPS_STORAGE},
                **{name: _element(base_url, name) for name in (DISK_SE, FAILOVER_SE)},
            },
            "StorageElementGroups": {"SE-USER": DISK_SE, "Tier1-Failover": FAILOVER_SE},
            "Sites": {"LOCAL": {SITE: {"CE": CE, "SE": DISK_SE, "CEs": {CE: _ce()}}}},
        },
    }


def _element(base_url: str, name: str) -> Tree:
    """Return a storage element that the server itself holds, as DIRAC describes one that is spoken to by WebDAV."""
    url = urlsplit(base_url)
    plugin = {
        "PluginName": "GFAL2_HTTPS",
        "Protocol": "https",
        "Host": str(url.hostname),
        "Port": str(url.port),
        "Path": f"/storage/{name}",
        "Access": "remote",
    }
    return {"BackendType": "local", "ReadAccess": "Active", "WriteAccess": "Active", "WebDAV": plugin}


def _data() -> Tree:
    client = "DIRAC.WorkloadManagementSystem.Client"
    policies = {"Download": f"{client}.DownloadInputData", "Protocol": f"{client}.InputDataByProtocol"}
    return {
        "InputDataPolicy": {**policies, "Default": policies["Download"]},
        "DataManagement": {"AccessProtocols": "https", "WriteProtocols": "https"},
        "Services": {"Catalogs": {"FileCatalog": CATALOGUE}},
    }


def path_of(service: str) -> str:
    """Return the URL path: DIRAC puts `Tornado` before the name, but for the Configuration."""
    system, _, name = service.partition("/")
    return f"/{service}" if system == "Configuration" else f"/{system}/Tornado{name}"


def _registry() -> Tree:
    groups = {
        group: {
            "Users": ", ".join(person.username for person in PEOPLE if group in person.groups),
            "Properties": ", ".join(sorted(properties)),
            "VO": VO,
        }
        for group, properties in GROUPS.items()
        if group != HOSTS_GROUP
    }
    return {
        "DefaultGroup": DEFAULT_GROUP,
        "VO": {VO: {"DefaultGroup": DEFAULT_GROUP}},
        "Users": {person.username: {"DN": person.dn, "Email": f"{person.username}@localhost"} for person in PEOPLE},
        "Groups": groups,
        "Hosts": {HOST.username: {"DN": HOST.dn, "Properties": ", ".join(sorted(GROUPS[HOSTS_GROUP]))}},
    }


def _ce() -> Tree:
    queues: Tree = {QUEUE: QUEUE_OPTIONS}
    return {"CEType": "Local", "LocalCEType": "Pool", "architecture": "x86_64", "Queues": queues}
