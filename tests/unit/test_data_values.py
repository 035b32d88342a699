"""What is decided about files without moving any: names, checksums, elements, catalogues, sources and targets."""

import zlib
from pathlib import Path
from typing import Any

import pytest

from agents.credentials.identity import Identity
from agents.data import catalogues, checksum, choice, http_head, storage
from agents.data.catalogue import FileRecord, MissingFile, NewFile
from agents.data.dirac_catalogue import DiracCatalogue
from agents.data.elements import Elements, Nearness
from agents.data.errors import ElementDown, Unsupported
from agents.data.lfn import BadLfn, is_lfn, lfn_of
from agents.data.rucio import Rucio, scope_of
from agents.errors import BadAnswer, ServiceMissing, Unreachable
from agents.wms.file_catalogue import FileCatalog
from agents.wms.published import Published
from agents.wms.resource_status import ResourceStatus, Usability
from agents.wms.service import Service
from agents.wms.testing import FakeTransport
from ce_backends.cfg import Section, parse

LFN = "/labvo/user/l/labuser/a.root"
WHERE = "DataManagement/FileCatalog"

ELEMENTS = """
Resources
{
  StorageElementBases
  {
    EOS
    {
      BackendType = EOS
      SEType = T0D1
      GFAL2_XROOT
      {
        Host = eos.cern.ch
        Port = 1094
        Protocol = root
        Path = /eos/lab
      }
      GFAL2_HTTPS
      {
        Host = eos.cern.ch
        Port = 8443
        Protocol = https
        Path = /eos/lab
      }
    }
  }
  StorageElements
  {
    CERN-disk
    {
      BaseSE = EOS
      AccessProtocols = https, root
      WriteProtocols = https
    }
    CERN-tape
    {
      BaseSE = EOS
      SEType = T1D0
    }
    CERN-archive
    {
      BaseSE = EOS
    }
    PIC-disk
    {
      ReadAccess = Active
      WriteAccess = InActive
      DIP
      {
        Host = pic.es
        Port = 9148
        Path = /DataManagement/StorageElement
      }
      Weird
      {
        PluginName = Echo
        Protocol = gsiftp
        Host = echo.stfc.ac.uk
      }
      Odd
      {
        PluginName = Mars
        Protocol = mars
        Host = mars.example
      }
    }
    GENEVA-disk
    {
      UseCatalogURL = True
      GFAL2_SRM2
      {
        Host = srm.ge.ch
        Port = 8446
        WSUrl = /srm/managerv2?SFN=
        Path = /dpm
      }
    }
    FAILOVER
    {
      BaseSE = EOS
    }
  }
  StorageElementGroups
  {
    SE-USER = PIC-disk, CERN-disk, GENEVA-disk
    Tier1-Failover = FAILOVER
  }
  Sites
  {
    LCG
    {
      LCG.CERN.ch
      {
        SE = CERN-disk, CERN-tape
      }
      LCG.Geneva.ch
      {
        SE = GENEVA-disk
      }
      LCG.PIC.es
      {
        SE = PIC-disk
        AssociatedSEs
        {
          SE-USER = PIC-disk
        }
      }
    }
  }
}
Operations
{
  Defaults
  {
    DataManagement
    {
      AccessProtocols = root, https, dips
      WriteProtocols = https, dips
      SEsUsedForFailover = Tier1-Failover
      SEsUsedForArchive = CERN-archive
    }
  }
}
"""

BY_SRM = ELEMENTS.replace("AccessProtocols = root, https, dips", "AccessProtocols = srm")


def elements(site: str = "LCG.CERN.ch", text: str = ELEMENTS, **more: Any) -> Elements:
    return Elements(parse(text, "test"), site=site, vo="labvo", **more)


def record(*names: str, **pfns: str) -> FileRecord:
    return FileRecord(lfn=LFN, size_bytes=1, adler32=1, replicas={**dict.fromkeys(names, ""), **pfns})


# ---- names ----


@pytest.mark.parametrize("text", [f"LFN:{LFN}", f"lfn:{LFN}", LFN])
def test_an_lfn_is_an_absolute_path_of_the_vo(text: str) -> None:
    assert lfn_of(text, "labvo") == LFN
    assert is_lfn(text) is (text != LFN)


