"""In which order sections of Operations count: pilot, agent and DIRAC's own helper read one table of cases alike.

`tests/system/test_dirac_interop.py` asks DIRAC's helper of each release for the same answers.
"""

import pytest

from agents.data.elements import Elements
from agents.settings import site_director
from agents.wms.configuration import operations, service_urls, without_setups
from agents.wms.published import Published
from ce_backends.cfg import from_options, parse
from pilot import cfg
from pilot.wms import configuration
from tests.operations_cases import CASES, SETUPS, VO, OperationsCase, text_of

IDS = [case.name for case in CASES]


def setup_of(case: OperationsCase) -> str:
    return "Lab" if case.has_setups else ""


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_pilot_reads_an_option_where_dirac_does(case: OperationsCase) -> None:
    root = cfg.parse(text_of(case), "x")

    found = configuration.operations(root, "Order/option", setup=setup_of(case), vo=case.vo)

    assert found == case.expected


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_agent_reads_an_option_where_dirac_does(case: OperationsCase) -> None:
    tree = parse(text_of(case), "x")
    flat = without_setups(tree, case.vo)

    assert operations(tree, case.vo).text("Order/option") == case.expected
    assert flat.text("/Operations/Defaults/Order/option") == case.expected
    assert operations(flat, case.vo).text("Order/option") == case.expected, "what was flattened stays so"


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_files_alone_are_read_in_the_same_order_as_what_servers_publish(case: OperationsCase) -> None:
    published = Published(None, parse(text_of(case), "x"), vo=lambda _tree: case.vo)

    assert published.tree.text("/Operations/Defaults/Order/option") == case.expected
    assert Elements(published.tree, site="LCG.A.ch", vo=case.vo).operation("Order/option") == case.expected


def test_whose_operations_count_may_stand_in_the_configuration_itself() -> None:
    options = {f"/Operations/{VO}/a": "own", "/Operations/Defaults/a": "all", "/DIRAC/VirtualOrganization": VO}
    published = Published(None, from_options(options, "x"), vo=lambda tree: tree.text("/DIRAC/VirtualOrganization"))

    assert published.tree.text("/Operations/Defaults/a") == "own"


@pytest.mark.parametrize("has_setups", [False, True])
def test_main_servers_of_the_vo_are_asked(has_setups: bool) -> None:
    place = f"/Operations/{VO}/Lab" if has_setups else f"/Operations/{VO}"
    systems = "/Systems/W/Prod" if has_setups else "/Systems/W"
    options = {f"{place}/MainServers": "own", "/Operations/Defaults/MainServers": "all"}
    options |= {f"{systems}/URLs/M": "https://$MAINSERVERS$:1/W/M"} | (SETUPS if has_setups else {})
    tree = from_options(options, "x")

    assert service_urls(without_setups(tree, VO), "W/M") == ["https://own:1/W/M"]
    assert service_urls(without_setups(tree), "W/M") == ["https://all:1/W/M"]


def test_the_site_director_takes_the_vos_own_pilot_user() -> None:
    options = {f"/Operations/{VO}/Pilot/GenericPilotUser": "own", "/Operations/Defaults/Pilot/GenericPilotUser": "all"}
    tree = from_options(options, "x")

    found = [site_director.load(without_setups(tree, vo)).pilot_user for vo in (VO, "another", "")]

    assert found == ["own", "all", "all"]
