"""The Configuration service: one download, unpacked with care; DIRAC 8's setups; where services are found."""

import base64
import json
import zlib
from pathlib import Path

import pytest

from agents.errors import ServiceMissing, Unreachable
from agents.wms.configuration import download, service_urls, without_setups
from agents.wms.kept_configuration import NAME, Kept
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


def test_over_dips_it_comes_as_bytes() -> None:
    """DIRAC's dips service answers what zlib gives, the https one base64 of it."""
    answer = {"newestVersion": "2026", "data": zlib.compress(b"A\n{\n  b = c\n}")}

    found = download(service(answer))
    assert found.tree.text("/A/b") == "c"
    assert found.packed == base64.b64encode(answer["data"]).decode()


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


# ---- what was kept ----

SERVERS = ("https://c",)


def kept(folder: Path, servers: tuple[str, ...] = SERVERS) -> Kept:
    return Kept(folder / NAME, servers)


def begun(folder: Path, *answers: object, clock: list[float] | None = None) -> tuple[Published, FakeTransport]:
    """An agent's configuration that was loaded in this folder; the first answer is of that."""
    wire = FakeTransport(in_turn=[ok(answer) for answer in answers])
    now = clock or [0.0]
    asked = Service("Configuration/Server", list(SERVERS), wire, Retry(attempts=1))
    published = Published(asked, Section(), kept=kept(folder), clock=lambda: now[0])
    published.load()
    return published, wire


def test_the_next_agent_of_a_slot_downloads_nothing_that_it_has(tmp_path: Path) -> None:
    begun(tmp_path, packed("A = 1", "2026-1"))

    again, wire = begun(tmp_path, {"newestVersion": "2026-1"})

    assert again.tree.text("/A") == "1"
    assert [arguments for _, arguments in wire.asked] == [["2026-1"]]
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_what_is_newer_takes_the_place_of_what_was_kept(tmp_path: Path) -> None:
    begun(tmp_path, packed("A = 1", "2026-1"))
    begun(tmp_path, packed("A = 2", "2026-2"))

    again, _ = begun(tmp_path, {"newestVersion": "2026-2"})

    assert again.tree.text("/A") == "2"


@pytest.mark.parametrize(
    "spoilt", ["", "[]", "{", '{"servers": ["https://c"]}', '{"servers": ["https://c"], "data": "*"}']
)
def test_what_is_not_whole_is_downloaded_anew(tmp_path: Path, spoilt: str) -> None:
    (tmp_path / NAME).write_text(spoilt, encoding="utf-8")

    again, wire = begun(tmp_path, packed("A = 1"))

    assert again.tree.text("/A") == "1"
    assert wire.asked[0][1] == ["0"]


def test_what_others_may_have_written_or_other_servers_have_published_is_not_believed(tmp_path: Path) -> None:
    begun(tmp_path, packed("A = 1"))
    assert kept(tmp_path).read() is not None

    assert kept(tmp_path, ("https://another",)).read() is None
    (tmp_path / NAME).chmod(0o622)
    assert kept(tmp_path).read() is None
    (tmp_path / NAME).rename(tmp_path / "elsewhere")
    (tmp_path / NAME).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").chmod(0o600)
    assert kept(tmp_path).read() is None


def test_a_pilot_leaves_it_as_the_agent_reads_it(tmp_path: Path) -> None:
    from pilot.wms.configuration import KEPT, Downloaded  # noqa: PLC0415 - the only test of both sides

    told = packed("A = 1", "2026-1")
    Downloaded({}, "2026-1", str(told["data"]), SERVERS).keep(tmp_path)

    found = kept(tmp_path).read()
    assert KEPT == NAME
    assert found is not None
    assert (found.version, found.tree.text("/A")) == ("2026-1", "1")
    assert json.loads((tmp_path / NAME).read_text("utf-8"))["servers"] == list(SERVERS)


def test_an_unchanged_configuration_is_asked_for_more_and_more_rarely_and_at_once_when_in_doubt(tmp_path: Path) -> None:
    same, now = {"newestVersion": "2026"}, [0.0]
    published, wire = begun(tmp_path, packed("A = 1"), *[same] * 9, clock=now)
    asked_at = []
    for tick in range(1, 101):
        now[0], before = tick * 300.0, len(wire.asked)
        published.look(300.0)
        asked_at += [tick * 300] if len(wire.asked) > before else []
    assert asked_at == [300, 900, 2100, 4500, 9300, 18900, 28500]

    published.doubt()
    before = len(wire.asked)
    published.look(300.0)
    published.look(300.0)
    assert len(wire.asked) == before + 1


def test_before_a_match_it_is_asked_for_unless_that_was_lately(tmp_path: Path) -> None:
    now = [0.0]
    published, wire = begun(tmp_path, packed("A = 1"), {"newestVersion": "2026"}, clock=now)

    for now[0] in (0.0, 299.0, 300.0, 301.0):
        published.look_before_a_match()

    assert len(wire.asked) == 2
