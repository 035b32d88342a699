"""`build`: the only place where the agent's objects meet."""

import functools
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from agents import __version__
from agents.data.owners import Owners
from agents.data.room import Room
from agents.errors import ServiceError
from agents.job_agent import JobAgent
from agents.jobs import client
from agents.jobs.job import Job
from agents.jobs.ledger import Ledger
from agents.jobs.report import Moments, Reports
from agents.log import EventLog
from agents.observability.observers import Observers
from agents.parts import Parts
from agents.process.events import (
    ChoresDone,
    EndNotHeld,
    Events,
    JobLost,
    JobsConfirmed,
    KillOrdered,
    ReportsAccepted,
    Workers,
)
from agents.process.schedule import Schedule
from agents.reporting.accounting import Accounting
from agents.reporting.ownership import Ownership
from agents.reporting.read_back import ReadBack
from agents.reporting.reporter import Reporter
from agents.runner.context import JobContext, Workflows
from agents.runner.data_moves import DataMoves
from agents.runner.heartbeat import Heartbeats
from agents.runner.job_runner import JobRunner
from agents.runner.orphans import take_up
from agents.runner.payload_proxies import FixedProxy, PayloadCredentials, PayloadProxies, ProxiesWherePublished
from agents.runner.staging import Staging
from agents.runner.watchdog import Watchdog
from agents.settings.agent import AgentSettings
from agents.slot import energy
from agents.slot.allocation import Slot
from agents.slot.fitness import Fitness
from agents.slot.gpus import Gpu
from agents.slot.monitor import SlotMonitor
from agents.slot.offer import site_requirements
from agents.slot.stop import DrainFile
from agents.wms.diracx.either import KeepsSandboxes, TellsJobState
from agents.wms.diracx.installation import DiracX
from agents.wms.job_monitoring import PILOT_REFERENCE, JobMonitoring
from agents.wms.job_state import JobState
from agents.wms.lost_matches import LostMatches, LostMatchFinder, PilotJobs
from agents.wms.matcher import Matcher
from agents.wms.proxy_manager import ProxyManager
from agents.wms.published import Published
from agents.wms.registry import FULL_DELEGATION, GENERIC_PILOT, Registry, vo_of
from agents.wms.rematch import RematchGuard
from agents.wms.sandbox_store import SandboxStore
from agents.wms.service import Retry, Service, Transport
from agents.wms.transports import Transports
from ce_backends.base import ComputingElement, Notifies, Queues
from ce_backends.cfg import Section

if TYPE_CHECKING:
    from agents.data.opening import Opening

log = EventLog("agent")

CHORES_S = 300.0
_NEEDED = ("Matcher", "JobMonitoring")  # without which no job can be run
_NEEDED_WITHOUT_DIRACX = ("JobStateUpdate", "JobManager")
_PROXY_MANAGER, _DATA_STORE = "Framework/ProxyManager", "Accounting/DataStore"
_PATIENT = Retry(attempts=200, base_s=0.5, cap_s=10, budget_s=180)  # a short outage costs no job its files
_MOVERS = 16  # jobs whose data move at a time; how many files, is decided for the node
_ONCE = Retry(attempts=2, base_s=0.5, budget_s=30)  # the reporter and the match loop have their own patience


@dataclass(frozen=True, slots=True)
class Given:
    """What `build` gets, because somebody else has to close it."""

    published: Published
    transports: Transports
    events: Events
    ledger: Ledger
    workers: Workers
    slot: Slot
    gpus: Sequence[Gpu]
    monitor: SlotMonitor
    ce: ComputingElement
    schedule: Schedule
    observers: Observers


