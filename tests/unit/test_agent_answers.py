"""Answers of odd shape are bad answers, whoever reads them: nothing else may come of them."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from agents.errors import BadAnswer
from agents.wms import configuration
from agents.wms.job_monitoring import JobMonitoring
from agents.wms.job_state import Heartbeat, JobState
from agents.wms.lost_matches import PilotJobs
from agents.wms.matcher import Matcher
from agents.wms.proxy_manager import ProxyManager
from agents.wms.sandbox_store import SandboxStore
from agents.wms.service import Retry, Service
from agents.wms.testing import FakeTransport, ok

ODD: list[object] = [
    "text",
    "",
    7,
    True,
    0.5,
    ["x"],
    [[]],
    [None],
    {"x": {}},
    {"7": "x"},
    {"7": None},
    {"7": {"Status": None, "Jobs": [None], "Owner": 7}},
    {"7": {"Jobs": "78", "Status": ["Running"]}},
    {"7": {"Jobs": ["x"], "Pilot_Reference": {}}},
    {"7": {"Jobs": [10**4000], "MinorStatus": 7}},
    {"9" * 5000: {"Status": "Running"}},
    {"\u0667": {"Status": "Running"}},
    {"-7": {"Status": "Running"}},
    {"JobID": "x", "JDL": "[ ]", "Owner": "o", "Group": "g"},
    {"JobID": 10**5000, "JDL": "[ ]", "Owner": "o", "Group": "g"},
    {"JobID": True, "JDL": "[ ]", "Owner": "o", "Group": "g"},
    {"JobID": 7, "JDL": ["x"], "Owner": "o", "Group": "g"},
    {"data": 7, "newestVersion": []},
    {"data": "\u0667", "newestVersion": 7},
    {"data": datetime(2026, 1, 1, tzinfo=UTC)},
    datetime(2026, 1, 1, tzinfo=UTC),
    b"bytes",
]


def readers(answer: object) -> dict[str, Callable[[], object]]:
    service = Service(
        "X", ["https://host/WorkloadManagement/X"], FakeTransport(otherwise=ok(answer)), Retry(attempts=1)
    )
    monitoring, state = JobMonitoring(service), JobState(service, service)
    return {
        "statuses": lambda: monitoring.statuses([7]),
        "pilots": lambda: monitoring.pilots([7]),
        "untouched": lambda: monitoring.untouched([7]),
        "marked": lambda: monitoring.is_marked_for_termination(7),
        "matched": lambda: monitoring.matched(7),
        "given": lambda: PilotJobs(service, monitoring).given("7"),
        "heartbeat": lambda: state.heartbeat(Heartbeat(job_id=7)),
        "request": lambda: Matcher(service, str).request_job({}),
        "proxy": lambda: ProxyManager(service).delegate("dn", "group", "pem", 60),
        "upload": lambda: SandboxStore(service).upload_output(7, b"x"),
        "download": lambda: SandboxStore(service).download("SB:X|/x"),
        "configuration": lambda: configuration.download_newer(service, "1"),
    }


@pytest.mark.parametrize("answer", ODD, ids=lambda answer: repr(answer)[:40] if not isinstance(answer, dict) else None)
@pytest.mark.parametrize("reader", list(readers(None)))
def test_an_odd_answer_is_understood_or_a_bad_answer_of_few_words(reader: str, answer: object) -> None:
    assert len(sentence_of(readers(answer)[reader])) < 400


def sentence_of(read: Callable[[], object]) -> str:
    try:
        read()
    except BadAnswer as error:
        return str(error)
    return ""


@pytest.mark.parametrize("reader", ["statuses", "pilots", "untouched", "marked", "given", "request", "proxy", "upload"])
def test_an_answer_without_sense_is_a_bad_answer(reader: str) -> None:
    with pytest.raises(BadAnswer):
        readers({"x": ["y"]} if reader != "given" else {"7": 7})[reader]()
