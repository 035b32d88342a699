"""The SiteDirector's command line: what was asked for is done, and errors become one sentence and an exit code here."""

import argparse
import os
import queue
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from agents.credentials.identity import establish
from agents.errors import AgentError, ConfigurationError, ExitCode
from agents.jobs.unforeseen import keep_traceback, lack, words
from agents.log import EventLog, Whose, configure
from agents.process import agent_process
from agents.redaction import redacted, secrets_of
from agents.settings import site_director as table
from agents.settings.given import read_files
from agents.settings.option import SITE_DIRECTOR
from agents.settings.site_director import SiteDirectorSettings
from agents.site_director import build, shown
from agents.site_director.director import Event, Stop
from agents.site_director.ledger import NAME, PilotLedger
from agents.site_director.local_endpoint import of_local_wms
from agents.site_director.queues import queues_of
from agents.wms.published import Published
from agents.wms.service import Service
from agents.wms.transports import Transports
from ce_backends.cfg import Section
from ce_backends.errors import CEError
from ce_backends.linux.stdout import say
from ce_backends.untrusted.text import visible

log = EventLog("site_director")

COMMANDS = ("run", "status", "plan", "why", "hold", "release")


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(
        prog="python -m agents.site_director", description="Submit pilots where and when there is work."
    )
    made.add_argument(
        "command",
        nargs="?",
        choices=COMMANDS,
        default="run",
        help="run (default); status: queues and pilots of a work directory; plan: what would be submitted now; "
        "why STAMP or QUEUE: why a pilot ended, why a queue gets none; hold QUEUE: submit nothing there; release QUEUE",
    )
    made.add_argument("subject", nargs="?", default="", help="of why, hold, release")
    made.add_argument("--cfg", action="append", default=[], type=Path, help="CFG file; may be given again, later wins")
    made.add_argument("-o", "--option", action="append", default=[], metavar="/PATH=VALUE", help="one option over them")
    made.add_argument("--work-dir", type=Path, default=Path(), help="where the ledger and what CEs remember live")
    made.add_argument("--local", type=Path, metavar="HOME", help="work for the local WMS in this directory")
    made.add_argument("-y", "--ce-type", default="", help="with --local: type of the one CE, instead of CFG files")
    made.add_argument("-c", "--ce-option", action="append", default=[], metavar="NAME=VALUE", help="of that CE")
    made.add_argument("--explain", action="store_true", help="print each setting with its value and origin, and end")
    made.add_argument("--json", action="store_true", help="status, plan: for programs")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Do what was asked; errors become one sentence and an exit code here only."""
    arguments = parser().parse_args(argv)
    try:
        return _obeyed(arguments)
    except Exception as error:  # noqa: BLE001 - the outermost door
        sentence, exit_code = _verdict(error)
        if exit_code is ExitCode.INTERNAL:
            keep_traceback(error)
        with suppress(OSError):  # nobody may be there any more who reads it
            print(f"site director: {visible(redacted(sentence))}", file=sys.stderr, flush=True)
        return exit_code


def _verdict(error: Exception) -> tuple[str, ExitCode]:
    if isinstance(error, AgentError):
        return str(error), error.exit_code
    if isinstance(error, CEError):
        return str(error), ExitCode.CONFIGURATION
    if sentence := lack(error):
        return f"this machine cannot run it: {sentence}", ExitCode.NODE_UNFIT
    return f"internal error: {words(error)}; see site_director.log", ExitCode.INTERNAL


def _obeyed(arguments: argparse.Namespace) -> int:
    work_dir = arguments.work_dir.resolve()
    is_job = arguments.command == "why" and arguments.subject.isdecimal()
    if arguments.command in ("status", "hold", "release", "why") and not is_job:
        return _from_the_ledger(arguments, work_dir)
    cfg = read_files(arguments.cfg, [])
    if arguments.local:
        cfg = of_local_wms(arguments.local, arguments.ce_type, arguments.ce_option).merge(cfg)
    cfg = cfg.merge(read_files([], arguments.option))
    if arguments.explain:
        rows = (f"{r.path} = {r.shown} {r.unit}".rstrip() + f"   [{r.origin}]  {r.doc}" for r in table.explain(cfg))
        return say("\n".join(rows))
    if arguments.command in ("plan", "why"):
        with ExitStack() as opened:
            given = _given(cfg, work_dir, opened)
            if is_job:
                return say(shown.why_job(given, int(arguments.subject[:18])))
            return say(shown.plan(given, as_json=arguments.json))
    with agent_process.lock(work_dir):
        return _run(cfg, work_dir)


def _from_the_ledger(arguments: argparse.Namespace, work_dir: Path) -> int:
    if not (work_dir / NAME).is_file():
        raise ConfigurationError(f"{work_dir}: no SiteDirector has worked here: there is no {NAME}")
    if arguments.command != "status" and not arguments.subject:
        raise ConfigurationError(f"{arguments.command}: of what? expected a name")
    ledger = PilotLedger(work_dir / NAME)
    try:
        match arguments.command:
            case "status":
                return say(shown.status(ledger, as_json=arguments.json))
            case "why":
                return say(shown.why(ledger, arguments.subject, work_dir / "outputs"))
            case "hold":
                ledger.hold(arguments.subject, "by hand")
                return say(f"{arguments.subject}: nothing is submitted there until `release {arguments.subject}`")
            case _:
                ledger.release(arguments.subject)
                return say(f"{arguments.subject}: pilots are submitted there again")
    finally:
        ledger.close()


def _run(cfg: Section, work_dir: Path) -> int:
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    with ExitStack() as opened:
        given = _given(cfg, work_dir, opened, to_file=True)
        director = build.build(given, events, opened)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _frame: events.put(Stop(signal.Signals(number).name)))
        log.info("director.begins", queues=[each.name for each in given.queues], vo=given.settings.vo)
        reason = director.run()
        log.info("director.ends", reason=reason)
        return ExitCode.ENDED


def _given(cfg: Section, work_dir: Path, opened: ExitStack, *, to_file: bool = False) -> build.Given:
    """Settle everything that can be wrong."""
    settings = table.load(cfg)
    if to_file:
        _configure_log(settings, work_dir)
        _tell_slips(cfg)
    identity = establish(settings, os.environ)
    settings = build.with_vo(settings, identity)
    transports = Transports(identity, vo=settings.vo or "unknown", setup=settings.setup)
    opened.callback(transports.close)
    servers = settings.configuration_servers
    service = Service("Configuration/Server", servers, transports.of(None)) if servers else None
    published = Published(service, cfg)
    published.load()
    settings = build.with_vo(table.load(published.tree), identity)
    queues, notes = queues_of(published.tree, settings)
    for note in notes:
        log.info("queue.note", note=note)
    return build.Given(settings, published, transports, queues, work_dir)


def _tell_slips(cfg: Section) -> None:
    for name, _ in cfg.section(SITE_DIRECTOR).options():
        if name in table.WITHOUT_EFFECT:
            log.warning("option.without_effect", option=name, reason=table.WITHOUT_EFFECT[name])
    for sentence in cfg.all_slips():
        log.warning("option.misspelt", note=sentence)


def _configure_log(settings: SiteDirectorSettings, work_dir: Path) -> None:
    try:
        whose = Whose(known=secrets_of(os.environ))
        configure(settings.log_level.upper(), work_dir / "site_director.log", whose=whose)
    except OSError as error:
        raise ConfigurationError(f"{error.filename}: the log cannot be written: {error.strerror}") from error
