"""Files moved by the agent's own code, on real servers: XRootD by root:// and https, Apache WebDAV, DIRAC's elements.

DIRAC's own client, or the disk behind a server, says what there is.
"""

import os
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.data.catalogue import FileRecord, MissingFile, NewFile
from agents.data.errors import (
    Damaged,
    ElementDown,
    Exists,
    GivenUp,
    NoRoom,
    NotAllowed,
    NotHere,
    Transient,
)
from agents.data.way import UNWATCHED, Content, Watch
from tests.system.data_scene import Scene, kill, mounted, start_again, stopped
from tests.system.dirac_stack import Stack
from tests.system.storage import DiracData

ELEMENTS = ["LAB-disk", "XRD-root", "XRD-https", "DAV-disk", "FAR-https"]
SERVER = {
    "LAB-disk": "dips-near",
    "XRD-root": "near",
    "XRD-https": "near",
    "FAR-https": "far",
    "DAV-disk": "webdav",
}
SMALL = b"some bytes\n" * 1000
LARGE_BYTES = 400_000_000


@pytest.fixture(scope="module")
def scene(stack: Stack, data: DiracData) -> Iterator[Scene]:
    before = dict(os.environ)
    os.environ.update({"XrdSecGSISRVNAMES": "localhost|127.0.0.1"})
    yield Scene(stack, data.storage)
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "small").write_bytes(SMALL)
    return tmp_path / "small"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Content]:
    path, summed = tmp_path_factory.mktemp("large") / "large", 1
    with path.open("wb") as file:
        for _ in range(LARGE_BYTES // 4_000_000):
            piece = os.urandom(4_000_000)
            summed = zlib.adler32(piece, summed)
            file.write(piece)
    return path, Content(size_bytes=LARGE_BYTES, adler32=summed)


def content_of(data: bytes) -> Content:
    return Content(size_bytes=len(data), adler32=zlib.adler32(data))


def new_lfn() -> str:
    return f"/labvo/data/{uuid.uuid4().hex}/a.bin"


def record_of(lfn: str, content: Content) -> FileRecord:
    return FileRecord(lfn=lfn, size_bytes=content.size_bytes, adler32=content.adler32, replicas={})


def after(megabytes: int, act: Callable[[], Any]) -> Watch:
    """A watch that does something once so much is there, and whose patience is short."""
    done = threading.Event()

    def progress(size: int) -> None:
        if size >= megabytes * 10**6 and not done.is_set():
            done.set()
            act()

    return Watch(progress=progress, silence_s=4.0, ends_s=time.monotonic() + 300)


# ---- both ways, with DIRAC as the other side ----


@pytest.mark.parametrize("element", ELEMENTS)
def test_what_we_put_and_register_dirac_reads(
    scene: Scene, data: DiracData, small: Path, tmp_path: Path, element: str
) -> None:
    lfn = new_lfn()
    pfn = scene.transfers.put(small, lfn, scene.target(element), content_of(SMALL))
    new = NewFile(
        lfn=lfn,
        element=element,
        pfn=pfn,
        size_bytes=len(SMALL),
        adler32=zlib.adler32(SMALL),
        guid=str(uuid.uuid4()).upper(),
    )
    assert scene.catalogue.register([new]) == {lfn: ""}
    assert scene.catalogue.register([new]) == {lfn: ""}  # the same again is the same
    known = data.look(lfn)[lfn]
    assert (known["Size"], int(known["Checksum"], 16), known["Replicas"]) == (len(SMALL), new.adler32, [element])
    assert known["GUID"] == new.guid
    assert data.client("user2", "get", lfn, "--into", str(tmp_path), "--element", element)["size"] == len(SMALL)
    assert data.path(element, lfn).read_bytes() == SMALL
    assert [path.name for path in data.path(element, lfn).parent.iterdir()] == ["a.bin"]


@pytest.mark.parametrize("url", ["catalogue_dips", "catalogue_https"])
def test_what_dirac_put_we_find_and_read_from_every_element(
    scene: Scene, stack: Stack, data: DiracData, small: Path, tmp_path: Path, url: str
) -> None:
    lfn, absent = new_lfn(), new_lfn()
    data.put(lfn, small, "LAB-disk", "XRD-https", "DAV-disk", "FAR-https")
    there = Scene(stack, data.storage, catalogue_url=stack.endpoint[url])
    found = there.catalogue.look_up([lfn, absent])
    record, missing = found[lfn], found[absent]
    assert isinstance(record, FileRecord)
    assert record.holds(len(SMALL), zlib.adler32(SMALL))
    assert sorted(record.replicas) == ["DAV-disk", "FAR-https", "LAB-disk", "XRD-https"]
    assert isinstance(missing, MissingFile)
    assert missing.is_absent
    for element in (*record.replicas, "XRD-root"):
        scene.transfers.get(record, scene.source(element, lfn), tmp_path / element)
        assert (tmp_path / element).read_bytes() == SMALL


def test_a_further_replica_is_known_to_dirac(scene: Scene, data: DiracData, small: Path) -> None:
    lfn = new_lfn()
    data.put(lfn, small, "LAB-disk")
    pfn = scene.transfers.put(small, lfn, scene.target("DAV-disk"), content_of(SMALL))
    new = NewFile(
        lfn=lfn, element="DAV-disk", pfn=pfn, size_bytes=len(SMALL), adler32=zlib.adler32(SMALL), guid=str(uuid.uuid4())
    )
    assert scene.catalogue.add_replicas([new]) == {lfn: ""}
    assert data.look(lfn)[lfn]["Replicas"] == ["DAV-disk", "LAB-disk"]


def test_another_content_under_a_known_name_is_refused_by_the_catalogue(
    scene: Scene, data: DiracData, small: Path
) -> None:
    lfn = new_lfn()
    data.put(lfn, small, "LAB-disk")
    new = NewFile(lfn=lfn, element="DAV-disk", pfn="", size_bytes=5, adler32=5, guid=str(uuid.uuid4()))
    assert scene.catalogue.register([new])[lfn]
    assert data.look(lfn)[lfn]["Size"] == len(SMALL)


# ---- what there is already, and what there is not ----


@pytest.mark.parametrize("element", ELEMENTS)
def test_what_is_there_is_not_touched(scene: Scene, data: DiracData, small: Path, element: str) -> None:
    lfn = new_lfn()
    scene.transfers.put(small, lfn, scene.target(element), content_of(SMALL))
    small.write_bytes(b"other")
    with pytest.raises(Exists) as told:
        scene.transfers.put(small, lfn, scene.target(element), content_of(b"other"))
    assert told.value.size_bytes == len(SMALL)
    assert told.value.adler32 in (None, zlib.adler32(SMALL))
    assert data.path(element, lfn).read_bytes() == SMALL


@pytest.mark.parametrize("element", ELEMENTS)
def test_a_replica_that_is_not_there(scene: Scene, tmp_path: Path, element: str) -> None:
    lfn = new_lfn()
    with pytest.raises(NotHere):
        scene.transfers.get(record_of(lfn, content_of(SMALL)), scene.source(element, lfn), tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("element", ELEMENTS)
def test_a_damaged_replica_is_told(scene: Scene, data: DiracData, small: Path, tmp_path: Path, element: str) -> None:
    lfn = new_lfn()
    scene.transfers.put(small, lfn, scene.target(element), content_of(SMALL))
    data.path(element, lfn).write_bytes(SMALL[:-8] + b"damaged\n")
    with pytest.raises(Damaged, match=f"{element}.*Adler32"):
        scene.transfers.get(record_of(lfn, content_of(SMALL)), scene.source(element, lfn), tmp_path / "a")
    assert list(tmp_path.iterdir()) == [small]


@pytest.mark.parametrize("element", ELEMENTS)
def test_a_checksum_with_leading_zeros(scene: Scene, data: DiracData, tmp_path: Path, element: str) -> None:
    text = b"a"  # Adler32 00620062
    (tmp_path / "a").write_bytes(text)
    lfn = new_lfn()
    scene.transfers.put(tmp_path / "a", lfn, scene.target(element), content_of(text))
    with pytest.raises(Exists) as told:
        scene.transfers.put(tmp_path / "a", lfn, scene.target(element), content_of(text))
    assert (told.value.size_bytes, told.value.adler32) in ((1, None), (1, 0x00620062))
    scene.transfers.get(record_of(lfn, content_of(text)), scene.source(element, lfn), tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == text


@pytest.mark.parametrize("element", ELEMENTS)
def test_an_empty_file(scene: Scene, data: DiracData, tmp_path: Path, element: str) -> None:
    (tmp_path / "a").write_bytes(b"")
    lfn, empty = new_lfn(), content_of(b"")
    scene.transfers.put(tmp_path / "a", lfn, scene.target(element), empty, Watch(silence_s=20.0))
    scene.transfers.get(record_of(lfn, empty), scene.source(element, lfn), tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b""


# ---- what is taken away ----


@pytest.mark.parametrize("element", ELEMENTS)
def test_what_may_be_taken_away_is_and_nothing_else(
    scene: Scene, data: DiracData, small: Path, tmp_path: Path, element: str
) -> None:
    lfn, told = new_lfn(), list[Content]()
    scene.transfers.put(small, lfn, scene.target(element), content_of(SMALL))

    def judged(found: Content) -> bool:
        told.append(found)
        return len(told) > 1

    for is_gone in (False, True):
        assert scene.transfers.take_away(small, lfn, scene.target(element), judged, UNWATCHED) is is_gone
        assert data.path(element, lfn).exists() is not is_gone
    assert scene.transfers.take_away(small, lfn, scene.target(element), judged, UNWATCHED)
    assert len(told) == 2
    assert {found.size_bytes for found in told} == {len(SMALL)}
    sums = {found.adler32 for found in told}
    assert sums == ({None} if element == "DAV-disk" else {zlib.adler32(SMALL)})


# ---- who may not ----


@pytest.mark.parametrize("who", ["stranger", "expired"])
@pytest.mark.parametrize("element", ELEMENTS)
def test_whoever_may_not_is_told_so(
    scene: Scene, stack: Stack, data: DiracData, small: Path, tmp_path: Path, element: str, who: str
) -> None:
    lfn = new_lfn()
    scene.transfers.put(small, lfn, scene.target(element), content_of(SMALL))
    other = Scene(stack, data.storage, who)
    with pytest.raises(NotAllowed):
        other.transfers.get(record_of(lfn, content_of(SMALL)), other.source(element, lfn), tmp_path / "a")
    with pytest.raises(NotAllowed):
        other.transfers.put(small, new_lfn(), other.target(element), content_of(SMALL))


# ---- elements that fail in the middle ----


@pytest.mark.parametrize("element", ELEMENTS)
def test_a_download_from_an_element_that_stops_is_given_up_and_goes_on_later(
    scene: Scene, data: DiracData, large: tuple[Path, Content], tmp_path: Path, element: str
) -> None:
    path, content = large
    lfn = new_lfn()
    scene.transfers.put(path, lfn, scene.target(element), content)
    stops = stopped(SERVER[element])
    with pytest.raises(Transient):
        scene.transfers.get(
            record_of(lfn, content), scene.source(element, lfn), tmp_path / "a", after(50, stops.__enter__)
        )
    stops.__exit__(None, None, None)
    kept = (tmp_path / ".a.part").stat().st_size
    assert kept >= 50_000_000
    seen: list[int] = []
    scene.transfers.get(
        record_of(lfn, content), scene.source(element, lfn), tmp_path / "a", Watch(progress=seen.append)
    )
    if element != "LAB-disk":  # dips knows no beginning but the file's
        assert seen[0] >= kept
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("element", ELEMENTS)
def test_an_upload_to_an_element_that_stops_is_given_up_and_works_later(
    scene: Scene, data: DiracData, large: tuple[Path, Content], element: str
) -> None:
    path, content = large
    lfn = new_lfn()
    stops = stopped(SERVER[element])
    timer = threading.Timer(20.0, lambda: stops.__exit__(None, None, None))

    def stop() -> None:
        stops.__enter__()
        timer.start()

    with pytest.raises(Transient):
        scene.transfers.put(path, lfn, scene.target(element), content, after(50, stop))
    timer.join()
    deadline = time.monotonic() + 60
    while True:  # a server may hold its lock on the half of a file a moment longer
        try:
            scene.transfers.put(path, lfn, scene.target(element), content)
            break
        except (Transient, Exists):
            assert time.monotonic() < deadline
            time.sleep(2)
    assert data.path(element, lfn).stat().st_size == content.size_bytes


@pytest.mark.parametrize("element", ["XRD-root", "XRD-https", "DAV-disk"])
def test_an_element_that_is_killed_in_the_middle_of_an_upload_and_started_again(
    scene: Scene, data: DiracData, large: tuple[Path, Content], element: str
) -> None:
    path, content = large
    lfn = new_lfn()
    with pytest.raises((Transient, ElementDown)):
        scene.transfers.put(path, lfn, scene.target(element), content, after(50, lambda: kill(SERVER[element])))
    with pytest.raises(ElementDown):
        scene.transfers.put(path, lfn, scene.target(element), content)
    start_again()
    if element == "XRD-root":  # the server keeps the half of a file for ten minutes, in case its writer comes back
        with pytest.raises(Transient, match="broke off"):
            scene.transfers.put(path, lfn, scene.target(element), content)
        data.path(element, lfn).unlink()
    scene.transfers.put(path, lfn, scene.target(element), content)
    assert data.path(element, lfn).stat().st_size == content.size_bytes


@pytest.mark.parametrize("element", ELEMENTS)
def test_who_watches_may_give_up(
    scene: Scene, data: DiracData, large: tuple[Path, Content], tmp_path: Path, element: str
) -> None:
    path, content = large
    lfn, over = new_lfn(), threading.Event()
    watch = Watch(progress=lambda size: over.set() if size > 50_000_000 else None, is_given_up=over.is_set)
    with pytest.raises(GivenUp):
        scene.transfers.put(path, lfn, scene.target(element), content, watch)
    time.sleep(1)
    assert not data.path(element, lfn).exists()
    with pytest.raises(GivenUp):
        scene.transfers.put(path, lfn, scene.target(element), content, Watch(ends_s=time.monotonic()))


def test_an_element_that_is_down(scene: Scene, small: Path, tmp_path: Path) -> None:
    lfn = new_lfn()
    with pytest.raises(ElementDown):
        scene.transfers.get(record_of(lfn, content_of(SMALL)), scene.source("DOWN-disk", lfn), tmp_path / "a")
    with pytest.raises(ElementDown):
        scene.transfers.put(small, lfn, scene.target("DOWN-disk"), content_of(SMALL))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts file systems")
@pytest.mark.parametrize("options", ["size=10m", "ro"])
@pytest.mark.parametrize("element", ELEMENTS)
def test_an_element_that_is_full_or_read_only_takes_nothing(
    scene: Scene, data: DiracData, large: tuple[Path, Content], element: str, options: str
) -> None:
    path, content = large
    lfn = new_lfn()
    folder = data.path(element, lfn).parent
    owner = folder.parent.owner() if folder.parent.exists() else "root"
    with mounted(folder, options, owner):
        with pytest.raises(NoRoom):
            scene.transfers.put(path, lfn, scene.target(element), content)
        assert list(folder.iterdir()) == []
