"""The doctor's step that looks at DiracX, where the VO has it beside DIRAC."""

from __future__ import annotations

from dataclasses import replace

from pilot import cfg
from pilot.doctor import network
from pilot.doctor.finding import FAULT, OK, SKIPPED, WARNING, Finding, Patient
from pilot.errors import PilotError
from pilot.wms import diracx as diracx_wms

EXCHANGE_S = 30.0
TRUE = ("y", "yes", "true", "1")
WMS = "WorkloadManagement"


def diracx(patient: Patient) -> tuple[Patient, list[Finding]]:
    """Reach DiracX, get a token for our proxy, and say what is asked of whom."""
    if not patient.configuration or patient.credential is None or patient.cas is None:
        return patient, [Finding("DiracX", SKIPPED, "not tried without the configuration")]
    url = diracx_wms.url(patient.configuration, patient.vo)
    if not url:
        return patient, [Finding("DiracX", OK, "the VO has none: everything is asked of DIRAC")]
    trusts = diracx_wms.trusting(patient.cas, patient.environ)
    contacts, found = network.reach_all("DiracX", (url,), trusts, patient.now(), FAULT)
    trusted = patient.environ.get("DIRACX_CA_PATH", "")
    looked = f"looked at {patient.cas}, the system's store" + (f", DIRACX_CA_PATH ({trusted})" if trusted else "")
    found = [replace(each, says=f"{each.says}; {looked}") if "CA" in each.says else each for each in found]
    patient = replace(patient, contacts=(*patient.contacts, *contacts))
    return patient, [*found, _exchanged(patient), *_ways(patient)]


def _exchanged(patient: Patient) -> Finding:
    """Get a token for the proxy, as the agent does; it is looked at and forgotten."""
    urls = diracx_wms.proxy_managers(patient.configuration, setup=patient.settings.setup, vo=patient.vo)
    remedy = "without one no job gets its files from DiracX, and no report goes there: ask who runs DIRAC"
    if not urls or patient.caller is None:
        return Finding("DiracX", WARNING, "no ProxyManager is published, so there is no token for our proxy", remedy)
    try:
        answer = patient.caller.call(urls[0], "exchangeProxyForToken", timeout_s=EXCHANGE_S)
    except PilotError as error:
        return Finding("DiracX", WARNING, f"no token for our proxy: {error}", remedy)
    if not isinstance(answer, dict) or not isinstance(answer.get("access_token"), str):
        return Finding("DiracX", WARNING, f"{urls[0]}: the answer to exchangeProxyForToken holds no token", remedy)
    return Finding("DiracX", OK, "our proxy is exchanged for a token")


def _ways(patient: Patient) -> list[Finding]:
    """Say what goes which way, and what cannot be looked at from here."""
    future = f"/DiracX/FutureClientEnabled/{WMS}/JobStateUpdate"
    has = {name: bool(network.urls_of(patient, name)) for name in network.REPLACED}
    by_diracx = cfg.option(patient.configuration, future).strip().lower() in TRUE or not has["JobStateUpdate"]
    why = f"{future} is true" if has["JobStateUpdate"] else "no JobStateUpdate is published"
    reports = f"by DiracX ({why})" if by_diracx else "by JobStateUpdate, by DiracX while that is away"
    store = (
        "DIRAC's SandboxStore and S3, by their paths" if has["SandboxStore"] else "S3 (no SandboxStore is published)"
    )
    in_diracx = diracx_wms.has_pilots(patient.configuration, setup=patient.settings.setup, vo=patient.vo)
    pilots = "DiracX (PilotsByStamp)" if in_diracx else "the PilotManager"
    return [
        Finding("DiracX", OK, f"reports go {reports}; sandboxes are in {store}; pilots are told to {pilots}"),
        Finding("DiracX", OK, "where S3 is, DiracX tells only the owner of a sandbox: it is not tried from here"),
    ]
