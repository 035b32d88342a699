"""The doctor's steps that look at what the agent would be told, once the configuration has been read."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from pilot import cfg
from pilot.agent import launch
from pilot.counted import counted
from pilot.doctor.finding import FAULT, OK, SKIPPED, WARNING, Finding, Patient
from pilot.errors import CREDENTIAL, UNFIT, NodeUnfit
from pilot.log import Log
from pilot.steps import offer, standard
from pilot.steps.state import AGENT, CE_DEFAULTS, LOCAL, Pilot, user_options
from pilot.wms.configuration import Downloaded
from pilot.wms.remote_log import RemoteLog

PAYLOAD_IS_ROOT = "a payload is root"  # ce_backends/containers/isolation.py
TRY_S = 50.0  # it may have to start a container


def batch_system(patient: Patient) -> tuple[Patient, list[Finding]]:
    """Say under which name the pilot goes, and when the slot ends by batch system or queue."""
    slot = patient.slot
    says = f"{slot.kind or slot.flavour}, reference {slot.reference} ({slot.origin})"
    left = offer.time_left(_pilot(patient), lambda: patient.now().timestamp())
    if left is None and not patient.settings.cpu_work_hs06s:
        remedy = "-T, maxCPUTime of the queue, or a batch system that says it; else the agent asks the batch system"
        return patient, [Finding("batch system", WARNING, f"{says}; nothing here says when the slot ends", remedy)]
    end = f"{left.value} s left ({left.origin})" if left else "CPU work is given (-T)"
    return patient, [Finding("batch system", OK, f"{says}; {end}")]


def agent(patient: Patient) -> tuple[Patient, list[Finding]]:
    """Have the agent read what it would be told: its options, the type of the inner CE and the options of that."""
    if patient.settings.program:
        return patient, [Finding("agent", SKIPPED, f"{patient.settings.program} runs in its place (-x)")]
    if not patient.settings.site:
        return patient, [Finding("agent", SKIPPED, "not asked without the site")]
    told = _told(patient)
    answer = _answer(patient, told)
    found = [Finding("agent", WARNING, each, "correct the option, or take it away") for each in answer["odd"]]
    found += _too_many(patient, told)
    if fault := answer["fault"]:
        remedy = "correct -y, -o or the configuration; `python -m pilot ce list` shows the types of CE"
        remedy = "send a proxy that the agent can use" if answer["exit_code"] == CREDENTIAL else remedy
        return patient, [*found, Finding("agent", FAULT, fault, remedy, answer["exit_code"])]
    if trouble := answer["trouble"]:
        says = f"no job could be run in {told[f'{LOCAL}/LocalCE']}: {trouble}"
        remedy = "install or repair what is missing on this node, or use another type of CE (-y)"
        return patient, [*found, Finding("agent", FAULT, says, remedy, UNFIT)]
    says = f"takes its configuration; jobs run in {told[f'{LOCAL}/LocalCE']}"
    return patient, [*(found or [Finding("agent", OK, says)]), *_isolation(answer["remark"]), _client(answer)]


def _isolation(remark: str) -> list[Finding]:
    """Tell what keeps payloads from the pilot, from each other and from the node; docs/security.md says more."""
    if not remark:
        return []
    if PAYLOAD_IS_ROOT in remark:
        remedy = "start the pilot as another user, or run jobs in containers: -y Pool/Bubblewrap"
        return [Finding("isolation", WARNING, remark, remedy)]
    return [Finding("isolation", OK, remark)]


def _client(answer: Mapping[str, Any]) -> Finding:
    """Tell which jobs of the Job API can be run here; no reason for a warning, since most need no DIRAC on the node."""
    if client := answer["client"]:
        return Finding("DIRAC client", OK, f"{client}, for jobs that need one")
    says = "none: jobs with modules of a VO or commands of DIRAC are handed back, all others of the Job API run"
    return Finding("DIRAC client", OK, f"{says} (looked for {', '.join(answer['looked_for'])})")


def _too_many(patient: Patient, told: dict[str, str]) -> list[Finding]:
    """Say so if more processors would be offered than this node gives."""
    here = patient.node.processors
    offered = told.get(f"{CE_DEFAULTS}/NumberOfProcessors", "")
    if not offered.isdecimal() or int(offered) <= here.value:
        return []
    says = f"{counted(int(offered), 'processor')} would be offered, and this node gives {here.value} ({here.origin})"
    return [Finding("agent", WARNING, says, "correct -P, or NumberOfProcessors of CE or queue")]


def _pilot(patient: Patient) -> Pilot:
    """Return a pilot that knows what the configuration says of its CE and queue; it logs nothing."""
    pilot = Pilot(
        loaded=patient.loaded,
        vo=patient.vo,
        slot=patient.slot,
        node=patient.node,
        environ=patient.environ,
        work_dir=patient.work_dir,
        log=Log(()),
        remote_log=RemoteLog(patient.work_dir, patient.slot.stamp),
        downloaded=Downloaded(patient.configuration),
    )
    return standard.check_ce_capabilities(pilot)


def _told(patient: Patient) -> dict[str, str]:
    """Return the options of pilot.cfg that the agent reads, by path."""
    pilot = _pilot(patient).having("/DIRAC", Setup=patient.settings.setup)
    for command in (
        standard.check_wn_capabilities,
        standard.configure_site,
        standard.configure_architecture,
        standard.configure_cpu_requirements,
    ):
        pilot = command(pilot)
    pilot = pilot.having(AGENT, **offer.agent_options(pilot))
    return {**pilot.options, **dict(user_options(patient.settings))}


def _answer(patient: Patient, told: dict[str, str]) -> dict[str, Any]:
    """Return what the agent would say: `fault`, `exit_code`, `trouble` and `odd`; see `agents.check`."""
    command = [launch.interpreter(patient.settings.python_environment), "-P", "-m", "agents.check"]
    ours, cas = patient.credential, patient.cas
    has_credential = ours is not None and cas is not None
    more = standard.credential_variables(ours, cas) if ours and cas else {}
    security = standard.security_options(ours, cas) if ours and cas else {}
    environment = launch.agent_environment(patient.environ, patient.settings, more)
    question = json.dumps([cfg.render(patient.configuration), {**told, **security}, has_credential]).encode()
    try:
        done = subprocess.run(command, env=environment, input=question, capture_output=True, timeout=TRY_S, check=False)
        answer = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise NodeUnfit(f"the agent cannot be asked: {error}") from error
    return dict(answer)
