"""POOL catalogues that payloads leave: which GUIDs count, and that hostile ones give none."""

from pathlib import Path

import pytest

from agents.data import pool

GUID, OTHER = "0A1B2C3D-0001-4002-8003-00000000000A", "0A1B2C3D-0001-4002-8003-00000000000B"
HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="no" ?>\n<!DOCTYPE POOLFILECATALOG SYSTEM "InMemory">\n'


def entry(guid: str, name: str, lfn: str = "") -> str:
    logical = f'<logical><lfn name="{lfn}"/></logical>' if lfn else "<logical/>"
    return f'<File ID="{guid}"><physical><pfn filetype="ROOT_All" name="{name}"/></physical>{logical}</File>'


def catalogue(*entries: str) -> bytes:
    return f"{HEAD}<POOLFILECATALOG>{''.join(entries)}</POOLFILECATALOG>".encode()


def test_the_guid_that_the_payload_gave_counts() -> None:
    content = catalogue(entry(GUID.lower(), "out.root"), entry(OTHER, "/scratch/job/hist.root"))

    assert pool.read(content) == {"out.root": GUID, "hist.root": OTHER}


def test_entries_of_inputs_do_not_count() -> None:
    content = catalogue(entry(GUID, "a.root", "/vo/data/a.root"), entry(OTHER, "b.root", "/vo/data/b.root"))

    assert pool.read(content, {"/vo/data/a.root"}) == {"b.root": OTHER}


@pytest.mark.parametrize(
    "guid", ["", "1", f"{GUID}0", f"{GUID} ", "'; DROP TABLE x; --", "0A1B2C3D000140028003000000000000000A"]
)
def test_what_is_no_guid_is_nobody_s(guid: str) -> None:
    assert pool.read(catalogue(entry(guid, "out.root"))) == {}


def test_a_guid_that_two_files_claim_is_nobody_s() -> None:
    assert pool.read(catalogue(entry(GUID, "a.root"), entry(GUID, "b.root"), entry(OTHER, "c.root"))) == {
        "c.root": OTHER
    }


BOMB = '<!DOCTYPE p [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><p>&b;</p>'


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no XML",
        b"<POOLFILECATALOG>",
        BOMB.encode(),
        b"<a>" * 9 + b"</a>" * 9,
        catalogue(*[entry(GUID, "a")] * 10_001),
        b"<a>" + b" " * 4_000_000 + b"</a>",
    ],
    ids=["empty", "text", "cut", "entities", "deep", "many", "large"],
)
def test_what_is_no_catalogue_is_refused(content: bytes) -> None:
    with pytest.raises(pool.BadPool):
        pool.read(content)


def test_what_cannot_be_read_gives_none(tmp_path: Path) -> None:
    assert pool.of_payload(tmp_path) == {}
    (tmp_path / "pool_xml_catalog.xml").symlink_to("/etc/passwd")
    assert pool.of_payload(tmp_path) == {}
    (tmp_path / "pool_xml_catalog.xml").unlink()
    (tmp_path / "pool_xml_catalog.xml").write_bytes(catalogue(entry(GUID, "out.root")))
    assert pool.of_payload(tmp_path) == {"out.root": GUID}
    assert pool.of_payload(tmp_path / "none") == {}
