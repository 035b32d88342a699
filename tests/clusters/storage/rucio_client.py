"""Rucio's own client as labuser, one sub-command for each thing a test asks of it; prints JSON on standard output.

Run by `rucio_python` of endpoint.json with RUCIO_CONFIG from there and X509_USER_PROXY chosen.
"""

import argparse
import json
import os
import sys
from pkgutil import resolve_name
from typing import Any

SCOPE = "user.labuser"


def client() -> Any:
    """Rucio's client with the proxy of X509_USER_PROXY."""
    proxy = {"client_proxy": os.environ["X509_USER_PROXY"]}
    return resolve_name("rucio.client:Client")(account="labuser", auth_type="x509_proxy", creds=proxy)


def upload(asked: argparse.Namespace) -> int:
    """Put and register a file."""
    uploading = resolve_name("rucio.client.uploadclient:UploadClient")(client())
    item = {"path": asked.file, "rse": asked.rse, "did_scope": asked.scope, "did_name": asked.name}
    return int(uploading.upload([item]))


def replicas(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """What the catalogue knows: bytes, adler32, and URLs by element."""
    dids = [{"scope": asked.scope, "name": name} for name in asked.names]
    return [dict(found) for found in client().list_replicas(dids)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scope", default=SCOPE)
    commands = parser.add_subparsers(required=True)
    putting = commands.add_parser("upload")
    putting.set_defaults(run=upload)
    for name in ("name", "file", "rse"):
        putting.add_argument(name)
    looking = commands.add_parser("replicas")
    looking.set_defaults(run=replicas)
    looking.add_argument("names", nargs="+")
    asked = parser.parse_args()
    answer_to = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # Rucio logs on standard output
    with answer_to:
        json.dump(asked.run(asked), answer_to, default=str)
    return 0


if __name__ == "__main__":
    sys.exit(main())
