"""DIRAC's own client of elements, catalogue and requests, one sub-command for each thing a test asks; prints JSON.

Run like ../dirac/dirac_client.py, with that folder on PYTHONPATH too.
"""

import argparse
import hashlib
import json
import os
import sys
import time
import uuid
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from dirac_client import dirac, value

OPEN_TO_ALL = 0o777
_BULK = 1000  # files in one call


def catalogue() -> Any:
    """DIRAC's client of the catalogue that the Configuration names."""
    return dirac("Resources.Catalog.FileCatalog:FileCatalog")()


def manager() -> Any:
    """DIRAC's client that moves and registers files."""
    return dirac("DataManagementSystem.Client.DataManager:DataManager")()


def all_of(returned: Any, doing: str) -> dict[str, Any]:
    """What was done for every file, or the end of this program."""
    done = value(returned, doing)
    if done["Failed"]:
        raise SystemExit(f"{doing}: {done['Failed']}")
    return dict(done["Successful"])


def directories(asked: argparse.Namespace) -> list[str]:
    """Make directories of the VO that all its members may write to."""
    for path in (f"/{asked.vo}{path}".rstrip("/") for path in asked.paths):
        all_of(catalogue().createDirectory(path), path)
        all_of(catalogue().changePathMode({path: OPEN_TO_ALL}, False), path)
    return list(asked.paths)


def put(asked: argparse.Namespace) -> dict[str, Any]:
    """Put a file to the first element and register it, then copy it to the others."""
    first, *others = asked.elements
    done = all_of(manager().putAndRegister(asked.lfn, asked.file, first), f"put {asked.lfn}")
    for element in others:
        all_of(manager().replicateAndRegister(asked.lfn, element), f"copy {asked.lfn} to {element}")
    return done


def fill(asked: argparse.Namespace) -> list[str]:
    """Put and register many files at once: a JSON list of {lfn, file, elements}."""
    wanted = json.loads(asked.files)
    for one in wanted:
        put(argparse.Namespace(**one))
    return [one["lfn"] for one in wanted]


def add(asked: argparse.Namespace) -> dict[str, float]:
    """Register many files that lie nowhere, a thousand in each call; how long the calls took."""
    names = [f"{asked.path}/d{number // _BULK:04}/{number:07}.root" for number in range(asked.count)]
    client, spent_s = catalogue(), 0.0
    for first in range(0, len(names), _BULK):
        files = {lfn: _nothing(asked.element) for lfn in names[first : first + _BULK]}
        before_s = time.monotonic()
        all_of(client.addFile(files), "addFile")
        spent_s += time.monotonic() - before_s
    return {"seconds": round(spent_s, 3)}


def _nothing(element: str) -> dict[str, Any]:
    return {"PFN": "", "Size": 20, "SE": element, "GUID": str(uuid.uuid4()).upper(), "Checksum": "4f2d06c9"}


def get(asked: argparse.Namespace) -> dict[str, Any]:
    """Download a file by DIRAC's own choice of a replica, or from one element; its size and MD5."""
    if asked.element:
        storage = dirac("Resources.Storage.StorageElement:StorageElement")(asked.element)
        all_of(storage.getFile(asked.lfn, localPath=asked.into), f"get {asked.lfn}")
    else:
        all_of(manager().getFile(asked.lfn, destinationDir=asked.into), f"get {asked.lfn}")
    content = (Path(asked.into) / Path(asked.lfn).name).read_bytes()
    return {"size": len(content), "md5": hashlib.md5(content, usedforsecurity=False).hexdigest()}


def look(asked: argparse.Namespace) -> dict[str, Any]:
    """What the catalogue knows of each file: Size, Checksum, GUID, ..., Replicas; null for one it does not know."""
    known = value(catalogue().getFileMetadata(asked.lfns), "metadata")["Successful"]
    replicas = value(catalogue().getReplicas(asked.lfns), "replicas")["Successful"]
    return {
        lfn: {**known[lfn], "Replicas": sorted(replicas.get(lfn, ()))} if lfn in known else None for lfn in asked.lfns
    }


def listing(asked: argparse.Namespace) -> list[str]:
    """The files below a directory of the catalogue."""
    found = all_of(catalogue().listDirectory(asked.path), f"list {asked.path}")
    content = next(iter(found.values()))
    below = [listing(argparse.Namespace(path=path)) for path in content["SubDirs"]]
    return sorted([*content["Files"], *(lfn for lfns in below for lfn in lfns)])


def request(asked: argparse.Namespace) -> list[Any]:
    """The requests of jobs, as DIRAC's own client reads them: status, operations and files."""
    client = dirac("RequestManagementSystem.Client.ReqClient:ReqClient")()
    found = value(client.readRequestsForJobs(asked.jobs), "requests")["Successful"]
    return [json.loads(value(one.toJSON(), "request")) for one in found.values()]


def parser() -> argparse.ArgumentParser:
    """One sub-command for each function."""
    whole = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    whole.add_argument("--vo", default="labvo")
    commands = whole.add_subparsers(required=True)

    def command(name: str, run: Any, *positional: tuple[str, Any, Any]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=run.__doc__.splitlines()[0])
        added.set_defaults(run=run)
        for argument, kind, count in positional:
            added.add_argument(argument, type=kind, nargs=count)
        return added

    command("directories", directories, ("paths", str, "+"))
    command("put", put, ("lfn", str, None), ("file", str, None), ("elements", str, "+"))
    command("fill", fill, ("files", str, None))
    command("add", add, ("path", str, None), ("element", str, None), ("count", int, None))
    getting = command("get", get, ("lfn", str, None))
    getting.add_argument("--into", required=True)
    getting.add_argument("--element")
    command("look", look, ("lfns", str, "+"))
    command("list", listing, ("path", str, None))
    command("request", request, ("jobs", int, "+"))
    return whole


def main() -> int:
    """Read the arguments before DIRAC does, for it reads sys.argv too."""
    asked = parser().parse_args()
    answer_to = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # DIRAC logs on standard output
    sys.argv = sys.argv[:1]
    resolve_name("DIRAC:initialize")()
    with answer_to:
        json.dump(asked.run(asked), answer_to, default=str)
        answer_to.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
