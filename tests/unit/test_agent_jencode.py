"""JEncode against what a real DIRAC 9.1 sends and takes (reference: dirac-wire)."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.errors import BadAnswer
from agents.wms.jencode import decode, encode

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC), '{"__dCls":"dt","obj":"2026-01-02 03:04:05"}'),
        (datetime(2026, 1, 2, 3, 4, 5), '{"__dCls":"dt","obj":"2026-01-02 03:04:05"}'),  # noqa: DTZ001 - taken as UTC
        (
            datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2))),
            '{"__dCls":"dt","obj":"2026-01-02 01:04:05"}',
        ),
        (date(2026, 1, 2), '{"__dCls":"date","obj":"2026-01-02"}'),
        (b"\x00\x01", '{"__dCls":"b64","obj":"AAE="}'),
        ({2: ("a", None)}, '{"2":["a",null]}'),
        ([2, "Running", True], '[2,"Running",true]'),
    ],
)
def test_values_are_written_as_dirac_writes_them(value: object, text: str) -> None:
    assert encode(value) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"__dCls": "dt", "obj": "2026-01-02 03:04:05"}', datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ('{"__dCls": "date", "obj": "2026-01-02"}', date(2026, 1, 2)),
        ('{"__dCls": "b64", "obj": "AAE="}', b"\x00\x01"),
        ('{"OK": true, "Value": {"2": {"Status": "Done"}}}', {"OK": True, "Value": {"2": {"Status": "Done"}}}),
        ('{"__dMod": "os", "__dCls": "system", "obj": {}}', {"__dMod": "os", "__dCls": "system", "obj": {}}),
        ('{"obj": "x"}', {"obj": "x"}),
    ],
)
def test_answers_are_read_as_dirac_means_them(text: str, value: object) -> None:
    assert decode(text) == value


@given(PLAIN)
@settings(max_examples=100, deadline=None, database=None)
def test_what_is_written_is_read_back(value: object) -> None:
    assert decode(encode(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>Sign in</html>",
        b'{"OK": tr',
        b"\xff\xfe\xfa",
        b"[" * 100_000,
        b"9" * 5000,
        b'{"__dCls": "dt", "obj": "yesterday"}',
        b'{"__dCls": "b64", "obj": "*"}',
        '{"__dCls": "b64", "obj": "é"}'.encode(),
    ],
)
def test_what_is_not_jencode_is_a_bad_answer_with_its_beginning(text: bytes) -> None:
    with pytest.raises(BadAnswer, match="the answer is not JSON") as caught:
        decode(text)

    assert len(str(caught.value)) < 300


def test_a_value_without_a_form_is_refused_before_it_is_sent() -> None:
    with pytest.raises(TypeError, match="JEncode has no form for set"):
        encode({1, 2})
