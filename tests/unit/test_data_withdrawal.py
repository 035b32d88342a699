"""What lies at an element and is not wanted there is taken away; what is somebody's, or may be, never is."""

import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.data import errors
from agents.data.delays import PAUSES_S, Delayed
from agents.data.lanes import Lanes
from agents.errors import FailJob, NoAnswer
from agents.jobs.transfer_steps import Step, Upload
from tests.unit.data_scene import FOLDER, Died, OutputScene, die_at, record

LFN = f"{FOLDER}/a.root"
OURS, OTHERS = b"what we have", b"others"
JDL = 'OutputData = "a.root"; OutputSE = {"NEAR", "HERE"};'


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[OutputScene]:
    made = OutputScene(tmp_path)
    made.write(a_root=OURS.decode())
    yield made
    made.ledger.close()


def taken_by_others(scene: OutputScene, *elements: str) -> None:
    """Let somebody register the name while our file is being put: once the catalogue was asked."""

    def take(_: str) -> None:
        scene.catalogue.records[LFN] = record(LFN, len(OTHERS), zlib.adler32(OTHERS), *elements)

    scene.transfers.before_put = take
    scene.catalogue.refused = {LFN}


def left(scene: OutputScene, *, is_whole: bool = True, element: str = "NEAR") -> None:
    """Write down that something of ours may lie at an element, and put it there."""
    scene.transfers.held[element, LFN] = OURS if is_whole else OURS[:5]
    was = Upload(
        stamp="stamp4567890",
        lfn=LFN,
        step=Step.STORING,
        element=element,
        size_bytes=len(OURS),
        adler32=zlib.adler32(OURS),
        name="a.root",
    )
    scene.ledger.save_uploads([was.unwanted()])


def test_a_file_whose_name_is_taken_meanwhile_is_taken_away_and_the_others_stay(scene: OutputScene) -> None:
    taken_by_others(scene, "SAFE")
    scene.transfers.held["SAFE", LFN] = OTHERS

    with pytest.raises(FailJob, match="LFN exists with other content"):
        scene.deliver(JDL)

    assert scene.transfers.held == {("SAFE", LFN): OTHERS}
    assert scene.transfers.taken == [("NEAR", LFN)]


def test_what_the_catalogue_knows_there_is_not_touched_whatever_it_is(scene: OutputScene) -> None:
    taken_by_others(scene, "NEAR")  # they have found our file under their name, or do not look

    with pytest.raises(FailJob) as raised:
        scene.deliver(JDL)

    assert scene.transfers.held == {("NEAR", LFN): OURS}
    assert raised.value.facts == {}


def test_what_others_have_put_over_our_file_is_not_touched(scene: OutputScene) -> None:
    taken_by_others(scene, "SAFE")
    was = scene.catalogue.register

    def replaced(files: list[object]) -> dict[str, str]:
        scene.transfers.held["NEAR", LFN] = OTHERS
        return was(files)  # type: ignore[arg-type] # the border

    scene.catalogue.register = replaced  # type: ignore[assignment, method-assign]

    with pytest.raises(FailJob):
        scene.deliver(JDL)

    assert scene.transfers.held == {("NEAR", LFN): OTHERS}


def test_another_of_the_jobs_files_that_is_registered_stays(scene: OutputScene) -> None:
    scene.write(b_root="two")
    taken_by_others(scene, "SAFE")

    with pytest.raises(FailJob):
        scene.deliver('OutputData = {"a.root", "b.root"}; OutputSE = "NEAR";')

    assert scene.transfers.held == {("NEAR", f"{FOLDER}/b.root"): b"two"}


@pytest.mark.parametrize(
    ("there", "is_ours"), [(OURS[:5], True), (b"", True), (OTHERS, False), (OURS + b"more", False), (OURS[1:], False)]
)
def test_the_beginning_that_a_try_has_left_is_replaced_and_a_strangers_file_is_not(
    scene: OutputScene, there: bytes, is_ours: bool
) -> None:
    scene.requests = None  # type: ignore[assignment] # so there is no failover
    scene.transfers.errors["HERE"] = [errors.Transient("the way broke")]
    with pytest.raises(Delayed):
        scene.deliver('OutputData = "a.root"; OutputSE = "HERE";')
    scene.transfers.held["HERE", LFN] = there

    if is_ours:
        scene.deliver('OutputData = "a.root"; OutputSE = "HERE";')
    else:
        with pytest.raises(Delayed, match="perhaps of a try that broke off"):
            scene.deliver('OutputData = "a.root"; OutputSE = "HERE";')

    assert scene.transfers.held["HERE", LFN] == (OURS if is_ours else there)


@pytest.mark.parametrize("is_whole", [True, False])
def test_an_element_that_tells_no_checksum_shows_whole_files_alone(scene: OutputScene, is_whole: bool) -> None:
    scene.transfers.tells_sums = False
    left(scene, is_whole=is_whole)

    scene.deliver('OutputData = "*.none";', has_data=False)

    assert (("NEAR", LFN) in scene.transfers.held) is not is_whole


