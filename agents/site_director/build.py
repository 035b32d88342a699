"""What the SiteDirector is made of: wired here and nowhere else."""

import functools
import os
import queue
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from agents.credentials.identity import Identity
from agents.errors import ConfigurationError, CredentialError
from agents.log import EventLog
from agents.settings.site_director import SiteDirectorSettings
from agents.site_director import starter
from agents.site_director.asking import Asking
from agents.site_director.ce_desk import CeDesk
from agents.site_director.ce_worker import CeWorker
from agents.site_director.demand import Demand
from agents.site_director.desk_terms import Pace, Papers
from agents.site_director.director import Director, Event
from agents.site_director.ledger import NAME, PilotLedger
from agents.site_director.outputs import prune
from agents.site_director.pilot_manager import PilotManager
from agents.site_director.pilot_proxy import DelegatedProxy, OwnProxy, PilotProxy
from agents.site_director.pilots import Pilot
from agents.site_director.proxy_in_queue import CurrentProxy, ProxyInQueue
from agents.site_director.queues import PilotQueue
from agents.site_director.registrars import ByReference, ByStamp, Registrar
from agents.site_director.starter import Starter
from agents.site_director.supply import Choice
from agents.wms.diracx.installation import DiracX
from agents.wms.job_monitoring import JobMonitoring
from agents.wms.proxy_manager import ProxyManager
from agents.wms.published import Published
from agents.wms.registry import Registry
from agents.wms.service import Retry, Service
from agents.wms.transports import Transports
from ce_backends.base import TaskSpec
from ce_backends.registry import create

log = EventLog("site_director")

_RETRY = Retry(attempts=3, budget_s=20.0)
_JOBS_EVERY_S = 2.0  # at least; what pilots do is asked for after each third look for waiting jobs


@dataclass(frozen=True, slots=True)
class Given:
    """What exists before anything is wired."""

    settings: SiteDirectorSettings
    published: Published
    transports: Transports
    queues: Sequence[PilotQueue]
    work_dir: Path


def service(given: Given, name: str) -> Service:
    """Return a service of the WMS, by `System/Service`."""
    urls = functools.partial(given.published.urls, name)
    return Service(name, urls, given.transports.of(None), _RETRY)


def demand(given: Given) -> Demand:
    """Return who asks for waiting jobs."""
    return Demand(service(given, "WorkloadManagement/Matcher"), given.queues)


def choice(settings: SiteDirectorSettings) -> Choice:
    """Return what the settings choose."""
    return Choice(reserve=settings.reserve, look_ahead=settings.look_ahead)


def build(given: Given, events: "queue.SimpleQueue[Event]", opened: ExitStack) -> Director:
    """Return the director; what it uses is closed with `opened`.

    Raises:
        ConfigurationError: something that it needs is not there.
    """
    settings = given.settings
    starter.check_options(given.queues)
    ledger = PilotLedger(given.work_dir / NAME)
    opened.callback(ledger.close)
    proxy = _proxy(given)
    with suppress(CredentialError):  # it is tried again, and said, while the director works
        proxy.renew()
    tasks = functools.partial(_tasks, _starter(given), proxy, {each.name: each for each in given.queues})
    pilot_manager = service(given, "WorkloadManagement/PilotManager")
    manager = PilotManager(
        pilot_manager,
        _registrar(given, pilot_manager, proxy, opened),
        JobMonitoring(service(given, "WorkloadManagement/JobMonitoring")),
        ledger,
        {each.name: each for each in given.queues},
    )
    asking = Asking(demand(given), manager, proxy, events.put)
    pace = Pace(poll_s=settings.status_s, call_s=settings.call_s)
    desks = {
        each.name: CeDesk(
            each,
            functools.partial(_worker, each, given.work_dir, events.put),
            ledger,
            Papers(
                tasks, manager.is_announced, ProxyInQueue(functools.partial(_current, proxy), settings.pilot_life_s)
            ),
            pace=pace,
            outputs_dir=given.work_dir / "outputs",
            jitter=random.random,
        )
        for each in given.queues
    }
    director = Director(
        desks,
        ledger,
        events,
        choice=choice(settings),
        start_up_s=settings.start_up_s,
        announce=asking.announce,
        keep_house=lambda: prune(
            given.work_dir / "outputs", settings.keep_outputs, settings.keep_outputs_s, time.time()
        ),
    )
    opened.callback(asking.close)
    jobs_s = _JOBS_EVERY_S if settings.is_told else max(_JOBS_EVERY_S, settings.polling_s)
    asking.start(director.watched, settings.polling_s, jobs_s, is_told=settings.is_told)
    return director


