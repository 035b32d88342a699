"""The command line: serve, submit, status, output, kill."""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.local_wms.home import VARIABLE, Endpoint, Home, LocalWmsError, default_home
from agents.local_wms.state_machine import JobStatus
from ce_backends.untrusted.text import printable, visible

if TYPE_CHECKING:
    from agents.local_wms.client import Client

COLUMNS = ("job", "name", "status", "minor status", "application status", "processors", "why waiting")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="python -m agents.local_wms", description="A WMS for one machine, for demos and tests. Not for the grid."
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--home", type=Path, default=default_home(), help=f"its directory (default: ${VARIABLE} or %(default)s)"
    )
    commands = top.add_subparsers(dest="command", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, parents=[common], help=text, description=text)

    add("serve", "run the server until Ctrl-C").add_argument("--port", type=int, default=0, help="0 for any free one")
    add("submit", "submit jobs").add_argument("jdl", nargs="+", type=Path, help="JDL files")
    status = add("status", "show jobs")
    status.add_argument("job", nargs="*", type=int, help="job ids (default: all)")
    status.add_argument("--json", action="store_true", help="for programs")
    output = add("output", "unpack a job's output sandbox")
    output.add_argument("job", type=int, help="job id")
    output.add_argument("--into", type=Path, help="directory (default: the job's id)")
    add("kill", "end jobs").add_argument("job", nargs="+", type=int, help="job ids")
    return top


def serve(arguments: argparse.Namespace) -> None:
    """Run the server, say once how to use it."""
    from agents.local_wms.server import serve as run  # noqa: PLC0415 - the other commands need no Tornado

    os.umask(0o077)  # keys, the database, other people's jobs
    try:
        run(Home(arguments.home.absolute()), arguments.port, announce)
    except OSError as error:
        raise LocalWmsError(f"can not serve on port {arguments.port} in {arguments.home}: {error}") from error


def announce(endpoint: Endpoint) -> None:
    """Print one line: where the server is, and how a pilot is started for it."""
    print(
        f"local WMS (for one machine, demos and tests) at {endpoint.url}; start a pilot:"
        f" X509_USER_PROXY={endpoint.pilot_proxy} X509_CERT_DIR={endpoint.ca_dir} python -m pilot"
        f" -n {endpoint.site} -N {endpoint.ce} -Q {endpoint.queue} --wnVO {endpoint.vo} -C {endpoint.configuration}",
        flush=True,
    )


def submit(arguments: argparse.Namespace) -> None:
    """Submit files in the order given; print the ids."""
    with _client(arguments) as client:
        for path in arguments.jdl:
            print(f"{path}:", *client.submit(path, _warn), flush=True)


def _warn(sentence: str) -> None:
    print(f"local WMS: warning: {visible(sentence)}", file=sys.stderr, flush=True)


def status(arguments: argparse.Namespace) -> None:
    """Print jobs as a table or as JSON."""
    with _client(arguments) as client:
        ids = arguments.job or client.call("JobMonitoring", "getJobs")
        jobs = client.call("JobMonitoring", "getJobsSummary", ids) if ids else {}
        parameters = client.call("JobMonitoring", "getJobParameters", ids) if ids else {}
    rows = [_status_row(job, jobs[job], parameters.get(job, {})) for job in map(str, ids) if job in jobs]
    if arguments.json:
        print(json.dumps(rows, indent=1))
    else:
        print(*_table(rows), sep="\n")
    _name_missing(ids, jobs)


def _name_missing(ids: Sequence[int], found: Mapping[str, object]) -> None:
    if missing := [job for job in ids if str(job) not in found]:
        raise LocalWmsError(f"no such job: {', '.join(map(str, missing))}")


def _status_row(job: str, attributes: dict[str, str], parameters: dict[str, str]) -> dict[str, Any]:
    values = (
        int(job),
        attributes["JobName"],
        attributes["Status"],
        attributes["MinorStatus"],
        attributes["ApplicationStatus"],
        parameters.get("NumberOfProcessors", ""),
        parameters.get("WhyWaiting", ""),
    )
    return dict(zip(COLUMNS, values, strict=True))


def _table(rows: list[dict[str, Any]]) -> list[str]:
    lines = [COLUMNS, *(tuple(printable(str(row[column]), 200) for column in COLUMNS) for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(COLUMNS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def output(arguments: argparse.Namespace) -> None:
    """Unpack an output sandbox; print the files."""
    into = arguments.into or Path(str(arguments.job))
    with _client(arguments) as client:
        print(*(visible(str(path)) for path in client.output(arguments.job, into)), sep="\n")


def kill(arguments: argparse.Namespace) -> None:
    """End jobs; print of each what was done, or why nothing was."""
    with _client(arguments) as client:
        before = client.call("JobMonitoring", "getJobsStatus", arguments.job)
        client.call("JobManager", "killJob", arguments.job)
        after = client.call("JobMonitoring", "getJobsStatus", arguments.job)
    for job in before:
        print(f"{job}: {_killed(before[job]['Status'], after[job]['Status'])}")
    _name_missing(arguments.job, before)


def _killed(before: str, after: str) -> str:
    if after == JobStatus.KILLED != before:
        return f"killed, it was {before}"
    return f"not killed, it is {after} already"


def _client(arguments: argparse.Namespace) -> "Client":
    from agents.local_wms.client import connect  # noqa: PLC0415 - the server needs no requests

    return connect(Home(arguments.home).read_endpoint())


COMMANDS = {"serve": serve, "submit": submit, "status": status, "output": output, "kill": kill}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; what goes wrong is one sentence on stderr and exit code 1."""
    arguments = parser().parse_args(argv)
    try:
        COMMANDS[arguments.command](arguments)
    except LocalWmsError as error:
        print(f"local WMS: {printable(str(error), 2000)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