@pytest.mark.parametrize("name", ["L", "FN:", "NFL:LFN", "LLL"])
def test_letters_of_the_prefix_stay_in_a_name(name: str) -> None:
    assert lfn_of(f"LFN:/labvo/{name}", "labvo") == f"/labvo/{name}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no LFN"),
        ("LFN:", "is no LFN"),
        ("a/b", "is no LFN"),
        ("/labvo", "is no LFN"),
        ("LFN:LFN:/labvo/a", "is no LFN"),
        ("/other/a", "is not of labvo"),
        ("/labvo/../a", "an empty part"),
        ("/labvo//a", "an empty part"),
        ("/labvo/a/", "an empty part"),
        ("/labvo/./a", "an empty part"),
        ("/labvo/a\nb", "nobody can see"),
        ("/labvo/a\x00", "nobody can see"),
        ("/labvo/\u202ea", "nobody can see"),
        ("/labvo/" + "a" * 129, "too long"),
        ("/labvo/" + "a/" * 600 + "b", "too long"),
    ],
)
def test_what_is_no_lfn_says_why(text: str, words: str) -> None:
    with pytest.raises(BadLfn, match=words):
        lfn_of(text, "labvo")


# ---- checksums ----


@pytest.mark.parametrize("text", ["084b021f", "84b021f", "84B021F", " 084b021f\n", "0x84b021f"])
def test_leading_zeros_do_not_count(text: str) -> None:
    assert checksum.number_of(text) == 0x084B021F


@pytest.mark.parametrize("text", ["", "g", "1" * 9, "-1", "1_0", None, 5, "０", "+1"])
def test_what_is_no_checksum_is_none(text: object) -> None:
    assert checksum.number_of(text) is None


def test_the_checksum_of_a_file_is_zlibs(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"hello\n" * 500_000)
    assert checksum.adler32_of(tmp_path / "a") == zlib.adler32(b"hello\n" * 500_000)
    assert checksum.text_of(0x4B021F) == "004b021f"


# ---- elements ----


def test_an_element_has_what_its_base_has() -> None:
    element = storage.read(parse(ELEMENTS, "test"))["CERN-disk"]
    assert [end.plugin for end in element.endpoints] == ["GFAL2_XROOT", "GFAL2_HTTPS"]
    assert (element.read_protocols, element.write_protocols) == (("https", "root"), ("https",))


@pytest.mark.parametrize(
    ("name", "urls"),
    [
        ("CERN-disk", [f"root://eos.cern.ch:1094//eos/lab{LFN}", f"https://eos.cern.ch:8443/eos/lab{LFN}"]),
        ("PIC-disk", [f"dips://pic.es:9148/DataManagement/StorageElement{LFN}", f"gsiftp://echo.stfc.ac.uk{LFN}"]),
        ("GENEVA-disk", [f"srm://srm.ge.ch:8446/srm/managerv2?SFN=/dpm{LFN}"]),
    ],
)
def test_the_url_of_a_file_is_made_as_dirac_makes_it(name: str, urls: list[str]) -> None:
    element = storage.read(parse(ELEMENTS, "test"))[name]
    assert [end.url(LFN) for end in element.endpoints] == urls


def test_what_a_url_has_no_place_for_is_encoded() -> None:
    element = storage.read(parse(ELEMENTS, "test"))["CERN-disk"]
    assert (
        element.endpoints[1].url("/labvo/a b?c#d%é") == "https://eos.cern.ch:8443/eos/lab/labvo/a%20b%3Fc%23d%25%C3%A9"
    )


def test_a_plugin_that_is_not_known_is_named_and_not_used() -> None:
    element = storage.read(parse(ELEMENTS, "test"))["PIC-disk"]
    assert element.unknown == ("Mars",)
    assert (element.is_readable, element.is_writable) == (True, False)


@pytest.mark.parametrize("line", ["Host = a b", "Host = a/b", "Host =", "Port = x", "Port = 70000", "Host = [::1"])
def test_an_endpoint_that_is_nowhere_is_left_out(line: str) -> None:
    wrong = {"Host": "Host = pic.es", "Port": "Port = 9148"}[line.split(maxsplit=1)[0]]
    element = storage.read(parse(ELEMENTS.replace(wrong, line), "test"))["PIC-disk"]
    assert [end.plugin for end in element.endpoints] == ["Echo"]


