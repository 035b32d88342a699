"""What the SiteDirector tells the PilotManager of its pilots, and what it asks it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.errors import AccessDenied, NoAnswer
from agents.site_director.ledger import PilotLedger
from agents.site_director.pilot_manager import JobsOf, PilotManager
from agents.site_director.pilots import PilotReport
from agents.site_director.registrars import ByReference
from agents.wms.job_monitoring import JobMonitoring
from agents.wms.testing import FakeTransport, ok, refused
from tests.unit.site_director_scene import chosen, pilot, service


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[PilotLedger]:
    made = PilotLedger(tmp_path / "pilots.sqlite")
    yield made
    made.close()


def manager(ledger: PilotLedger, transport: FakeTransport) -> PilotManager:
    queues = {queue.name: queue for queue in chosen()}
    asked = service(transport)
    return PilotManager(asked, ByReference(asked, "example"), JobMonitoring(asked), ledger, queues)


NOBODY = refused("No pilots found", 1550)


def test_pilots_are_registered_with_their_stamps_in_one_call_and_their_status_told(ledger: PilotLedger) -> None:
    transport = FakeTransport({"getPilotInfo": NOBODY, "addPilotReferences": ok(), "setPilotStatus": ok(1)})
    one, two = pilot(1), pilot(2)
    ledger.save([one, two], [PilotReport(one.stamp, "Waiting"), PilotReport(two.stamp, "Waiting")])

    made = manager(ledger, transport)
    before = made.is_announced(one), made.tell()
    assert (before, made.announce(), made.is_announced(one), made.tell()) == ((False, 0), 2, True, 2)
    stamps = {one.reference: one.stamp, two.reference: two.stamp}
    assert ("addPilotReferences", [list(stamps), "example", "Local", stamps]) in transport.asked
    told = ["setPilotStatus", [one.reference, "Waiting", "ce1.one.ch", "", "LCG.One.ch", "short"]]
    assert tuple(told) in transport.asked
    assert ledger.unsent() == []


def test_a_pilot_that_the_wms_knows_is_not_added_again(ledger: PilotLedger) -> None:
    one = pilot(1)
    transport = FakeTransport({"getPilotInfo": ok({one.reference: {"Status": "Running"}}), "setPilotStatus": ok(1)})
    ledger.save([one], [PilotReport(one.stamp, "Waiting")])
    manager(ledger, transport).announce()

    assert "addPilotReferences" not in transport.methods


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ("Submitted", ["Running"]),
        ("Waiting", ["Running"]),
        ("Running", []),
        ("Done", []),  # by the pilot, which knows why
        ("Aborted", []),
    ],
)
def test_no_status_is_told_that_the_wms_has_left_behind(ledger: PilotLedger, there: str, told: list[str]) -> None:
    one = pilot(1)
    transport = FakeTransport({"getPilotInfo": ok({one.reference: {"Status": there}}), "setPilotStatus": ok(1)})
    ledger.save([one], [PilotReport(one.stamp, "Running")])
    made = manager(ledger, transport)
    made.announce()

    assert made.tell() == 1
    assert [arguments[1] for method, arguments in transport.asked if method == "setPilotStatus"] == told
    assert ledger.unsent() == []


def test_without_the_right_to_register_pilots_none_waits_for_it(ledger: PilotLedger) -> None:
    one = pilot(1)
    transport = FakeTransport({"getPilotInfo": AccessDenied("Unauthorized query"), "setPilotStatus": ok(1)})
    ledger.save([one], [PilotReport(one.stamp, "Submitted")])
    made = manager(ledger, transport)

    assert (made.announce(), made.is_announced(one), made.tell()) == (1, True, 1)
    assert "setPilotStatus" not in transport.methods


def test_of_several_statuses_the_last_one_is_told(ledger: PilotLedger) -> None:
    one = pilot(1)
    transport = FakeTransport({"getPilotInfo": ok({one.reference: {}}), "setPilotStatus": ok(1)})
    ledger.save([one], [PilotReport(one.stamp, status) for status in ("Waiting", "Running", "Done")])
    made = manager(ledger, transport)
    made.announce()
    made.tell()

    assert [arguments[1] for method, arguments in transport.asked if method == "setPilotStatus"] == ["Done"]


def test_what_the_wms_did_not_hear_is_told_again(ledger: PilotLedger) -> None:
    one = pilot(1)
    transport = FakeTransport({"getPilotInfo": NOBODY, "addPilotReferences": NoAnswer("cut off")})
    ledger.save([one], [PilotReport(one.stamp, "Waiting")])
    made = manager(ledger, transport)
    with pytest.raises(NoAnswer):
        made.announce()
    transport.answers |= {"getPilotInfo": ok({one.reference: {}}), "setPilotStatus": ok(1)}  # it had arrived

    assert (made.announce(), made.tell()) == (1, 1)
    assert transport.methods.count("addPilotReferences") == 1


def test_a_status_that_is_refused_holds_up_nobody(ledger: PilotLedger) -> None:
    one = pilot(1)
    transport = FakeTransport({"getPilotInfo": ok({one.reference: {}}), "setPilotStatus": refused("no")})
    ledger.save([one], [PilotReport(one.stamp, "Waiting")])

    made = manager(ledger, transport)
    made.announce()

    assert made.tell() == 1


def test_jobs_of_pilots(ledger: PilotLedger) -> None:
    one, two, three = pilot(1), pilot(2), pilot(3)
    infos = {one.reference: {"Jobs": [7, 8]}, two.reference: {"Jobs": [9]}}
    statuses = {"7": {"Status": "Done"}, "8": {"Status": "Running"}, "9": {"Status": "Failed"}}
    transport = FakeTransport({"getPilotInfo": ok(infos), "getJobsStatus": ok(statuses)})

    assert manager(ledger, transport).jobs_of([one, two, three]) == {
        one.stamp: JobsOf(2, True), two.stamp: JobsOf(1, False), three.stamp: JobsOf(0, False),
    }  # fmt: skip