def _registrar(given: Given, pilot_manager: Service, proxy: PilotProxy, opened: ExitStack) -> Registrar:
    """Return who is told of pilots: DiracX with the credential of the pilots, where that is wanted."""
    by_reference = ByReference(pilot_manager, given.settings.vo)
    if not given.settings.pilots_by_stamp:
        return by_reference
    diracx = DiracX(given.published, given.transports, os.environ, vo=given.settings.vo)
    opened.callback(diracx.close)
    return ByStamp(lambda: diracx.pilots(proxy.file()), by_reference, given.settings.vo)


def _worker(queue_: PilotQueue, work_dir: Path, put: Callable[[Event], None]) -> CeWorker:
    folder = work_dir / "ces" / queue_.name.replace("/", "%")
    return CeWorker(queue_.name, lambda: create(queue_.ce_type, queue_.options, folder), put)


def _tasks(
    made_by: Starter, proxy: PilotProxy, queues: Mapping[str, PilotQueue], pilots: Sequence[Pilot]
) -> Sequence[TaskSpec]:
    credential = proxy.file()
    return [made_by.task(pilot, queues[pilot.queue], credential) for pilot in pilots]


def _current(proxy: PilotProxy) -> CurrentProxy:
    return CurrentProxy(proxy.file(), proxy.ends_s())


def _starter(given: Given) -> Starter:
    bundle = Path(given.settings.bundle).absolute() if given.settings.bundle else None
    if bundle is not None and not bundle.is_file():
        raise ConfigurationError(f"{bundle}: there is no bundle; make it with `make bundle`")
    certificates = starter.gather_certificates(given.transports.pilot.ca, given.work_dir)
    servers = given.settings.configuration_servers
    return Starter(servers=servers, vo=given.settings.vo, bundle=bundle, certificates=certificates)


def _proxy(given: Given) -> PilotProxy:
    """Return who gives pilots their proxy: the ProxyManager, where a group of pilots is named that is not our own."""
    settings, identity = given.settings, given.transports.pilot
    if settings.pilot_group and (identity.is_host or identity.group != settings.pilot_group):
        manager = ProxyManager(service(given, "Framework/ProxyManager"))
        path = given.work_dir / "proxies" / "pilot.pem"
        return DelegatedProxy(path, manager, (_pilot_dn(given), settings.pilot_group), settings.pilot_life_s)
    if isinstance(identity.certificate, tuple):
        raise ConfigurationError(
            "pilots need a proxy: expected GenericPilotGroup, and GenericPilotUser or GenericPilotDN, in "
            "/Operations/Defaults/Pilot"
        )
    return OwnProxy(identity.certificate, settings.pilot_life_s)


def _pilot_dn(given: Given) -> str:
    settings = given.settings
    if not (settings.pilot_dn or settings.pilot_user):
        raise ConfigurationError(
            "whose proxy pilots carry is not said: expected GenericPilotUser or GenericPilotDN in "
            "/Operations/Defaults/Pilot"
        )
    return settings.pilot_dn or Registry(given.published.tree).owner_dn(settings.pilot_user)


def with_vo(settings: SiteDirectorSettings, identity: Identity) -> SiteDirectorSettings:
    """Return the settings; where they name no VO, with that of our proxy."""
    return settings if settings.vo or not identity.vo else replace(settings, vo=identity.vo)