def build(settings: AgentSettings, work_dir: Path, given: Given) -> JobAgent:
    """Wire the agent.

    Raises:
        ServiceMissing: the configuration publishes no URL of a service that every job needs.
    """
    cfg = given.published.tree
    diracx = DiracX(given.published, given.transports, os.environ, vo=_vo(settings, given), keep=given.ledger.keep)
    for name in _NEEDED if diracx.is_there else (*_NEEDED, *_NEEDED_WITHOUT_DIRACX):
        given.published.urls(f"WorkloadManagement/{name}")
    owners = Owners(given.published, lambda: _opening(settings, given))
    context = replace(_context(cfg, settings, work_dir, given, diracx), moves_data=lambda: owners.have_catalogue)
    _tell_of_client(context)
    take_up(given.ledger, context.jobs)  # before anybody asks the ledger what is in hand
    diracx.say()
    job_state = diracx.job_state(JobState(_wms(given, "JobStateUpdate"), _wms(given, "JobManager")))
    monitoring = JobMonitoring(_wms(given, "JobMonitoring"))
    reporter = _reporter(given, job_state, monitoring, settings)
    credentials = _payload_credentials(given.published, given.transports, work_dir / "proxies", diracx)
    accounting = _accounting(given)
    data = _data(owners, settings, work_dir, given)
    lost = _lost_matches(settings, given, monitoring)
    once = RematchGuard(diracx.matcher(_matcher(given)), monitoring, was_here=given.ledger.has_ended)
    runner = JobRunner(
        context=context,
        slot=given.slot,
        ce=given.ce,
        ledger=given.ledger,
        reports=Reports(settings.site, _moments(given)),
        reporter=reporter,
        staging=_staging(settings, given, diracx, credentials, data),
        workers=given.workers,
    )
    if isinstance(given.ce, Notifies):
        given.ce.notify(given.events.task_changed)
    return JobAgent(
        Parts(
            settings=settings,
            requirements=site_requirements(cfg),
            slot=given.slot,
            monitor=given.monitor,
            troubles=Fitness(given.monitor, given.ce).troubles,
            drain_file=DrainFile(Path(settings.drain_file)),
            matcher=given.observers.counted(LostMatchFinder(once, lost)),
            lost=lost,
            runner=runner,
            reporter=reporter,
            workers=given.workers,
            events=given.events,
            heartbeat=_heartbeat(runner, reporter, settings, given, context, data.sentence),
            ledger=given.ledger,
            before_asking=given.published.look_before_a_match,
            begin_ticks=given.schedule.start,
            chores=lambda: _chores(given.published, accounting, credentials),
            keep_time=given.observers.each_turn(given.schedule.keep_time, given.slot, runner, given.monitor.time_left),
            note_idle=given.observers.life.idles,
            leaves_tasks=isinstance(given.ce, Queues),
        )
    )


def _matcher(given: Given) -> Matcher:
    return Matcher(_wms(given, "Matcher"), lambda dn: Registry(given.published.tree).user(dn))


def _lost_matches(settings: AgentSettings, given: Given, monitoring: JobMonitoring) -> LostMatches:
    has_pilot_manager = functools.partial(given.published.has, "WorkloadManagement/PilotManager")
    pilot_jobs = PilotJobs(_wms(given, "PilotManager"), monitoring, has_pilot_manager)
    return LostMatches(given.ledger, pilot_jobs, settings.pilot_reference, settings.lost_match_after_s)


def _opening(settings: AgentSettings, given: Given) -> "Opening":
    from agents.data.opening import Opening  # noqa: PLC0415 - thirty modules; only jobs with data wait for them

    return Opening(given.published, given.transports, site=settings.site, vo=_vo(settings, given))


def _staging(
    settings: AgentSettings, given: Given, diracx: DiracX, credentials: PayloadCredentials, data: DataMoves
) -> Staging:
    def sandbox_store(credential: Path | None) -> KeepsSandboxes:
        return diracx.sandboxes(credential, SandboxStore(_wms(given, "SandboxStore", _PATIENT, credential)))

    return Staging(credentials, sandbox_store, given.ce, settings.output_sandbox_limit_bytes, data)


def _moments(given: Given) -> Moments:
    clock = given.transports.clock
    return Moments(clock.now, clock.ahead, clock.ahead_at_most, after=given.ledger.last_moment())


def _reporter(given: Given, job_state: TellsJobState, monitoring: JobMonitoring, settings: AgentSettings) -> Reporter:
    reference = settings.pilot_reference

    def accepted(job_id: int) -> None:
        given.events.put(ReportsAccepted(job_id))

    return Reporter(
        given.ledger,
        job_state,
        accepted=accepted,
        commanded=lambda job_id, commands: _obey(given.events, monitoring, job_id, commands),
        read_back=ReadBack(
            monitoring,
            told=accepted,
            not_held=lambda job_id, held: given.events.put(EndNotHeld(job_id, held)),
            mine=(reference, *given.ledger.pilots()),
        ),
        settled=lambda: given.events.put(JobsConfirmed()),
        gather_s=settings.gather_s,
        ownership=Ownership(
            monitoring,
            given.ledger,
            reference=reference,
            former=given.ledger.pilots(),
            lost=lambda job_id: given.events.put(JobLost(job_id)),
            now=lambda: given.transports.clock.now() + given.transports.clock.ahead(),
        ),
    )


def _heartbeat(
    runner: JobRunner,
    reporter: Reporter,
    settings: AgentSettings,
    given: Given,
    around: JobContext,
    moving: Callable[[Job], str],
) -> Callable[[], None]:
    """Return what is done once a minute: signs of life of all running jobs and of the agent, and a look for some."""
    heartbeats = Heartbeats(
        runner, reporter, given.ce, settings.peek_lines, activity=runner.activity, moving=moving, is_due=settings.is_due
    )
    watchdog = Watchdog(runner, given.ce, settings, around.environ, lambda job: around.outputs(job) / "outputs")

    def all_signs() -> None:
        heartbeats.send()
        watchdog.look()
        around.energy.look()
        given.observers.life.goes_on()

    return all_signs


