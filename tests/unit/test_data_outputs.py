"""Output data: names, steps in the ledger, what is told of a request; and that no step is lost or done twice."""

import json
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agents.data import errors, requests
from agents.data.delays import PAUSES_S, Delayed
from agents.data.destinations import MissingOutputs, destinations
from agents.data.lanes import Lanes
from agents.data.requests import BadRequest, Operation, Request, RequestedFile
from agents.errors import FailJob, NoAnswer, Refused
from agents.jobs.transfer_steps import Step
from tests.unit.data_scene import FOLDER, Died, OutputScene, access, described, die_at, record


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[OutputScene]:
    made = OutputScene(tmp_path)
    yield made
    made.ledger.close()


def test_files_are_stored_and_registered_in_two_calls(scene: OutputScene) -> None:
    scene.write(a_root="one", b_root="two", c_log="three")

    came = scene.deliver('OutputData = {"*.root", "c.log"};')

    assert came.lfns == (f"{FOLDER}/a.root", f"{FOLDER}/b.root", f"{FOLDER}/c.log")
    assert scene.catalogue.calls == ["look_up", "register"]
    assert scene.transfers.held["HERE", f"{FOLDER}/a.root"] == b"one"
    assert scene.catalogue.records[f"{FOLDER}/a.root"].adler32 == zlib.adler32(b"one")
    assert scene.steps == [(Step.REGISTERED, "HERE")] * 3
    assert len({known.guid for known in scene.catalogue.records.values()}) == 3


@pytest.mark.parametrize(
    ("attributes", "lfn"),
    [
        ('OutputData = "a.root";', f"{FOLDER}/a.root"),
        ('OutputData = "a.root"; OutputPath = "/x/y/";', "/lab/user/o/owner/x/y/a.root"),
        ('OutputData = "a.root"; OutputPath = "LFN:/lab/prod";', "/lab/prod/a.root"),
        ('OutputData = "LFN:/lab/x/a.root";', "/lab/x/a.root"),
        ('OutputData = "LFN:/lab/x/*.root";', "/lab/x/a.root"),
    ],
)
def test_under_which_name_a_file_goes(scene: OutputScene, attributes: str, lfn: str) -> None:
    scene.write(a_root="one")

    found = destinations(described(attributes), access(None, None), scene.outputs)

    assert found.files == {lfn: "a.root"}


@pytest.mark.parametrize(
    "attributes",
    [
        'OutputData = "LFN:/other/a.root";',
        'OutputData = "a.root"; OutputPath = "../../x";',
        'OutputData = "a.root"; OutputPath = "LFN:relative";',
    ],
)
def test_a_name_that_is_none_fails_the_job_and_nothing_is_brought(scene: OutputScene, attributes: str) -> None:
    scene.write(a_root="one")

    with pytest.raises(FailJob):
        scene.deliver(attributes)
    assert scene.transfers.tried == []


def test_a_name_of_more_than_128_characters_fails_the_job(scene: OutputScene) -> None:
    (scene.outputs / f"{'n' * 125}.root").write_text("x")

    with pytest.raises(FailJob, match="too long"):
        scene.deliver('OutputData = "*.root";')


def test_a_file_that_is_missing_fails_the_job_by_name_before_anything_is_brought(scene: OutputScene) -> None:
    scene.write(a_root="one")

    with pytest.raises(MissingOutputs, match=r"Output data missing: b\.root") as raised:
        scene.deliver('OutputData = {"a.root", "b.root", "*.log"};')
    assert raised.value.facts == {"OutputData": "MissingFiles: b.root, *.log"}
    assert scene.transfers.tried == []


def test_a_pattern_that_nothing_matches_is_told_beside_files(scene: OutputScene) -> None:
    scene.write(a_root="one")

    assert scene.deliver('OutputData = {"a.root", "*.log"};').unmatched == ("*.log",)


