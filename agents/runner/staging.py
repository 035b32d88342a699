"""What a job's work waits for the network: inputs down, its output sandbox up. Runs in worker threads."""

import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from agents.data.arrived import Arrived
from agents.errors import BadAnswer, Blame, FailJob, HandBack, JobError, NoAnswer, Refused, ServiceError, Unreachable
from agents.jobs import sandbox
from agents.jobs.jdl import JobDescription
from agents.jobs.job import Job, Minor
from agents.jobs.output_sandbox import Shortfall, pack
from agents.log import EventLog
from agents.process.events import Delivered, Staged, Undelivered
from agents.runner.data_moves import DataMoves
from agents.runner.payload_proxies import PayloadCredentials
from agents.wms.diracx.either import KeepsSandboxes
from ce_backends.base import ComputingElement
from ce_backends.errors import CEError
from ce_backends.task.outputs import tail
from ce_backends.untrusted.archive import ArchiveLimits
from ce_backends.untrusted.text import printable

log = EventLog("staging")

_SAYS = "gridpilot: "  # begins what the CE adds to the stderr of a task; of outputs it speaks so:
_OF_OUTPUTS = tuple(f"{_SAYS}{words}" for words in ("output ", "all outputs ", "more outputs ", "not all outputs "))
_SAID, _SAID_BYTES, _SAID_CHARACTERS = 20, 32_768, 300
_MOST_SANDBOXES = 20
_FETCHED = ".fetched"  # all of a task's files are here
STACKS = "gridpilot-stacks.txt"  # what a stalled payload did; comes with its output sandbox


