"""The agent's command line: what was asked for is done, and errors become one sentence and an exit code here only."""

import argparse
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from agents import cli, last_word, wiring
from agents.credentials.identity import establish, secrets
from agents.errors import AgentError, ConfigurationError, ExitCode
from agents.job_agent import Ending
from agents.jobs.ledger import Ledger
from agents.jobs.unforeseen import lack, words
from agents.log import EventLog, Whose, configure
from agents.observability import observers
from agents.observability.explain import explain as explain_job
from agents.observability.explain import status
from agents.process import agent_process as process
from agents.process.events import ChoresDue, Events, HeartbeatDue, LookAround, SlotEndsDue, Workers
from agents.process.schedule import Schedule
from agents.redaction import secrets_of
from agents.settings.agent import AgentSettings, explain, load, nearly_ours, without_effect
from agents.settings.given import read_files
from agents.settings.inner_ce import inner_ce_options, known_options
from agents.slot.allocation import Slot
from agents.slot.build import build_slot_monitor
from agents.slot.command import Commands
from agents.slot.gpus import Gpu, find_gpus
from agents.slot.remote import RemoteSlot
from agents.slot.resources import find_slot
from agents.wms.kept_configuration import NAME as KEPT
from agents.wms.kept_configuration import Kept
from agents.wms.published import Published
from agents.wms.registry import vo_of
from agents.wms.service import Service
from agents.wms.transports import Transports
from ce_backends.base import ComputingElement, Queues
from ce_backends.cfg import Section
from ce_backends.errors import CEBroken, CEError, CEUnavailable
from ce_backends.linux.stdout import say
from ce_backends.parser import MOST_JOB_ID, Parser, whole
from ce_backends.registry import create

log = EventLog("agent")

_LOOK_AROUND_S = 5.0
_SLOT_ENDS_S = 180.0  # a batch system may lengthen or shorten a job
_END_OF_AGENT_S = 60.0  # an agent without its pilot hands its jobs back within that time


