"""Input data down, output data up, for jobs in hand. What waits runs in worker threads and ends in the job's event."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from agents.data.arrived import Arrived
from agents.data.lanes import Lanes
from agents.data.progress import Progress
from agents.data.room import Room
from agents.errors import JobError
from agents.jobs import sandbox
from agents.jobs.jdl import JobDescription
from agents.jobs.job import Job, JobStatus, MatchedJob, Minor
from agents.jobs.ledger import Ledger
from agents.process.events import DataDelayed, DataDelivered, Event, StepBegun, Workers
from ce_backends.untrusted.archive import ArchiveLimits

if TYPE_CHECKING:
    from agents.data.access import Access
    from agents.data.outputs import Outputs, Uploaded


class GivesAccess(Protocol):
    """Makes what an owner's data are reached by."""

    def access(self, matched: MatchedJob, credential: Path | None) -> "Access":
        """Return it.

        Raises:
            HandBack: it cannot be had.
        """


class DataMoves:
    """Moves the data of jobs.

    Args:
        owners: give what is needed.
        ledger: holds the steps of outputs.
        room: for inputs, of the node.
        tell: is given each step that begins.
        workers: for what may take hours.
    """

    def __init__(
        self, owners: GivesAccess, ledger: Ledger, room: Room, tell: Callable[[Event], object], workers: Workers
    ) -> None:
        self.workers = workers
        self._owners = owners
        self._ledger = ledger
        self._room = room
        self._tell = tell
        self._lanes = Lanes()
        self._progress: dict[str, Progress] = {}
        self._given_up: dict[str, str] = {}  # why, by stamp

    def sentence(self, job: Job) -> str:
        """Return how far a job's files are, empty while none moves."""
        progress = self._progress.get(job.stamp)
        return progress.sentence if progress else ""

    def give_up(self, job: Job, cause: str = "it is not waited for any more") -> None:
        """Let what moves for a job stop: nobody waits for it any more. `take_away` ends what can be ended at once."""
        self._given_up[job.stamp] = cause

    def bring(
        self,
        job: Job,
        description: JobDescription,
        credential: Path | None,
        *,
        inputs: Path,
        into: Path,
        limits: ArchiveLimits,
    ) -> Arrived:
        """Bring the files of the catalogue that a job needs.

        Args:
            job: is being staged.
            description: of it.
            credential: its owner's.
            inputs: the directory of its input sandbox, to which files of the catalogue are added.
            into: where input data are brought.
            limits: what is left of them for sandboxes.

        Raises:
            JobError: how the job ends.
            OSError: the disk does not take it.
        """
        from agents.data.inputs import Inputs  # noqa: PLC0415 - of jobs with data; the first match does not wait for it

        work = Inputs(
            access=self._owners.access(job.matched, credential),
            lanes=self._lanes,
            room=self._room,
            stamp=job.stamp,
            into=into,
            is_given_up=lambda: job.stamp in self._given_up,
            shows=lambda progress: self._progress.__setitem__(job.stamp, progress),
        )
        try:
            packed = Arrived()
            if description.sandbox_lfns:
                self._tell(StepBegun(job.job_id, Minor.DOWNLOADING_LFNS))
                packed = work.sandbox(description.sandbox_lfns)
                for path in packed.packed:
                    limits = _unpacked(path, inputs, limits)
            if not description.input_data:
                return packed
            self._tell(StepBegun(job.job_id, Minor.RESOLVING_DATA))
            data = work.data(description, [path.name for path in inputs.iterdir()])
            return Arrived(files=data.files, facts=data.facts, moved=(*packed.moved, *data.moved))
        finally:
            self._progress.pop(job.stamp, None)

    def take_away(
        self, job: Job, description: JobDescription, credential: Path | None, fetched: Path
    ) -> DataDelivered | DataDelayed:
        """Bring an ended job's output data away, and put the requests that its payload has left.

        Once the job was given up, the answer is what has become of them at last.
        """
        from agents.data.delays import Delayed  # noqa: PLC0415 - as above
        from agents.data.outputs import Outputs  # noqa: PLC0415

        moved = []
        try:
            work = Outputs(
                access=self._owners.access(job.matched, credential),
                lanes=self._lanes,
                ledger=self._ledger,
                stamp=job.stamp,
                description=description,
                outputs=fetched / "outputs",
                said=(),
                is_given_up=lambda: job.stamp in self._given_up,
                shows=lambda progress: self._progress.__setitem__(job.stamp, progress),
            )
            moved = work.moved
            has_data = job.end is not None and job.end.status is JobStatus.DONE
            try:
                came = self._came(work, job, has_data=has_data)
            except Delayed:
                if job.stamp not in self._given_up:
                    raise
                came = self._came(work, job, has_data=has_data)
        except Delayed as delayed:
            return DataDelayed(job_id=job.job_id, error=str(delayed), again_in_s=delayed.again_in_s, moved=tuple(moved))
        except JobError as error:
            return DataDelivered(job_id=job.job_id, error=error, facts=error.facts, moved=tuple(moved))
        finally:
            self._progress.pop(job.stamp, None)
        facts = {"UploadedOutputData": ", ".join(came.lfns), "PendingRequest": came.request}
        if came.refused:
            facts["RefusedRequests"] = "; ".join(came.refused)
        if came.unmatched:
            facts["OutputData"] = f"MissingFiles: {', '.join(came.unmatched)}"
        return DataDelivered(job_id=job.job_id, lfns=came.lfns, request=came.request, facts=facts, moved=tuple(moved))

    def _came(self, work: "Outputs", job: Job, *, has_data: bool) -> "Uploaded":
        if cause := self._given_up.get(job.stamp):
            return work.end(cause, has_data=has_data)
        return work.deliver(has_data=has_data)


def _unpacked(path: Path, inputs: Path, limits: ArchiveLimits) -> ArchiveLimits:
    """Put a file of the input sandbox where the payload finds it: unpacked where it is an archive."""
    if sandbox.is_archive(path):
        return sandbox.unpack_file(path, inputs, limits)
    path.replace(inputs / path.name)
    return limits
