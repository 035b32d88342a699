"""`python -m agents`: the JobAgent. `build` is the only place where its objects meet."""

import argparse
import ctypes
import fcntl
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from agents import __version__
from agents.cfg import Section
from agents.credentials.identity import establish
from agents.credentials.payload_proxies import FixedProxy, PayloadCredentials, PayloadProxies
from agents.errors import AgentError, ConfigurationError, ExitCode, NodeUnfit, ServiceError, ServiceMissing
from agents.events import (
    ChoresDone,
    ChoresDue,
    Events,
    HeartbeatDue,
    JobLost,
    KillOrdered,
    LookAround,
    ReportsAccepted,
    SignalReceived,
    SlotEndsDue,
    Workers,
)
from agents.explain import explain as explain_job
from agents.explain import status
from agents.job_agent import Ending, JobAgent, Parts
from agents.jobs.allocation import Slot
from agents.jobs.heartbeat import Heartbeats
from agents.jobs.ledger import Ledger
from agents.jobs.report import Moments, Reports
from agents.jobs.runner import JobRunner
from agents.jobs.staging import Staging
from agents.jobs.surroundings import Surroundings
from agents.log import EventLog, configure
from agents.schedule import Schedule
from agents.settings import AgentSettings, ce_options, explain, load, nearly_ours, read_files, without_effect
from agents.slot.ask import Commands
from agents.slot.build import build_watch
from agents.slot.drain import DrainFile
from agents.slot.gpus import Gpu, find_gpus
from agents.slot.offer import site_requirements
from agents.slot.resources import find_slot
from agents.slot.watch import Watch
from agents.wms import configuration
from agents.wms.accounting import Accounting
from agents.wms.doubts import Doubts
from agents.wms.job_monitoring import JobMonitoring
from agents.wms.job_state import JobState
from agents.wms.matcher import Matcher
from agents.wms.proxy_manager import ProxyManager
from agents.wms.registry import FULL_DELEGATION, GENERIC_PILOT, Registry
from agents.wms.reporter import Reporter
from agents.wms.sandbox_store import SandboxStore
from agents.wms.service import Retry, Service
from agents.wms.transports import Voices
from ce_backends.base import ComputingElement, Notifies
from ce_backends.errors import CEError
from ce_backends.registry import backend, create

log = EventLog("agent")

_LOOK_AROUND_S = 5.0
_SLOT_ENDS_S = 180.0  # a batch system may lengthen or shorten a job
_CHORES_S = 300.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_ONCE = Retry(attempts=2, base_s=0.5, budget_s=30)  # the reporter and the match loop have their own patience


