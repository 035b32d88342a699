"""Heads of answers over HTTP, and where a redirect may lead."""

import pytest

from agents.data import http_head
from agents.data.errors import ElementDown, Unsupported


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
