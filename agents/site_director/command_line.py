"""The SiteDirector's command line: what was asked for is done, and errors become one sentence and an exit code here."""

import argparse
import os
import queue
import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from agents import cli
from agents.credentials.identity import establish
from agents.errors import AgentError, ConfigurationError, ExitCode
from agents.jobs.unforeseen import lack, words
from agents.log import EventLog, Whose, configure
from agents.process import agent_process
from agents.redaction import secrets_of
from agents.settings import site_director as table
from agents.settings.given import read_files
from agents.settings.option import SITE_DIRECTOR
from agents.settings.site_director import SiteDirectorSettings
from agents.site_director import build, ce_trial, metrics, page, shown
from agents.site_director.director import Event, Stop
from agents.site_director.ledger import NAME, PilotLedger
from agents.site_director.local_endpoint import of_local_wms
from agents.site_director.queues import queues_of
from agents.wms.published import Published
from agents.wms.registry import vo_of
from agents.wms.service import Service
from agents.wms.transports import Transports
from ce_backends.cfg import Section
from ce_backends.errors import CEError
from ce_backends.linux.stdout import say
from ce_backends.parser import Parser

log = EventLog("site_director")

COMMANDS = ("run", "status", "plan", "why", "hold", "release", "test", "page", "metrics")
_OF_THE_LEDGER = ("status", "hold", "release", "why", "page", "metrics")


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = Parser(prog="gridpilot site-director", description="Submit pilots where and when there is work.")
    made.add_argument(
        "command",
        nargs="?",
        choices=COMMANDS,
        metavar="COMMAND",
        default="run",
        help="run (default); status: queues and pilots of a work directory; plan: what would be submitted now; "
        "why STAMP or QUEUE: why a pilot ended, why a queue gets none; hold QUEUE: submit nothing there; release QUEUE "
        "ends that; test CE: a small task and two clauses of the contract on its queues; page: queues, waits and costs "
        "as HTML; metrics: the same for Prometheus",
    )
    made.add_argument("subject", nargs="?", default="", help="of why, hold, release, test")
    cli.add_settings(made, work_dir="the ledger and what CEs remember", json="status, plan, test")
    made.add_argument("--local", type=Path, metavar="HOME", help="work for the local WMS in this directory")
    made.add_argument("-y", "--ce-type", default="", help="with --local: type of the one CE, instead of CFG files")
    made.add_argument("-c", "--ce-option", action="append", default=[], metavar="NAME=VALUE", help="of that CE")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Do what was asked; errors become one sentence and an exit code here only."""
    arguments = parser().parse_args(argv)
    return cli.ended("site director", lambda: _obeyed(arguments), _verdict)


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
    if arguments.command in _OF_THE_LEDGER and not is_job:
        return _from_the_ledger(arguments, work_dir)
    cfg = read_files(arguments.cfg, [])
    if arguments.local:
        cfg = of_local_wms(arguments.local, arguments.ce_type, arguments.ce_option).merge(cfg)
    cfg = cfg.merge(read_files([], arguments.option))
    if arguments.explain:
        return say(cli.explained(table.explain(cfg), as_json=arguments.json))
    if arguments.command in ("plan", "why", "test"):
        with ExitStack() as opened:
            given = _given(cfg, work_dir, opened)
            if arguments.command == "test":
                return ce_trial.test(given.queues, arguments.subject, as_json=arguments.json)
            if is_job:
                return say(shown.why_job(given, int(arguments.subject[:18])))
            return say(shown.plan(given, as_json=arguments.json))
    with agent_process.lock(work_dir):
        return _run(cfg, work_dir)


def _from_the_ledger(arguments: argparse.Namespace, work_dir: Path) -> int:
    if not (work_dir / NAME).is_file():
        raise ConfigurationError(f"{work_dir}: no SiteDirector has worked here: there is no {NAME}")
    if arguments.command in ("hold", "release", "why") and not arguments.subject:
        raise ConfigurationError(f"{arguments.command}: of what? expected a name")
    ledger = PilotLedger(work_dir / NAME)
    try:
        match arguments.command:
            case "status":
                return say(shown.status(ledger, as_json=arguments.json))
            case "page":
                return say(page.text(ledger, time.time()))
            case "metrics":
                return say(metrics.text(ledger, time.time()))
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
    published = Published(service, cfg, vo=lambda tree: vo_of(tree, table.load(tree).vo, identity))
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
