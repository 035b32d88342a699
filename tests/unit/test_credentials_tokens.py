"""Bearer tokens: where they are looked for, and what is said when there is none."""

import os
from pathlib import Path

import pytest
import requests

from agents.credentials import tokens
from agents.errors import CredentialError


def kept(path: Path, text: str, mode: int = 0o600) -> Path:
    """Write a token's file; return it."""
    path.write_text(text, encoding="ascii")
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("said", "configured", "wanted"),
    [("yes", False, True), ("True", False, True), ("no", True, False), ("", True, True), ("", False, False)],
)
def test_the_environment_decides_before_the_configuration(said: str, configured: bool, wanted: bool) -> None:
    assert tokens.is_wanted({"DIRAC_USE_ACCESS_TOKEN": said}, configured=configured) is wanted


def test_a_token_is_found_in_the_order_of_the_wlcg(tmp_path: Path) -> None:
    file, runtime = tmp_path / "token", tmp_path / "run"
    runtime.mkdir()
    kept(file, "from-file\n")
    kept(runtime / f"bt_u{os.geteuid()}", "from-runtime")
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
        kept(file, text)
        seen.append(session.prepare_request(requests.Request("POST", "https://h/x")).headers["Authorization"])

    assert seen == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize("mode", [0o640, 0o644, 0o620, 0o666])
def test_a_token_that_others_may_read_or_write_is_refused(mode: int, tmp_path: Path) -> None:
    token = kept(tmp_path / "token", "secret", mode)

    with pytest.raises(CredentialError, match=rf"others can read the bearer token \(mode {mode:04o}\); .*chmod 600 it"):
        tokens.find({"BEARER_TOKEN_FILE": str(token)})


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can give files away")
@pytest.mark.parametrize("is_link", [False, True])
def test_a_token_that_somebody_else_has_put_there_is_refused(is_link: bool, tmp_path: Path) -> None:
    token = kept(tmp_path / "own", "secret")
    if is_link:
        (tmp_path / "link").symlink_to("own")
        token = tmp_path / "link"
    os.chown(token, 4321, -1, follow_symlinks=False)

    with pytest.raises(CredentialError, match="the bearer token belongs to another account"):
        tokens.find({"BEARER_TOKEN_FILE": str(token)})


def test_a_token_that_is_a_pipe_does_not_stop_the_agent(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)

    with pytest.raises(CredentialError, match="expected a bearer token of at most"):
        tokens.find({"BEARER_TOKEN_FILE": str(tmp_path / "pipe")})
