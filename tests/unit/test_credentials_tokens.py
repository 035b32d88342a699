"""Bearer tokens: where they are looked for, and what is said when there is none."""

import os
from pathlib import Path

import pytest
import requests

from agents.credentials import tokens
from agents.errors import CredentialError


@pytest.mark.parametrize(
    ("said", "configured", "wanted"),
    [("yes", False, True), ("True", False, True), ("no", True, False), ("", True, True), ("", False, False)],
)
def test_the_environment_decides_before_the_configuration(said: str, configured: bool, wanted: bool) -> None:
    assert tokens.is_wanted({"DIRAC_USE_ACCESS_TOKEN": said}, configured=configured) is wanted


def test_a_token_is_found_in_the_order_of_the_wlcg(tmp_path: Path) -> None:
    file, runtime = tmp_path / "token", tmp_path / "run"
    runtime.mkdir()
    file.write_text("from-file\n", encoding="ascii")
    (runtime / f"bt_u{os.geteuid()}").write_text("from-runtime", encoding="ascii")
    environ = {"BEARER_TOKEN": "own", "BEARER_TOKEN_FILE": str(file), "XDG_RUNTIME_DIR": str(runtime)}

    found = []
    while environ:
        found.append(tokens.find(environ))
        environ.pop(next(iter(environ)))

    assert found == ["own", "from-file", "from-runtime"]


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match="none: the bearer token cannot be read: No such file"):
        tokens.find({"BEARER_TOKEN_FILE": str(tmp_path / "none")})


@pytest.mark.parametrize("text", [" ", "two tokens", "line\nline"])
def test_what_is_no_token_is_not_sent(text: str) -> None:
    with pytest.raises(CredentialError, match="expected one bearer token"):
        tokens.find({"BEARER_TOKEN": text})


def test_a_request_carries_the_token_of_its_moment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    session = requests.Session()
    session.trust_env = False
    session.auth = tokens.BearerToken({"BEARER_TOKEN_FILE": str(file)})

    seen = []
    for text in ("first", "second"):
        file.write_text(text, encoding="ascii")
        seen.append(session.prepare_request(requests.Request("POST", "https://h/x")).headers["Authorization"])

    assert seen == ["Bearer first", "Bearer second"]
