"""A real Rucio as the agent's file catalogue; Rucio's own client says what it knows."""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from agents.credentials.identity import Identity
from agents.data import rucio as ours
from agents.data.catalogue import FileCatalogue, FileRecord, MissingFile, NewFile
from agents.data.catalogues import catalogue_for
from agents.data.rucio import RucioServer
from agents.errors import AccessDenied
from agents.wms.published import Published
from agents.wms.testing import FakeTransport
from ce_backends.cfg import parse
from tests.system.storage import Rucio, Storage

ADLER32 = 0x004B021F  # its leading zeros are lost on the way where somebody is careless


def catalogue(storage: Storage, url: str, who: str = "user", account: str = "labuser") -> ours.Rucio:
    owner = Identity(certificate=Path(storage.proxy(who)), ca=Path(storage.endpoint["ca_dir"]))
    return ours.Rucio(RucioServer(url=url, auth_url=url, account=account), owner)


@pytest.fixture
def files() -> list[NewFile]:
    folder = f"/labvo/user/l/labuser/{uuid.uuid4().hex}"
    return [
        NewFile(
            lfn=f"{folder}/{n}.bin", element="XRD2", pfn="", size_bytes=5 + n, adler32=ADLER32, guid=str(uuid.uuid4())
        )
        for n in range(3)
    ]


def seen_by_rucio(rucio: Rucio, *files: NewFile) -> dict[str, Mapping[str, object]]:
    rows = rucio.client("--scope", "user", "replicas", *(file.lfn for file in files))
    return {row["name"]: row for row in rows}


def test_what_we_register_rucio_knows(storage: Storage, rucio: Rucio, files: list[NewFile]) -> None:
    mine = catalogue(storage, rucio.url)
    assert mine.register(files) == dict.fromkeys((file.lfn for file in files), "")
    assert mine.register(files) == dict.fromkeys((file.lfn for file in files), "")  # the same again is the same
    there = seen_by_rucio(rucio, *files)
    assert {lfn: (row["bytes"], row["adler32"]) for lfn, row in there.items()} == {
        file.lfn: (file.size_bytes, "004b021f") for file in files
    }
    found = mine.look_up([file.lfn for file in files])
    first = found[files[0].lfn]
    assert isinstance(first, FileRecord)
    assert (first.size_bytes, first.adler32, list(first.replicas)) == (5, ADLER32, ["XRD2"])
    assert first.replicas["XRD2"].startswith("https://")


def test_a_further_replica_and_a_clash(storage: Storage, rucio: Rucio, files: list[NewFile]) -> None:
    mine, file = catalogue(storage, rucio.url), files[0]
    assert mine.register([file]) == {file.lfn: ""}
    assert mine.add_replicas([replace(file, element="DAV")]) == {file.lfn: ""}
    assert sorted(seen_by_rucio(rucio, file)[file.lfn]["rses"]) == ["DAV", "XRD2"]  # type: ignore[call-overload]
    assert "other content: 5 bytes" in mine.register([replace(file, size_bytes=6)])[file.lfn]


def test_one_that_cannot_be_registered_does_not_take_the_others_with_it(
    storage: Storage, rucio: Rucio, files: list[NewFile]
) -> None:
    mine = catalogue(storage, rucio.url)
    said = mine.register([files[0], replace(files[1], element="NOWHERE"), files[2]])
    assert [bool(said[file.lfn]) for file in files] == [False, True, False]


def test_what_rucio_does_not_know(storage: Storage, rucio: Rucio, files: list[NewFile]) -> None:
    missing = catalogue(storage, rucio.url).look_up([files[0].lfn])[files[0].lfn]
    assert isinstance(missing, MissingFile)
    assert missing.is_absent


@pytest.mark.parametrize(("who", "account"), [("stranger", "labuser"), ("user", "root")])
def test_whoever_is_not_known_is_told_so(storage: Storage, rucio: Rucio, who: str, account: str) -> None:
    with pytest.raises(AccessDenied):
        catalogue(storage, rucio.url, who, account).look_up(["/labvo/user/a"])


# ---- a server of several VOs ----


def of_vo(storage: Storage, url: str, vo: str, *, multi: str = "True") -> FileCatalogue:
    """The catalogue that a configuration with this option names."""
    section = f"RucioHost = {url}\nAccessType = Read-Write\nMultiVO = {multi}\n"
    tree = parse(f"Resources\n{{\nFileCatalogs\n{{\nRucioFileCatalog\n{{\n{section}}}\n}}\n}}\n", "test")
    owner = Identity(certificate=Path(storage.proxy("user")), ca=Path(storage.endpoint["ca_dir"]))
    return catalogue_for(Published(None, tree), FakeTransport({}), owner, vo=vo, user="labuser")


def test_each_vo_of_a_server_for_several_has_its_own_files(
    storage: Storage, rucio_of_vos: Rucio, files: list[NewFile]
) -> None:
    """The same name, with other content in the other VO."""
    file, other = files[0], replace(files[0], size_bytes=99)
    for vo, mine in (("labvo", file), ("othervo", other)):
        catalogue_of_vo = of_vo(storage, rucio_of_vos.url, vo)
        before = catalogue_of_vo.look_up([file.lfn])[file.lfn]
        assert isinstance(before, MissingFile)
        assert before.is_absent
        assert catalogue_of_vo.register([mine]) == {file.lfn: ""}
        found = catalogue_of_vo.look_up([file.lfn])[file.lfn]
        assert isinstance(found, FileRecord)
        assert found.size_bytes == mine.size_bytes
    seen = {vo: seen_by_rucio(rucio_of_vos.of(vo), file)[file.lfn]["bytes"] for vo in ("labvo", "othervo")}
    assert seen == {"labvo": 5, "othervo": 99}


@pytest.mark.parametrize(("vo", "multi"), [("labvo", "False"), ("novo", "True")], ids=["not said", "unknown"])
def test_a_server_for_several_vos_gives_nothing_without_the_right_one(
    storage: Storage, rucio_of_vos: Rucio, files: list[NewFile], vo: str, multi: str
) -> None:
    with pytest.raises(AccessDenied):
        of_vo(storage, rucio_of_vos.url, vo, multi=multi).look_up([files[0].lfn])
