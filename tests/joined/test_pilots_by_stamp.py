"""Pilots in a real DiracX, by their stamps: what its client says of them, and what the PilotManager is told then."""

import json
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.director import SiteDirector
from tests.joined.joined_stack import Joined
from tests.system.dirac_stack import END_S, Pilot
from tests.system.pilot_scene import HEAD, TAIL

JOB = 'Executable = "/bin/echo"; Arguments = "hello"; Priority = 5; StdOutput = "std.out"; OutputSandbox = {"std.out"};'
DONE_S = 240.0
WRITES = ("addPilotReferences", "setPilotStatus")
REFUSED = [
    pytest.param(
        {"path": "^/api/pilots/", "status": 404, "body": {"detail": "Not Found"}, "times": 9}, id="a DiracX without"
    ),
    pytest.param(
        {"path": "^/api/pilots/", "status": 403, "body": {"detail": "Insufficient permissions"}, "times": 9},
        id="not allowed",
    ),
    pytest.param({"path": "^/api/pilots/", "status": 503, "times": 9}, id="away"),
]
CE = """
    stamps.localhost {{
        CEType = Local
        BatchSystem = Host
        SharedArea = {area}
        Queues {{ grid {{
            NumberOfProcessors = 1
            maxCPUTime = 2880
            SI00 = 2500
            ExtraPilotOptions = --PollingTime 1 --StopAfterFailedMatches 2
        }} }}
    }}
"""


@pytest.fixture(autouse=True)
def _published(stack: Joined) -> Iterator[None]:
    stack.publish("stamps=true")
    stack.sweep()
    yield
    Path(stack.endpoint["faults"]["diracx"]).write_text("[]", encoding="utf-8")
    stack.sweep()


def run(stack: Joined, folder: Path) -> tuple[str, str]:
    """Let a pilot that nobody has registered run one job; its stamp, and what it wrote."""
    stamp = uuid.uuid4().hex
    (job,) = stack.submit(JOB)
    with Pilot(stack, folder, stamp) as pilot:
        stack.wait([job], lambda status: status in ("Done", "Failed"), DONE_S, pilot)
        assert pilot.drain() == 0
        assert stack.state(job)["Status"] == "Done"
        return stamp, pilot.said()


def told_pilot_manager(stack: Joined, since: int) -> list[str]:
    return [call["method"] for call in stack.captured(since) if call["method"] in WRITES and call["user"] != "labadmin"]


def asked_of_pilots(stack: Joined, since: dict[str, int]) -> Sequence[dict[str, Any]]:
    return [line for line in stack.seen("diracx", since) if line["path"].startswith("/api/pilots")]


def test_a_pilot_registers_itself_runs_and_is_done_in_diracx(stack: Joined, tmp_path: Path) -> None:
    since = stack.sizes()
    stamp, said = run(stack, tmp_path)

    found = stack.diracx_client(tmp_path, "pilots", stamp)[stamp]
    asked = [(line["method"], line["status"]) for line in asked_of_pilots(stack, since)]
    assert {name: found[name] for name in ("PilotJobReference", "Status", "VO", "GridSite", "DestinationSite")} == {
        "PilotJobReference": stamp,
        "Status": "Done",
        "VO": stack.endpoint["vo"],
        "GridSite": stack.endpoint["site"],
        "DestinationSite": stack.endpoint["ce"],
    }
    assert "ran 1 job (1 done)" in found["StatusReason"]
    assert asked[:4] == [("PATCH", 404), ("POST", 201), ("PATCH", 204), ("PATCH", 204)]
    assert told_pilot_manager(stack, since["dirac"]) == []
    assert stack.client("admin", "pilot", stamp)["Status"] == "Done", "both write to the same database"
    assert "eyJ" not in said


@pytest.mark.long
@pytest.mark.parametrize("fault", REFUSED)
def test_a_pilot_whose_diracx_does_not_take_it_is_told_once_to_the_pilot_manager(
    stack: Joined, tmp_path: Path, fault: dict[str, Any]
) -> None:
    since = stack.sizes()
    stamp = uuid.uuid4().hex
    stack.client("admin", "add-pilot", stamp)  # pilots may not add themselves to the PilotManager
    with stack.faults("diracx", fault), Pilot(stack, tmp_path, stamp, "-x", "true") as pilot:
        assert pilot.process.wait(END_S) == 0
        said = pilot.said()
        asked = asked_of_pilots(stack, since)

    assert stack.diracx_client(tmp_path, "pilots", stamp)[stamp]["Status"] == "Done"
    assert said.count("pilot.not_by_stamp") == 1
    assert asked
    assert all(line["fault"] for line in asked)
    assert told_pilot_manager(stack, since["dirac"]) == ["setPilotStatus", "setPilotStatus"]


@pytest.mark.long
def test_the_site_director_registers_its_pilots_in_diracx(stack: Joined, tmp_path: Path) -> None:
    endpoint = stack.endpoint
    certs = Path(endpoint["user_proxy"]).parent
    stack.client("pilot", "upload-proxy", str(Path(endpoint["pilot_proxy"]).parent / "pilot"))
    head = HEAD.format(
        servers=endpoint["configuration"],
        certs=certs,
        ca=endpoint["ca_dir"],
        vo=endpoint["vo"],
        names="stamps.localhost",
        site=endpoint["site"],
    )
    (tmp_path / "director.cfg").write_text(head + CE.format(area=tmp_path / "area") + TAIL, encoding="utf-8")
    since = stack.sizes()
    trust = {"DIRACX_CA_PATH": endpoint["ca_file"]}
    with SiteDirector(tmp_path, ["--cfg", str(tmp_path / "director.cfg")], **trust) as director:
        director.until(lambda: director.written().count("director.begins") == 1, "it began")
        jobs = stack.submit(JOB, count=2)
        statuses = stack.wait(jobs, lambda status: status in ("Done", "Failed"), DONE_S)
        director.until(lambda: '"unsent_reports": 0' in director.ask("status", "--json"), "all is told")
        director.until(lambda: set(director.pilots("stamps.localhost/grid")) == {"Done"}, "all pilots have ended")
        assert director.stop() == 0

    asked = asked_of_pilots(stack, since)
    stamps = [
        json.loads(line["said"])["pilot_stamp"] for line in asked if (line["method"], line["status"]) == ("POST", 201)
    ]
    found = stack.diracx_client(tmp_path, "pilots", *stamps)
    assert set(statuses.values()) == {"Done"}
    assert set(found) == set(stamps)
    assert {(one["Status"], one["GridType"], one["GridSite"]) for one in found.values()} == {
        ("Done", "Local", endpoint["site"])
    }
    assert {line["who"].get("preferred_username") for line in asked} == {"labpilot"}
    assert told_pilot_manager(stack, since["dirac"]) == []
    assert "pilots.not_by_stamp" not in director.written()
