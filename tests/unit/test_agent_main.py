"""The agent's command line: every error is one sentence and an exit code."""

import fcntl
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agents.__main__ import main
from agents.errors import ExitCode
from agents.local_wms.authority import open_authority, write_private
from agents.settings.agent import AGENT
from tests import forked
from tests.waiting import PATIENCE_S

REPOSITORY = Path(__file__).parents[2]
SITE = "/LocalSite/Site=LAB.Local.ch"


def ended(capsys: pytest.CaptureFixture[str], work_dir: Path, *options: str) -> tuple[int, str]:
    """Return the exit code and what stands on stderr."""
    arguments = [word for option in options for word in ("-o", option)]
    exit_code = main([*arguments, "--work-dir", str(work_dir)])
    return exit_code, capsys.readouterr().err


def process(work_dir: Path, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the agent as the pilot does."""
    arguments = [word for option in options for word in ("-o", option)]
    words = ("--end-with", str(forked.parent()), "--work-dir", str(work_dir), *arguments)
    return forked.run("agents", *words, cwd=REPOSITORY, env={"PATH": os.environ["PATH"]} | environ)


def test_an_agent_started_by_hand_with_what_is_wrong_writes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert ended(capsys, tmp_path)[0] == ExitCode.CONFIGURATION
    assert list(tmp_path.iterdir()) == []


def test_settings_are_explained_to_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--explain", "--json", "-o", f"{AGENT}/PollingTime=7"]) == 0
    told = {row["path"]: row for row in json.loads(capsys.readouterr().out)}
    assert told[f"{AGENT}/PollingTime"]["shown"] == "7"
    assert told[f"{AGENT}/PollingTime"]["origin"] == "command line"


def test_a_misspelt_option_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    exit_code, stderr = ended(capsys, tmp_path, SITE, f"{AGENT}/PolingTime=5")

    assert exit_code == ExitCode.CONFIGURATION
    assert stderr == f"agent: command line: unknown option {AGENT}/PolingTime; did you mean PollingTime?\n"


def test_a_wrong_type_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    exit_code, stderr = ended(capsys, tmp_path, SITE, f"{AGENT}/PollingTime=often")

    assert exit_code == ExitCode.CONFIGURATION
    assert stderr == f"agent: command line: {AGENT}/PollingTime = often: expected a number, 0 or more\n"


def test_a_wrong_log_level_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    exit_code, stderr = ended(capsys, tmp_path, SITE, f"{AGENT}/LogLevel=LOUD")

    assert exit_code == ExitCode.CONFIGURATION
    assert "LogLevel = LOUD: expected one of DEBUG, " in stderr


def test_a_missing_site_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    exit_code, stderr = ended(capsys, tmp_path)

    assert (exit_code, stderr.startswith("agent: /LocalSite/Site is not set; expected: ")) == (2, True)


def test_a_malformed_assignment_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    exit_code, stderr = ended(capsys, tmp_path, "/=5")

    assert (exit_code, stderr) == (2, "agent: command line: '/' names no option; expected /Section/option\n")


def test_a_missing_file_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    exit_code = main(["--cfg", str(tmp_path / "no.cfg"), "--work-dir", str(tmp_path)])

    assert exit_code == ExitCode.CONFIGURATION
    assert "no.cfg: cannot be read: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "exit_code", "sentence"),
    [
        ([f"{AGENT}/PolingTime=5"], 2, f"command line: unknown option {AGENT}/PolingTime; did you mean PollingTime?"),
        (["/=5"], 2, "command line: '/' names no option; expected /Section/option"),
        ([SITE, "/DIRAC/Security/ProxyFile=/nowhere/p"], 3, "/nowhere/p: the proxy cannot be read: No such file or "),
    ],
)
def test_an_agent_that_is_refused_leaves_the_sentence_for_its_pilot(
    options: list[str], exit_code: int, sentence: str, tmp_path: Path
) -> None:
    process(tmp_path, *options, X509_CERT_DIR=__file__)  # a machine may have no CAs of its own

    word = json.loads((tmp_path / "agent_end.json").read_text(encoding="utf-8"))
    assert word["reason"].startswith(sentence)
    assert word == {"reason": word["reason"], "exit_code": exit_code}


def test_an_unknown_ce_type_is_told_to_the_pilot_and_by_the_report(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    authority = open_authority(tmp_path / "ca", lambda: datetime.now(UTC))
    write_private(tmp_path / "proxy.pem", authority.delegate(authority.issue("Pilot"), "g").pem())
    security = [f"/DIRAC/Security/{name}" for name in ("ProxyFile", "CALocation")]
    places = [str(tmp_path / "proxy.pem"), str(authority.certificates)]
    options = [f"{path}={place}" for path, place in zip(security, places, strict=True)]

    done = process(tmp_path, SITE, "/LocalSite/LocalCE=Pol", *options)

    sentence = "unknown CE type Pol; did you mean Pool?"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, f"agent: {sentence}")
    assert json.loads((tmp_path / "agent_end.json").read_text(encoding="utf-8"))["reason"] == sentence
    main(["report", "--json", "--work-dir", str(tmp_path)])
    slot = json.loads(capsys.readouterr().out)["slot"]
    assert (slot["state"], slot["reason"]) == ("ended", sentence)


def test_status_of_an_agent_that_was_refused_before_it_had_a_ledger_says_why(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    process(tmp_path)

    main(["status", "--work-dir", str(tmp_path)])

    assert "there is no ledger; the agent ended: /LocalSite/Site is not set" in capsys.readouterr().err


def test_a_second_agent_in_one_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "agent_end.json").write_text("of the first", encoding="utf-8")
    with (tmp_path / "agent.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        done = forked.run("agents", "--work-dir", str(tmp_path), "-o", SITE, cwd=REPOSITORY)

    assert done.returncode == ExitCode.CONFIGURATION
    assert done.stderr == f"agent: {tmp_path}: another agent works in this directory; give each its own\n"
    assert (tmp_path / "agent_end.json").read_text(encoding="utf-8") == "of the first"


def test_an_agent_of_a_pilot_waits_for_one_that_has_lost_its_pilot(tmp_path: Path) -> None:
    arguments = ["--work-dir", str(tmp_path), "-o", "/=5", "--end-with", str(os.getpid())]
    with (tmp_path / "agent.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = subprocess.Popen([sys.executable, "-m", "agents", *arguments], cwd=REPOSITORY, stderr=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(3)

    _, stderr = second.communicate(timeout=PATIENCE_S)
    assert stderr == b"agent: command line: '/' names no option; expected /Section/option\n"


def test_a_work_directory_that_cannot_be_made_is_a_fault_of_the_node(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()

    exit_code, stderr = ended(capsys, tmp_path / "file", SITE)

    assert exit_code == ExitCode.NODE_UNFIT
    assert stderr.startswith(f"agent: {tmp_path}/file: the work directory cannot be written: ")


def test_explain_shows_each_value_with_its_origin(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "pilot.cfg").write_text("LocalSite\n{\n  Site = LAB\n}\n")

    exit_code = main(["--cfg", str(tmp_path / "pilot.cfg"), "-o", f"{AGENT}/PollingTime=5", "--explain"])

    shown = capsys.readouterr().out
    assert exit_code == 0
    assert "/LocalSite/Site = LAB   [pilot.cfg:3]  " in shown
    assert f"{AGENT}/PollingTime = 5 s   [command line]  " in shown
    assert f"{AGENT}/StopAfterFailedMatches = 10   [default]  " in shown


def test_a_missing_proxy_ends_the_agent_with_one_sentence(tmp_path: Path) -> None:
    cas = open_authority(tmp_path / "ca", lambda: datetime.now(UTC)).certificates

    done = process(tmp_path / "work", SITE, X509_USER_PROXY="/nowhere/proxy", X509_CERT_DIR=str(cas))

    assert done.returncode == ExitCode.CREDENTIAL
    assert done.stderr == "agent: /nowhere/proxy: the proxy cannot be read: No such file or directory\n"


def test_a_configuration_service_that_is_away_ends_the_agent_with_one_sentence(tmp_path: Path) -> None:
    authority = open_authority(tmp_path / "ca", lambda: datetime.now(UTC))
    proxy = tmp_path / "proxy.pem"
    write_private(proxy, authority.delegate(authority.issue("Pilot"), "g").pem())

    done = process(
        tmp_path / "work",
        SITE,
        "/DIRAC/Configuration/Servers=gopher://127.0.0.1/Configuration/Server",
        X509_USER_PROXY=str(proxy),
        X509_CERT_DIR=str(authority.certificates),
    )

    assert done.returncode == ExitCode.SERVICE_MISSING
    assert done.stderr.startswith("agent: the Configuration service gives no configuration: gopher://127.0.0.1/")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("package", "exit_code"), [("agents", 0), ("pilot", 6)])
def test_words_that_cannot_be_printed_make_no_exit_code_of_pythons_own(package: str, exit_code: int) -> None:
    argv = [sys.executable, "-P", "-m", package, "--help"]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(argv, stdout=full, stderr=full, env=environ, timeout=PATIENCE_S, check=False)

    assert done.returncode == exit_code