@pytest.mark.parametrize("is_whole", [True, False])
def test_two_elements_may_be_two_names_of_one_disk(scene: OutputScene, is_whole: bool) -> None:
    """What is registered at one of them with this content is not taken away by the name of the other."""
    left(scene, is_whole=is_whole)
    scene.catalogue.records[LFN] = record(LFN, len(OURS), zlib.adler32(OURS), "HERE")

    scene.deliver("", has_data=False)

    assert (("NEAR", LFN) in scene.transfers.held) is is_whole


def test_what_an_upload_that_went_elsewhere_has_left_is_taken_away(scene: OutputScene) -> None:
    def broke_off(_: str) -> None:
        scene.transfers.held["NEAR", LFN] = OURS[:5]
        scene.transfers.before_put = lambda _: None

    scene.transfers.before_put = broke_off
    scene.transfers.errors["NEAR"] = [errors.Transient("the way broke")]

    scene.deliver(JDL)

    assert scene.transfers.held == {("HERE", LFN): OURS}


def test_an_element_that_is_away_is_waited_for_and_then_the_owner_hears_where_it_is(scene: OutputScene) -> None:
    taken_by_others(scene, "SAFE")
    scene.transfers.not_taken["NEAR"] = [errors.ElementDown("away")] * 99

    for _ in PAUSES_S:
        with pytest.raises(Delayed, match="not taken away yet"):
            scene.deliver(JDL)
    with pytest.raises(FailJob) as raised:
        scene.deliver(JDL)

    assert raised.value.facts == {"UnregisteredFiles": f"NEAR:{LFN} (away)"}
    assert scene.requests.texts == {}  # PhysicalRemoval would remove whatever lies there then


def test_whoever_may_not_remove_does_not_wait(scene: OutputScene) -> None:
    taken_by_others(scene, "SAFE")
    scene.transfers.not_taken["NEAR"] = [errors.NotAllowed("no right")] * 9

    with pytest.raises(FailJob) as raised:
        scene.deliver(JDL)
    assert "no right" in raised.value.facts["UnregisteredFiles"]


def test_while_the_catalogue_is_away_nothing_is_taken_away(scene: OutputScene) -> None:
    left(scene)
    scene.catalogue.away = [NoAnswer("away")] * 9

    scene.deliver("", has_data=False)

    assert scene.transfers.held == {("NEAR", LFN): OURS}
    assert (Step.UNWANTED, "NEAR") in scene.steps


def test_what_is_put_to_an_element_again_is_wanted_there(scene: OutputScene) -> None:
    left(scene)
    scene.transfers.not_taken["NEAR"] = [errors.ElementDown("away")]

    scene.deliver(JDL)
    scene.deliver(JDL)

    assert scene.transfers.held == {("NEAR", LFN): OURS}
    assert list(scene.catalogue.records[LFN].replicas) == ["NEAR"]


@pytest.mark.parametrize("number", range(2, 16))
def test_a_death_at_any_step_leaves_neither_an_orphan_nor_a_hole(scene: OutputScene, number: int) -> None:
    taken_by_others(scene, "SAFE")
    scene.transfers.held["SAFE", LFN] = OTHERS
    die_at(scene.ledger, number)

    with pytest.raises((Died, FailJob)) as raised:
        scene.deliver(JDL, lanes=Lanes(1, 1))
    if raised.type is Died:
        with pytest.raises(FailJob):
            scene.deliver(JDL, lanes=Lanes(1, 1))

    assert scene.transfers.held == {("SAFE", LFN): OTHERS}


# ---- when there is no more time ----


def test_stored_files_are_left_to_a_request_when_the_time_is_over(scene: OutputScene) -> None:
    scene.transfers.before_put = lambda _: scene.catalogue.away.extend([NoAnswer("away")])
    with pytest.raises(Delayed):
        scene.deliver(JDL)

    came = scene.work(JDL).end("the slot ends", has_data=True)

    (request,) = map(json.loads, scene.requests.texts.values())
    assert [one["Type"] for one in request["Operations"]] == ["RegisterFile"]
    assert came.lfns == (LFN,)
    assert scene.transfers.held == {("NEAR", LFN): OURS}


def test_stored_files_of_a_job_that_is_not_whole_are_taken_away_when_the_time_is_over(scene: OutputScene) -> None:
    scene.write(b_root="two")
    scene.transfers.before_put = lambda lfn: scene.transfers.errors.update(
        {name: [errors.ElementDown("away")] for name in ("NEAR", "SAFE", "HERE") if lfn.endswith("b.root")}
    )
    jdl = 'OutputData = {"a.root", "b.root"}; OutputSE = "NEAR";'
    with pytest.raises(Delayed):
        scene.deliver(jdl, lanes=Lanes(1, 1))
    assert ("NEAR", LFN) in scene.transfers.held

    with pytest.raises(FailJob, match="Its output data are not uploaded: the slot ends"):
        scene.work(jdl).end("the slot ends", has_data=True)
    assert scene.transfers.held == {}


def test_stored_files_that_nobody_will_register_are_taken_away_when_the_time_is_over(scene: OutputScene) -> None:
    scene.transfers.before_put = lambda _: scene.catalogue.away.extend([NoAnswer("away")])
    with pytest.raises(Delayed):
        scene.deliver(JDL)
    scene.requests.away = [NoAnswer("away")]

    with pytest.raises(FailJob):
        scene.work(JDL).end("the slot ends", has_data=True)
    assert scene.transfers.held == {}
