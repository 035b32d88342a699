"""Secrets are planted everywhere, and none is seen from outside."""

import base64
import json
import logging
import random
import string
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agents.jobs.job import Job, JobStatus, MatchedJob, Outcome, Phase
from agents.jobs.ledger import Ledger
from agents.jobs.report import Moments, Reports
from agents.log import EventLog, Whose, configure
from agents.observability.explain import explain, status
from agents.redaction import HIDDEN, is_secret_name, redacted, secrets_of, without_secrets

KEY_LINES = "\n".join(base64.b64encode(bytes([n]) * 48).decode() for n in range(65, 75))
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{KEY_LINES}\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqdXN0aW4iLCJleHAiOjF9.c2lnbmF0dXJlLXRoYXQtaXMtc2VjcmV0"
SECRET = "Tr0ub4dor-and-3"
PLANTED = {
    "a key": (PEM, KEY_LINES.splitlines()[3]),
    "a key on one line, as JSON writes it": (json.dumps(PEM), KEY_LINES.splitlines()[3]),
    "a proxy without its end": (PEM[:-20], KEY_LINES.splitlines()[3]),
    "a proxy without its beginning": ("\n".join(PEM.splitlines()[4:]), KEY_LINES.splitlines()[5]),
    "lines from the middle of a key": (f"see\n{KEY_LINES}\n", KEY_LINES.splitlines()[3]),
    "a JWT": (f"token is {JWT}.", JWT[-20:]),
    "a bearer token": (f"Authorization: Bearer {SECRET}", SECRET),
    "a basic authorisation": ("authorization: Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA"),
    "a password in a URL": (f"GET https://user:{SECRET}@host.org/x failed", SECRET),
    "a password behind an equals sign": (f"X_PASSWORD={SECRET} and more", SECRET),
    "a password in quotes": (f"password = '{SECRET} with blanks'", "with blanks"),
    "a password in JSON": (json.dumps({"db_password": f'{SECRET}"x'}), SECRET),
    "a password in JSON in JSON": (json.dumps(json.dumps({"db_password": SECRET})), SECRET),
    "a password of a command": (f"mysql --password {SECRET} -h host", SECRET),
    "an AWS key": ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    "a GitHub token": (f"clone ghp_{'a1B2' * 9}", "a1B2a1B2"),
    "a macaroon": (f"MDAx{'QWxhZGRpbjpvcGVuIHNlc2FtZQ' * 4}", "QWxhZGRpbjpv"),
    "a signed URL": (f"https://s3/x?X-Amz-Signature={'0a1b' * 16}&y=1", "0a1b0a1b"),
    "a cookie": (f"Set-Cookie: session{SECRET}", SECRET),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_secret_is_taken_out_of_the_text_around_it(kind: str) -> None:
    text, secret = PLANTED[kind]

    seen = redacted(f"before {text}")

    assert secret not in seen
    assert HIDDEN in seen
    assert seen.startswith("before ")


@pytest.mark.parametrize(
    "text",
    [
        "job.started job_id=7 processors=2",
        "/tmp/x509up_u1000: the proxy has expired",
        "https://dirac.example.org:8443/WorkloadManagement/Matcher",
        "Exit code 137: killed by SIGKILL",
        "token_file=/run/user/0/bt_u0 key_file=/etc/grid-security/hostkey.pem",
        "Application Finished With Errors",
        "a" * 4000,
        "2026-01-02 03:04:05 [UTC]: 42 events - 17 passed",
    ],
)
def test_innocent_text_stays_as_it_is(text: str) -> None:
    assert redacted(text) == text


def test_redacted_json_is_json_still() -> None:
    written = json.dumps({"a": [{"password": 'x"y', "n": 1, "note": f"token={SECRET}"}], "PEM": PEM})

    seen = json.loads(redacted(written))

    assert seen["a"][0]["n"] == 1
    assert SECRET not in json.dumps(seen)


def test_redacting_twice_changes_nothing_more() -> None:
    once = [redacted(text) for text, _ in PLANTED.values()]

    assert [redacted(text) for text in once] == once


def test_long_hostile_text_is_gone_through() -> None:
    """Hangs with a pattern that backtracks."""
    alphabet = random.Random(1)
    noise = "".join(alphabet.choice(string.printable) for _ in range(20_000))
    hostile = ["password=" * 3000, "-----BEGIN A-----" * 2000, "://a:" * 5000, "eyJ" * 9000, "a" * 64 + "\n" * 20_000]
    hostile += [noise, "A" * 30_000, "QUJD\n" * 6000 + "-----END A-----", "--token " * 4000, "token '" * 4000]

    seen = [redacted(text + f" password={SECRET}") for text in hostile]

    assert [text for text in seen if SECRET in text] == []


def test_a_value_is_hidden_for_its_name_alone() -> None:
    value = {"password": 17, "nested": [{"api_key": "short"}], "token_file": "/run/t", "processors": 2}

    seen = without_secrets(value)

    assert seen == {
        "password": HIDDEN,
        "nested": [{"api_key": HIDDEN}],
        "token_file": "/run/t",
        "processors": 2,
    }


@pytest.mark.parametrize(
    ("name", "is_one"), [("DB_PASSWORD", True), ("token", True), ("token_file", False), ("x", False)]
)
def test_names_of_secrets_are_told_from_names_of_their_files(name: str, is_one: bool) -> None:
    assert is_secret_name(name) is is_one


def test_secrets_of_the_environment_are_the_values_with_such_names_that_are_long_enough() -> None:
    assert secrets_of({"BEARER_TOKEN": SECRET, "PATH": "/usr/bin", "X_SECRET": "on"}) == (SECRET,)


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Path]:
    """Logs of both kinds in a directory; the logging module is left as it was."""
    loggers = (logging.getLogger("gridpilot"), logging.getLogger())
    before = [(one, list(one.handlers), one.level, one.propagate) for one in loggers]
    whose = Whose(pilot="ce01:42", site="LAB", known=("known-by-value",))
    configure("DEBUG", tmp_path / "agent.log", json_file=tmp_path / "json" / "agent.jsonl", whose=whose)
    yield tmp_path
    for one, handlers, level, propagate in before:
        for handler in set(one.handlers) - set(handlers):
            handler.close()
        one.handlers[:], one.level, one.propagate = handlers, level, propagate


