"""What the Configuration says of data: elements, catalogue, requests. The servers are those of ../storage."""

import os
from pathlib import Path
from typing import Any

import stack

CLIENT = "DIRAC.WorkloadManagementSystem.Client"
FAR_SITE = "LAB.Far.ch"
# element -> protocol, the port's name in ../storage/ports.sh, DIRAC's plug-in, path
ELEMENTS = {
    "LAB-disk": ("dips", "DIPS_NEAR", "DIP", "/DataManagement/StorageElement"),
    "XRD-root": ("root", "NEAR_ROOT", "GFAL2_XROOT", "/"),
    "XRD-https": ("https", "NEAR_HTTPS", "GFAL2_HTTPS", "/"),
    "DAV-disk": ("https", "WEBDAV", "GFAL2_HTTPS", "/"),
    "FAR-disk": ("dips", "DIPS_FAR", "DIP", "/DataManagement/StorageElementFar"),
    "FAR-https": ("https", "FAR_HTTPS", "GFAL2_HTTPS", "/"),
    "DOWN-disk": ("dips", "NOBODY", "DIP", "/DataManagement/StorageElement"),  # nobody listens there
}
NEAR = ("LAB-disk", "XRD-root", "XRD-https", "DAV-disk")
FAR = ("FAR-disk", "FAR-https")
ACCESSES = ("ReadAccess", "WriteAccess", "CheckAccess", "RemoveAccess")
TRANSFERS = {"Authorization": {"Default": "authenticated", "FileTransfer": {"Default": "authenticated"}}}
# the template of DIRAC 9.1.22 has the managers of one VO for the https service: both are told what dips has by default
CATALOGUE = {
    "UserGroupManager": "UserAndGroupManagerDB",
    "SEManager": "SEManagerDB",
    "SecurityManager": "NoSecurityManager",
    "DirectoryManager": "DirectoryLevelTree",
    "FileManager": "FileManager",
    "UniqueGUID": False,
    "Authorization": {"Default": "authenticated"},
}
OPERATION_HANDLERS = {
    "ForwardDISET": "RequestManagementSystem",
    "ReplicateAndRegister": "DataManagementSystem",
    "RegisterFile": "DataManagementSystem",
    "RegisterReplica": "DataManagementSystem",
    "RemoveReplica": "DataManagementSystem",
    "RemoveFile": "DataManagementSystem",
}


def element(protocol: str, port_name: str, plugin: str, path: str) -> dict[str, Any]:
    """A storage element with one way in."""
    access = {
        "Host": "localhost",
        "Port": stack.port(port_name, "STORAGE"),
        "PluginName": plugin,
        "Protocol": protocol,
        "Path": path,
    }
    return {
        "BackendType": "DISET" if plugin == "DIP" else "EOS",
        "AccessProtocols": protocol,
        "WriteProtocols": protocol,
        **dict.fromkeys(ACCESSES, "Active"),
        plugin: {**access, "Access": "remote"},
    }


def resources() -> dict[str, Any]:
    """Elements, and which site has which: all but the failover's and the one that is down."""
    return {
        "FileCatalogs": {"FileCatalog": {"AccessType": "Read-Write", "Status": "Active"}},
        "StorageElements": {name: element(*how) for name, how in ELEMENTS.items()},
        "StorageElementGroups": {"SE-USER": "LAB-disk", "Tier1-Failover": "FAR-disk"},
        "Sites": {"LAB": {stack.SITE: {"SE": ", ".join(NEAR)}, FAR_SITE: {"Name": "Far", "SE": ", ".join(FAR)}}},
    }


def operations() -> dict[str, Any]:
    """DIRAC's own policies, spelled out."""
    download, protocol = f"{CLIENT}.DownloadInputData", f"{CLIENT}.InputDataByProtocol"
    known = {"Local": "root, https, dips", "Remote": "root, https, dips"}
    policy = {"Default": download, "Download": download, "Protocol": protocol, "Protocols": known}
    catalogue = {"AccessType": "Read-Write", "Status": "Active", "Master": True}
    order = "dips, root, https"
    return {
        "Defaults": {
            "InputDataPolicy": policy,
            "Services": {"Catalogs": {"FileCatalog": catalogue}},
            "DataManagement": {f"{of}Protocols": order for of in ("Access", "Write", "Registration")},
        }
    }


def data_management() -> dict[str, Any]:
    """The catalogue over dips, as DIRAC publishes it, and over https; two dips elements."""
    stores = Path(os.environ["STORAGE_STORES"])
    near = {"Port": stack.port("DIPS_NEAR", "STORAGE"), "BasePath": stores / "dips-near"}
    far = {"Port": stack.port("DIPS_FAR", "STORAGE"), "BasePath": stores / "dips-far"}
    handler = "DIRAC/DataManagementSystem/Service/StorageElementHandler.py"
    return {
        "URLs": {"FileCatalog": catalogue_dips()},
        "Services": {
            "FileCatalog": {"Port": stack.port("CATALOGUE", "STORAGE"), **CATALOGUE},
            "TornadoFileCatalog": {"Protocol": "https", **CATALOGUE},
            "StorageElement": {**near, **TRANSFERS},
            "StorageElementFar": {**far, **TRANSFERS, "HandlerPath": handler},
        },
        "Databases": {"FileCatalogDB": {"DBName": "FileCatalogDB"}},
    }


def catalogue_dips() -> str:
    """The FileCatalog as DIRAC publishes it."""
    return stack.dips_url("DataManagement/FileCatalog", "CATALOGUE", "STORAGE")


def catalogue_https() -> str:
    """The same catalogue by the Tornado server."""
    return f"https://localhost:{stack.port('TORNADO')}/DataManagement/TornadoFileCatalog"


def request_agent() -> dict[str, Any]:
    """DIRAC's own executor of requests; nothing here runs it unasked (execute_requests.sh)."""
    handlers = {
        name: {"Location": f"DIRAC/{system}/Agent/RequestOperations/{name}", "MaxAttempts": 256}
        for name, system in OPERATION_HANDLERS.items()
    }
    handlers["ReplicateAndRegister"] |= {"FTSMode": False, "DMMode": True}
    pool = {"MinProcess": 1, "MaxProcess": 1, "BulkRequest": 0, "RequestsPerCycle": 50, "PollingTime": 2}
    return {"RequestExecutingAgent": {**pool, "OperationHandlers": handlers}}
