import os

import pytest

from pilot import wrapper_log
from pilot.log import Log
from pilot.redact import redacted

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJsYWIifQ.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"found {JWT} in it", "found *** in it"),
        ("Authorization: Bearer abcdefgh12345", "Authorization: Bearer ***"),
        ("https://user:hush@host/path", "https://***@host/path"),
        ("DB_PASSWORD=hush PATH=/bin", "DB_PASSWORD=*** PATH=/bin"),
        ('{"api_token": "hush hush", "site": "A"}', '{"api_token": ***, "site": "A"}'),
        ("SECRET_KEY: hush", "SECRET_KEY: ***"),
        ("-----BEGIN RSA PRIVATE KEY-----\\nMIIabc\\n-----END", "-----BEGIN RSA PRIVATE KEY-----***-----END"),
    ],
)
def test_secrets_are_hidden(text, shown):
    assert redacted(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "X509_USER_PROXY=/tmp/x509up_u0",
        "BEARER_TOKEN_FILE=/run/token",
        "node.is host=wn1 kernel=6.1",
        "https://host:8443/WorkloadManagement/Matcher",
        "job 1234 matched after 0.21 s",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redacted(text) == text


def test_a_secret_in_a_field_of_an_event_is_not_written():
    lines = []

    Log([lines.append]).info("x.y", why="no answer from https://u:hush@h/", token="hush")

    assert "hush" not in lines[0]


def test_the_wrapper_s_log_is_read_to_its_end():
    read_end, write_end = os.pipe()
    os.write(write_end, b"one\n\ntwo")
    os.close(write_end)

    assert list(wrapper_log.lines(read_end)) == ["one\n", "two\n"]
    os.close(read_end)


def test_a_pipe_that_nobody_closes_is_left_after_a_while():
    read_end, write_end = os.pipe()
    os.write(write_end, b"one\n")

    assert list(wrapper_log.lines(read_end, wait_s=0.05)) == ["one\n"]
    os.close(read_end)
    os.close(write_end)