def everything_in(folder: Path) -> str:
    return "".join(path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.*")) if path.suffix != ".sqlite")


@pytest.mark.parametrize("kind", PLANTED)
def test_no_log_shows_a_secret_from_any_field(logs: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    text, secret = PLANTED[kind]
    log = EventLog("test")

    log.error("thing.failed", cause=ValueError(text), note=text, lines=[text, text], nested={"a": text})
    logging.getLogger("urllib3.connection").warning("retrying %s", text)
    logging.getLogger("gridpilot").debug("traceback", exc_info=ValueError(text))

    written = everything_in(logs) + capsys.readouterr().out
    assert "thing.failed" in written
    assert "retrying" in written
    assert "ValueError: " in written
    assert secret not in written


def test_a_secret_of_the_environment_is_hidden_wherever_it_appears(logs: Path) -> None:
    EventLog("test").info("thing.happened", note="it is known-by-value here")

    assert "known-by-value" not in everything_in(logs)


@pytest.mark.parametrize("kind", PLANTED)
def test_what_a_payload_wrote_reaches_neither_the_wms_nor_people_with_its_secrets(tmp_path: Path, kind: str) -> None:
    text, secret = PLANTED[kind]
    matched = MatchedJob(job_id=7, jdl="", owner="o", group="g")
    end = Outcome(JobStatus.FAILED, "Application Finished With Errors", text)
    job = Job(matched=matched, stamp="s", phase=Phase.REPORTING, status=JobStatus.FAILED, end=end)
    reports = Reports("LAB", Moments())
    said = [
        reports.by_wrapper(job, application_status=text),
        reports.remark(job, text),
        reports.facts(job, {"OutputSandboxError": text}),
    ]
    with closing(Ledger(tmp_path / "ledger.sqlite")) as ledger:
        ledger.save(job, said)

    shown = [status(tmp_path, as_json=as_json) for as_json in (False, True)]
    shown += [explain(tmp_path, 7, as_json=as_json) for as_json in (False, True)]

    assert [report for report in said if secret in json.dumps(dict(report.body))] == []
    assert [page for page in shown if secret in page] == []
