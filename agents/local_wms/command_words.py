"""The words and options of `gridpilot wms`."""

import argparse
from pathlib import Path

from agents.local_wms.home import VARIABLE, default_home
from ce_backends.parser import MOST_JOB_ID, Parser, seconds, whole

DAY_S = 86400.0

_JOB = whole(1, MOST_JOB_ID)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = Parser(prog="gridpilot wms", description="A WMS for one machine, for demos and tests. Not for the grid.")
    home_help = f"its directory (default: ${VARIABLE} or ~/.gridpilot/local-wms)"
    top.add_argument("--home", type=Path, metavar="HOME", default=default_home(), help=home_help)
    common = Parser(add_help=False)  # the same after the word; it keeps what stands before
    common.add_argument("--home", type=Path, metavar="HOME", default=argparse.SUPPRESS, help=home_help)
    commands = top.add_subparsers(dest="command", required=True)

    def add(name: str, text: str, *, as_json: bool = True) -> argparse.ArgumentParser:
        made = commands.add_parser(name, parents=[common], help=text, description=text)
        if as_json:
            made.add_argument("--json", action="store_true", help="for programs")
        return made

    _of_server(add("serve", "run the server until Ctrl-C", as_json=False))
    submit = add("submit", "submit jobs")
    submit.add_argument("jdl", nargs="+", type=Path, metavar="JDL", help="JDL files")
    submit.add_argument("--wait", action="store_true", help="until they have ended, as `wait` does")
    status = add("status", "show jobs")
    status.add_argument("job", nargs="*", type=_JOB, help="job ids (default: all)")
    status.add_argument("--last", type=whole(1, MOST_JOB_ID), metavar="N", default=0, help="only the newest N")
    wait = add("wait", "wait until jobs have ended; exit code 1 if one is not Done")
    wait.add_argument("job", nargs="+", type=_JOB, help="job ids")
    wait.add_argument(
        "--deadline", type=seconds(), default=DAY_S, metavar="S", help="give up after that (default: a day)"
    )
    output = add("output", "unpack a job's output sandbox")
    output.add_argument("job", type=_JOB, help="job id")
    output.add_argument("--into", type=Path, metavar="DIR", help="directory (default: the job's id)")
    add("kill", "end jobs").add_argument("job", nargs="+", type=_JOB, help="job ids")
    pilot = add("pilot", "run a pilot for it on this machine, until no job is left that fits", as_json=False)
    pilot.add_argument("--work-dir", type=Path, metavar="DIR", help="of the pilot (default: pilot in HOME)")
    pilot.add_argument("option", nargs="*", help="the pilot's own, after --")
    _of_server(add("web", "show its page to a browser on this machine, until Ctrl-C", as_json=False))
    return top


def _of_server(made: argparse.ArgumentParser) -> None:
    made.add_argument("--port", type=whole(0, 65535), default=0, help="0 for any free one (default)")
