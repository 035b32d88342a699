"""DEncode as DIRAC 7.3 and 8 answer in it, and as nobody should: agent and pilot alike."""

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest

from agents.errors import BadAnswer
from agents.wms import dencode
from pilot.wms import dencode as pilots

Decode = Callable[[bytes], object]
both = pytest.mark.parametrize("decode", [dencode.decode, pilots.decode], ids=["agent", "pilot"])
MOST = 2_000_000


@both
@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"i-15e", -15),
        (b"I123456789012345e", 123456789012345),
        (b"f1.5e", 1.5),
        (b"f-2.5e-07e", -2.5e-07),
        (b"f1e+20e", 1e20),
        (b"b1", True),
        (b"b0", False),
        (b"n", None),
        (b"s2:\xc3\xa4", "\u00e4"),
        (b"u1:a", "a"),
        (b"s0:", ""),
        (b"s2:x\x9c", b"x\x9c"),
        (b"li1es1:aee"[:-1], [1, "a"]),
        (b"ti1ene", [1, None]),
        (b"di7es1:as1:bb1e", {"7": "a", "b": True}),
        (b"ds2:OKb1s5:Valueds1:alleeee", {"OK": True, "Value": {"a": [[]]}}),
    ],
)
def test_each_kind_of_value_is_read_as_jencode_would_say_it(decode: Decode, text: bytes, value: object) -> None:
    found = decode(text)

    assert (type(found), found) == (type(value), value)


def test_moments_are_aware() -> None:
    assert dencode.decode(b"zati2026ei1ei2ei3ei4ei5ei6ene") == datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert dencode.decode(b"zdti2026ei1ei2ee") == date(2026, 1, 2)


@both
@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"d",
        b"ds2:OK",
        b"i1",
        b"ie",
        b"i" + b"9" * 101 + b"e",
        b"f1e9999e",
        b"fnane",
        b"s5:abc",
        b"s9999999999:a",
        b"s-1:a",
        b"x",
        b"dne",
        b"db1ne",
        b"nn",
        b"l" * 100_000,
        b"<html>",
    ],
)
def test_what_is_not_dencode_is_one_error(decode: Decode, text: bytes) -> None:
    with pytest.raises((BadAnswer, ValueError)) as caught:
        decode(text)

    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("text", [b"zati2026ee", b"zdti2026ei13ei1ee", b"zxn", b"zan"])
def test_what_is_no_moment_is_a_bad_answer(text: bytes) -> None:
    with pytest.raises(BadAnswer, match="not DEncode"):
        dencode.decode(text)


@both
def test_a_flood_of_values_is_refused(decode: Decode) -> None:
    with pytest.raises((BadAnswer, ValueError), match="too many values"):
        decode(b"l" + b"n" * MOST + b"e")