def test_a_link_out_of_the_outputs_is_no_file(scene: OutputScene, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (scene.outputs / "a.root").symlink_to(tmp_path / "secret")

    with pytest.raises(FailJob):
        scene.deliver('OutputData = "a.root";')
    assert scene.transfers.held == {}


def test_an_empty_file_is_a_file(scene: OutputScene) -> None:
    scene.write(a_root="")

    assert scene.deliver('OutputData = "a.root";').lfns == (f"{FOLDER}/a.root",)


def test_the_same_content_is_accepted_and_not_brought(scene: OutputScene) -> None:
    scene.write(a_root="one")
    scene.catalogue.records[f"{FOLDER}/a.root"] = record(f"{FOLDER}/a.root", 3, zlib.adler32(b"one"), "NEAR")

    assert scene.deliver('OutputData = "a.root";').lfns == (f"{FOLDER}/a.root",)
    assert scene.transfers.tried == []


def test_other_content_fails_the_job_and_is_left_alone(scene: OutputScene) -> None:
    scene.write(a_root="one")
    scene.catalogue.records[f"{FOLDER}/a.root"] = record(f"{FOLDER}/a.root", 3, 1, "HERE")

    with pytest.raises(FailJob, match=f"LFN exists with other content: {FOLDER}/a.root"):
        scene.deliver('OutputData = "a.root";')
    assert scene.transfers.tried == []


def test_a_file_that_the_catalogue_does_not_know_is_ours_by_its_content(scene: OutputScene) -> None:
    scene.write(a_root="one")
    scene.transfers.held["HERE", f"{FOLDER}/a.root"] = b"one"

    scene.deliver('OutputData = "a.root";')

    assert set(scene.catalogue.records) == {f"{FOLDER}/a.root"}


def test_the_next_element_takes_what_the_first_does_not(scene: OutputScene) -> None:
    scene.write(a_root="one")
    scene.transfers.errors["NEAR"] = [errors.NoRoom("full")]

    came = scene.deliver('OutputData = "a.root"; OutputSE = {"NEAR", "HERE"};')

    assert (scene.steps, came.request) == ([(Step.REGISTERED, "HERE"), (Step.GONE, "NEAR")], "")


def test_failover_is_registered_and_a_request_moves_it_on(scene: OutputScene) -> None:
    scene.write(a_root="one")
    scene.transfers.errors["HERE"] = [errors.ElementDown("down")]

    came = scene.deliver('OutputData = "a.root";')

    ((name, text),) = scene.requests.texts.items()
    request = json.loads(text)
    kinds = [(one["Type"], one["SourceSE"], one["TargetSE"], one["Order"]) for one in request["Operations"]]
    assert kinds == [("ReplicateAndRegister", "SAFE", "HERE", 0), ("RemoveReplica", None, "SAFE", 1)]
    assert came.request.split("\n")[0] == f"Name:{name}" == "Name:n_job_1234_stamp456"
    assert (Step.REGISTERED, "SAFE") in scene.steps


def test_all_elements_down_is_tried_again_later_with_growing_pauses(scene: OutputScene) -> None:
    scene.write(a_root="one")
    scene.transfers.errors |= {"HERE": [errors.ElementDown("x")] * 6, "SAFE": [errors.ElementDown("x")] * 6}
    waited = []
    for _ in range(6):
        with pytest.raises(Delayed) as raised:
            scene.deliver('OutputData = "a.root";')
        waited.append(raised.value.again_in_s)

    assert waited == [*PAUSES_S, 600.0, 600.0]
    assert scene.deliver('OutputData = "a.root";').lfns == (f"{FOLDER}/a.root",)
    assert list(scene.transfers.held) == [("HERE", f"{FOLDER}/a.root")]


def test_no_right_anywhere_fails_the_job(scene: OutputScene) -> None:
    scene.write(a_root="one")
    scene.transfers.errors |= {"HERE": [errors.NotAllowed("x")], "SAFE": [errors.NotAllowed("x")]}

    with pytest.raises(FailJob):
        scene.deliver('OutputData = "a.root";')


def test_a_catalogue_that_stays_away_after_the_put_leaves_the_registration_to_a_request(scene: OutputScene) -> None:
    scene.write(a_root="one")
    scene.transfers.before_put = lambda _: scene.catalogue.away.extend([NoAnswer("away")] * 20)
    delays = 0
    while True:
        try:
            came = scene.deliver('OutputData = "a.root";')
            break
        except Delayed:
            delays += 1

    assert delays == len(PAUSES_S)
    assert scene.transfers.tried == [("HERE", f"{FOLDER}/a.root")]
    (request,) = map(json.loads, scene.requests.texts.values())
    (operation,) = request["Operations"]
    assert (operation["Type"], operation["TargetSE"]) == ("RegisterFile", "HERE")
    (file,) = operation["Files"]
    assert (file["LFN"], file["PFN"]) == (f"{FOLDER}/a.root", f"https://HERE{FOLDER}/a.root")
    assert (file["Size"], file["Checksum"]) == (3, f"{zlib.adler32(b'one'):08x}")
    assert came.request


@pytest.mark.parametrize("is_down", [False, True])
def test_a_death_at_any_step_neither_loses_nor_doubles(scene: OutputScene, is_down: bool, tmp_path: Path) -> None:
    for number in range(16):
        folder = tmp_path / f"round-{number}"
        folder.mkdir()
        one = OutputScene(folder)
        one.write(a_root="one", b_root="two")
        if is_down:
            one.transfers.errors["HERE"] = [errors.ElementDown("x")] * 99
        die_at(one.ledger, number)
        try:
            one.deliver('OutputData = {"a.root", "b.root"};', lanes=Lanes(1, 1))
        except Died:
            one.deliver('OutputData = {"a.root", "b.root"};', lanes=Lanes(1, 1))

        element = "SAFE" if is_down else "HERE"
        assert set(one.transfers.held) == {(element, f"{FOLDER}/{name}") for name in ("a.root", "b.root")}
        assert {lfn: list(known.replicas) for lfn, known in one.catalogue.records.items()} == {
            f"{FOLDER}/a.root": [element],
            f"{FOLDER}/b.root": [element],
        }
        assert len(one.requests.texts) == is_down
        one.ledger.close()


def test_a_request_whose_answer_was_lost_is_not_put_twice(scene: OutputScene) -> None:
    scene.write(a_root="one")
    scene.transfers.errors["HERE"] = [errors.ElementDown("x")] * 9
    scene.requests.loses_answer = True

    with pytest.raises(Delayed):
        scene.deliver('OutputData = "a.root";')
    scene.deliver('OutputData = "a.root";')

    assert len(scene.requests.texts) == 1


def test_a_request_that_is_refused_fails_the_job(scene: OutputScene) -> None:
    scene.write(a_root="one")
    scene.transfers.errors["HERE"] = [errors.ElementDown("x")]
    scene.requests.away = [Refused("not valid")]  # type: ignore[list-item] # a ServiceError too

    with pytest.raises(FailJob, match="not valid") as raised:
        scene.deliver('OutputData = "a.root";')
    assert raised.value.minor_status == "Failed sending requests"


def test_a_failed_payloads_requests_are_put_and_its_data_are_not(scene: OutputScene) -> None:
    scene.write(a_root="one")
    operation = {"Type": "RemoveFile", "Files": [{"LFN": "/lab/x"}]}
    (scene.outputs / "own_request.json").write_text(json.dumps({"Operations": [operation]}))

    came = scene.deliver('OutputData = "a.root";', has_data=False)

    assert (came.lfns, scene.transfers.tried, len(scene.requests.texts)) == ((), [], 1)


def test_a_payloads_request_that_is_none_is_told_and_harms_no_other(scene: OutputScene) -> None:
    operation = {"Type": "RemoveFile", "Files": [{"LFN": "/lab/x"}]}
    (scene.outputs / "a_request.json").write_text("{}")
    (scene.outputs / "b_request.json").write_text(json.dumps({"Operations": [operation] * 100}))
    (scene.outputs / "c_request.json").write_text(json.dumps({"Operations": [operation]}))

    came = scene.deliver("", has_data=False)

    (text,) = scene.requests.texts.values()
    assert len(json.loads(text)["Operations"]) == 100
    assert [sentence.partition(": ")[0] for sentence in came.refused] == ["a_request.json", "c_request.json"]
    assert came.refused[1].endswith("more than 100 operations for one job")


def test_a_payloads_request_that_nobody_takes_fails_the_job(scene: OutputScene) -> None:
    operation = {"Type": "RemoveFile", "Files": [{"LFN": "/lab/x"}]}
    (scene.outputs / "own_request.json").write_text(json.dumps({"Operations": [operation]}))
    scene.requests = None  # type: ignore[assignment]

    with pytest.raises(FailJob, match="publishes no ReqManager") as raised:
        scene.deliver("", has_data=False)
    assert raised.value.minor_status == "Failed sending requests"


def test_a_request_has_the_form_that_the_real_one_had() -> None:
    file = RequestedFile(lfn="/lab/x", size_bytes=4, checksum="03de014d", guid="G")
    operation = Operation(kind="ReplicateAndRegister", source="FAR", target="DOWN", files=(file,))
    request = Request(name="n_job_18", job_id=18, owner="o", group="g", operations=(operation,))

    text = json.loads(request.to_json(datetime(2026, 11, 30, 8, 22, 58, tzinfo=UTC)))

    assert (text["NotBefore"], text["SourceComponent"], text["JobID"]) == ("2026-11-30 09:07:58", "Job_18", 18)
    assert text["Operations"][0]["Files"][0] == {
        "Status": "Waiting",
        "LFN": "/lab/x",
        "PFN": None,
        "ChecksumType": "ADLER32",
        "Checksum": "03de014d",
        "GUID": "G",
        "Attempt": 0,
        "Size": 4,
        "Error": None,
    }
    assert request.digest == "Name:n_job_18\nReplicateAndRegister:ReplicateAndRegister:Waiting:0:DOWN:/lab/x"


BAD: list[Callable[[], Any]] = [
    lambda: b"{",
    lambda: b"[]",
    lambda: {"Operations": "x"},
    lambda: {"Operations": [{"Type": "Own"}]},
    lambda: {"Operations": [{"Type": "RemoveFile", "Files": []}]},
    lambda: {"Operations": [{"Type": "RemoveFile", "Files": [{"LFN": "/other/x"}]}]},
    lambda: {"Operations": [{"Type": "RemoveFile", "Files": [{"LFN": "/lab/../x"}]}]},
    lambda: {"Operations": [{"Type": "RemoveReplica", "Files": [{"LFN": "/lab/x"}]}]},
    lambda: {"Operations": [{"Type": "RemoveFile", "Files": [{"LFN": "/lab/x"}] * 1001}]},
    lambda: {"Operations": [{"Type": "RemoveFile", "Files": [{"LFN": "/lab/x"}]}] * 101},
    lambda: {"Operations": [{"Type": ["RemoveFile"], "Files": [{"LFN": "/lab/x"}]}]},
    lambda: {"Operations": [{"Type": "ForwardDISET", "Arguments": "x" * 200_000}]},
    lambda: b" " * 1_000_001,
]


@pytest.mark.parametrize("bad", BAD)
def test_what_a_payload_writes_that_is_no_request_is_refused(bad: Callable[[], Any]) -> None:
    content = bad()

    with pytest.raises(BadRequest):
        requests.read(content if isinstance(content, bytes) else json.dumps(content).encode(), "lab")
