"""Input data: what is brought, from where, and how a job ends that cannot have it."""

import json
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.data import errors, fetching
from agents.data.inputs import Inputs, MissingData
from agents.data.lanes import Lanes
from agents.data.progress import Progress
from agents.data.room import Room
from agents.errors import FailJob, HandBack, NoAnswer
from tests.unit.data_scene import MemoryCatalogue, MemoryTransfers, access, described, record

FILES = {"/lab/a/x.root": b"first", "/lab/b/x.root": b"second", "/lab/c/y.root": b"third" * 1000}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no pause take long."""
    monkeypatch.setattr(fetching, "_PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr(fetching, "_AGAIN_S", 0.0)


@pytest.fixture
def transfers() -> MemoryTransfers:
    return MemoryTransfers({("HERE", lfn): content for lfn, content in FILES.items()})


@pytest.fixture
def catalogue() -> MemoryCatalogue:
    made = {lfn: record(lfn, len(data), zlib.adler32(data), "HERE") for lfn, data in FILES.items()}
    return MemoryCatalogue(made)


@pytest.fixture
def inputs(tmp_path: Path, catalogue: MemoryCatalogue, transfers: MemoryTransfers) -> Callable[..., Inputs]:
    def made(**more: Any) -> Inputs:
        plain: dict[str, Any] = {
            "access": access(catalogue, transfers),
            "lanes": Lanes(),
            "room": Room(tmp_path, 0),
            "stamp": "s",
            "into": tmp_path / "brought",
            "is_given_up": lambda: False,
            "shows": lambda _: None,
        }
        return Inputs(**{**plain, **more})

    return made


NAMES = ", ".join(f'"LFN:{lfn}"' for lfn in FILES)
ALL = f"InputData = {{{NAMES}}};"


def test_all_files_arrive_after_one_look_up_and_two_of_one_name_are_told_apart(
    inputs: Callable[..., Inputs], catalogue: MemoryCatalogue, tmp_path: Path
) -> None:
    came = inputs().data(described(ALL), ["script.sh"])

    data = tmp_path / "brought/data"
    assert (data / "x.root").read_bytes() == b"first"
    assert (data / "InputData_1/x.root").read_bytes() == b"second"
    assert catalogue.calls == ["look_up"]
    assert {path.name for path in came.files} >= {"x.root", "y.root", "InputData_1", "InputData.json"}
    told = json.loads((data / "InputData.json").read_text())
    assert [told[lfn]["path"] for lfn in FILES] == ["x.root", "InputData_1/x.root", "y.root"]
    assert came.facts["DownloadInputData"].startswith("Successfully downloaded 3 LFN(s) from local SEs:\n/lab/a/x.root")


def test_the_largest_file_is_begun_first(inputs: Callable[..., Inputs], transfers: MemoryTransfers) -> None:
    inputs(lanes=Lanes(1, 1)).data(described(ALL), [])

    assert [lfn for _, lfn in transfers.tried] == ["/lab/c/y.root", "/lab/b/x.root", "/lab/a/x.root"]


def test_a_name_of_the_sandbox_is_not_taken_from_it(inputs: Callable[..., Inputs], tmp_path: Path) -> None:
    inputs().data(described('InputData = "/lab/a/x.root";'), ["x.root", "InputData_1"])

    assert (tmp_path / "brought/data/InputData_2/x.root").read_bytes() == b"first"


def test_what_a_former_agent_has_brought_whole_is_not_brought_again(
    inputs: Callable[..., Inputs], transfers: MemoryTransfers, tmp_path: Path
) -> None:
    (tmp_path / "brought/data").mkdir(parents=True)
    (tmp_path / "brought/data/x.root").write_bytes(b"first")
    (tmp_path / "brought/data/y.root").write_bytes(b"thirty")

    inputs().data(described('InputData = {"/lab/a/x.root", "/lab/c/y.root"};'), [])

    assert [lfn for _, lfn in transfers.tried] == ["/lab/c/y.root"]
    assert (tmp_path / "brought/data/y.root").read_bytes() == FILES["/lab/c/y.root"]


@pytest.mark.parametrize("error", [errors.Damaged("x"), errors.NotHere("x"), errors.ElementDown("x")])
def test_another_replica_is_taken(
    inputs: Callable[..., Inputs], catalogue: MemoryCatalogue, transfers: MemoryTransfers, error: Exception
) -> None:
    lfn = "/lab/a/x.root"
    catalogue.records[lfn] = record(lfn, 5, zlib.adler32(b"first"), "HERE", "NEAR")
    transfers.held["NEAR", lfn] = b"first"
    transfers.errors["HERE"] = [error]

    came = inputs().data(described(f'InputData = "{lfn}";'), [])

    assert transfers.tried == [("HERE", lfn), ("NEAR", lfn)]
    assert [(moved.element, moved.is_done) for moved in came.moved] == [("HERE", False), ("NEAR", True)]
    assert "(0 from local SEs)" in came.facts["DownloadInputData"]


def test_a_broken_way_is_gone_again(inputs: Callable[..., Inputs], transfers: MemoryTransfers) -> None:
    transfers.errors["HERE"] = [errors.Transient("x")]

    inputs().data(described('InputData = "/lab/a/x.root";'), [])

    assert transfers.tried == [("HERE", "/lab/a/x.root")] * 2


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (errors.Damaged("x"), FailJob),
        (errors.NotHere("x"), FailJob),
        (errors.NotAllowed("x"), FailJob),
        (errors.ElementDown("x"), HandBack),
        (errors.Transient("x"), HandBack),
        (errors.Unsupported("x"), HandBack),
        (errors.NoSpaceHere("x"), HandBack),
        (errors.GivenUp("x"), HandBack),
    ],
)
def test_whose_fault_it_is_that_no_replica_is_any_good(
    inputs: Callable[..., Inputs], transfers: MemoryTransfers, error: Exception, ends: type[Exception]
) -> None:
    transfers.errors["HERE"] = [error] * 10

    with pytest.raises(ends):
        inputs().data(described('InputData = "/lab/a/x.root";'), [])


def test_what_the_catalogue_does_not_know_fails_the_job_by_name(inputs: Callable[..., Inputs]) -> None:
    with pytest.raises(MissingData) as raised:
        inputs().data(described('InputData = {"/lab/a/x.root", "LFN:/lab/none"};'), [])

    assert raised.value.minor_status == "Input Data Not Available"
    assert raised.value.facts == {"MissingLFNs": "LFN:/lab/none Problem: No such file or directory"}


def test_a_catalogue_that_is_away_hands_the_job_back(inputs: Callable[..., Inputs], catalogue: MemoryCatalogue) -> None:
    catalogue.away = [NoAnswer("x")]

    with pytest.raises(HandBack):
        inputs().data(described(ALL), [])


@pytest.mark.parametrize("name", ["relative", "/other/vo", "/lab/../x", "LFN:/lab//x"])
def test_what_is_no_lfn_fails_the_job(inputs: Callable[..., Inputs], name: str) -> None:
    with pytest.raises(FailJob):
        inputs().data(described(f'InputData = "{name}";'), [])


def test_room_comes_first_and_is_told_in_numbers(
    inputs: Callable[..., Inputs], transfers: MemoryTransfers, catalogue: MemoryCatalogue, tmp_path: Path
) -> None:
    catalogue.records["/lab/a/x.root"] = record("/lab/a/x.root", 10**17, 1, "HERE")

    with pytest.raises(HandBack, match=r"its input data take 100000000000 MB, \d+ MB are free"):
        inputs(room=Room(tmp_path, 5 * 10**9)).data(described(ALL), [])
    assert transfers.tried == []


def test_a_site_may_limit_what_one_job_has(inputs: Callable[..., Inputs], tmp_path: Path) -> None:
    with pytest.raises(HandBack, match="DiskLimit"):
        inputs(room=Room(tmp_path, 0, 1000)).data(described(ALL), [])


def test_by_protocol_urls_are_told_and_nothing_is_brought(
    inputs: Callable[..., Inputs], transfers: MemoryTransfers, tmp_path: Path
) -> None:
    inputs().data(described(f'{ALL} InputDataPolicy = "X.Client.InputDataByProtocol";'), [])

    assert transfers.tried == []
    told = json.loads((tmp_path / "brought/data/InputData.json").read_text())
    assert told["/lab/a/x.root"]["urls"] == ["https://HERE/lab/a/x.root"]
    pool = (tmp_path / "brought/data/pool_xml_catalog.xml").read_text()
    assert '<pfn filetype="ROOT_All" name="https://HERE/lab/a/x.root" se="HERE"/>' in pool


@pytest.mark.parametrize("more", ['InputDataPolicy = "LHCbDIRAC.Own";', 'InputDataModule = "VO.Client.Resolve";'])
def test_a_module_of_a_vo_hands_the_job_back(inputs: Callable[..., Inputs], more: str) -> None:
    with pytest.raises(HandBack, match="a module of the VO's own"):
        inputs().data(described(ALL + more), [])


def test_files_of_the_sandbox_are_kept_apart(inputs: Callable[..., Inputs]) -> None:
    came = inputs().sandbox(["LFN:/lab/a/x.root", "lfn:/lab/b/x.root"])

    assert [path.read_bytes() for path in came.packed] == [b"first", b"second"]


def test_a_job_that_is_given_up_waits_for_nothing(
    inputs: Callable[..., Inputs], transfers: MemoryTransfers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_PAUSES_S", (600.0,))
    transfers.errors["HERE"] = [errors.ElementDown("x")] * 5
    began = time.monotonic()

    with pytest.raises(HandBack):
        inputs(is_given_up=lambda: bool(transfers.tried)).data(described('InputData = "/lab/a/x.root";'), [])
    assert time.monotonic() - began < 60


def test_how_far_it_is_is_one_sentence() -> None:
    progress = Progress("Downloading input data", {"/a": 3 * 10**9, "/b": 10**9})
    progress.done("/b")
    progress.at("/a", 200_000_000)

    assert progress.sentence == "Downloading input data: 1 of 2 files, 1.2 of 4.0 GB"


def test_no_more_files_move_at_once_than_lanes_are_there() -> None:
    running, most = [0], [0]

    def work(_: int) -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        time.sleep(0.01)
        running[0] -= 1

    Lanes(3, 2).each(work, range(20))

    assert most[0] <= 2


def test_the_first_error_ends_the_rest() -> None:
    begun: list[int] = []

    def work(item: int) -> None:
        begun.append(item)
        raise ValueError(item)

    with pytest.raises(ValueError, match="0"):
        Lanes(1, 1).each(work, range(20))
    assert begun == [0]
