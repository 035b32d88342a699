"""What remains to be done after a job's uploads, put to the request service once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from agents.data import choice, requests
from agents.data.access import Access
from agents.data.delays import delay
from agents.data.requests import Operation, Request
from agents.errors import Blame, FailJob, Refused, ServiceError
from agents.jobs.jdl import JobDescription
from agents.jobs.job import Minor
from agents.jobs.ledger import Ledger
from agents.jobs.transfer_steps import Step, Upload


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """Asks for what remains of one task.

    Attributes:
        access: the owner's.
        ledger: holds the step.
        stamp: of the task.
        description: of the job.
        now: s since 1970.
    """

    access: Access
    ledger: Ledger
    stamp: str
    description: JobDescription
    now: Callable[[], float]

    def request(self, operations: Sequence[Operation]) -> str:
        """Put a request for what remains to be done; return what is told of it, empty where nothing remains.

        Raises:
            FailJob: it is refused, or there is nobody who takes any.
            Delayed: it cannot be put now.
        """
        if not operations:
            return ""
        if self.access.requests is None:
            detail = f"{len(operations)} operations remain, and the configuration publishes no ReqManager"
            raise FailJob(Minor.FAILED_REQUESTS, detail, blame=Blame.SERVER)
        name = f"{self.description.job_name or 'job'}_job_{self.description.job_id}_{self.stamp[:8]}"
        whole = Request(
            name=name,
            job_id=self.description.job_id,
            owner=self.access.user,
            group=self.access.group,
            operations=tuple(operations),
        )
        rows = [one for one in self.ledger.uploads(self.stamp) if one.step in (Step.REQUESTING, Step.REQUESTED)]
        row = rows[0] if rows else Upload(stamp=self.stamp, lfn=name, step=Step.REQUESTING)
        if row.step is Step.REQUESTING:
            self._put(whole, row, is_again=bool(rows))
        return whole.digest

    def of_uploads(self, files: Sequence[Upload]) -> list[Operation]:
        """Return what remains to be done with files that were brought to an element."""
        targets = choice.targets(self.description.output_elements, self.access.elements)
        is_failover = {target.element.name: target.is_failover for target in targets}
        wanted = [name for name in self._wanted() if not is_failover.get(name)]
        return requests.of_uploads(files, is_failover, next(iter(wanted), ""))

    def _put(self, whole: Request, row: Upload, *, is_again: bool) -> None:
        assert self.access.requests is not None, "asked before"
        self.ledger.save_uploads([row])
        try:
            if not is_again or self.access.requests.number_of(whole.name) is None:
                self.access.requests.put(whole.to_json(datetime.fromtimestamp(self.now(), UTC)))
        except Refused as error:
            raise FailJob(Minor.FAILED_REQUESTS, str(error), blame=Blame.SERVER) from error
        except ServiceError as error:
            why = f"the request for what remains to be done: {error}"
            raise delay(self.ledger, [row], why, self.now()) from error
        self.ledger.save_uploads([replace(row, step=Step.REQUESTED)])

    def _wanted(self) -> list[str]:
        """Return the elements where files should be, also those that may not be written now."""
        names = self.description.output_elements or ("SE-USER",)
        return [member for name in names for member in self.access.elements.group(name)]
