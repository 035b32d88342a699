"""The examples of configs/ are right, and say what would be submitted, also where the system cannot be had."""

import os
from pathlib import Path

import pytest

from ce_backends.__main__ import main
from ce_backends.errors import CEMisconfigured
from ce_backends.registry import Plans, backend, ce_types, create, origin

PLUGIN = Path(__file__).parents[1] / "plugins/echo_ce"
CONFIGS = Path(__file__).parents[2] / "configs"
EXAMPLES = sorted(CONFIGS.glob("*.cfg"))
SUBMIT = {
    "slurm": "this machine: sbatch",
    "grid_engine": "this machine: qsub",
    "oar": "this machine: oarsub",
    "pbs": "this machine: qsub",
    "lsf": "this machine: bsub",
    "ssh": "login.example.org: sbatch",
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_an_example_is_valid(
    example: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for variable in ("X509_USER_PROXY", "X509_CERT_DIR", "GRIDPILOT_HTCONDOR_TOKENS"):
        monkeypatch.setenv(variable, str(tmp_path))

    code = main(["validate", str(example)])

    said = capsys.readouterr().out
    assert code == (3 if "cannot be used on this machine now" in said else 0)  # containers cannot be had everywhere
    assert "  note: " not in said


@pytest.mark.parametrize("name", SUBMIT)
def test_a_plan_names_the_submit_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(CONFIGS / f"{name}.cfg")]) == 0

    assert f"run on {SUBMIT[name]} " in capsys.readouterr().out


STATUS = {"slurm": "squeue", "grid_engine": "qstat", "oar": "oarstat", "pbs": "qstat", "lsf": "bjobs", "ssh": "squeue"}


@pytest.mark.parametrize("name", STATUS)
def test_a_plan_shows_how_tasks_are_looked_at(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(CONFIGS / f"{name}.cfg")]) == 0

    assert f"run on {SUBMIT[name].partition(':')[0]}: {STATUS[name]} " in capsys.readouterr().out


@pytest.mark.parametrize("name", ["slurm", "ssh"])
def test_a_plan_says_where_the_shared_area_is(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    home = "~" if name == "ssh" else os.path.realpath(Path.home())

    main(["plan", str(CONFIGS / f"{name}.cfg")])

    assert f"write {home}/gridpilot-{name}/jobs/" in capsys.readouterr().out


def test_a_plan_for_arc_shows_its_requests(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("X509_USER_PROXY", str(tmp_path / "proxy"))
    monkeypatch.setenv("X509_CERT_DIR", str(tmp_path))
    url = "https://localhost:19460/arex/rest/1.0"

    assert main(["plan", str(CONFIGS / "arc.cfg")]) == 0

    told = capsys.readouterr().out
    lines = [line.partition(" (")[0] for line in told.splitlines() if not line.startswith("    ")]
    uploads = [f"PUT {url}/jobs/JOB{n}/session/{name}" for n in (1, 2) for name in ("launcher", "task.tar")]
    assert lines == [
        f"let in at {url} with proxy {tmp_path / 'proxy'}",
        f"POST {url}/delegations?action=new",
        f"PUT {url}/delegations/DELEGATION",
        f"POST {url}/jobs?action=new",
        *uploads,
        f"POST {url}/jobs?action=status",
    ]
    assert told.count("<QueueName>fork</QueueName>") == told.count("DelegationID>DELEGATION<") == 2


def test_a_plan_for_arc_with_a_token_delegates_nothing_and_needs_no_proxy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("X509_USER_PROXY", raising=False)
    monkeypatch.setenv("X509_CERT_DIR", "/certificates")

    assert main(["plan", str(CONFIGS / "arc.cfg"), "-o", "Token=/token"]) == 0

    told = capsys.readouterr().out
    assert "with the token in /token" in told
    assert "elegation" not in told
    assert "X509_USER_PROXY" not in told


@pytest.mark.parametrize(
    ("name", "option", "variable"),
    [
        ("arc", "Proxy", "X509_USER_PROXY"),
        ("arc", "CADirectory", "X509_CERT_DIR"),
        ("htcondor", "TokenDirectory", "GRIDPILOT_HTCONDOR_TOKENS"),
    ],
)
@pytest.mark.parametrize("command", ["validate", "plan", "test"])
def test_a_variable_that_is_not_set_is_named_with_its_option(
    command: str,
    name: str,
    option: str,
    variable: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv(variable, raising=False)

    code = main([command, str(CONFIGS / f"{name}.cfg")])

    said = capsys.readouterr()
    sentence = f"option {option} is ${variable}, and the environment variable {variable} is not set: set it, or write"
    assert sentence in (said.out if command == "validate" else said.err)
    assert code == 2


def test_a_variable_in_the_shared_area_must_be_set_but_home_is_that_of_the_other_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("SCRATCH", raising=False)
    create("SSH", {"SSHHost": "ce", "SharedArea": "$HOME/a"}, tmp_path / "home").close()

    with pytest.raises(CEMisconfigured, match=r"^option SharedArea is \$\{SCRATCH\}/a, and .* SCRATCH is not set: "):
        create("SSH", {"SSHHost": "ce", "SharedArea": "${SCRATCH}/a"}, tmp_path / "scratch")


def test_of_our_own_ce_types_only_pools_of_plain_processes_have_no_plan() -> None:
    ours = [name for name in ce_types() if origin(name) == "gridpilot"]

    without = {name for name in ours if not isinstance(backend(name), Plans)}

    assert without == {"InProcess", "Pool", "Pool/InProcess"}


def test_a_ce_type_of_others_that_cannot_plan_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(PLUGIN))

    main(["plan", "Echo"])

    assert capsys.readouterr().out == "CE type Echo does not tell what it would do: it has no method plan\n"
