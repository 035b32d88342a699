"""The Configuration service: one download, unpacked with care; DIRAC 8's setups; where services are found."""

import base64
import zlib

import pytest

from agents.errors import ServiceMissing, Unreachable
from agents.wms.configuration import download, service_urls, without_setups
from agents.wms.published import Published
from agents.wms.service import Retry, Service
from agents.wms.testing import FakeTransport, ok
from ce_backends.cfg import Section, from_options, parse


def serving(answer: object) -> FakeTransport:
    """A Configuration service with one answer."""
    return FakeTransport(otherwise=answer if isinstance(answer, Exception) else ok(answer))


def service(answer: object) -> Service:
    return Service("Configuration/Server", ["https://c"], serving(answer), Retry(attempts=1))


def packed(text: str, version: str = "2026") -> dict[str, object]:
    return {"newestVersion": version, "data": base64.b64encode(zlib.compress(text.encode())).decode()}


def test_the_configuration_is_downloaded_as_one_tree() -> None:
    assert download(service(packed("A\n{\n  b = ü\n}"))).tree.text("/A/b") == "ü"


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Unreachable("https://c: [Errno 111] Connection refused"), "Connection refused"),
        (None, "expected the configuration's data, got 'None'"),
        ({"newestVersion": "x"}, "expected the configuration's data"),
        ({"data": "*"}, "the configuration cannot be unpacked: "),
        ({"data": "é"}, "the configuration cannot be unpacked: "),
        ({"data": base64.b64encode(b"not zlib").decode()}, "the configuration cannot be unpacked: "),
        ({"data": base64.b64encode(zlib.compress(b"x" * 99)[:-8]).decode()}, "the configuration is cut short"),
    ],
)
def test_a_configuration_that_cannot_be_had_stops_the_agent(answer: object, sentence: str) -> None:
    with pytest.raises(ServiceMissing) as caught:
        download(service(answer))

    assert str(caught.value).startswith("the Configuration service gives no configuration: ")
    assert sentence in str(caught.value)


def test_a_configuration_that_is_malformed_names_its_line() -> None:
    with pytest.raises(
        ServiceMissing, match="malformed: Configuration service:1: a section is opened here and never closed"
    ):
        download(service(packed("A\n{")))


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("Systems { S { URLs { M = https://a, https://b\n} } }", ["https://a", "https://b"]),
        ("Systems { S { URLs { M = https://a\n} FailoverURLs { M = https://b\n} } }", ["https://a", "https://b"]),
        (
            "Operations { Defaults { MainServers = x, y\n} }\nSystems { S { URLs { M = h://$MAINSERVERS$:1\n} } }",
            ["h://x:1", "h://y:1"],
        ),
    ],
)
def test_urls_of_a_service_come_in_order(text: str, urls: list[str]) -> None:
    assert service_urls(parse(text, "x"), "S/M") == urls


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "/Systems/S/URLs/M"),
        ("Systems { S { URLs { M = \n} } }", "/Systems/S/URLs/M"),
        ("Systems { S { URLs { M = https://$MAINSERVERS$/M\n} } }", "/Operations/Defaults/MainServers"),
    ],
)
def test_a_service_without_a_url_is_missing_and_told_where_it_was_looked_for(text: str, expected: str) -> None:
    with pytest.raises(ServiceMissing) as caught:
        service_urls(parse(text, "x"), "S/M")

    assert str(caught.value) == f"the configuration publishes no URL of S/M; expected {expected}"


SETUPS = """
DIRAC { Setup = Lab
  Setups { Lab { W = Prod
  } } }
Systems { W { Prod { URLs { M = https://old
  } } } }
Operations { Defaults { a = 1
  b = 1
  } Lab { b = 2
  } }
"""


def test_a_configuration_with_setups_reads_like_one_without() -> None:
    flat = without_setups(parse(SETUPS, "x"))

    assert service_urls(flat, "W/M") == ["https://old"]
    assert (flat.text("/Operations/Defaults/a"), flat.text("/Operations/Defaults/b")) == ("1", "2")


