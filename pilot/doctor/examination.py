"""All steps in their order, and the report."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pilot import cli, pilot_json
from pilot import settings as table
from pilot.counted import counted
from pilot.doctor import agent, diracx, identity, network, node
from pilot.doctor.finding import FAULT, OK, SEVERITIES, SKIPPED, WARNING, Finding, Patient, Step
from pilot.errors import PilotError
from pilot.log import utc_now, visible
from pilot.node import batch_slot, worker_node
from pilot.steps import deadline
from pilot.wms import credential

STEP_S = 60.0
EXIT_CODES = {OK: 0, SKIPPED: 0, WARNING: 1, FAULT: 2}
STEPS: Mapping[str, Step] = {
    "Python": node.python,
    "slot": node.processors,
    "disk": node.disk,
    "limits": node.limits,
    "cgroups": node.containment,
    "namespaces": node.namespaces,
    "containers": node.containers,
    "GPUs": node.gpus,
    "CAs": identity.authorities,
    "credential": identity.own_credential,
    "configuration": network.configuration_servers,
    "DiracX": diracx.diracx,
    "clock": network.clock,
    "site": network.site,
    "batch system": agent.batch_system,
    "agent": agent.agent,
    "services": network.wms_services,
}
# what to do when a step ends with one of the pilot's own errors
REMEDIES = {
    "options": "correct the option or the file; --explain shows every setting with its origin",
    "Python": "start gridpilot.pyz, which brings its own, or name an environment with --preinstalledEnv",
    "CAs": "install the IGTF packages, mount CVMFS, or name a folder: X509_CERT_DIR, --ca-dir",
    "credential": "send a new proxy (dirac-proxy-init, voms-proxy-init), mode 0600, that outlives the slot",
    "agent": "correct the option, or the entry of CE and queue in the configuration",
    "configuration": "ask the operators of the Configuration service; the pilot would try the next server",
}


def examine(argv: Sequence[str], environ: Mapping[str, str]) -> list[Finding]:
    """Go through all steps; one that fails does not keep the others from being tried."""
    try:
        patient = _admit(argv, environ)
    except PilotError as error:
        return [_fault("options", error)]
    found = [Finding("options", OK, f"{counted(len(argv), 'word')} on the command line, {_told(patient)}")]
    for name, step in STEPS.items():
        try:
            with deadline.within(STEP_S, name):
                patient, more = step(patient)
        except PilotError as error:
            more = [_fault(name, error)]
        found += more
    return found


def _admit(argv: Sequence[str], environ: Mapping[str, str]) -> Patient:
    """Read settings and facts as the pilot does."""
    line = cli.parse(argv)
    first = table.load(line.given)
    vo = credential.vo(first.settings, environ)
    named = first.settings.pilot_json
    path = Path(named or "pilot.json")
    content = pilot_json.load(path, must_exist=bool(named))
    loaded = table.load([*pilot_json.settings(content, path, first.settings, vo), *line.given])
    told = loaded.settings
    slot = batch_slot.look(environ, ce=told.ce, stamp=told.stamp or os.urandom(16).hex())
    work_dir = Path(told.work_dir).absolute()
    found = worker_node.look(Path("/"), environ, work_dir)
    return Patient(loaded, vo, slot, found, environ, work_dir, utc_now)


def _told(patient: Patient) -> str:
    path = patient.settings.pilot_json or "pilot.json"
    return f"{path} read" if Path(path).exists() else "no pilot.json"


def _fault(step: str, error: PilotError) -> Finding:
    return Finding(step, FAULT, str(error), REMEDIES.get(step, "look at the sentence before"), error.exit_code)


def report(found: Sequence[Finding], *, as_json: bool) -> str:
    """Return the findings for a person, or for a program."""
    if as_json:
        return json.dumps({"severity": worst(found), "findings": [asdict(each) for each in found]}, indent=1)
    width = max(len(each.step) for each in found)
    room = max(shutil.get_terminal_size((80, 24)).columns - width - 11, 30)
    lines = []
    for each in found:
        says = [*_wrapped(each.says, room), *(_wrapped(f"-> {each.remedy}", room) if each.remedy else [])]
        lines.append(f"{each.severity:<8} {each.step:<{width}}  {says[0]}")
        lines += [f"{'':<8} {'':<{width}}  {more}" for more in says[1:]]
    counts = ", ".join(f"{sum(each.severity == word for each in found)} {word}" for word in (FAULT, WARNING, OK))
    return "\n".join([*lines, counts])


def _wrapped(text: str, room: int) -> list[str]:
    """Break a sentence at its blanks; a path or a command stays whole, so that it can be copied."""
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]


def _painted(text: str) -> str:
    """Give the severities their colours, on a terminal that is wanted to have some."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty():
        return text
    for severity, colour in ((OK, 32), (WARNING, 33), (FAULT, 31)):
        text = re.sub(rf"^{severity}(?= )", f"\033[{colour}m{severity}\033[0m", text, flags=re.M)
    return text


def worst(found: Sequence[Finding]) -> str:
    """Return the severity of the whole."""
    return max((each.severity for each in found), key=SEVERITIES.index)


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Examine this node; exit code 0: all is well, 1: a pilot runs, with warnings, 2: it does not run."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    as_json = "--json" in argv
    found = examine([word for word in argv if word != "--json"], environ)
    text = visible(report(found, as_json=as_json))
    print(text if as_json else _painted(text), flush=True)
    return EXIT_CODES[worst(found)]
