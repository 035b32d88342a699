"""One scenario's stage: a folder, a box, jobs, agents as real processes, and a canary beside them."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agents.local_wms.client import Client, connect
from agents.local_wms.home import Endpoint, LocalWmsError
from tests.faults.box import Box, Canary, command_line, remove_tree, send
from tests.faults.payloads import Books, jdl
from tests.waiting import within

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
LAST_WORDS_S = 2.0  # for what an ended process has caused to be seen
FINAL = ("Done", "Failed", "Killed")
BACK = ("Received", "Checking", "Waiting")
SERVICES = ("Matcher", "JobManager", "JobStateUpdate", "JobMonitoring", "PilotManager", "SandboxStore", "PilotLogging")
AGENT = "/Systems/WorkloadManagement/Agents/JobAgent"
REFERENCE = "pilot-of-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How an agent is started.

    Attributes:
        url: of the services: the local WMS, or a fault proxy before it.
        failover_urls: further ones.
        more: options of the configuration, path -> value.
        environment: variables over the usual ones.
        before: a command that runs the agent: `prlimit --nofile=64`.
        work_dir: another one than the scene's.
    """

    url: str = ""
    failover_urls: Sequence[str] = ()
    more: Mapping[str, str] | None = None
    environment: Mapping[str, str] | None = None
    before: Sequence[str] = ()
    work_dir: Path | None = None


