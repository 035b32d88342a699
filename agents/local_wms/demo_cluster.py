"""`make demo-cluster`: a local WMS, the SiteDirector and a real Slurm on this machine; a hundred jobs, a live table."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from agents.local_wms import demo, throwaway
from agents.local_wms.client import Client, connect
from agents.local_wms.home import Home
from agents.local_wms.testing import running
from ce_backends.parser import Parser, whole

ROOT = Path(__file__).parents[2]
SLURM = ROOT / "tests" / "clusters" / "slurm"
SECTION = "/Systems/WorkloadManagement/Agents/SiteDirector"
DEADLINE_S = 600.0
SIZES = (1, 2, 3, 4)
PILOT = 4  # processors of a pilot
PILOTS = 8  # at a time: each is some processes, and this is one machine
UP_S, DOWN_S, ASK_S, STOP_S = 900.0, 120.0, 60.0, 30.0
_JDL = """\
JobName = "{size} processors";
Executable = "/bin/sh";
Arguments = "-c 'sleep 1; echo ran on $DIRAC_JOB_PROCESSORS'";
NumberOfProcessors = {size};
StdOutput = "std.out";
OutputSandbox = {{"std.out"}};
Parameters = {number};
"""


class CannotRun(Exception):
    """The demo cannot be had here; why."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A real Slurm, and what its clients need."""

    env: Mapping[str, str]
    version: str

    def jobs(self) -> int:
        """Return how many jobs are in its queue."""
        environment = {**os.environ, **self.env}
        argv = ["squeue", "-h", "-r", "-o", "%i"]
        done = subprocess.run(argv, env=environment, check=True, capture_output=True, text=True, timeout=ASK_S)
        return len(done.stdout.split())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; 0 only if every job is Done and nothing is left."""
    os.umask(0o022)  # nodes of Slurm read what lies in the shared area
    arguments = _parser().parse_args(argv)
    try:
        with ExitStack() as opened:
            return _run(arguments, opened)
    except CannotRun as reason:
        print(f"demo-cluster: {reason}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m agents.local_wms.demo_cluster", description=__doc__)
    parser.add_argument("--jobs", type=whole(1, 10_000), default=100, help="how many (default 100)")
    parser.add_argument("--home", type=Path, default=ROOT / ".demo", help="directory of the local WMS")
    return parser


def _run(arguments: argparse.Namespace, opened: ExitStack) -> int:
    cluster = opened.enter_context(_slurm())
    demo.forget_jobs(Home(arguments.home))
    endpoint = opened.enter_context(running(arguments.home))
    folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="gp-demo-", dir="/var/tmp")))
    client = opened.enter_context(connect(endpoint))
    job_ids = _submit(client, folder, arguments.jobs)
    print(f"{cluster.version}, local WMS on {endpoint.url}: {len(job_ids)} jobs of 1 to 4 processors", flush=True)
    with _site_director(arguments.home, folder, cluster) as director:
        table = Table(client, job_ids, folder, cluster)
        _watch(table, director)
        code = _stop(director)
    return _verdict(table, code, folder)


@contextmanager
def _slurm() -> Iterator[Cluster]:
    """Start a real Slurm, unless it runs already, and end what was started."""
    if os.geteuid() != 0:
        raise CannotRun("only root can start Slurm's daemons")
    if not (SLURM / "up.sh").is_file():
        raise CannotRun(f"{SLURM}: expected a checkout of gridpilot, with the scripts that start Slurm")
    environment = {**os.environ, "SLURM_ACCOUNTING": "0"}
    was_up = _script("status", environment, ASK_S).returncode == 0
    print("starting Slurm (the first time its packages are installed)", flush=True)
    done = _script("up", environment, UP_S)
    if done.returncode != 0:
        raise CannotRun((done.stderr.strip().splitlines() or ["up.sh failed"])[-1])
    try:
        yield _cluster(Path(done.stderr.split()[-1]))
    finally:
        if not was_up:
            _script("down", environment, DOWN_S)


def _script(name: str, environment: Mapping[str, str], limit_s: float) -> "subprocess.CompletedProcess[str]":
    argv = [str(SLURM / f"{name}.sh")]
    return subprocess.run(argv, env=environment, check=False, capture_output=True, text=True, timeout=limit_s)


def _cluster(client_env: Path) -> Cluster:
    pairs = (line.partition("=") for line in client_env.read_text(encoding="utf-8").splitlines() if "=" in line)
    env = {name: value.strip("'") for name, _, value in pairs}
    version = env.pop("GRIDPILOT_SYSTEM_VERSION", "Slurm")
    return Cluster({**env, "PATH": f"{env['PATH']}:{os.environ['PATH']}"}, version)


def _submit(client: Client, folder: Path, number: int) -> list[int]:
    ids = []
    for place, size in enumerate(SIZES):
        path = folder / f"{size}.jdl"
        share = number // len(SIZES) + (place < number % len(SIZES))
        if share:
            path.write_text(_JDL.format(size=size, number=share), encoding="utf-8")
            ids += client.submit(path)
    return ids


@contextmanager
def _site_director(home: Path, folder: Path, cluster: Cluster) -> Iterator["subprocess.Popen[bytes]"]:
    options = ["BatchSystem=SLURM", "Queue=grid", f"SharedArea={folder / 'area'}", "StatusInterval=1"]
    options += [f"NumberOfProcessors={PILOT}", f"MaxTotalJobs={PILOTS}"]
    options += ["ExtraPilotOptions=--PollingTime 1 --StopAfterFailedMatches 2"]
    argv = [sys.executable, "-m", "agents.site_director", "run", "--local", str(home), "-y", "Local"]
    argv += [word for option in options for word in ("-c", option)]
    argv += ["-o", f"{SECTION}/StatusInterval=1", "-o", f"{SECTION}/PilotStartUp=10"]
    with (folder / "director.out").open("wb") as out:
        director = subprocess.Popen(
            [*argv, "--work-dir", str(folder / "director")],
            cwd=ROOT,
            env={**os.environ, **cluster.env},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield director
    finally:
        if director.poll() is None:
            director.kill()
            director.wait()


class Table:
    """What is shown, and what it says in the end."""

    def __init__(self, client: Client, job_ids: Sequence[int], folder: Path, cluster: Cluster) -> None:
        self._client = client
        self._job_ids = job_ids
        self._work_dir = folder / "director"
        self._cluster = cluster
        self._began_s = time.monotonic()
        self._shown = ""
        self.jobs: Counter[str] = Counter()
        self.pilots: Counter[str] = Counter()
        self.in_slurm = 0

    @property
    def age_s(self) -> float:
        """How long it has been shown."""
        return time.monotonic() - self._began_s

    @property
    def is_over(self) -> bool:
        """Tell whether every job has ended, and every pilot."""
        left = sum(self.jobs.values()) - sum(self.jobs[word] for word in throwaway.FINAL)
        ended = sum(self.pilots[word] for word in ("Done", "Failed", "Aborted"))
        return left == 0 and ended == sum(self.pilots.values()) and self.in_slurm == 0

    def look(self) -> None:
        """Look at all there is, and print a line where something is new."""
        summary = self._client.call("JobMonitoring", "getJobsSummary", list(self._job_ids))
        self.jobs = Counter(job["Status"] for job in summary.values())
        self.pilots = self._pilots()
        self.in_slurm = self._cluster.jobs()
        line = f"jobs: {_counts(self.jobs)} | pilots: {_counts(self.pilots)} | in Slurm's queue: {self.in_slurm}"
        if line != self._shown:
            print(f"{self.age_s:6.1f} s  {line}", flush=True)
            self._shown = line

    def _pilots(self) -> Counter[str]:
        argv = [sys.executable, "-m", "agents.site_director", "status", "--json", "--work-dir", str(self._work_dir)]
        done = subprocess.run(argv, cwd=ROOT, check=False, capture_output=True, text=True, timeout=ASK_S)
        queues = json.loads(done.stdout)["queues"] if done.returncode == 0 else {}
        return sum((Counter(queue["pilots"]) for queue in queues.values()), Counter[str]())


def _counts(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {word}" for word, number in sorted(numbers.items())) or "none yet"


def _watch(table: Table, director: "subprocess.Popen[bytes]") -> None:
    while table.age_s < DEADLINE_S and director.poll() is None:
        table.look()
        if table.is_over:
            return
        time.sleep(1.0)


def _stop(director: "subprocess.Popen[bytes]") -> int:
    director.terminate()
    try:
        return director.wait(STOP_S)
    except subprocess.TimeoutExpired:
        return -1


def _verdict(table: Table, code: int, folder: Path) -> int:
    left = [path.name for path in (folder / "area" / "tasks").glob("*")]
    total = sum(table.jobs.values())
    if table.jobs["Done"] == total and table.is_over and code == 0 and not left:
        print(f"all {total} jobs are Done, run by {sum(table.pilots.values())} pilots in {table.age_s:.0f} s")
        return 0
    print(
        f"jobs: {_counts(table.jobs)}; pilots: {_counts(table.pilots)}; "
        f"in Slurm's queue: {table.in_slurm}; left: {left}"
    )
    print(f"the SiteDirector ended with {code} and wrote:")
    print((folder / "director.out").read_text(encoding="utf-8", errors="replace")[-4000:])
    return 1


if __name__ == "__main__":
    sys.exit(main())
