"""What DIRAC's own SiteDirector and PilotSyncAgent would make for our queue: the pilot wrapper, and pilot.json.

Run like dirac_client.py: `site_director.py wrapper --file-server localhost:8443 --proxy FILE --into DIR --stamp STAMP`
prints the path of the wrapper, `site_director.py pilot-json` prints pilot.json. No line of either is ours.
"""

import argparse
import json
import os
import sys
from pkgutil import resolve_name
from types import SimpleNamespace
from typing import Any

import stack


def wrapper(asked: argparse.Namespace) -> str:
    """The path of a wrapper as SiteDirector submits it, with the proxy in it."""
    data = resolve_name("DIRAC.ConfigurationSystem.Client.ConfigurationData:gConfigurationData")
    data.setOptionInCFG("/Operations/Defaults/Pilot/pilotFileServer", asked.file_server)
    kind = resolve_name("DIRAC.WorkloadManagementSystem.Agent.SiteDirector:SiteDirector")
    director = kind.__new__(kind)  # without the machinery of an agent: what is called below needs none of it
    director.log = resolve_name("DIRAC:gLogger")
    director.vo, director.workingDirectory = stack.VO, asked.into
    options = {"Site": stack.SITE, "ExtraPilotOptions": asked.options}
    ce = SimpleNamespace(workingDirectory=asked.into)
    director.queueDict = {
        "queue": {"CEName": stack.CE, "QueueName": stack.QUEUE, "CE": ce, "ParametersDict": options},
    }
    proxy = resolve_name("DIRAC.Core.Security.X509Chain:X509Chain")()
    assert proxy.loadProxyFromFile(asked.proxy)["OK"]
    made: str = director._getExecutable("queue", proxy, envVariables={"DIRAC_PILOT_STAMP": asked.stamp})
    return made


def pilot_json(_asked: argparse.Namespace) -> dict[str, Any]:
    """What the PilotSyncAgent publishes."""
    kind = resolve_name("DIRAC.WorkloadManagementSystem.Utilities.PilotCStoJSONSynchronizer:PilotCStoJSONSynchronizer")
    made = kind().getCSDict()
    if not made["OK"]:
        raise SystemExit(made["Message"])
    content: dict[str, Any] = made["Value"]
    return content


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    making = commands.add_parser("wrapper")
    making.set_defaults(run=wrapper)
    for name in ("--file-server", "--proxy", "--into", "--stamp"):
        making.add_argument(name, required=True)
    making.add_argument("--options", default="", help="ExtraPilotOptions of the queue, comma list")
    commands.add_parser("pilot-json").set_defaults(run=pilot_json)
    asked = parser.parse_args()
    answer_to = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # DIRAC logs on standard output
    sys.argv = sys.argv[:1]
    resolve_name("DIRAC:initialize")()
    with answer_to:
        json.dump(asked.run(asked), answer_to, default=str)
    return 0


if __name__ == "__main__":
    sys.exit(main())
