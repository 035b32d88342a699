"""Accounting/DataStore: one record for each attempt at a job, many of them in one call."""

from collections.abc import Mapping
from datetime import UTC, datetime

from agents.errors import Busy, NoAnswer, Refused, ServiceError
from agents.jobs.ledger import Ledger, Report
from agents.log import EventLog
from agents.wms.service import Service

log = EventLog("accounting")

_MOST = 100  # records in one call
# DIRAC's type "Job": key fields with their widths, then the sums, in the order of the table's columns
# (AccountingSystem/Client/Types/Job.py of 9.1).
_KEYS = {
    "User": 64,
    "UserGroup": 32,
    "JobGroup": 64,
    "JobType": 32,
    "JobClass": 32,
    "ProcessingType": 256,
    "Site": 64,
    "FinalMajorStatus": 32,
    "FinalMinorStatus": 256,
}
_SUMS = (
    "CPUTime",
    "NormCPUTime",
    "ExecTime",
    "InputDataSize",
    "OutputDataSize",
    "InputDataFiles",
    "OutputDataFiles",
    "DiskSpace",
    "InputSandBoxSize",
    "OutputSandBoxSize",
    "ProcessedEvents",
)


class Accounting:
    """Sends the accounts that the ledger holds; where no such service is published, they are put aside."""

    def __init__(self, ledger: Ledger, service: Service | None) -> None:
        self._ledger = ledger
        self._service = service

    def send(self) -> None:
        """Send what there is; what could not be sent stays in the ledger for the next time."""
        while records := self._ledger.unsent_accounts(_MOST):
            try:
                self._commit([_entry(record) for record in records])
            except Refused as refusal:
                log.error("accounts.refused", records=len(records), cause=refusal)
            except Busy as error:
                log.warning("accounts.delayed", records=len(records), cause=error)
                return
            except NoAnswer as error:  # sent again they might count twice
                log.error("accounts.uncertain", records=len(records), cause=error)
            except ServiceError as error:
                log.warning("accounts.delayed", records=len(records), cause=error)
                return
            self._ledger.sent(records)

    def _commit(self, entries: list[list[object]]) -> None:
        if self._service is not None:
            self._service.call("commitRegisters", entries, repeatable=False)


def _entry(record: Report) -> list[object]:
    """Return a record as the DataStore takes it: type, start, end, values."""
    body = record.body
    keys = [body.get(name, "unknown")[:width] for name, width in _KEYS.items()]
    sums = [_whole(body, name) for name in _SUMS]
    return ["Job", _moment(body["start"]), _moment(record.moment), [*keys, *sums]]


def _whole(body: Mapping[str, str], name: str) -> int:
    return max(0, round(float(body.get(name, "0"))))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
