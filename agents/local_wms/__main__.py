"""The command line: serve, submit, status, wait, output, kill, pilot, web."""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from agents.local_wms import throwaway, waiting
from agents.local_wms.command_words import DAY_S, parser
from agents.local_wms.home import Endpoint, Home, LocalWmsError, default_home
from agents.local_wms.state_machine import JobStatus
from ce_backends import screen
from ce_backends.untrusted.text import printable, visible

if TYPE_CHECKING:
    from agents.local_wms.client import Client

COLUMNS = ("job", "name", "status", "minor status", "application status", "processors", "why waiting")
ALWAYS = ("job", "name", "status", "minor status")
NOTHING = ("", "Unknown")


def serve(arguments: argparse.Namespace) -> None:
    """Run the server, say once how to use it."""
    from agents.local_wms.server import serve as run  # noqa: PLC0415 - the other commands need no Tornado

    os.umask(0o077)  # keys, the database, other people's jobs
    try:
        run(Home(arguments.home.absolute()), arguments.port, announce)
    except OSError as error:
        raise LocalWmsError(
            f"{arguments.home}: cannot serve here on port {arguments.port}: {error.strerror}"
        ) from error


def announce(endpoint: Endpoint) -> None:
    """Print where the server is, and how jobs and a pilot come to it."""
    home = Path(endpoint.ca_dir).parents[1]
    at = "" if home == default_home().absolute() else f" --home {shlex.quote(str(home))}"
    lines = [f"local WMS (one machine; demos and tests) at {endpoint.url}; Ctrl-C ends it. In another terminal:"]
    lines += [f"  gridpilot wms{at} submit JOB.jdl", f"  gridpilot wms{at} pilot", f"  gridpilot wms{at} status"]
    print(*lines, sep="\n", flush=True)


def submit(arguments: argparse.Namespace) -> int:
    """Submit files in the order given; print the ids."""
    made = {}
    with _client(arguments) as client:
        for path in arguments.jdl:
            made[str(path)] = client.submit(path, _warn)
            if not arguments.json:
                print(f"{path}:", *made[str(path)], flush=True)
        if arguments.json:
            print(json.dumps(made, indent=1), flush=True)
        ids = [job for jobs in made.values() for job in jobs]
        return waiting.until_ended(client, ids, DAY_S, sys.stderr) if arguments.wait else 0


def _warn(sentence: str) -> None:
    print(f"local WMS: warning: {visible(sentence)}", file=sys.stderr, flush=True)


def status(arguments: argparse.Namespace) -> None:
    """Print jobs as a table or as JSON."""
    with _client(arguments) as client:
        ids = arguments.job or client.call("JobMonitoring", "getJobs")
        ids = sorted(map(int, ids))[-arguments.last :] if arguments.last else ids
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
    """Return a table without the columns in which nothing stands."""
    kept = [column for column in COLUMNS if column in ALWAYS or any(row[column] not in NOTHING for row in rows)]
    return screen.table([kept, *([printable(str(row[column]), 200) for column in kept] for row in rows)])


def wait(arguments: argparse.Namespace) -> int:
    """Wait for jobs; 0 if all of them are Done."""
    with _client(arguments) as client:
        code = waiting.until_ended(client, arguments.job, arguments.deadline, sys.stderr)
    if arguments.json:
        arguments.last = 0
        status(arguments)
    return code


def output(arguments: argparse.Namespace) -> None:
    """Unpack an output sandbox; print the files."""
    into = arguments.into or Path(str(arguments.job))
    with _client(arguments) as client:
        files = [str(path) for path in client.output(arguments.job, into)]
    print(json.dumps(files, indent=1) if arguments.json else "\n".join(map(visible, files)))


def kill(arguments: argparse.Namespace) -> None:
    """End jobs; print of each what was done, or why nothing was."""
    with _client(arguments) as client:
        before = client.call("JobMonitoring", "getJobsStatus", arguments.job)
        client.call("JobManager", "killJob", arguments.job)
        after = client.call("JobMonitoring", "getJobsStatus", arguments.job)
    told = {job: _killed(before[job]["Status"], after[job]["Status"]) for job in before}
    print(json.dumps(told, indent=1) if arguments.json else "\n".join(f"{job}: {said}" for job, said in told.items()))
    _name_missing(arguments.job, before)


def pilot(arguments: argparse.Namespace) -> NoReturn:
    """Become a pilot for the server."""
    endpoint = Home(arguments.home).read_endpoint()
    work_dir = (arguments.work_dir or Path(arguments.home, "pilot")).absolute()
    processors = str(max(1, len(os.sched_getaffinity(0))))
    words = [*throwaway.pilot_words(endpoint), "-P", processors, "--PollingTime", "1", "--StopAfterFailedMatches", "3"]
    command = [sys.executable, "-m", "pilot", *words, "--work-dir", str(work_dir), *arguments.option]
    os.execve(sys.executable, command, {**os.environ, **throwaway.pilot_environment(endpoint)})  # noqa: S606 - ours


def web(arguments: argparse.Namespace) -> int:
    """Show the page to a browser."""
    from agents.local_wms import browser  # noqa: PLC0415 - the other commands need no server

    return browser.show(Home(arguments.home).read_endpoint(), arguments.port)


def _killed(before: str, after: str) -> str:
    if after == JobStatus.KILLED != before:
        return f"killed, it was {before}"
    return f"not killed, it is {after} already"


def _client(arguments: argparse.Namespace) -> "Client":
    from agents.local_wms.client import connect  # noqa: PLC0415 - the server needs no requests

    return connect(Home(arguments.home).read_endpoint())


COMMANDS: Mapping[str, Callable[[argparse.Namespace], int | None]] = {
    "serve": serve,
    "submit": submit,
    "status": status,
    "wait": wait,
    "output": output,
    "kill": kill,
    "pilot": pilot,
    "web": web,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; what goes wrong is one sentence on stderr and exit code 1."""
    arguments = parser().parse_args(argv)
    try:
        return COMMANDS[arguments.command](arguments) or 0
    except KeyboardInterrupt:
        print("local WMS: interrupted", file=sys.stderr)
        return 130
    except LocalWmsError as error:
        print(f"local WMS: {printable(str(error), 2000)}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
