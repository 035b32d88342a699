"""What an HTCondor CE is let in with, and what goes with the jobs: a token, a proxy, or both of them."""

import base64
import shlex
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import pytest

from ce_backends.ce_types.htcondor_ce import HTCondorCE
from ce_backends.conformance.subject import task
from ce_backends.errors import CEMisconfigured, CEUnavailable
from ce_backends.options import parse_options

PROXY_LINE = "x509userproxy = /p"
SSL = {"X509_USER_PROXY=/p", "_CONDOR_AUTH_SSL_CLIENT_CERTFILE=/p", "_CONDOR_AUTH_SSL_CLIENT_KEYFILE=/p"}


def planned(tmp_path: Path, given: Mapping[str, str]) -> tuple[set[str], list[str]]:
    """Return the variables of condor_submit, and what its description says of proxies."""
    options = parse_options(HTCondorCE.OPTIONS, {"CEName": "ce", **given}, "HTCondorCE")
    steps = HTCondorCE.plan(tmp_path, options, [task(":\n")])
    (line,) = [step for step in steps if "condor_submit" in step]
    words = shlex.split(line.partition(": ")[2])
    return set(words[1 : words.index("condor_submit")]), [step.strip() for step in steps if "x509" in step[:10]]


@pytest.mark.parametrize(
    ("given", "variables", "methods", "lines"),
    [
        ({"Token": "/t"}, {"_CONDOR_SCITOKENS_FILE=/t"}, "SCITOKENS", []),
        ({"Proxy": "/p"}, SSL, "SSL", []),
        ({"Token": "/t", "Proxy": "/p"}, {"_CONDOR_SCITOKENS_FILE=/t", *SSL}, "SCITOKENS,SSL", []),
        ({"Proxy": "/p", "DelegateProxy": "yes"}, SSL, "SSL", [PROXY_LINE]),
        (
            {"Token": "/t", "Proxy": "/p", "DelegateProxy": "yes"},
            {"_CONDOR_SCITOKENS_FILE=/t", "_CONDOR_DELEGATE_JOB_GSI_CREDENTIALS=false"},
            "SCITOKENS",
            [PROXY_LINE],
        ),
        (
            {"TokenDirectory": "/d", "Proxy": "/p", "DelegateProxy": "yes"},
            {"_CONDOR_SEC_TOKEN_DIRECTORY=/d", "_CONDOR_DELEGATE_JOB_GSI_CREDENTIALS=false"},
            "IDTOKENS",
            [PROXY_LINE],
        ),
    ],
)
def test_a_proxy_beside_a_token_is_for_the_jobs_alone_where_that_is_said(
    given: Mapping[str, str], variables: set[str], methods: str, lines: list[str], tmp_path: Path
) -> None:
    seen, said = planned(tmp_path, given)

    assert seen == {*variables, f"_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS={methods}"}
    assert said == lines


def test_a_delegation_without_a_proxy_is_a_wrong_option(tmp_path: Path) -> None:
    with pytest.raises(CEMisconfigured) as raised:
        planned(tmp_path, {"Token": "/t", "DelegateProxy": "yes"})

    assert str(raised.value) == "option DelegateProxy is yes, and Proxy is not set: expected the proxy's file there"


@pytest.mark.parametrize(("delegates", "is_told"), [("yes", True), ("no", False)])
def test_scopes_of_a_token_count_where_the_proxy_is_for_the_jobs_alone(
    delegates: str, is_told: bool, tmp_path: Path
) -> None:
    claims = base64.urlsafe_b64encode(b'{"scope": "compute.read"}').decode().rstrip("=")
    (tmp_path / "token").write_text(f"e30.{claims}.x", encoding="ascii")
    given = {"Token": f"{tmp_path}/token", "Proxy": "/p", "DelegateProxy": delegates}
    lack = pytest.raises(CEUnavailable, match=r"good for compute.read, not for compute.create")

    with lack if is_told else nullcontext():
        planned(tmp_path, given)
