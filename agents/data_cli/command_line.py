"""The data commands' line: what was asked for is done, and errors become one sentence and an exit code here."""

import argparse
import json
import logging
import os
import signal
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from agents import cli
from agents.data.errors import GivenUp, TransferError
from agents.data.lfn import BadLfn
from agents.data_cli import moving, publishing, reading
from agents.data_cli.opening import opened
from agents.data_cli.outcome import Exit, Outcome
from agents.errors import AgentError, ExitCode, ServiceError
from agents.jobs.unforeseen import lack, words
from ce_backends.errors import CEError
from ce_backends.linux.stdout import say
from ce_backends.parser import Parser

_EXITS = "Exit codes: 0 all was done; 1 some, or all, was not; 2 wrong usage or configuration; "
_EXITS += "3 no usable proxy; 4 a service is missing; 130 interrupted: the same command goes on."


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = Parser(
        prog="gridpilot data",
        description="Files of the catalogue and of storage elements, with your proxy.",
        epilog=_EXITS,
    )
    common = Parser(add_help=False)
    common.add_argument(
        "--cfg", action="append", default=[], type=Path, help="CFG file; later ones win; otherwise pilot.cfg"
    )
    common.add_argument("-C", "--configuration-server", default="", metavar="URL", help="of the Configuration service")
    common.add_argument("--proxy", type=Path, help="otherwise X509_USER_PROXY")
    common.add_argument("--json", action="store_true", help="for programs")
    commands = made.add_subparsers(dest="command", required=True)
    ls = commands.add_parser("ls", parents=[common], help="what the catalogue knows in a directory")
    ls.add_argument("path", metavar="PATH")
    replicas = commands.add_parser("replicas", parents=[common], help="which elements hold files")
    replicas.add_argument("lfns", nargs="+", metavar="LFN")
    get = commands.add_parser("get", parents=[common], help="bring files here")
    get.add_argument("lfns", nargs="+", metavar="LFN")
    get.add_argument("-o", "--output", type=Path, default=Path(), metavar="DIR", help="default: here")
    put = commands.add_parser("put", parents=[common], help="bring a file to an element, and make it known")
    put.add_argument("file", type=Path, metavar="FILE")
    put.add_argument("lfn", metavar="LFN")
    put.add_argument("element", nargs="?", default="", metavar="SE", help="otherwise one of SE-USER")
    register = commands.add_parser("register", parents=[common], help="make known what lies in an element's directory")
    register.add_argument("element", metavar="SE")
    register.add_argument("directory", metavar="DIR", help="an LFN")
    register.add_argument("--journal", type=Path, help="default: register-SE-….sqlite, here")
    register.add_argument(
        "--checksum", choices=("element", "read"), default="element", help="read: files whose checksum it does not tell"
    )
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Do what was asked; errors become one sentence and an exit code here only."""
    arguments = parser().parse_args(argv)
    ours = logging.getLogger("gridpilot")  # what was tried is told in the sentences
    ours.addHandler(logging.NullHandler())
    ours.propagate = False
    stopping = _stopping()
    try:
        with ExitStack() as closing:
            outcome = _obeyed(arguments, stopping, closing)
    except Exception as error:  # noqa: BLE001 - the outermost door
        sentence, exit_code = _verdict(error)
        cli.complain("data", sentence)
        return exit_code
    for sentence in outcome.failed:
        cli.complain("data", sentence)
    text = json.dumps(outcome.told, indent=1) if arguments.json else outcome.text
    exit_code = Exit.INTERRUPTED if stopping.is_set() and outcome.failed else outcome.exit_code
    return say(text, exit_code) if text else exit_code


def _stopping() -> threading.Event:
    """Return what is set by the first Ctrl-C, or by SIGTERM; a second one ends the command where it stands."""
    event = threading.Event()

    def stop(number: int, _frame: object) -> None:
        event.set()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return event


def _obeyed(arguments: argparse.Namespace, stopping: threading.Event, closing: ExitStack) -> Outcome:
    who = opened(arguments, os.environ, closing)
    match arguments.command:
        case "ls":
            return reading.listed(who.access, arguments.path)
        case "replicas":
            return reading.replicas(who.access, arguments.lfns)
        case "get":
            return moving.got(who.access, arguments.lfns, arguments.output, stopping.is_set)
        case "put":
            return moving.put(who.access, arguments.file, arguments.lfn, arguments.element, stopping.is_set)
    return publishing.registered(
        who,
        arguments.element,
        arguments.directory,
        journal=arguments.journal,
        reads=arguments.checksum == "read",
        stopping=stopping,
    )


def _verdict(error: Exception) -> tuple[str, int]:
    if isinstance(error, GivenUp):
        return "interrupted; the same command goes on where it was", Exit.INTERRUPTED
    if isinstance(error, TransferError | ServiceError):
        return str(error), Exit.SOME_FAILED
    if isinstance(error, BadLfn | CEError):
        return str(error), ExitCode.CONFIGURATION
    if isinstance(error, AgentError) and error.exit_code is not ExitCode.INTERNAL:
        return str(error), error.exit_code
    if sentence := lack(error):
        return f"this machine cannot do it: {sentence}", ExitCode.NODE_UNFIT
    return f"internal error: {words(error)}", ExitCode.INTERNAL