def test_what_a_local_file_says_without_a_setup_wins_over_the_servers_instance() -> None:
    local = from_options({"/Systems/W/URLs/M": "https://mine"}, "command line")

    assert service_urls(without_setups(parse(SETUPS, "x").merge(local)), "W/M") == ["https://mine"]


def test_a_configuration_without_setups_stays_as_it_is() -> None:
    tree = parse("Systems { W { URLs { M = https://new\n} } }", "x")

    assert without_setups(tree) == tree


def test_equal_servers_are_spread_and_failover_servers_stay_last() -> None:
    systems = "/Systems/WorkloadManagement"
    tree = from_options(
        {
            f"{systems}/URLs/Matcher": "dips://a:1/W/M, dips://b:1/W/M",
            f"{systems}/FailoverURLs/Matcher": "dips://c:1/W/M",
        },
        "test",
    )
    chances = iter([0.9, 0.1, 0.5])

    urls = service_urls(tree, "WorkloadManagement/Matcher", chances.__next__)

    assert urls == ["dips://b:1/W/M", "dips://a:1/W/M", "dips://c:1/W/M"]


def test_a_gateway_of_the_site_stands_for_every_server() -> None:
    tree = from_options(
        {
            "/LocalSite/Site": "LAB.Local.ch",
            "/DIRAC/Gateways/LAB.Local.ch": "dips://gate:9159/Framework/Gateway",
            "/Systems/WorkloadManagement/URLs/Matcher": "dips://a:1/WorkloadManagement/Matcher",
        },
        "test",
    )

    assert service_urls(tree, "WorkloadManagement/Matcher") == ["dips://gate:9159/WorkloadManagement/Matcher"]


def matcher_at(host: str) -> str:
    return f"Systems\n{{\n WorkloadManagement\n {{\n  URLs\n  {{\n   Matcher = https://{host}/M\n  }}\n }}\n}}"


def loaded(wire: FakeTransport, local: Section | None = None) -> Published:
    published = Published(Service("Configuration/Server", ["https://c"], wire, Retry(attempts=1)), local or Section())
    published.load()
    return published


def test_a_newer_configuration_reaches_whoever_holds_the_tree_and_moves_the_services() -> None:
    wire = serving(packed(matcher_at("old"), "2026-01"))
    published = loaded(wire)
    tree = published.tree
    assert published.urls("WorkloadManagement/Matcher") == ["https://old/M"]

    wire.otherwise = ok(packed(matcher_at("new"), "2026-02"))

    assert published.refresh()
    assert published.urls("WorkloadManagement/Matcher") == ["https://new/M"]
    assert tree.text("/Systems/WorkloadManagement/URLs/Matcher") == "https://new/M"


@pytest.mark.parametrize(
    "answer",
    [
        packed(matcher_at("older"), "2025-12"),
        {"newestVersion": "2026-01"},
        Unreachable("https://c: away"),
        packed("A\n{", "2026-03"),
        "nonsense",
    ],
    ids=["older", "the same", "away", "malformed", "nonsense"],
)
def test_a_refresh_that_brings_nothing_newer_changes_nothing(answer: object) -> None:
    wire = serving(packed(matcher_at("old"), "2026-01"))
    published = loaded(wire)

    wire.otherwise = answer if isinstance(answer, Exception) else ok(answer)

    assert not published.refresh()
    assert published.urls("WorkloadManagement/Matcher") == ["https://old/M"]


def test_what_this_node_says_wins_over_every_version() -> None:
    wire = serving(packed(matcher_at("old"), "2026-01"))
    published = loaded(wire, parse(matcher_at("here"), "pilot.cfg"))

    wire.otherwise = ok(packed(matcher_at("new"), "2026-02"))
    published.refresh()

    assert published.urls("WorkloadManagement/Matcher") == ["https://here/M"]