def parser() -> argparse.ArgumentParser:
    """Return the command line of the agent."""
    made = argparse.ArgumentParser(
        prog="python -m agents",
        description="Match DIRAC jobs and run them in this slot; or tell what became of them.",
    )
    made.add_argument(
        "command",
        nargs="?",
        choices=("run", "status", "explain"),
        default="run",
        help="run: the agent (default); status: the jobs of a work directory; explain: one job of it",
    )
    made.add_argument("job", nargs="?", type=int, help="which job to explain")
    made.add_argument("--cfg", action="append", default=[], type=Path, help="CFG file; may be given again, later wins")
    made.add_argument("-o", "--option", action="append", default=[], metavar="/PATH=VALUE", help="one option over them")
    made.add_argument("--work-dir", type=Path, default=Path(), help="where the ledger and the jobs live")
    made.add_argument("--end-with", type=int, default=0, metavar="PID", help="end when this process, our parent, does")
    made.add_argument("--explain", action="store_true", help="print each setting with its value and origin, and end")
    made.add_argument("--json", action="store_true", help="status and explain: for programs")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the agent; errors become one sentence and an exit code here only."""
    arguments = parser().parse_args(argv)
    try:
        return _obeyed(arguments)
    except (AgentError, CEError) as error:
        print(f"agent: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, AgentError) else ExitCode.CONFIGURATION


def _obeyed(arguments: argparse.Namespace) -> int:
    work_dir = arguments.work_dir.resolve()
    if arguments.command == "status":
        print(status(work_dir, as_json=arguments.json))
        return ExitCode.ENDED
    if arguments.command == "explain":
        if arguments.job is None:
            raise ConfigurationError("explain: which job? expected its number")
        print(explain_job(work_dir, arguments.job, as_json=arguments.json))
        return ExitCode.ENDED
    _end_with(arguments.end_with)
    local = read_files(arguments.cfg, arguments.option)
    return _explain(local) if arguments.explain else _run(local, work_dir)


def _end_with(pid: int) -> None:
    """Have the kernel send us SIGTERM when our pilot dies, killed perhaps: jobs are then handed back, not lost."""
    if pid:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != pid:  # it died before we asked
            raise ConfigurationError(f"--end-with {pid}: that is not our parent process, or it has ended already")


def _explain(cfg: Section) -> int:
    for row in explain(cfg):
        print(f"{row.path} = {row.shown} {row.unit}".rstrip() + f"   [{row.origin}]  {row.doc}")
    return ExitCode.ENDED


def _run(local: Section, work_dir: Path) -> int:
    """Settle everything that can be wrong, then work."""
    settings = load(local)
    lock = _lock(work_dir)
    configure(settings.log_level.upper(), work_dir / "agent.log")
    for path, reason in without_effect(local):
        log.warning("option.without_effect", option=path, reason=reason)
    for sentence in nearly_ours(local):
        log.warning("option.misspelt", note=sentence)
    pilot = establish(settings, os.environ)
    voices = Voices(pilot, vo=settings.vo or pilot.vo or "unknown", setup=settings.setup)
    if settings.configuration_servers:
        service = Service("Configuration/Server", settings.configuration_servers, voices.of(None))
        local = configuration.without_setups(configuration.download(service).merge(local))
        settings = load(local)
    ending = _work(local, settings, work_dir, voices)
    _leave_word(work_dir, ending)
    lock.close()
    return ending.exit_code


def _lock(work_dir: Path) -> IO[str]:
    """Take the work directory; two agents in one would run jobs twice.

    Raises:
        ConfigurationError: another agent has it.
        NodeUnfit: it cannot be written.
    """
    try:
        work_dir.mkdir(parents=True, exist_ok=True)
        lock = (work_dir / "agent.lock").open("w", encoding="ascii")
    except OSError as error:
        raise NodeUnfit(f"{work_dir}: the work directory cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ConfigurationError(f"{work_dir}: another agent works in this directory; give each its own") from error
    return lock


def _work(cfg: Section, settings: AgentSettings, work_dir: Path, voices: Voices) -> Ending:
    """Run the agent's parts, and take them apart again whatever happens."""
    events = Events()
    ledger = Ledger(work_dir / "ledger.sqlite")
    workers = Workers(events)
    schedule = Schedule(events)
    gpus = find_gpus(Path("/"), os.environ, Commands(os.environ))
    slot = find_slot(settings, gpus=gpus)
    watch = build_watch(cfg, settings, ledger, os.environ, work_dir=work_dir, processors=slot.processors)
    ce = create(settings.ce_type, _inner_options(cfg, settings, slot), work_dir / "tasks")
    try:
        agent = build(cfg, settings, work_dir, _Wiring(voices, events, ledger, workers, slot, gpus, watch, ce))
        schedule.every(settings.heartbeat_s, HeartbeatDue())
        schedule.every(_LOOK_AROUND_S, LookAround())
        schedule.every(_CHORES_S, ChoresDue())
        schedule.every(_SLOT_ENDS_S, SlotEndsDue())
        _listen(events)
        schedule.start()
        return agent.run()
    finally:
        _listen_no_more()
        schedule.stop()
        watch.close()
        workers.close()
        ce.close()
        ledger.close()


@dataclass(frozen=True, slots=True)
class _Wiring:
    """What `build` gets, because somebody else has to close it."""

    voices: Voices
    events: Events
    ledger: Ledger
    workers: Workers
    slot: Slot
    gpus: Sequence[Gpu]
    watch: Watch
    ce: ComputingElement


def build(cfg: Section, settings: AgentSettings, work_dir: Path, given: _Wiring) -> JobAgent:
    """Wire the agent."""

    def service(name: str, retry: Retry = Retry(), credential: Path | None = None) -> Service:
        urls = configuration.service_urls(cfg, f"WorkloadManagement/{name}")
        return Service(name, urls, given.voices.of(credential), retry)

    def sandbox_store(credential: Path | None) -> SandboxStore:
        return SandboxStore(service("SandboxStore", credential=credential))

    monitoring = JobMonitoring(service("JobMonitoring", _ONCE))
    clock = given.voices.clock
    reporter = Reporter(
        given.ledger,
        JobState(service("JobStateUpdate", _ONCE), service("JobManager", _ONCE)),
        accepted=lambda job_id: given.events.put(ReportsAccepted(job_id)),
        commanded=lambda job_id, commands: _obey(given.events, monitoring, job_id, commands),
        doubts=Doubts(
            monitoring,
            given.ledger,
            lost=lambda job_id: given.events.put(JobLost(job_id)),
            now=lambda: datetime.now(UTC) + clock.ahead(),
        ),
    )
    credentials = _payload_credentials(cfg, given.voices, work_dir / "proxies")
    accounting = _accounting(cfg, given)
    runner = JobRunner(
        surroundings=_surroundings(cfg, settings, work_dir, given),
        slot=given.slot,
        ce=given.ce,
        ledger=given.ledger,
        reports=Reports(settings.site, Moments(servers_ahead=clock.ahead)),
        reporter=reporter,
        staging=Staging(
            credentials,
            sandbox_store,
            given.ce,
            settings.output_sandbox_limit_bytes,
        ),
        workers=given.workers,
    )
    if isinstance(given.ce, Notifies):
        given.ce.notify(given.events.task_changed)
    return JobAgent(
        Parts(
            settings=settings,
            requirements=site_requirements(cfg),
            slot=given.slot,
            watch=given.watch,
            drain_file=DrainFile(Path(settings.drain_file)),
            matcher=Matcher(service("Matcher", _ONCE)),
            runner=runner,
            reporter=reporter,
            workers=given.workers,
            events=given.events,
            heartbeat=Heartbeats(runner, reporter, given.ce, settings.peek_lines).send,
            has_disk_space=given.ledger.has_space,
            chores=lambda: _chores(accounting, credentials),
        )
    )


