"""The doctor's steps that look at the CAs and at our credential."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from pilot.counted import counted
from pilot.doctor.finding import FAULT, OK, WARNING, Finding, Patient
from pilot.errors import CREDENTIAL
from pilot.wms import credential

SHORT = timedelta(hours=1)


def authorities(patient: Patient) -> tuple[Patient, list[Finding]]:
    """Find the CAs that the pilot would trust."""
    place, origin = credential.trusted_cas(patient.settings, patient.environ)
    patient = replace(patient, cas=place)
    if place.is_file():
        return patient, [Finding("CAs", OK, f"{place} ({origin})")]
    hashed = len([path for path in place.iterdir() if path.suffix == ".0"])
    if not hashed:
        says = f"{place} ({origin}): no file there is named by a hash, such as 1234abcd.0, so OpenSSL finds none"
        return patient, [Finding("CAs", FAULT, says, f"openssl rehash {place}", CREDENTIAL)]
    return patient, [Finding("CAs", OK, f"{place} ({origin}): {counted(hashed, 'CA')}")]


def own_credential(patient: Patient) -> tuple[Patient, list[Finding]]:
    """Read our credential."""
    ours = credential.load(patient.settings, patient.environ, now=patient.now())
    left = ours.not_after - patient.now()
    kind = "host certificate" if ours.is_host else "proxy"
    says = f"{kind} {ours.certificate} ({ours.origin}), valid until {ours.not_after:%Y-%m-%d %H:%M:%S} UTC"
    found = [Finding("credential", OK, f"{says}, VO {ours.vo or patient.vo}")]
    if left < SHORT:
        minutes = int(left.total_seconds() // 60)
        found = [
            Finding("credential", WARNING, f"{says}: {counted(minutes, 'minute')}", "send one that outlives the slot")
        ]
    told = patient.settings.vo or patient.environ.get("DIRAC_PILOT_VO", "")
    if told and ours.vo and told != ours.vo:
        says = f"the pilot is told to work for VO {told}, and its proxy has VOMS attributes of {ours.vo}"
        found.append(Finding("credential", WARNING, says, "correct --wnVO, or send a proxy of that VO"))
    if (ours.vo or patient.vo) == "unknown":
        found.append(Finding("credential", WARNING, "nothing names the VO", "--wnVO, or a proxy with VOMS attributes"))
    return replace(patient, credential=ours), found
