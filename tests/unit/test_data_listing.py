"""What elements say of their folders, as strangers wrote it, and the journal of a registration."""

from pathlib import Path

import pytest

from agents.data.errors import Unsupported
from agents.data.listing import Entry
from agents.data.multistatus import Multistatus
from agents.data_cli.journal import Found, Journal, State
from agents.errors import ConfigurationError

URL = "https://door.example:1094/data/vo/run%201/"
XROOTD = """<?xml version="1.0" encoding="utf-8"?>
<D:multistatus xmlns:D="DAV:" xmlns:ns1="http://apache.org/dav/props/">
<D:response xmlns:lp1="DAV:"><D:href>/data/vo/run%201/</D:href><D:propstat><D:prop>
<lp1:getcontentlength>4096</lp1:getcontentlength><lp1:resourcetype><D:collection/></lp1:resourcetype>
<lp1:iscollection>1</lp1:iscollection></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>
<D:response xmlns:lp1="DAV:"><D:href>/data/vo/run%201/a%26b.root</D:href><D:propstat><D:prop>
<lp1:getcontentlength>12</lp1:getcontentlength><lp1:iscollection>0</lp1:iscollection>
</D:prop></D:propstat></D:response>
<D:response xmlns:lp1="DAV:"><D:href>https://door.example:1094/data/vo/run%201/sub</D:href><D:propstat><D:prop>
<lp1:resourcetype><D:collection/></lp1:resourcetype></D:prop></D:propstat></D:response>
</D:multistatus>"""


def entries(text: str, piece: int = 7) -> list[Entry]:
    found: list[Entry] = []
    reader, data = Multistatus(URL, found.append), text.encode()
    for at in range(0, len(data), piece):
        reader.feed(memoryview(data[at : at + piece]))
    reader.end()
    return found


def test_files_and_folders_are_told_apart_and_the_folder_itself_is_none_of_them() -> None:
    expected = [Entry("a&b.root", is_folder=False, size_bytes=12), Entry("sub", is_folder=True)]
    assert entries(XROOTD) == expected


def test_names_that_come_as_they_are_are_not_decoded() -> None:
    plain = XROOTD.replace("run%201", "run 1").replace("a%26b", "a%26b&amp;c")
    assert [entry.name for entry in entries(plain)] == ["a%26b&c.root", "sub"]


def test_a_list_that_shows_late_that_its_names_come_as_they_are_is_to_be_read_again() -> None:
    text = memoryview(XROOTD.replace("run%201", "run").replace("sub", "s u b").encode())
    found: list[Entry] = []
    first = Multistatus(URL.replace("run%201", "run"), found.append)
    first.feed(text)
    assert first.is_misread
    found.clear()
    Multistatus(URL.replace("run%201", "run"), found.append, is_plain=True).feed(text)
    assert [entry.name for entry in found] == ["a%26b.root", "s u b"]


def response(href: str, more: str = "") -> str:
    inside = f"<D:response><D:href>{href}</D:href>{more}</D:response>"
    return f'<D:multistatus xmlns:D="DAV:">{inside}</D:multistatus>'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('<!DOCTYPE a [<!ENTITY b "c">]>' + response("/data/vo/run%201/x"), "document type"),
        (response("/data/vo/other/x"), "does not lie there"),
        (response("/data/vo/run%201/a/b"), "does not lie there"),
        (response("/data/vo/run%201/../x"), "does not lie there"),
        (response("/data/vo/run%201/x", "<a>" * 20 + "</a>" * 20), "too deep"),
        (response("/data/vo/run%201/" + "x" * 10_000), "too long"),
        (response("/data/vo/run%201/x")[:-5], "list of a folder"),
        ("<html><p>Index of", "list of a folder"),
        ("", "list of a folder"),
    ],
)
def test_what_is_no_list_of_this_folder_is_refused(text: str, why: str) -> None:
    with pytest.raises(Unsupported, match=why):
        entries(text)


def test_a_size_that_is_none_is_not_known() -> None:
    length = "<D:getcontentlength>{}</D:getcontentlength>"
    for digits in ("-1", "x", "9" * 19, "１"):
        assert entries(response("/data/vo/run%201/x", length.format(digits)))[0].size_bytes is None


# ---- the journal ----


def found(*names: str, size: int = 5) -> list[Found]:
    return [Found(lfn=f"/vo/d/{name}", size_bytes=size, adler32=1) for name in names]


def test_a_journal_goes_on_where_it_was_and_its_batches_hold_each_file_once(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    journal = Journal(path, "SE", "/vo/d")
    assert journal.folders(8) == ["/vo/d"]
    journal.found(found("a", "b", "c"), {"/vo/d/ ": "no LFN"}, ["/vo/d/sub"])
    journal.listed("/vo/d")
    journal.sending([Found(lfn="/vo/d/b", size_bytes=5, adler32=1, guid="G")])
    journal.settle({"/vo/d/a": (State.DONE, "")})
    journal.close()

    again = Journal(path, "SE", "/vo/d")
    assert again.folders(8) == ["/vo/d/sub"]
    batches = list(again.batches(1))
    assert [[(file.lfn, file.guid) for file in batch] for batch in batches] == [[("/vo/d/b", "G")], [("/vo/d/c", "")]]
    assert again.counts()[State.NO_LFN] == 1
    again.close()


def test_a_journal_that_has_ended_lists_again_and_only_what_changed_or_failed_is_done_again(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    journal = Journal(path, "SE", "/vo/d")
    journal.found(found("a", "b", "c"), {}, [])
    journal.listed("/vo/d")
    journal.settle({"/vo/d/a": (State.DONE, ""), "/vo/d/b": (State.CLASH, "other"), "/vo/d/c": (State.DONE, "")})
    journal.close()

    again = Journal(path, "SE", "/vo/d")
    assert again.folders(8) == ["/vo/d"]
    again.found([*found("a", "b"), *found("c", size=6)], {}, [])
    assert [file.lfn for batch in again.batches(10) for file in batch] == ["/vo/d/b", "/vo/d/c"]
    again.close()


def test_a_journal_is_of_one_directory_and_one_command_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    journal = Journal(path, "SE", "/vo/d")
    with pytest.raises(ConfigurationError, match="locked"):
        Journal(path, "SE", "/vo/d")
    journal.close()
    with pytest.raises(ConfigurationError, match="journal of SE /vo/d"):
        Journal(path, "SE", "/vo/other")
    (tmp_path / "no").write_text("not a database, and long enough to be seen as none" * 20)
    with pytest.raises(ConfigurationError, match="not a database"):
        Journal(tmp_path / "no", "SE", "/vo/d")