def _payload_credentials(cfg: Section, voices: Voices, directory: Path) -> PayloadCredentials:
    """Return where payloads get their credential: from the ProxyManager when the pilot serves many owners."""
    registry, pilot = Registry(cfg), voices.pilot
    group = pilot.group or registry.default_group(pilot.dn)
    rights = registry.host_properties(pilot.dn) if pilot.is_host else registry.group_properties(group)
    if isinstance(pilot.certificate, Path) and rights and GENERIC_PILOT not in rights:
        return FixedProxy(pilot.certificate)
    try:
        urls = configuration.service_urls(cfg, "Framework/ProxyManager")
    except ServiceMissing as error:
        log.warning("payload_proxies.none", cause=error)
        return FixedProxy(None)
    manager = ProxyManager(Service("ProxyManager", urls, voices.of(None)))
    return PayloadProxies(directory, manager, registry, limit=FULL_DELEGATION not in rights)


def _accounting(cfg: Section, given: _Wiring) -> Accounting:
    try:
        urls = configuration.service_urls(cfg, "Accounting/DataStore")
    except ServiceMissing as error:
        log.info("accounting.none", cause=error)
        return Accounting(given.ledger, None)
    return Accounting(given.ledger, Service("DataStore", urls, given.voices.of(None), _ONCE))


def _chores(accounting: Accounting, credentials: PayloadCredentials) -> ChoresDone:
    accounting.send()
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


def _surroundings(cfg: Section, settings: AgentSettings, work_dir: Path, given: _Wiring) -> Surroundings:
    return Surroundings(
        site=settings.site,
        work_dir=work_dir,
        environ=dict(os.environ),
        parameters={
            "GridCE": settings.ce_name,
            "CEQueue": settings.queue,
            "BatchSystem": cfg.text("/LocalSite/BatchSystemInfo/Type"),
            "Pilot_Reference": settings.pilot_reference,
            "CPUNormalizationFactor": settings.pilot_benchmark_hs06,
            "PilotAgent": f"gridpilot {__version__}",
            "HostName": socket.gethostname(),
        },
        power_hs06=settings.pilot_benchmark_hs06,
        keep_directories=settings.keep_directories,
        cfg=cfg,
        gpus=given.gpus,
        brake=given.watch.brake,
    )


def _inner_options(cfg: Section, settings: AgentSettings, slot: Slot) -> dict[str, str]:
    """Return the inner CE's own options out of DIRAC's sections, which hold much more than them."""
    known = {option.name for option in backend(settings.ce_type).OPTIONS}
    chosen = {name: text for name, text in ce_options(cfg, settings).items() if name in known}
    return chosen | {"NumberOfProcessors": str(slot.processors)} if "NumberOfProcessors" in known else chosen


_HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)


def _listen(events: Events) -> None:
    """Turn signals into events."""

    def heard(number: int, _frame: object) -> None:
        urgent = number in (signal.SIGTERM, signal.SIGINT)
        events.put(SignalReceived(signal.Signals(number).name, is_urgent=urgent))

    for number in _HEARD:
        signal.signal(number, heard)


def _listen_no_more() -> None:
    """Ignore signals from now on: all is done, and the exit code shall say so."""
    for number in _HEARD:
        signal.signal(number, signal.SIG_IGN)


def _leave_word(work_dir: Path, ending: Ending) -> None:
    """Write why the agent ended, for the pilot and for people."""
    word = {"reason": ending.reason, "exit_code": int(ending.exit_code), **asdict(ending.tally)}
    aside = work_dir / "agent_end.json.new"
    aside.write_text(json.dumps(word, indent=2) + "\n", encoding="utf-8")
    aside.replace(work_dir / "agent_end.json")


if __name__ == "__main__":
    sys.exit(main())
