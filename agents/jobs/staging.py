"""The two pieces of a job's work that wait for the network: inputs down, outputs up. They run in worker threads."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from agents.errors import Blame, FailJob, HandBack, JobError, Refused, ServiceError
from agents.events import Delivered, Staged
from agents.jobs import sandbox
from agents.jobs.job import Job, Minor
from agents.log import EventLog
from agents.wms.sandbox_store import SandboxStore
from ce_backends.base import ComputingElement
from ce_backends.errors import CEError

log = EventLog("staging")


class Staging:
    """Brings inputs to the node and outputs to the WMS. Every error ends in the job's event, never in another's."""

    def __init__(self, store: SandboxStore, ce: ComputingElement, limit_bytes: int) -> None:
        self._store = store
        self._ce = ce
        self._limit_bytes = limit_bytes

    def download(self, job: Job, names: Sequence[str], into: Path) -> Staged:
        """Put a job's input sandbox into a directory, which is emptied first."""
        try:
            shutil.rmtree(into, ignore_errors=True)
            into.mkdir(parents=True)
            for name in names:
                self._download_one(name, into)
        except JobError as error:
            return Staged(job.job_id, error)
        except OSError as error:
            return Staged(job.job_id, HandBack(Minor.FAILED_DOWNLOADING_INPUT, str(error), blame=Blame.SITE))
        return Staged(job.job_id)

    def _download_one(self, name: str, into: Path) -> None:
        if not name.startswith("SB:"):
            raise FailJob(
                Minor.FAILED_DOWNLOADING_INPUT, f"{name}: only SB: references can be downloaded", blame=Blame.USER
            )
        try:
            packed = self._store.download(name)
        except Refused as error:
            raise FailJob(Minor.FAILED_DOWNLOADING_INPUT, f"{name}: {error}", blame=Blame.USER) from error
        except ServiceError as error:
            raise HandBack(Minor.FAILED_DOWNLOADING_INPUT, f"{name}: {error}", blame=Blame.SERVER) from error
        sandbox.unpack(packed, into)

    def upload(self, job: Job, patterns: Sequence[str], into: Path) -> Delivered:
        """Fetch an ended task's files and upload the output sandbox."""
        try:
            self._ce.fetch(job.task_id, into)
            packed, missing = sandbox.pack(into / "outputs", patterns)
            if len(packed) > self._limit_bytes:
                size = f"{len(packed)} bytes, {self._limit_bytes} are allowed"
                return Delivered(job.job_id, missing=tuple(missing), error=f"the output sandbox is too large: {size}")
            reference = self._store.upload_output(job.job_id, packed) if packed else ""
        except (CEError, ServiceError, OSError) as error:
            log.error("outputs.lost", job_id=job.job_id, cause=error)
            return Delivered(job.job_id, error=str(error))
        return Delivered(job.job_id, sandbox=reference, missing=tuple(missing))
