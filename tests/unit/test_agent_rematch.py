"""A job of the past that the Matcher gives again."""

from collections.abc import Callable

import pytest

from agents.errors import BadAnswer, NoAnswer, Unreachable
from agents.wms.job_monitoring import JobMonitoring
from agents.wms.matcher import Matcher
from agents.wms.rematch import RematchGuard
from agents.wms.service import Retry, Service
from agents.wms.testing import FakeTransport, ok

JOB = {"JobID": 7, "JDL": "[ JobID = 7; ]", "Owner": "o", "Group": "g"}
NEW, OLD = {"Status": "Matched", "MinorStatus": "Assigned"}, {"Status": "Done", "MinorStatus": "Execution Complete"}


def wms_with(state: object) -> FakeTransport:
    """A WMS that gives one job for ever, and tells how it stands."""
    tells = state if isinstance(state, Exception) else ok({"7": state})
    return FakeTransport({"requestJob": ok(JOB)}, otherwise=tells)


def matcher(wms: FakeTransport, was_here: Callable[[int], bool]) -> RematchGuard:
    def service(name: str) -> Service:
        return Service(name, ["https://h/S"], wms, Retry(attempts=1))

    return RematchGuard(Matcher(service("Matcher"), lambda _: ""), JobMonitoring(service("JobMonitoring")), was_here)


def test_a_job_that_was_never_here_is_believed() -> None:
    wms = wms_with(OLD)

    job = matcher(wms, lambda _: False).request_job({})

    assert job is not None
    assert wms.methods == ["requestJob"]


def test_a_job_that_was_matched_anew_is_taken() -> None:
    job = matcher(wms_with(NEW), lambda job_id: job_id == 7).request_job({})

    assert job is not None
    assert job.job_id == 7


def test_a_job_that_has_ended_is_refused() -> None:
    with pytest.raises(BadAnswer, match="job 7 was given again, but the WMS does not hold it for matched"):
        matcher(wms_with(OLD), lambda _: True).request_job({})


def test_a_job_of_the_past_is_not_taken_while_the_wms_cannot_be_asked() -> None:
    with pytest.raises(NoAnswer, match="job 7 was here before"):
        matcher(wms_with(Unreachable("refused")), lambda _: True).request_job({})