def _wms(given: Given, name: str, retry: Retry = _ONCE, credential: Path | None = None) -> Service:
    return _service(given.published, f"WorkloadManagement/{name}", given.transports.of(credential), retry)


def _service(published: Published, name: str, transport: Transport, retry: Retry) -> Service:
    """Return a service that follows the configuration when it publishes other URLs; while it has none: Unreachable."""
    urls = functools.partial(published.urls, name)
    return Service(name.partition("/")[2], urls, transport, retry, failed=published.doubt)


def _payload_credentials(
    published: Published, transports: Transports, directory: Path, diracx: DiracX
) -> PayloadCredentials:
    """Return where payloads get their credential: from the ProxyManager when the pilot serves many owners."""
    registry, pilot = Registry(published.tree), transports.pilot
    group = pilot.group or registry.default_group(pilot.dn)
    rights = registry.host_properties(pilot.dn) if pilot.is_host else registry.group_properties(group)
    if isinstance(pilot.certificate, Path) and rights and GENERIC_PILOT not in rights:
        return FixedProxy(pilot.certificate)
    manager = ProxyManager(_service(published, _PROXY_MANAGER, transports.of(None), _PATIENT))
    proxies = PayloadProxies(directory, manager, registry, limit=FULL_DELEGATION not in rights, tokens=diracx)
    return ProxiesWherePublished(proxies, lambda: published.has_had(_PROXY_MANAGER))


def _accounting(given: Given) -> Callable[[], Accounting]:
    """Return what gives the accounting of now: accounts are put aside while none was ever published."""
    store = _service(given.published, _DATA_STORE, given.transports.of(None), _ONCE)
    return lambda: Accounting(given.ledger, store if given.published.has_had(_DATA_STORE) else None)


def _chores(published: Published, accounting: Callable[[], Accounting], credentials: PayloadCredentials) -> ChoresDone:
    published.look(CHORES_S)
    accounting().send()
    return ChoresDone(tuple(credentials.renew()))


def _obey(events: Events, monitoring: JobMonitoring, job_id: int, commands: Mapping[str, str]) -> None:
    """Pass on what the WMS orders in its answer to a heartbeat."""
    for command in commands:
        if command == "Kill":
            events.put(KillOrdered(job_id, is_fresh=_is_fresh(monitoring, job_id)))
        else:
            log.warning("command.unknown", job_id=job_id, command=command)


def _is_fresh(monitoring: JobMonitoring, job_id: int) -> bool:
    """Tell whether an order to kill is meant for our attempt; it is obeyed when that cannot be found out."""
    try:
        return monitoring.is_marked_for_termination(job_id)
    except ServiceError as error:
        log.warning("kill.unverified", job_id=job_id, cause=error)
        return True


def _vo(settings: AgentSettings, given: Given) -> str:
    return vo_of(given.published.tree, settings.vo, given.transports.pilot)


def _tell_of_client(context: JobContext) -> None:
    """Say in the log, before a job is asked for, which jobs of the Job API can be run here."""
    if context.is_remote:
        return
    looked_for = context.workflows.clients
    if here := client.find(looked_for):
        log.info("workflows.client", client=here)
    else:
        note = "workflows that need more than DIRAC's Script are handed back, unless a client is on the PATH"
        log.info("workflows.no_client", looked_for=", ".join(looked_for), note=note)


def _data(owners: Owners, settings: AgentSettings, work_dir: Path, given: Given) -> DataMoves:
    """Return what moves the data of jobs, in threads of its own: some of it takes hours."""
    reserve_bytes = int(settings.output_buffer_gb * 10**9)
    room = Room(work_dir, reserve_bytes, settings.most_disk_mb * 10**6)
    return DataMoves(owners, given.ledger, room, given.events.put, Workers(given.events, _MOVERS))


def _context(cfg: Section, settings: AgentSettings, work_dir: Path, given: Given, diracx: DiracX) -> JobContext:
    is_remote = isinstance(given.ce, Queues)
    return JobContext(
        is_remote=is_remote,
        site=settings.site,
        work_dir=work_dir,
        environ={**os.environ, **diracx.environ},
        parameters={
            "GridCE": settings.ce_name,
            "CEQueue": settings.queue,
            "BatchSystem": cfg.text("/LocalSite/BatchSystemInfo/Type"),
            PILOT_REFERENCE: settings.pilot_reference,
            "PilotAgent": f"gridpilot {__version__}",
            **({} if is_remote else {"HostName": socket.gethostname()}),
        },
        power=given.monitor.power,
        output_patience_s=settings.output_patience_s,
        keep_directories=settings.keep_directories,
        cfg=cfg,
        gpus=given.gpus,
        breaker=given.monitor.breaker,
        watchdog=settings,
        energy=energy.account(settings, is_remote=is_remote),
        workflows=Workflows(clients=client.places_of(settings), go_on=settings.goes_on),
    )