def test_tape_is_told_by_its_type_or_its_name() -> None:
    known = storage.read(parse(ELEMENTS, "test"))
    assert [name for name, element in known.items() if element.is_tape] == ["CERN-tape"]


def test_elements_are_as_near_as_their_site() -> None:
    here = elements()
    assert [here.nearness(name) for name in ("CERN-disk", "GENEVA-disk", "PIC-disk")] == [*Nearness]
    assert elements(local="PIC-disk").nearness("PIC-disk") is Nearness.LOCAL


def test_groups_are_the_sites_own_first() -> None:
    assert elements("LCG.PIC.es").group("SE-USER") == ("PIC-disk",)
    assert elements().group("SE-USER") == ("PIC-disk", "CERN-disk", "GENEVA-disk")
    assert elements().group("CERN-disk") == ("CERN-disk",)
    assert elements().group("nobody") == ()


def test_the_state_of_an_element_counts_before_the_configuration_and_is_asked_for_once() -> None:
    asked: list[int] = []

    def states() -> dict[str, Usability]:
        asked.append(1)
        return {"CERN-disk": Usability(False, True), "PIC-disk": Usability(True, True)}

    now = [1000.0]
    here = elements(states=states, monotonic=lambda: now[0])
    for _ in range(3):
        known = here.all()
    assert [known["CERN-disk"].is_readable, known["PIC-disk"].is_writable, len(asked)] == [False, True, 1]
    now[0] += 601
    here.all()
    assert len(asked) == 2


def test_a_state_that_cannot_be_had_leaves_what_was_known() -> None:
    def states() -> dict[str, Usability]:
        raise Unreachable("gone")

    assert elements(states=states).all()["CERN-disk"].is_readable


# ---- sources and targets ----


def no_dice() -> float:
    return 0.0


def test_sources_are_near_disk_first_tape_then_and_archives_last() -> None:
    there = record("CERN-archive", "CERN-tape", "PIC-disk", "CERN-disk")
    found = choice.sources(there, elements(), dice=no_dice)
    assert [source.element.name for source in found] == [
        "CERN-disk",
        "CERN-disk",
        "PIC-disk",
        "CERN-tape",
        "CERN-tape",
        "CERN-archive",
        "CERN-archive",
    ]
    assert [source.endpoint.protocol for source in found[:3]] == ["https", "root", "dips"]


def test_failover_elements_are_read_only_where_there_is_nothing_else() -> None:
    assert [s.element.name for s in choice.sources(record("FAILOVER", "PIC-disk"), elements())] == ["PIC-disk"]
    assert {s.element.name for s in choice.sources(record("FAILOVER"), elements())} == {"FAILOVER"}


def test_what_may_not_be_read_or_is_unknown_is_no_source() -> None:
    states = lambda: {"CERN-disk": Usability(False, True)}  # noqa: E731
    assert choice.sources(record("CERN-disk", "nobody"), elements(states=states)) == []


def test_the_catalogues_own_url_counts_where_the_element_says_so() -> None:
    mine = record(**{"GENEVA-disk": "srm://srm.ge.ch/elsewhere"})
    assert [s.url for s in choice.sources(mine, elements(text=BY_SRM))] == ["srm://srm.ge.ch/elsewhere"]


@pytest.mark.parametrize(
    "pfn",
    [
        "file:///etc/passwd",
        "srm://evil.example/elsewhere",
        "srm://srm.ge.ch@evil.example/elsewhere",
        "srm://srm.ge.ch.evil.example/elsewhere",
        "srm://evil.example/srm.ge.ch",
        "srm://evil.example?srm.ge.ch",
        "srm://[srm.ge.ch/elsewhere",
        "srm:///elsewhere",
    ],
)
def test_the_catalogues_own_url_shows_no_credential_to_a_host_of_its_choice(pfn: str) -> None:
    built = f"srm://srm.ge.ch:8446/srm/managerv2?SFN=/dpm{LFN}"
    assert [source.url for source in choice.sources(record(**{"GENEVA-disk": pfn}), elements(text=BY_SRM))] == [built]


def test_targets_are_the_jobs_own_then_failover() -> None:
    found = choice.targets(["CERN-disk"], elements(), dice=no_dice)
    assert [(t.element.name, t.endpoint.protocol, t.is_failover) for t in found] == [
        ("CERN-disk", "https", False),
        ("FAILOVER", "https", True),
    ]