class Process:
    """An agent or a pilot, and what it wrote."""

    def __init__(self, argv: Sequence[str], out: Path, environment: Mapping[str, str], cwd: Path) -> None:
        self.out = out
        with out.open("wb") as sink:
            self.process = subprocess.Popen(
                argv, cwd=cwd, env=dict(environment), stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT
            )

    @property
    def pid(self) -> int:
        """Its pid; the box's entrance becomes the program, so it is the program's own."""
        return self.process.pid

    @property
    def is_over(self) -> bool:
        """True when it has ended."""
        return self.process.poll() is not None

    def signal(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def killed(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def ended(self, within_s: float = PATIENCE_S) -> int:
        """Return its exit code."""
        assert within(within_s, lambda: self.is_over), f"not ended in {within_s} s; it wrote:\n{self.written()[-6000:]}"
        return int(self.process.returncode)

    def written(self) -> str:
        """Return what it printed."""
        return self.out.read_text(encoding="utf-8", errors="replace")


class Scene:
    """Everything of one scenario; `close` leaves nothing of it."""

    def __init__(self, endpoint: Endpoint, folder: Path) -> None:
        self.endpoint = endpoint
        self.folder = folder
        self.name = uuid.uuid4().hex[:12]
        self.work_dir = folder / "work"
        self.temporary = folder / "tmp"
        self.books = Books(folder / "books").open()
        self.client: Client = connect(endpoint)
        self.box = Box(self.name).open()
        self.canary = Canary()
        self.jobs: list[int] = []
        self.seen_commands: set[str] = set()
        self.processes: list[Process] = []
        self.is_checked = False
        self._looked_at = 0.0
        self.temporary.mkdir()
        self._register()

    def lead_to(self, endpoint: Endpoint) -> None:
        """Ask this WMS from now on: the same one, started again."""
        self.client._session.close()
        self.endpoint, self.client = endpoint, connect(endpoint)

    def _register(self) -> None:
        """Make the pilot known, as the one who submitted it would have."""
        with connect(replace(self.endpoint, user_proxy=self.endpoint.admin_proxy)) as operator:
            operator.call("PilotManager", "addPilotReferences", [REFERENCE + self.name], self.endpoint.vo)

    # ---- jobs ----

    def submit(self, body: str, *attributes: str, sandbox: bool = False) -> int:
        """Submit one job that only agents of this scene are given; `sandbox` sends its script as an input sandbox."""
        (job_id,) = self.submit_many(body, *attributes, sandbox=sandbox)
        return job_id

    def submit_many(self, body: str, *attributes: str, sandbox: bool = False, count: int = 1) -> list[int]:
        """Submit `count` jobs of one kind."""
        number = len(self.jobs)
        script = self.folder / f"payload-{number}.sh"
        script.write_text(self.books.script(body), encoding="utf-8")
        script.chmod(0o755)
        inputs = [f'InputSandbox = {{"{script.name}"}};'] if sandbox else []
        many = [f"Parameters = {count};"] if count > 1 else []
        path = self.folder / f"job-{number}.jdl"
        tag = f'Tags = {{"{self.name}"}};'
        path.write_text(jdl(script.name if sandbox else str(script), tag, *inputs, *many, *attributes))
        made = self.client.submit(path)
        self.jobs += made
        return made

    def status(self, job_id: int) -> dict[str, str]:
        """Return a job's attributes and parameters."""
        summary = self.client.call("JobMonitoring", "getJobsSummary", [job_id])[str(job_id)]
        return {**summary, **self.client.call("JobMonitoring", "getJobParameters", [job_id]).get(str(job_id), {})}

    def statuses(self, job_ids: Sequence[int] | None = None) -> dict[int, str]:
        """Return the status of jobs, all of the scene's by default."""
        wanted = list(self.jobs if job_ids is None else job_ids)
        found = self.client.call("JobMonitoring", "getJobsStatus", wanted) if wanted else {}
        return {int(job_id): job["Status"] for job_id, job in found.items()}

    def history(self, job_id: int) -> list[tuple[str, str, str, str]]:
        """Return status, minor status, time, source of every step of a job."""
        rows: list[list[str]] = self.client.call("JobMonitoring", "getJobLoggingInfo", job_id)
        return [(row[0], row[1], row[3], row[4]) for row in rows]

    def has_begun(self, job_id: int) -> bool:
        """Tell whether the job's payload has begun."""
        return self.books.begins()[job_id] > 0

    def is_running(self, job_id: int) -> bool:
        """Tell whether the WMS knows that the payload runs."""
        found = self.status(job_id)
        return found["Status"] == "Running" and found["MinorStatus"] == "Application"

    # ---- processes ----

    def agent(self, options: Options = Options()) -> Process:
        """Start an agent in the box."""
        work_dir = options.work_dir or self.work_dir
        cfg = self.folder / f"agent-{len(self.processes)}.cfg"
        cfg.write_text(self._configuration(options), encoding="utf-8")
        argv = [*options.before, sys.executable, "-P", "-m", "agents", "--cfg", str(cfg), "--work-dir", str(work_dir)]
        return self.start(argv, options.environment)

    def pilot(self, *options: str) -> Process:
        """Start a pilot in the box; it talks to the local WMS itself."""
        there = self.endpoint
        argv = [sys.executable, "-m", "pilot", "-n", there.site, "-N", there.ce, "-Q", there.queue]
        argv += ["-C", there.configuration, "--wnVO", there.vo, "--PollingTime", "0.2", "-R", REFERENCE + self.name]
        argv += ["--StopAfterFailedMatches", "1", "--requiredTag", self.name, "-y", "Pool", "-P", "2"]
        argv += ["-o", "/LocalSite/CPUNormalizationFactor=10.0"]  # given, so that it is not measured beside the jobs
        return self.start([*argv, "--work-dir", str(self.work_dir), *options], None)

    def start(self, argv: Sequence[str], environment: Mapping[str, str] | None) -> Process:
        """Start any program in the box, with the pilot's environment."""
        out = self.folder / f"process-{len(self.processes)}.out"
        process = Process(self.box.inside(argv), out, {**self._environment(), **(environment or {})}, self.folder)
        self.processes.append(process)
        return process

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.temporary),
            "TMPDIR": str(self.temporary),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "X509_USER_PROXY": self.endpoint.pilot_proxy,
            "X509_CERT_DIR": self.endpoint.ca_dir,
        }

    def _configuration(self, options: Options) -> str:
        bases = [options.url or self.endpoint.url, *options.failover_urls]
        paths = {f"{AGENT}/PollingTime": "0.2", f"{AGENT}/StopAfterFailedMatches": "1", f"{AGENT}/LogLevel": "DEBUG"}
        paths[f"{AGENT}/LostMatchAfter"] = "3"  # the jobs of a scenario are told of within a second
        paths[f"{AGENT}/ReportGatherTime"] = "0.5"  # and seen to run, however short they are
        paths |= {f"{AGENT}/DrainFile": str(self.folder / "drain"), "/LocalSite/PilotReference": REFERENCE + self.name}
        paths |= {"/LocalSite/Site": self.endpoint.site, "/LocalSite/LocalCE": "Pool"}
        paths |= {f"/LocalSite/{name}": "10.0" for name in ("CPUNormalizationFactor",)}
        tags = dict.fromkeys(("Tag", "RequiredTag"), self.name)
        slot = {"NumberOfProcessors": "2", "VirtualOrganization": self.endpoint.vo, **tags}
        paths |= {f"/Resources/Computing/CEDefaults/{name}": value for name, value in slot.items()}
        for service in SERVICES:
            urls = [f"{base}/WorkloadManagement/Tornado{service}" for base in bases]
            paths[f"/Systems/WorkloadManagement/URLs/{service}"] = ", ".join(urls)
        return _cfg({**paths, **(options.more or {})})

    def until(self, condition: Callable[[], Any], what: str, within_s: float = PATIENCE_S) -> None:
        """Wait for something; say what the processes wrote when it does not come."""

        over_at: list[float] = []  # when nobody was left who could make it so
        came = False  # and may be over again: a job that was given back is matched at once

        def is_settled() -> bool:
            nonlocal came
            self.look()
            came = bool(condition())
            if came:
                return True
            if self.processes and all(process.is_over for process in self.processes):
                over_at.append(time.monotonic())
            return bool(over_at) and time.monotonic() > over_at[0] + LAST_WORDS_S

        within(within_s, is_settled)
        if not came:
            wrote = "\n".join(
                f"--- {process.out.name}, exit code {process.process.poll()}\n{process.written()[-5000:]}"
                for process in self.processes[-2:]
            )
            raise AssertionError(f"{what}: not within {within_s} s\n{wrote}")

    def look(self) -> None:
        """Note what the box's processes show to everybody, at most twice a second."""
        if time.monotonic() - self._looked_at > 0.5:
            self._looked_at = time.monotonic()
            self.seen_commands |= {command_line(pid) for pid in self.box.pids()}

    def close(self) -> None:
        """End everything and remove it."""
        self.end_processes()
        self.box.close()
        self.canary.close()
        self._forget_jobs()
        self.client._session.close()
        remove_tree(self.folder)

    def end_processes(self) -> None:
        """Kill what still runs."""
        for process in self.processes:
            if not process.is_over:
                send(process.pid, signal.SIGCONT)
                process.killed()
        self.box.kill()

    def _forget_jobs(self) -> None:
        with contextlib.suppress(LocalWmsError):  # a scenario may have ended it
            for job_id, status in self.statuses().items():
                if status not in FINAL:
                    self.client.call("JobManager", "killJob", job_id)


def _cfg(paths: Mapping[str, str]) -> str:
    """Return CFG text of option paths."""
    tree: dict[str, Any] = {}
    for path, value in paths.items():
        *sections, name = path.strip("/").split("/")
        place = tree
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = value
    return "\n".join(_lines(tree))


def _lines(tree: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, value in tree.items():
        lines += [name, "{", *_lines(value), "}"] if isinstance(value, dict) else [f"{name} = {value}"]
    return lines
