"""Storage elements: what they have of each other, their URLs, how near they are, in which state."""

import pytest

from agents.data import storage
from agents.data.elements import Nearness
from agents.errors import BadAnswer, Unreachable
from agents.wms.resource_status import ResourceStatus, Usability
from agents.wms.service import Service
from agents.wms.testing import FakeTransport
from ce_backends.cfg import Section, parse
from tests.unit.elements_scene import ELEMENTS, LFN, elements

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


def test_a_section_without_anything_has_no_elements() -> None:
    assert storage.read(Section()) == {}


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