def test_targets_without_a_wish_are_the_users_group_near_first_and_writable() -> None:
    text = ELEMENTS.replace("WriteAccess = InActive", "WriteAccess = Active")
    found = choice.targets([], elements(text=text), dice=no_dice)
    assert choice.elements_of(found) == ["CERN-disk", "PIC-disk", "FAILOVER"]  # GENEVA speaks srm alone
    assert choice.elements_of(choice.targets([], elements(), dice=no_dice)) == ["CERN-disk", "FAILOVER"]


# ---- states of elements ----


def status_of(*rows: object) -> ResourceStatus:
    transport = FakeTransport({"select": {"OK": True, "Value": list(rows)}})
    return ResourceStatus(Service("ResourceStatus", ["https://x/y/z"], transport), "labvo")


def test_a_state_of_the_vo_counts_before_that_of_all() -> None:
    kind = "StorageElement"
    found = status_of(
        ["A", kind, "ReadAccess", "Banned", "labvo"],
        ["A", kind, "ReadAccess", "Active", "all"],
        ["A", kind, "WriteAccess", "Degraded", "all"],
        ["B", kind, "WriteAccess", "Error", "all"],
        ["C", "ComputingElement", "all", "Banned", "all"],
    ).elements()
    assert found == {"A": Usability(False, True), "B": Usability(True, False)}


@pytest.mark.parametrize("rows", [[5], [["a"]], [[1, 2, 3, 4, 5]]])
def test_states_of_odd_shape_are_a_bad_answer(rows: list[object]) -> None:
    with pytest.raises(BadAnswer):
        status_of(*rows).elements()


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


# ---- heads of HTTP, and redirects ----


def test_a_head_is_read() -> None:
    head = http_head.parse(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDigest: md5=x, ADLER32=4b021f\r\nX:\r\nx: b")
    assert (head.status, head.length_bytes, head.adler32, head.headers["x"], head.is_kept) == (
        200,
        5,
        0x4B021F,
        ", b",
        True,
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/2 200",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 200 OK\r\nno colon",
        b"HTTP/1.1 200 OK\r\n folded: x",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6",
        b"HTTP/1.1 200 OK" + b"\r\na: b" * 101,
        b"HTTP/1.1 200 OK\r\na: b\rc",
    ],
)
def test_what_is_no_head_is_refused(raw: bytes) -> None:
    with pytest.raises(ElementDown):
        http_head.parse(raw)


@pytest.mark.parametrize("text", ["-1", "x", "1" * 17, "", "+5", "0x5"])
def test_a_length_that_is_none_is_none(text: str) -> None:
    assert http_head.parse(b"HTTP/1.1 200 OK\r\nContent-Length: " + text.encode()).length_bytes is None


HERE = "https://door.example:8443/labvo/a"


@pytest.mark.parametrize(
    ("location", "there", "shows"),
    [
        ("/labvo/b", "https://door.example:8443/labvo/b", True),
        ("https://door.example:9000/labvo/b", "https://door.example:9000/labvo/b", True),
        ("hTTps://door.example/b", "https://door.example/b", True),
        ("https://pool.example/x?authz=abc", "https://pool.example/x?authz=abc", False),
        ("https://s3.example/x?X-Amz-Signature=abc", "https://s3.example/x?X-Amz-Signature=abc", False),
    ],
)
def test_where_a_redirect_may_lead(location: str, there: str, shows: bool) -> None:
    assert http_head.redirected(HERE, HERE, location) == (there, shows)


@pytest.mark.parametrize(
    "location",
    [
        "",
        "http://door.example:8443/labvo/a",
        "https://evil.example/labvo/a",
        "https://evil.example/labvo/a?authzz=1",
        "//evil.example/labvo/a",
        "https://door.example@evil.example/labvo/a",
        "https://door.example:x/a",
        "https://door.example/a b",
        "https://door.example/a\r\nX: y",
        "https://[::1/",
        "ftp://door.example/a",
        "https://pool.example/é?authz=1",
        "https:///a",
        "relative",
    ],
)
def test_where_a_redirect_may_not_lead(location: str) -> None:
    try:
        there, shows = http_head.redirected(HERE, HERE, location)
    except Unsupported:
        return
    assert (there.startswith("https://door.example:8443/"), shows) == (True, True)


def test_a_section_without_anything_has_no_elements() -> None:
    assert storage.read(Section()) == {}
