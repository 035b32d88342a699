"""What every job of an agent meets alike."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agents.jobs.job import Job, JobStatus
from agents.runner.orphans import directory_name
from agents.settings.watchdog import WatchdogSettings
from agents.slot.circuit_breaker import CircuitBreaker, Patience
from agents.slot.energy import EnergyAccount
from agents.slot.gpus import Gpu
from agents.slot.monitor import Power
from ce_backends.cfg import Section
from ce_backends.linux.processes import boot_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflows:
    """How jobs of DIRAC's Job API are run.

    Attributes:
        clients: files that make a shell find a DIRAC client, in the order in which they are looked for.
        go_on: steps after one that has failed are run too, as DIRAC does.
    """

    clients: Sequence[str] = ()
    go_on: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobContext:
    """What every job meets alike.

    Attributes:
        site: DIRAC's name of it.
        work_dir: of the agent; each job has a directory below it.
        environ: the agent's environment, of which payloads get a short list.
        parameters: what is told about every job: pilot, CE, host.
        power: of one processor.
        output_patience_s: how long the upload of outputs is tried while their store is away.
        keep_directories: leave job directories for somebody to look into.
        cfg: of the agent, of which payloads get a part to read.
        gpus: devices of the slot.
        breaker: is told how payloads end.
        watchdog: their limits.
        is_remote: jobs run on other nodes: nothing of this one is told to them.
        workflows: how jobs of the Job API are run.
        moves_data: tells whether input and output data are moved; else jobs that have any are handed back.
        energy: tells what payloads used.
        boot: of this node: what was started before it has ended, whatever it has left.
    """

    site: str
    work_dir: Path
    environ: Mapping[str, str]
    parameters: Mapping[str, object]
    power: Power = field(default_factory=lambda: Power(10.0))
    output_patience_s: float = 3600.0
    keep_directories: bool = False
    cfg: Section = field(default_factory=Section)
    gpus: Sequence[Gpu] = ()
    breaker: CircuitBreaker = field(default_factory=lambda: CircuitBreaker(Patience(), time.monotonic))
    watchdog: WatchdogSettings = field(default_factory=WatchdogSettings)
    is_remote: bool = False
    workflows: Workflows = field(default_factory=Workflows)
    moves_data: Callable[[], bool] = lambda: False
    energy: EnergyAccount = field(default_factory=EnergyAccount)
    boot: str = field(default_factory=boot_id)

    @property
    def told(self) -> dict[str, object]:
        """What the WMS is told of every job at its start."""
        return {**self.parameters, "CPUNormalizationFactor": self.power.hs06}

    def note_end(self, owner: str, wall_s: float | None, status: JobStatus) -> None:
        """Tell the circuit breaker how a payload ended; what was given back says nothing of the node."""
        if status in (JobStatus.DONE, JobStatus.FAILED):
            self.breaker.ended(owner, wall_s, is_failure=status is JobStatus.FAILED)

    def directory(self, job: Job) -> Path:
        """Return where the agent keeps what belongs to this attempt of a job."""
        return self.jobs / directory_name(job)

    @property
    def jobs(self) -> Path:
        """Where all of them are."""
        return self.work_dir / "jobs"

    def inputs(self, job: Job) -> Path:
        """Return where a job's input sandbox is unpacked."""
        return self.directory(job) / "inputs"

    def data(self, job: Job) -> Path:
        """Return where files of the catalogue are brought; what is for the payload is in `data` there."""
        return self.directory(job) / "brought"

    def outputs(self, job: Job) -> Path:
        """Return where an ended task's files are brought."""
        return self.directory(job) / "fetched"
