"""The pilot in the list of pilots: told to DIRAC's PilotManager, or to DiracX where the VO wants that.

The only place where a pilot says of itself that it is there, runs and has ended.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pilot.errors import CredentialError, PilotError, ServiceRefused, ServiceUnreachable, UsageError
from pilot.log import utc_now
from pilot.steps.state import Pilot
from pilot.wms import client as services
from pilot.wms import configuration, credential, diracx

REGISTER_S = 5.0
REASON_LIMIT = 255  # the column's width in DIRAC's database
NO_SUCH_PILOT = 1550  # DIRAC's EWMSNOPILOT
WRONG = (ServiceRefused, ServiceUnreachable, CredentialError, UsageError)  # and no signal, nor the command's limit


def register_pilot(pilot: Pilot) -> Pilot:
    """Make the pilot known, and tell that it runs. What goes wrong is logged and no reason to stop."""
    try:
        if diracx.has_pilots(pilot.configuration, setup=pilot.settings.setup, vo=pilot.vo):
            by_stamp = _by_stamp(pilot)
            _register_by_stamp(pilot, by_stamp)
            pilot.log.info("pilot.registered", stamp=pilot.slot.stamp, by="DiracX")
            return replace(pilot, by_stamp=by_stamp)
    except WRONG as error:
        pilot.log.warning("pilot.not_by_stamp", why=error, instead="PilotManager")
    _register_by_reference(pilot)
    return pilot


def set_status(pilot: Pilot, status: str, reason: str, *, within_s: float) -> None:
    """Tell where the pilot stands, to whom it was registered with. What goes wrong is logged."""
    if pilot.by_stamp:
        try:
            told = _status(pilot, status, reason)
            pilot.by_stamp.set_status(pilot.slot.stamp, told, timeout_s=within_s)
        except PilotError as error:
            pilot.log.warning("pilot.not_by_stamp", why=error, instead="PilotManager")
        else:
            pilot.log.info("pilot.status", status=status, reason=reason)
            return
    urls = pilot.urls("PilotManager")
    if pilot.services is None or not urls:
        return
    details = (pilot.settings.ce, reason[:REASON_LIMIT], pilot.settings.site, pilot.settings.queue)
    each_s = within_s / len(urls)
    try:
        configuration.set_status(pilot.services, urls, pilot.slot.reference, status, *details, timeout_s=each_s)
    except PilotError as error:
        pilot.log.warning("pilot.status_not_set", status=status, why=error)
    else:
        pilot.log.info("pilot.status", status=status, reason=reason)


# ---- by stamp, with DiracX


def _by_stamp(pilot: Pilot) -> diracx.PilotsByStamp:
    """Return who tells DiracX of this pilot.

    Raises:
        ServiceUnreachable: the VO has no DiracX, or there is no proxy to show it.
    """
    base, caller, settings = diracx.url(pilot.configuration, pilot.vo), pilot.services, pilot.settings
    if not base or caller is None:
        raise ServiceUnreachable("the configuration has no /DiracX/URL for this VO")
    ours = credential.load(settings, pilot.environ, now=utc_now())
    if ours.is_host:
        raise ServiceUnreachable("DiracX gives a host certificate no token")
    cas, _ = credential.trusted_cas(settings, pilot.environ)
    managers = diracx.proxy_managers(pilot.configuration, setup=settings.setup, vo=pilot.vo)
    return diracx.PilotsByStamp(
        base,
        diracx.trusting(cas, pilot.environ),
        lambda within_s: diracx.token(caller, managers, ours.certificate, timeout_s=within_s),
    )


def _register_by_stamp(pilot: Pilot, by_stamp: diracx.PilotsByStamp) -> None:
    """Tell that we run; who is not known, for no submitter has told of him, is made known first."""
    slot, told = pilot.slot, _status(pilot, "Running", "Report from pilot")
    deadline = time.monotonic() + REGISTER_S
    try:
        by_stamp.set_status(slot.stamp, told, timeout_s=_left_s(deadline, "DiracX"))
    except ServiceRefused as error:
        if error.errno != diracx.UNKNOWN:
            raise
        made = {"vo": pilot.vo, "grid_type": slot.flavour, "pilot_reference": slot.reference}
        by_stamp.register(slot.stamp, made, timeout_s=_left_s(deadline, "DiracX"))
        by_stamp.set_status(slot.stamp, told, timeout_s=_left_s(deadline, "DiracX"))


def _status(pilot: Pilot, status: str, reason: str) -> Mapping[str, str]:
    settings = pilot.settings
    told = {
        "Status": status,
        "StatusReason": reason[:REASON_LIMIT],
        "DestinationSite": settings.ce,
        "GridSite": settings.site,
        "Queue": settings.queue,
    }
    return {name: text for name, text in told.items() if text}


# ---- by reference, with DIRAC's PilotManager


def _register_by_reference(pilot: Pilot) -> None:
    urls, slot, settings = pilot.urls("PilotManager"), pilot.slot, pilot.settings
    if pilot.services is None or not urls:
        pilot.log.warning("pilot.not_registered", why="the configuration has no PilotManager")
        return
    deadline = time.monotonic() + REGISTER_S
    try:
        _add_unless_known(pilot, pilot.services, urls, deadline)
        details = (settings.ce, "Report from pilot", settings.site, settings.queue)
        left_s = _left_s(deadline, "PilotManager")
        configuration.set_status(pilot.services, urls, slot.reference, "Running", *details, timeout_s=left_s)
    except (ServiceRefused, ServiceUnreachable) as error:
        pilot.log.warning("pilot.not_registered", why=error)
    else:
        pilot.log.info("pilot.registered", reference=slot.reference, flavour=slot.flavour)


def _add_unless_known(pilot: Pilot, caller: services.Services, urls: Sequence[str], deadline: float) -> None:
    """Add the pilot that no submitter has added. DIRAC lets only operators ask and add; then a submitter surely did."""
    slot = pilot.slot
    try:
        services.call_any(caller, urls, "getPilotInfo", slot.reference, timeout_s=_left_s(deadline, "PilotManager"))
    except ServiceRefused as error:
        if error.errno != NO_SUCH_PILOT:
            pilot.log.debug("pilot.may_not_ask", why=error)
            return
    else:
        return
    arguments = ([slot.reference], pilot.vo, slot.flavour, {slot.reference: slot.stamp})
    try:
        services.call_any(caller, urls, "addPilotReferences", *arguments, timeout_s=_left_s(deadline, "PilotManager"))
    except ServiceRefused as error:
        pilot.log.warning("pilot.not_added", why=error)


def _left_s(deadline: float, whom: str) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise ServiceUnreachable(f"{whom}: not done within {REGISTER_S:.0f} s")
    return left_s