def parser() -> argparse.ArgumentParser:
    """Return the command line of the agent."""
    made = Parser(
        prog="python -m agents",
        description="Match DIRAC jobs and run them in this slot; or tell what became of them.",
    )
    made.add_argument(
        "command",
        nargs="?",
        choices=("run", "status", "explain", "report"),
        default="run",
        help="run: the agent (default); status: the jobs of a work directory; explain: one job of it; "
        "report: a page about the whole slot",
    )
    made.add_argument("job", nargs="?", type=whole(1, MOST_JOB_ID), help="which job to explain")
    cli.add_settings(made, work_dir="the ledger and the jobs", json="status, explain, report")
    made.add_argument(
        "--end-with", type=whole(1, 2**22), default=0, metavar="PID", help="end when this process, our parent, does"
    )
    made.add_argument("-O", "--output", type=Path, help="report: the page; default slot.html in the work directory")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the agent; errors become one sentence and an exit code here only."""
    arguments = parser().parse_args(argv)
    return cli.ended("agent", lambda: _obeyed(arguments), _verdict)


def _verdict(error: Exception) -> tuple[str, ExitCode]:
    """Return the sentence and the exit code that an error means; what the node lacks is no error of ours."""
    if isinstance(error, AgentError) and error.exit_code is not ExitCode.INTERNAL:
        return str(error), error.exit_code
    if isinstance(error, CEError) and not isinstance(error, CEBroken):
        return str(error), ExitCode.CONFIGURATION
    if sentence := lack(error):
        return f"the node cannot run an agent: {sentence}", ExitCode.NODE_UNFIT
    return f"internal error: {words(error)}; see agent.log", ExitCode.INTERNAL


def _obeyed(arguments: argparse.Namespace) -> int:
    work_dir = arguments.work_dir.resolve()
    if arguments.command == "status":
        return say(status(work_dir, as_json=arguments.json))
    if arguments.command == "explain":
        if arguments.job is None:
            raise ConfigurationError("explain: which job? expected its number")
        return say(explain_job(work_dir, arguments.job, as_json=arguments.json))
    if arguments.command == "report":
        return _report(work_dir, arguments.output, as_json=arguments.json)
    process.end_with(arguments.end_with)
    if arguments.explain:
        return say(cli.explained(explain(read_files(arguments.cfg, arguments.option)), as_json=arguments.json))
    # A pilot has the folder to itself: an agent that is there all the same has lost its pilot, and ends.
    patience_s = _END_OF_AGENT_S if arguments.end_with else 0.0
    if not arguments.end_with:
        load(read_files(arguments.cfg, arguments.option))  # nothing is written where it cannot run anyway
    with process.lock(work_dir, patience_s), _last_word(work_dir):
        return _run(read_files(arguments.cfg, arguments.option), work_dir, arguments.end_with)


@contextmanager
def _last_word(work_dir: Path) -> Iterator[None]:
    """Leave word of the error that ends the agent; whoever ends without one has left it already."""
    last_word.forget(work_dir)
    try:
        yield
    except Exception as error:
        last_word.leave(work_dir, *_verdict(error))
        raise


def _report(work_dir: Path, output: Path | None, *, as_json: bool) -> int:
    from agents.observability import slot_report  # noqa: PLC0415 - memory that an agent on its node does not need

    return say(
        slot_report.as_json(work_dir) if as_json else slot_report.write(work_dir, output or work_dir / "slot.html")
    )


def _run(local: Section, work_dir: Path, pilot_pid: int) -> int:
    """Settle everything that can be wrong, then work."""
    settings = load(local)
    _configure_log(settings, work_dir)
    for path, reason in without_effect(local):
        log.warning("option.without_effect", option=path, reason=reason)
    for sentence in (*local.all_slips(), *nearly_ours(local)):
        log.warning("option.misspelt", note=sentence)
    pilot = establish(settings, os.environ)
    transports = Transports(pilot, vo=settings.vo or pilot.vo or "unknown", setup=settings.setup)
    servers = settings.configuration_servers
    service = Service("Configuration/Server", servers, transports.of(None)) if servers else None
    kept = Kept(work_dir / KEPT, servers)
    published = Published(service, local, kept=kept, vo=lambda tree: vo_of(tree, settings.vo, pilot))
    published.load()
    settings = load(published.tree)
    ending = _work(published, settings, work_dir, transports, pilot_pid=pilot_pid)
    last_word.leave(work_dir, ending.reason, ending.exit_code, ending.tally.counts())
    if settings.slot_report_directory:
        from agents.observability import slot_report  # noqa: PLC0415 - memory that is needed only now

        slot_report.leave(work_dir, Path(settings.slot_report_directory), settings.pilot_reference)
    return ending.exit_code


def _configure_log(settings: AgentSettings, work_dir: Path) -> None:
    """Open the logs.

    Raises:
        ConfigurationError: one of them cannot be written.
    """
    pilot = settings.pilot_reference if settings.pilot_reference != "Unknown" else ""
    whose = Whose(pilot=pilot, site=settings.site, known=secrets_of(os.environ))
    json_file = work_dir / settings.json_log if settings.json_log else None
    try:
        configure(settings.log_level.upper(), work_dir / "agent.log", json_file=json_file, whose=whose)
    except OSError as error:
        raise ConfigurationError(f"{error.filename}: the log cannot be written: {error.strerror}") from error


def _work(
    published: Published, settings: AgentSettings, work_dir: Path, transports: Transports, *, pilot_pid: int
) -> Ending:
    """Run the agent's parts, and take them apart again whatever happens."""
    cfg = published.tree
    events = Events()
    process.bring_home(events)
    ledger = Ledger(work_dir / "ledger.sqlite")
    workers = Workers(events)
    schedule = Schedule(events)
    gpus = find_gpus(Path("/"), os.environ, Commands(os.environ))
    hidden = [work_dir, *secrets(transports.pilot, os.environ)]
    slot, ce = _slot_and_ce(cfg, settings, gpus, hidden, work_dir / "tasks")
    monitor = build_slot_monitor(
        cfg,
        settings,
        ledger,
        os.environ,
        work_dir=work_dir,
        processors=slot.processors,
        is_remote=isinstance(ce, Queues),
    )
    with ExitStack() as opened:  # closes all of it, whatever one of them says
        for one in (transports, ledger, ce, monitor):
            opened.push(_leaving(one.close))
        seen = observers.begin(ledger, settings, slot, pilot_pid)
        opened.push(_leaving(seen.close))
        given = wiring.Given(published, transports, events, ledger, workers, slot, gpus, monitor, ce, schedule, seen)
        agent = wiring.build(settings, work_dir, given)
        opened.push(_leaving(agent.close))
        opened.push(_leaving(schedule.stop))
        opened.push(_leaving(process.listen_no_more))
        schedule.every(settings.heartbeat_s, HeartbeatDue())
        schedule.every(_LOOK_AROUND_S, LookAround())
        schedule.every(wiring.CHORES_S, ChoresDue())
        schedule.every(_SLOT_ENDS_S, SlotEndsDue())
        process.listen(events, os.environ)
        process.collect_orphans()
        with suppress(CEUnavailable):  # asked for the first time it takes up, and ends, what an earlier agent left
            ce.slots()
        ending = agent.run()
        seen.life.ends(ending.reason)
        return ending


def _leaving(close: Callable[[], object]) -> Callable[[object, object, object], bool]:
    """Return what closes a part at the end; a part that cannot be closed hides no error that has ended the agent."""

    def leave(_kind: object, ended_by: object, _trace: object) -> bool:
        try:
            close()
        except Exception as error:
            if ended_by is None:
                raise
            log.warning("agent.not_closed", cause=words(error))
        return False

    return leave


def _slot_and_ce(
    cfg: Section, settings: AgentSettings, gpus: Sequence[Gpu], hidden: Sequence[Path], tasks_dir: Path
) -> tuple[Slot, ComputingElement]:
    """Return what there is to offer, and what runs the jobs: on this node, or behind somebody's queue."""
    chosen = inner_ce_options(cfg, settings)
    ce = create(settings.ce_type, chosen, tasks_dir)
    if isinstance(ce, Queues):
        return RemoteSlot(ce.places, settings.memory_mb, has_room=lambda: ce.slots().free_processors > 0), ce
    slot = find_slot(settings, gpus=gpus)
    return slot, create(settings.ce_type, _on_this_node(chosen, settings, slot, hidden), tasks_dir)


def _on_this_node(
    chosen: Mapping[str, str], settings: AgentSettings, slot: Slot, hidden: Sequence[Path]
) -> dict[str, str]:
    """Return the inner CE's options, with what the slot gives."""
    ours = {
        "NumberOfProcessors": str(slot.processors),
        "MinDiskSpace": str(settings.least_disk_mb),
        "HiddenPaths": ",".join(filter(None, (chosen.get("HiddenPaths"), *map(str, hidden)))),
    }
    known = known_options(settings.ce_type)
    return {**chosen, **{name: text for name, text in ours.items() if name in known}}
