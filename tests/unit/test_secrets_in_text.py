"""One table of secrets, one of ordinary lines and one of hostile texts, against the redactors of pilot and agent."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from agents import redact as agents
from pilot import redact as pilots

ROOT = Path(__file__).parents[2]
RANDOM = "Zq8hT0ub4dorXw7s"
HEX = "0a1b2c3d4e5f6a7b" * 2
LETTERS = "aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789"
BASE64 = "QWxhZGRpbjpvcGVuIHNlc2FtZQ" * 4
KEY = "\n".join(["MIIEowIBAAKCAQEA" + "x" * 48, *(f"{n}" + "y" * 63 for n in range(5))])
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{KEY}\n-----END RSA PRIVATE KEY-----"
CERTIFICATE = f"-----BEGIN CERTIFICATE-----\n{KEY}\n-----END CERTIFICATE-----\n"

# name: text, and what must not be left of it
SECRETS = {
    "key": (PEM, "yyyy"),
    "key of OpenSSH": (PEM.replace("RSA", "OPENSSH"), "yyyy"),
    "key without a kind": (PEM.replace("RSA ", ""), "yyyy"),
    "key that is encrypted": (PEM.replace("RSA", "ENCRYPTED"), "yyyy"),
    "key in one line": (PEM.replace("\n", "\\n"), "yyyy"),
    "key in JSON": (json.dumps({"private_key": PEM}), "yyyy"),
    "key without its end": (PEM[:-40], "yyyy"),
    "key without its beginning": ("\n".join(PEM.split("\n")[2:]), "yyyy"),
    "proxy": (CERTIFICATE + PEM + CERTIFICATE, "yyyy"),
    "JWT": (f"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqdXN0aW4ifQ.{RANDOM}", RANDOM),
    "JWT without a signature": (f"eyJhbGciOiJSUzI1NiJ9.eyJ{RANDOM}", RANDOM),
    "encrypted JWT": (f"eyJhbGciOiJSUzI1NiJ9.{RANDOM}.{RANDOM}.{RANDOM}.{RANDOM}", RANDOM),
    "bearer": (f"Authorization: Bearer {RANDOM}", RANDOM),
    "bearer in words": (f"sent Bearer {RANDOM} to it", RANDOM),
    "bearer over lines": (f"Bearer\n {RANDOM}", RANDOM),
    "bearer over lines in one": (f"Bearer\\n {RANDOM}", RANDOM),
    "bearer of letters": ("Bearer abcdefghijklmnopqrstuvwx", "abcdefghijklmnop"),
    "basic": ("Authorization: Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpw"),
    "authorization of a proxy": ("Proxy-Authorization: Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpw"),
    "authorization of AWS": (
        f"Authorization: AWS4-HMAC-SHA256 Credential={RANDOM}/20260101/x/s3, SignedHeaders=host, Signature={HEX}",
        HEX,
    ),
    "authorization in a dictionary": (f"{{'Authorization': 'Token {RANDOM}', 'Accept': '*/*'}}", RANDOM),
    "cookie": (f"Set-Cookie: session={RANDOM}; Path=/", RANDOM),
    "second cookie": (f"Cookie: lang=en; session={RANDOM}", RANDOM),
    "cookies in a dictionary": (f"cookies={{'lang': 'en', 'session': '{RANDOM}'}}", RANDOM),
    "token of a header": (f"X-DIRAC-Token: {RANDOM}", RANDOM),
    "key of a header": (f"X-Api-Key: {RANDOM}", RANDOM),
    "GitHub": (f"ghp_{LETTERS}", LETTERS),
    "GitHub, fine-grained": (f"github_pat_{LETTERS}_{LETTERS}", LETTERS),
    "GitHub in a URL": (f"https://ghp_{LETTERS}@github.com/x", LETTERS),
    "GitLab": (f"glpat-{RANDOM}{RANDOM}", RANDOM),
    "GitLab's deployment": (f"gldt-{RANDOM}{RANDOM}", RANDOM),
    "Slack": (f"xoxb-123456789012-{RANDOM}", RANDOM),
    "Slack's hook": (f"https://hooks.slack.com/services/T00000000/B00000000/{RANDOM}", RANDOM),
    "Google's key": ("AIzaSyA-abcdefghijklmnopqrstuvwxyz01234", "abcdefghijkl"),
    "Google's token": (f"ya29.a0{RANDOM}{RANDOM}", RANDOM),
    "Google's client": (f"GOCSPX-{RANDOM}{RANDOM}", RANDOM),
    "an AI's key": (f"sk-proj-{RANDOM}{RANDOM}", RANDOM),
    "npm": (f"npm_{LETTERS}", LETTERS),
    "Hugging Face": (f"hf_{LETTERS}", LETTERS),
    "Docker": (f"dckr_pat_{RANDOM}{RANDOM}", RANDOM),
    "Vault": (f"hvs.{RANDOM}{RANDOM}", RANDOM),
    "SendGrid": (f"SG.{RANDOM}ab.{RANDOM}{RANDOM}", RANDOM),
    "AWS id": ("AKIAIOSFODNN7EXAMPLE", "IOSFODNN"),
    "AWS id of a session": ("ASIAIOSFODNN7EXAMPLE", "IOSFODNN"),
    "AWS secret": ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "K7MDENG"),
    "AWS secret in an environment": ("AWS_SECRET_ACCESS_KEY=/JalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "K7MDENG"),
    "signed URL of S3": (f"https://s3/x?X-Amz-Credential=AKIA{RANDOM}%2Fs3&X-Amz-Signature={HEX}&y=1", HEX),
    "session of S3": (f"https://s3/x?X-Amz-Security-Token={RANDOM}%2F%3D&y=1", RANDOM),
    "signed URL of the old S3": (f"https://s3/x?AWSAccessKeyId={RANDOM}&Expires=1&Signature={HEX}%3D", RANDOM),
    "signed URL of Google": (f"https://gs/x?X-Goog-Signature={HEX}", HEX),
    "signed URL of Azure": (f"https://az/x?sv=2020-08-04&sig={RANDOM}%3D&se=1", RANDOM),
    "macaroon": (f"MDAx{BASE64}", "QWxhZGRp"),
    "macaroon in a query": (f"https://dcache/x?authz=MDAx{BASE64}", "QWxhZGRp"),
    "macaroon of version 2": (f"AgEI{BASE64}", "QWxhZGRp"),
    "password in a URL": (f"https://user:{RANDOM}@host/path", RANDOM),
    "password without a user": (f"redis://:{RANDOM}@host:6379/0", RANDOM),
    "password of a web proxy": (f"https_proxy=http://user:{RANDOM}@proxy:3128", RANDOM),
    "token as a user": (f"https://oauth2-{RANDOM}{RANDOM}@host/x", RANDOM),
    "packed URL": (f"https%3A%2F%2Fuser%3A{RANDOM}%40host", RANDOM),
    "packed name": (f"x=1%26password%3D{RANDOM}", RANDOM),
    "packed JSON": (quote(json.dumps({"access_token": RANDOM})), RANDOM),
    "flag": (f"--password {RANDOM}", RANDOM),
    "flag with quotes": (f'--client-secret "{RANDOM} {RANDOM}"', RANDOM),
    "flag and sign": (f"--api-key={RANDOM}", RANDOM),
    "flag of one dash": (f"-passphrase {RANDOM}", RANDOM),
    "mysql": (f"mysql -u root -p{RANDOM} db", RANDOM),
    "mysqldump": (f"mysqldump -h x -p'{RANDOM}' db", RANDOM),
    "sshpass": (f"sshpass -p {RANDOM} ssh x", RANDOM),
    "curl": (f"curl -s -u user:{RANDOM} https://x", RANDOM),
    "curl with quotes": (f"curl --user 'user:{RANDOM}' https://x", RANDOM),
    "curl through a proxy": (f"curl --proxy-user=user:{RANDOM} https://x", RANDOM),
    "ldapsearch": (f"ldapsearch -D cn=x -w {RANDOM}", RANDOM),
    "netrc": (f"machine x login user password {RANDOM}", RANDOM),
    "name and value": (f"DB_PASSWORD={RANDOM} PATH=/bin", RANDOM),
    "variable of a database": (f"PGPASSWORD={RANDOM}", RANDOM),
    "pwd": (f"Server=x;Uid=u;Pwd={RANDOM};", RANDOM),
    "pass": (f"user=u&pass={RANDOM}", RANDOM),
    "value in quotes": (f"password = '{RANDOM} with {RANDOM}'", RANDOM),
    "value with a quote": (f'secret="a\\"{RANDOM}"', RANDOM),
    "value with a backslash": (f"password=a\\{RANDOM}", RANDOM),
    "value without its end": (f'{{"refresh_token": "{RANDOM} {RANDOM}', RANDOM),
    "YAML": (f"client_secret: {RANDOM}", RANDOM),
    "JSON": (json.dumps({"access_token": RANDOM, "n": 1}), RANDOM),
    "JSON in JSON": (json.dumps(json.dumps({"access_token": RANDOM})), RANDOM),
    "JSON in JSON in JSON": (json.dumps(json.dumps(json.dumps({"access_token": RANDOM}))), RANDOM),
    "query": (f"grant_type=refresh&refresh_token={RANDOM}&x=1", RANDOM),
    "XML": (f"<user>u</user><password>{RANDOM}</password>", RANDOM),
}
ORDINARY = [
    "job.started job_id=7 processors=2",
    "/tmp/x509up_u1000: the proxy has expired",
    "https://dirac.example.org:8443/WorkloadManagement/Matcher",
    "root://user@eospublic.cern.ch//eos/file",
    "dips://dirac.example.org:9170/WorkloadManagement/PilotManager",
    "Exit code 137: killed by SIGKILL",
    "token_file=/run/user/0/bt_u0 key_file=/etc/grid-security/hostkey.pem",
    "BEARER_TOKEN_FILE=/run/token X509_USER_PROXY=/tmp/x509up_u0",
    "PWD=/home/user OLDPWD=/tmp",
    "the token expired 3 minutes ago; a password is asked for",
    "basic functionality and bearer authentication are tried",
    "2026-01-02 03:04:05 [UTC]: 42 events - 17 passed, pass: 17",
    "passes=5 design=modern passed=17",
    "Application Finished With Errors",
    "Uploading Output Sandbox to SB:LocalSandboxSE|/SandBox/l/localuser/b06/073/b060733bf813.tar.bz2",
    "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "cp -p a b; ssh -p 22 host; mkdir -p /a/b; sort -u file",
    "condor_q -json -attributes ClusterId,ProcId 42",
    "Subject: /DC=org/DC=example/CN=A User, issuer /DC=org/CN=CA",
    "risk-free task-scheduling of disk-space, ask-me",
    "ghost_writer glance_at a glossary; hello.world signature unknown",
    "a" * 4000,
    "monkey=banana keyboard: english",
    '{"status": "Done", "minor": "Execution Complete", "path": "/a b/c"}',
    "MDAQ short AgEd words eyJ",
    "x = {1, 2}; y = [3]; f(a, b) -> c; d => e",
]
HOSTILE = {
    "dashes": "-----BEGIN " * 20_000,
    "beginnings": "-----BEGIN A-----" * 12_000,
    "ends": "-----END A-----" * 13_000,
    "lines before an end": "QUJD\n" * 40_000 + "-----END A-----",
    "lines": ("A" * 64 + "\n") * 3_000 + "!",
    "names": "password" * 30_000,
    "names and dashes": "secret-" * 30_000,
    "dots and dashes": "a.-" * 80_000 + "password",
    "a name and blanks": "password" + " " * 200_000,
    "names and quotes": 'token="token=' * 15_000,
    "names and single quotes": "token='" * 30_000,
    "names and quotes in quotes": 'token="\\"' * 20_000,
    "names and braces": "token={" * 28_000,
    "names and backslashes": "token=\\" * 28_000,
    "a value of backslashes": 'token="' + "\\" * 200_000,
    "a value of quotes": 'token="' + '\\"' * 100_000,
    "packed names": "token%3D" * 25_000,
    "flags": "-a " * 70_000,
    "flags with names": "--token " * 25_000,
    "a long flag": "--" + "secret-" * 30_000,
    "a URL": "://" + "a" * 200_000,
    "URLs": "://:" * 60_000,
    "URLs with users": "://a:" * 40_000,
    "packed URLs": "%3A%2F%2Fa%3A" * 15_000,
    "a JWT": "eyJ" + "a" * 100_000 + "." * 5,
    "JWTs": "-eyJ" * 50_000,
    "macaroons": "AgE" * 66_000,
    "keys": "sk-" * 66_000,
    "tokens": "ghp_" * 50_000,
    "a key of two parts": "SG." + "a" * 200_000,
    "bearers": "bearer " * 28_000,
    "a bearer and blanks": "bearer" + " " * 200_000,
    "cookies": "cookie:" * 28_000,
    "logins": "login a " * 25_000,
    "elements": "token>" * 33_000 + "</",
    "commands": "mysql -p curl -u " * 12_000,
    "a command": "curl" + " -ua" * 50_000,
    "line ends": "\n" * 200_000,
}
Redacted = Callable[[str], str]
both = pytest.mark.parametrize("redacted", [agents.redacted, pilots.redacted], ids=["agent", "pilot"])


def test_both_are_the_same_file_but_for_what_stands_for_a_secret() -> None:
    ours, theirs = ((ROOT / folder / "redact.py").read_text() for folder in ("agents", "pilot"))

    assert ours == theirs.replace('HIDDEN = "***"', 'HIDDEN = "[redacted]"')


@both
@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("around", ["{}", "before {} after", "first line\n{}\nlast line", "x=1 ({})"])
def test_a_secret_is_hidden_whatever_is_around_it(redacted: Redacted, kind: str, around: str) -> None:
    text, secret = SECRETS[kind]
    assert secret in text

    assert secret not in redacted(around.format(text))


@both
@pytest.mark.parametrize("kind", SECRETS)
def test_json_with_a_secret_in_it_stays_json(redacted: Redacted, kind: str) -> None:
    text, secret = SECRETS[kind]
    written = json.dumps({"first": 1, "note": f"before {text} after", "again": [text, 2], "last": "end"})

    seen = json.loads(redacted(written))

    assert (seen["first"], seen["again"][1], seen["last"]) == (1, 2, "end")
    assert secret not in json.dumps(seen)


@both
def test_hiding_twice_changes_nothing_more(redacted: Redacted) -> None:
    once = [redacted(f"before {text} after") for text, _ in SECRETS.values()]

    assert [redacted(text) for text in once] == once


@both
@pytest.mark.parametrize("text", ORDINARY, ids=lambda text: text[:20])
def test_ordinary_text_stays_as_it_is(redacted: Redacted, text: str) -> None:
    assert redacted(text) == text
    assert redacted(text * 5) == text * 5


@both
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_takes_time_by_its_length_and_hides_nothing(redacted: Redacted, kind: str) -> None:
    began = time.process_time()

    seen = redacted(f"{HOSTILE[kind]}\n\nDB_PASSWORD={RANDOM}\n")

    assert time.process_time() - began < 1.0  # a tenth of it on a quiet machine; minutes where it is quadratic
    assert RANDOM not in seen
