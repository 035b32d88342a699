"""DIRAC's catalogue of files, and which catalogue the configuration chooses."""

from pathlib import Path

import pytest

from agents.credentials.identity import Identity
from agents.data import catalogues
from agents.data.catalogue import FileRecord, MissingFile, NewFile
from agents.data.dirac_catalogue import DiracCatalogue
from agents.data.rucio import Rucio, scope_of
from agents.errors import BadAnswer, ServiceMissing
from agents.wms.file_catalogue import FileCatalog
from agents.wms.published import Published
from agents.wms.service import Service
from agents.wms.testing import FakeTransport
from ce_backends.cfg import parse
from tests.unit.elements_scene import LFN

# ---- DIRAC's catalogue ----


def dirac(**answers: object) -> tuple[DiracCatalogue, FakeTransport]:
    transport = FakeTransport({name: {"OK": True, "Value": value} for name, value in answers.items()})
    return DiracCatalogue(FileCatalog(Service("FileCatalog", ["https://x/y/z"], transport))), transport


def told(good: object = None, bad: object = None) -> dict[str, object]:
    return {"Successful": good or {}, "Failed": bad or {}}


def test_what_is_known_takes_two_calls_for_all_files() -> None:
    known = {"Size": 5, "Checksum": "4b021f", "ChecksumType": "Adler32", "GUID": "G"}
    catalogue, transport = dirac(
        getFileMetadata=told(
            {"/v/a": known, "/v/b": {**known, "ChecksumType": "MD5"}}, {"/v/c": "No such file or directory"}
        ),
        getReplicas=told({"/v/a": {"SE": ""}, "/v/b": {"SE": "root://x", "T": 5}}),
    )
    found = catalogue.look_up(["/v/a", "/v/b", "/v/c", "/v/d", "/v/a"])
    assert found["/v/a"] == FileRecord(lfn="/v/a", size_bytes=5, adler32=0x4B021F, guid="G", replicas={"SE": ""})
    second = found["/v/b"]
    assert isinstance(second, FileRecord)
    assert (second.adler32, second.replicas) == (None, {"SE": "root://x", "T": ""})
    assert found["/v/c"] == MissingFile("/v/c", "/v/c: No such file or directory", is_absent=True)
    fourth = found["/v/d"]
    assert isinstance(fourth, MissingFile)
    assert not fourth.is_absent
    assert len(transport.calls) == 2


def test_new_files_take_one_call() -> None:
    catalogue, transport = dirac(addFile=told({"/v/a": True}, {"/v/b": "no right"}))
    new = [NewFile(lfn=f"/v/{x}", element="SE", pfn="p", size_bytes=1, adler32=5, guid="G") for x in "ab"]
    assert catalogue.register(new) == {"/v/a": "", "/v/b": "no right"}
    facts = {"PFN": "p", "SE": "SE", "Size": 1, "GUID": "G", "Checksum": "00000005"}
    assert [call.arguments for call in transport.calls] == [[{"/v/a": facts, "/v/b": facts}]]


@pytest.mark.parametrize("size", [None, "5", -1, True, 1.5])
def test_a_size_that_is_none_is_a_bad_answer(size: object) -> None:
    catalogue, _ = dirac(getFileMetadata=told({"/v/a": {"Size": size}}), getReplicas=told({"/v/a": {}}))
    with pytest.raises(BadAnswer, match="expected a size"):
        catalogue.look_up(["/v/a"])


# ---- which catalogue ----


def chosen(text: str) -> object:
    published = Published(None, parse(text, "test"))
    identity = Identity(certificate=Path("/none"), ca=Path("/none"))
    return catalogues.catalogue_for(published, FakeTransport({}), identity, vo="labvo", user="labuser")


RUCIO = "RucioFileCatalog\n{\nRucioHost = https://rucio.example\nAccessType = Read-Write\n}\n"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (
            "Resources\n{\nFileCatalogs\n{\nFileCatalog\n{\nAccessType = Read-Write\n}\n" + RUCIO + "}\n}",
            DiracCatalogue,
        ),
        ("Resources\n{\nFileCatalogs\n{\nTSCatalog\n{\nAccessType = Write\n}\n" + RUCIO + "}\n}", Rucio),
        (
            "Resources\n{\nFileCatalogs\n{\nFileCatalog\n{\n}\n"
            + RUCIO
            + "}\n}\nOperations\n{\nlabvo\n{\nServices\n{\n"
            "Catalogs\n{\nCatalogList = RucioFileCatalog\n}\n}\n}\n}",
            Rucio,
        ),
        (
            "Resources\n{\nFileCatalogs\n{\nFileCatalog\n{\n}\n"
            + RUCIO
            + "}\n}\nOperations\n{\nDefaults\n{\nServices\n{\n"
            "Catalogs\n{\nFileCatalog\n{\n}\nRucioFileCatalog\n{\nMaster = True\n}\n}\n}\n}\n}",
            Rucio,
        ),
    ],
)
def test_the_configuration_chooses(text: str, kind: type) -> None:
    assert isinstance(chosen(text), kind)


@pytest.mark.parametrize("text", ["", "Resources\n{\nFileCatalogs\n{\nLFC\n{\n}\n}\n}", RUCIO.replace("https", "http")])
def test_no_catalogue_that_we_know_is_named(text: str) -> None:
    whole = text if "Resources" in text or not text else f"Resources\n{{\nFileCatalogs\n{{\n{text}}}\n}}"
    with pytest.raises(ServiceMissing):
        chosen(whole)


def test_the_scope_is_the_part_after_the_vo() -> None:
    assert scope_of(LFN) == "user"
