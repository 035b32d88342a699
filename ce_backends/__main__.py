"""`gridpilot ce`, or `python -m ce_backends`: list, describe, validate, plan and test computing elements."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ce_backends.cli import commands, lab, new, trial
from ce_backends.errors import CEError, CEMisconfigured, CEUnavailable
from ce_backends.linux.stdout import reader_gone
from ce_backends.parser import Parser, seconds, whole
from ce_backends.untrusted.text import visible

_SUBJECT = "FILE, a configuration in DIRAC's CFG, or a CE type with -o OPTION=VALUE"

_OPTION = "one option; wins over FILE"
_AT_ONCE = "clauses tried at the same time, each as an agent of its own (default: 1); more where the queue is slow"
_CLAUSE = "only this clause, by its name or in its words; may be said several times"
_WHICH = "of several CEs in FILE, this one: CE, CE/QUEUE or LocalSite"


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    top = Parser(prog="gridpilot ce", description="The computing elements gridpilot can use.")
    commands_ = top.add_subparsers(dest="command", required=True)

    def add(name: str, does: str) -> argparse.ArgumentParser:
        command = commands_.add_parser(name, help=does, description=does)
        command.add_argument("--json", action="store_true", help="print JSON")
        return command

    add("list", "name all CE types, and say what this machine can do")
    add("describe", "show the options of a CE type, with an example").add_argument("ce_type", metavar="TYPE")
    made = add("new", "write a distribution with a CE type of your own, to begin with: class, test, CI file")
    made.add_argument(
        "name", metavar="NAME", help="of the CE type, as in CEType = NAME: letters and digits, a capital first"
    )
    made.add_argument("--into", type=Path, metavar="DIRECTORY", help="a new one (default: NAME in lower case, and -ce)")
    started = add("lab", "start a real batch system on this machine, to try a CE against it; alone: list them")
    started.add_argument("system", nargs="?", metavar="SYSTEM", help=f"one of {', '.join(lab.SYSTEMS)}")
    started.add_argument(
        "action",
        nargs="?",
        choices=lab.ACTIONS,
        default="status",
        help="up: start it; status (default); env: what a shell needs for its commands; down: end it and its jobs",
    )
    for name, does in (
        ("validate", "check a configuration: every mistake, with its place and what was expected"),
        ("plan", "show what would be submitted, and submit nothing"),
        ("test", "submit small tasks to the real CE and judge every clause of the contract"),
    ):
        command = add(name, does)
        command.add_argument("subject", metavar="FILE|TYPE", help=_SUBJECT)
        command.add_argument("-o", dest="options", action="append", default=[], metavar="OPTION=VALUE", help=_OPTION)
        command.add_argument("--ce", default="", metavar="NAME", help=_WHICH)
        if name == "test":
            command.add_argument(
                "--deadline", type=seconds(), default=300.0, metavar="S", help="per step (default: 300)"
            )
            command.add_argument("--at-once", type=whole(1, 1000), default=1, metavar="N", help=_AT_ONCE)
            command.add_argument("--clause", action="append", default=[], metavar="NAME", help=_CLAUSE)
            command.add_argument("--junit", type=Path, metavar="FILE", help="write the verdicts as JUnit's XML too")
            command.add_argument("--quick", action="store_true", help="only run one task, and cancel one")
            command.add_argument("--work-dir", type=Path, help="where to work (default: a temporary directory)")
    return top


def _done(arguments: argparse.Namespace) -> int:
    run: Mapping[str, Callable[[argparse.Namespace], int]] = {
        "list": commands.list_types,
        "describe": commands.describe,
        "validate": commands.validate,
        "plan": commands.plan,
        "test": trial.test,
        "new": new.new,
        "lab": lab.lab,
    }
    exit_code = run[arguments.command](arguments)
    sys.stdout.flush()
    return exit_code


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 for well, 1 for a fault of the CE, 2 for wrong use or configuration, 3 for a CE that cannot be reached,
        141 when the reader of our output is gone.
    """
    os.umask(0o077)
    arguments = parser().parse_args(argv)
    try:
        return _done(arguments)
    except BrokenPipeError:
        return reader_gone()
    except CEUnavailable as error:
        print(f"gridpilot ce: the CE cannot be used now: {visible(str(error))}", file=sys.stderr)
        return commands.UNAVAILABLE
    except CEMisconfigured as error:
        print(f"gridpilot ce: {visible(str(error))}", file=sys.stderr)
        return commands.WRONG_USE
    except CEError as error:
        print(f"gridpilot ce: {visible(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("gridpilot ce: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
