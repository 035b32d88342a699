"""Proxies of pilots that wait: renewed where the CE can; else a pilot that would start with a short one is replaced."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agents.errors import CredentialError
from agents.log import EventLog
from agents.site_director.ce_worker import Renew, Renewed
from agents.site_director.pilots import Pilot, State

log = EventLog("credentials")

_RENEWED_AT, _REPLACED_AT = 0.75, 0.5  # of the life that a pilot's proxy must have when it is submitted
_AGAIN_S = 300.0
_AT_ONCE = 25  # a CE may have to be asked after each, and a call may not take long
_GAIN_S = 60.0  # a new proxy that lives less longer than this is none


@dataclass(frozen=True, slots=True)
class CurrentProxy:
    """What pilots get now: the file, and when it ends, in seconds since 1970."""

    file: Path
    ends_s: float


class ProxyInQueue:
    """See the module. The director's main thread calls everything here.

    Args:
        current: returns what pilots get now; raises CredentialError where there is none.
        life_s: how long a proxy must live when a pilot is submitted.
    """

    def __init__(self, current: Callable[[], CurrentProxy], life_s: float) -> None:
        self._current = current
        self._life_s = life_s
        self._tried_s = -1e9

    @property
    def ends_s(self) -> float:
        """When the proxy of a pilot that is submitted now ends; 0 where nobody knows."""
        try:
            return self._current().ends_s
        except CredentialError:
            return 0.0

    def due(self, waiting: Sequence[Pilot], now_s: float) -> Renew | None:
        """Return the order that gives pilots a newer proxy, None while none needs one or there is none."""
        short = [p for p in waiting if p.proxy_ends_s and p.proxy_ends_s - now_s < _RENEWED_AT * self._life_s]
        if not short or 0 <= now_s - self._tried_s < _AGAIN_S:
            return None
        self._tried_s = now_s
        try:
            current = self._current()
        except CredentialError as error:
            log.warning("pilot_proxy.not_renewed_in_queue", number=len(short), cause=error)
            return None
        older = [pilot for pilot in short if pilot.proxy_ends_s + _GAIN_S < current.ends_s]
        if len(older) > _AT_ONCE:
            self._tried_s = -1e9  # the next turn goes on
        first = sorted(older, key=lambda pilot: pilot.proxy_ends_s)[:_AT_ONCE]
        return Renew([pilot.task_id for pilot in first], current.file, current.ends_s) if first else None

    def after(self, renewed: Renewed, pilots: Mapping[str, Pilot], now_s: float) -> list[Pilot]:
        """Return the pilots that are others now: with a new proxy, or to be taken back for want of one.

        Args:
            renewed: what the CE has done.
            pilots: that wait, by task id.
            now_s: seconds since 1970.
        """
        changed = []
        if renewed.troubles:  # what goes wrong is not tried at each turn
            self._tried_s = now_s
        is_long = renewed.order.ends_s - now_s >= _RENEWED_AT * self._life_s  # else a new pilot fares no better
        for task_id in renewed.order.task_ids:
            pilot, trouble = pilots.get(task_id), renewed.troubles.get(task_id)
            if pilot is None:
                continue
            if trouble is None:
                changed.append(replace(pilot, proxy_ends_s=renewed.order.ends_s))
            elif is_long and pilot.proxy_ends_s - now_s < _REPLACED_AT * self._life_s:
                why = f"its proxy was too short to start with, and could not be renewed: {trouble}"
                changed.append(replace(pilot, state=State.CANCELLING, why=why[:300]))
        log.info(
            "pilot_proxy.renewed_in_queue", queue=renewed.queue, number=len(changed), troubles=len(renewed.troubles)
        )
        return changed