class Staging:
    """Brings inputs to the node and outputs to the WMS. Every error ends in the job's event, never in another's."""

    def __init__(
        self,
        credentials: PayloadCredentials,
        store_for: Callable[[Path | None], KeepsSandboxes],
        ce: ComputingElement,
        limit_bytes: int,
        data: DataMoves,
    ) -> None:
        self._credentials = credentials
        self._store_for = store_for
        self._ce = ce
        self._limit_bytes = limit_bytes
        self.data = data
        self._given_up: set[str] = set()  # stamps

    def has_credential(self, job: Job) -> bool:
        """Tell whether the payload's credential is here, so that nothing has to be asked for."""
        return self._credentials.is_ready(job.matched)

    def has_all(self, job: Job, description: JobDescription) -> bool:
        """Tell whether a job can begin as it is: nothing has to be brought, and nothing to be found out."""
        is_bare = not (description.input_sandbox or description.input_data or description.is_workflow)
        return is_bare and self.has_credential(job)

    def credential(self, job: Job) -> Path | None:
        """Return the payload's credential, None where payloads have none."""
        return self._credentials.file(job.matched)

    def let_go(self, jobs: Collection[Job]) -> None:
        """Leave the credentials of the owners of these jobs behind, and no others."""
        self._credentials.let_go([job.matched for job in jobs])

    def give_up(self, job: Job) -> None:
        """Let a download that is under way leave nothing behind: nobody waits for it any more."""
        self._given_up.add(job.stamp)
        self.data.give_up(job)

    def download(self, job: Job, description: JobDescription, into: Path, brought: Path) -> Staged:
        """Get the owner's credential, the input sandbox, and what the job wants of the file catalogue.

        Args:
            job: is being staged.
            description: of it.
            into: the directory for its input sandbox, which is emptied first.
            brought: the directory for its data; what a former agent has brought there is not brought again.
        """
        came = Arrived()
        try:
            self._credentials.obtain(job.matched)
            shutil.rmtree(into, ignore_errors=True)
            into.mkdir(parents=True)
            limits = sandbox.LIMITS  # for all of them together
            for name in _stored(description.input_sandbox):
                if job.stamp not in self._given_up:
                    limits = self._download_one(job, name, into, limits)
            if description.brings_data and job.stamp not in self._given_up:
                credential = self.credential(job)
                came = self.data.bring(job, description, credential, inputs=into, into=brought, limits=limits)
        except JobError as error:
            return Staged(job.job_id, error, facts=error.facts)
        except OSError as error:
            return Staged(job.job_id, HandBack(Minor.FAILED_DOWNLOADING_INPUT, str(error), blame=Blame.SITE))
        finally:
            if job.stamp in self._given_up:
                shutil.rmtree(into.parent, ignore_errors=True)
        return Staged(job.job_id, facts=came.facts, moved=came.moved)

    def _store(self, job: Job) -> KeepsSandboxes:
        """Return the store as the job's owner meets it: it takes an output sandbox from nobody else."""
        return self._store_for(self.credential(job))

    def _download_one(self, job: Job, name: str, into: Path, limits: ArchiveLimits) -> ArchiveLimits:
        try:
            packed = self._store(job).download(name)
        except Refused as error:
            raise FailJob(Minor.FAILED_DOWNLOADING_INPUT, f"{name}: {error}", blame=Blame.USER) from error
        except ServiceError as error:
            raise HandBack(Minor.FAILED_DOWNLOADING_INPUT, f"{name}: {error}", blame=Blame.SERVER) from error
        return limits if job.stamp in self._given_up else sandbox.unpack(packed, into, limits, name=name)

    def upload(
        self, job: Job, patterns: Sequence[str], into: Path, logs: Sequence[str] = ()
    ) -> Delivered | Undelivered:
        """Fetch an ended task's files and upload the output sandbox.

        Args:
            job: has ended.
            patterns: of what the sandbox is to hold.
            into: where files are brought; what lies in its `outputs` under our own name goes along.
            logs: files of which head and tail are enough where the sandbox would be too large.
        """
        try:
            self._fetch(job, into)
            self._credentials.obtain(job.matched)
            ours = [STACKS] if (into / "outputs" / STACKS).exists() else []
            packed, shortfall = self._packed(into / "outputs", [*patterns, *ours], logs)
            reference = self._store(job).upload_output(job.job_id, packed) if packed else ""
        except (Unreachable, NoAnswer, BadAnswer) as error:
            return Undelivered(job.job_id, str(error))
        except (CEError, ServiceError, JobError, OSError) as error:
            log.error("outputs.lost", job_id=job.job_id, cause=error)
            return Delivered(job.job_id, error=str(error))
        problem = "; ".join(filter(None, (shortfall.sentence, *_named(into / "stderr"))))
        return Delivered(job.job_id, sandbox=reference, missing=shortfall.missing, error=problem)

    def _fetch(self, job: Job, into: Path) -> None:
        """Bring an ended task's files, once: they may be many GB, and an upload may be tried again and again."""
        if not (into / _FETCHED).exists():
            self._ce.fetch(job.task_id, into)
            (into / _FETCHED).touch()

    def _packed(self, directory: Path, patterns: Sequence[str], logs: Sequence[str]) -> tuple[bytes, Shortfall]:
        return pack(directory, patterns, self._limit_bytes, logs)


def _named(stderr: Path) -> list[str]:
    """Return what the CE could not bring, as it says at the end of the task's own stderr."""
    said = tail(stderr, stderr.parent, _SAID_BYTES).decode("utf-8", "replace").split("\n")
    return [printable(line.removeprefix(_SAYS), _SAID_CHARACTERS) for line in said if line.startswith(_OF_OUTPUTS)][
        -_SAID:
    ]


def _stored(names: Sequence[str]) -> list[str]:
    """Return the references among the submitter's own names of files that were packed into a sandbox."""
    stored = [name for name in names if name.upper().startswith("SB:")]
    if len(stored) > _MOST_SANDBOXES:
        detail = f"it has {len(stored)} input sandboxes, expected at most {_MOST_SANDBOXES}"
        raise FailJob(Minor.FAILED_DOWNLOADING_INPUT, detail, blame=Blame.USER)
    return stored
