"""Accounting/DataStore: one record for each attempt at a job, many of them in one call."""

from collections.abc import Mapping
from datetime import UTC, datetime

from agents.errors import Busy, NoAnswer, Refused, ServiceError
from agents.jobs.ledger import Ledger, Report
from agents.jobs.report import DATA_OPERATION
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
_OF_DATA_KEYS = {  # the same of DIRAC's type "DataOperation" (Types/DataOperation.py)
    "OperationType": 32,
    "User": 64,
    "ExecutionSite": 256,
    "Source": 32,
    "Destination": 32,
    "Protocol": 32,
    "FinalStatus": 32,
}
_OF_DATA_SUMS = (
    "TransferSize",
    "TransferTime",
    "RegistrationTime",
    "TransferOK",
    "TransferTotal",
    "RegistrationOK",
    "RegistrationTotal",
)
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
    is_of_data = body.get("type") == DATA_OPERATION
    widths = _OF_DATA_KEYS if is_of_data else _KEYS
    keys = [body.get(name, "unknown")[:width] for name, width in widths.items()]
    sums = [_number(body, name) for name in (_OF_DATA_SUMS if is_of_data else _SUMS)]
    return [DATA_OPERATION if is_of_data else "Job", _moment(body["start"]), _moment(record.moment), [*keys, *sums]]


def _number(body: Mapping[str, str], name: str) -> int | float:
    """Return a sum as its column has it: times of transfers are real numbers."""
    value = max(0.0, float(body.get(name, "0")))
    return value if name in ("TransferTime", "RegistrationTime") else round(value)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
