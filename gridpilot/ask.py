"""What `gridpilot` itself reads the words of: status, explain, report, doctor."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from ce_backends.parser import MOST_JOB_ID, Parser, whole


def status_parser() -> argparse.ArgumentParser:
    """Return the options of `status`."""
    return _of_work_dir("status", "The jobs of a pilot's work directory, those in hand first.")


def explain_parser() -> argparse.ArgumentParser:
    """Return the options of `explain`."""
    made = _of_work_dir("explain", "What became of a job: what it got, why it ended, what the WMS was told.")
    made.add_argument("job", type=whole(1, MOST_JOB_ID), metavar="JOB", help="its number")
    return made


def report_parser() -> argparse.ArgumentParser:
    """Return the options of `report`."""
    made = _of_work_dir("report", "One HTML page about a slot.")
    made.add_argument("-O", "--output", type=Path, metavar="FILE", help="the page (default: slot.html in DIR)")
    return made


def jobexec_parser() -> argparse.ArgumentParser:
    """Return the options of `jobexec`, for its help; it reads its words itself."""
    made = Parser(prog="gridpilot jobexec", description="Run a workflow of DIRAC's Job API.")
    made.add_argument("workflow", metavar="FILE", help="jobDescription.xml")
    made.add_argument("-p", "--parameter", action="append", metavar="NAME=VALUE", help="a parameter of the workflow")
    made.add_argument("--go-on", action="store_true", help="after a step that failed, too")
    made.add_argument("--needs", action="store_true", help="tell in JSON what else it would take; run nothing")
    return made


def status(words: Sequence[str]) -> int:
    """List the jobs."""
    return _agents("status", status_parser().parse_args(words))


def explain(words: Sequence[str]) -> int:
    """Tell of one job."""
    asked = explain_parser().parse_args(words)
    return _agents("explain", asked, str(asked.job))


def report(words: Sequence[str]) -> int:
    """Write the page."""
    asked = report_parser().parse_args(words)
    return _agents("report", asked, *(["-O", str(asked.output)] if asked.output else []))


def doctor(words: Sequence[str]) -> int:
    """Examine this node with the pilot's own options, for packages in each other's place first."""
    from gridpilot import packages  # noqa: PLC0415 - these commands are asked for one at a time
    from pilot import __main__  # noqa: PLC0415

    clashes = packages.clashes()
    for clash in clashes:
        packages.complain(clash)
    code = __main__.main(["doctor", *words])
    return max(code, 2) if clashes else code


def _of_work_dir(name: str, does: str) -> argparse.ArgumentParser:
    made = Parser(prog=f"gridpilot {name}", description=does)
    made.add_argument("--work-dir", type=Path, default=Path(), metavar="DIR", help="of the pilot (default: here)")
    made.add_argument("--json", action="store_true", help="for programs")
    return made


def _agents(command: str, asked: argparse.Namespace, *more: str) -> int:
    from agents import command_line  # noqa: PLC0415 - heavy; the help does without it

    os.umask(0o077)
    words = [command, *more, "--work-dir", str(asked.work_dir), *(["--json"] if asked.json else [])]
    return command_line.main(words)
