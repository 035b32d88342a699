"""The payload's script, run by a real sh, and the environment it sees."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from agents.jobs.jdl import JobDescription, describe
from agents.jobs.job import Grant
from agents.jobs.payload import environment, outputs, script
from tests.unit.payload_signals import HEARD
from tests.waiting import PATIENCE_S

GRANT = Grant(processor_ids=(2, 5))


def described(attributes: str) -> JobDescription:
    return describe(f"[ JobID = 7; {attributes} ]")


def program(directory: Path, name: str, text: str, mode: int = 0o755) -> None:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(mode)


def ran(directory: Path, attributes: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a job's script in a directory."""
    path = {"PATH": os.environ["PATH"], "GRIDPILOT_REASON_FILE": str(directory.parent / "reason")}
    return subprocess.run(
        ["/bin/sh", "-c", script(described(attributes))],
        cwd=directory,
        env=path | variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.fixture
def work(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    return made


def test_an_executable_in_the_work_directory_runs_and_its_exit_code_is_the_scripts(work: Path) -> None:
    program(work, "run.sh", "echo ran; exit 42")

    done = ran(work, 'Executable = "run.sh";')

    assert (done.returncode, done.stdout) == (42, "ran\n")


def test_an_executable_without_its_x_bit_gets_it(work: Path) -> None:
    program(work, "run.sh", "echo ran", mode=0o644)

    assert ran(work, 'Executable = "run.sh";').stdout == "ran\n"


def test_an_executable_is_found_on_the_path_before_the_work_directory(work: Path, tmp_path: Path) -> None:
    program(work, "tool", "echo mine")
    program(tmp_path / "bin", "tool", "echo path")

    done = ran(work, 'Executable = "tool";', PATH=f"/nowhere:{tmp_path}/bin:{os.environ['PATH']}")

    assert done.stdout == "path\n"


def test_a_file_on_the_path_that_cannot_be_run_is_passed_over(work: Path, tmp_path: Path) -> None:
    program(work, "tool", "echo mine")
    program(tmp_path / "bin", "tool", "echo path", mode=0o644)

    assert ran(work, 'Executable = "tool";', PATH=f"{tmp_path}/bin:{os.environ['PATH']}").stdout == "mine\n"


@pytest.mark.parametrize("name", ["echo", "printf"])
def test_a_program_that_is_also_a_builtin_of_the_shell_is_found(work: Path, name: str) -> None:
    done = ran(work, f'Executable = "{name}"; Arguments = "hello";')

    assert (done.returncode, done.stdout.strip()) == (0, "hello")


def test_a_path_below_the_work_directory_runs(work: Path) -> None:
    program(work, "sub dir/run me.sh", "echo ran")

    assert ran(work, 'Executable = "sub dir/run me.sh";').stdout == "ran\n"


def test_variables_in_the_executable_are_expanded(work: Path, tmp_path: Path) -> None:
    program(tmp_path / "soft ware", "run.sh", "echo ran")

    assert ran(work, 'Executable = "$SOFTWARE/run.sh";', SOFTWARE=f"{tmp_path}/soft ware").stdout == "ran\n"


@pytest.mark.parametrize(
    "executable", ["nowhere.sh", "./nowhere.sh", "/no/where", "..", "", 'a\\"b', "$(touch bad)", "`touch bad`", "-x"]
)
def test_an_executable_that_is_not_there_is_told_and_nothing_else_is_run(
    work: Path, tmp_path: Path, executable: str
) -> None:
    done = ran(work, f'Executable = "{executable or "$EMPTY"}";')

    assert done.returncode == 127
    assert (tmp_path / "reason").read_text().startswith("Application not found: ")
    assert done.stderr.startswith("Application not found: ")
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("a b", ["a", "b"]),
        ("'a b' c", ["a b", "c"]),
        (r"a\ b", ["a b"]),
        ("$JOBNAME", ["the", "job"]),
        (r"\"$JOBNAME\"", ["the job"]),
        ("a{b} %s", ["a{b}", "%s"]),
        ("", []),
    ],
)
def test_arguments_are_words_of_a_shell(work: Path, arguments: str, words: list[str]) -> None:
    program(work, "words.sh", 'for word; do echo "$word"; done')

    done = ran(work, f'Executable = "words.sh"; Arguments = "{arguments}";', JOBNAME="the job")

    assert done.stdout.splitlines() == words


def test_output_and_errors_go_where_the_jdl_says(work: Path) -> None:
    program(work, "run.sh", "echo out; echo err >&2")

    done = ran(work, 'Executable = "run.sh"; StdOutput = "logs/std out"; StdError = "logs/std.err";')

    assert (done.stdout, done.stderr) == ("", "")
    assert ((work / "logs/std out").read_text(), (work / "logs/std.err").read_text()) == ("out\n", "err\n")


def test_output_and_errors_in_one_file_keep_their_order(work: Path) -> None:
    program(work, "run.sh", "echo one; echo two >&2; echo three")

    ran(work, 'Executable = "run.sh"; StdOutput = "all"; StdError = "all";')

    assert (work / "all").read_text() == "one\ntwo\nthree\n"


def test_a_missing_executable_is_told_in_the_jobs_own_errors_too(work: Path) -> None:
    ran(work, 'Executable = "nowhere"; StdOutput = "out"; StdError = "err";')

    assert (work / "err").read_text() == "Application not found: nowhere\n"


def test_a_death_by_signal_is_the_shells_128_and_more(work: Path) -> None:
    program(work, "run.sh", "kill -9 $$")

    assert ran(work, 'Executable = "run.sh";').returncode == 137


@pytest.mark.parametrize("name", [number.name for number in HEARD])
def test_a_payload_that_hears_a_signal_ends_in_its_own_time(work: Path, name: str) -> None:
    """The whole task gets the signal, the shell that waits for the payload too."""
    word = name.removeprefix("SIG")
    program(work, "run.sh", f"trap 'sleep 0.3; echo saved; exit 3' {word}; echo ready; while :; do sleep 0.1; done")
    argv = ["/bin/sh", "-c", script(described('Executable = "run.sh"; Arguments = "a && echo no";'))]
    with subprocess.Popen(argv, cwd=work, stdout=subprocess.PIPE, text=True, start_new_session=True) as task:
        assert task.stdout
        assert task.stdout.readline() == "ready\n"
        os.killpg(task.pid, signal.Signals[name])
        said, _ = task.communicate(timeout=PATIENCE_S)

    assert (task.returncode, said) == (3, "saved\n")


def test_a_payload_that_does_not_hear_a_signal_dies_by_it(work: Path) -> None:
    program(work, "run.sh", "echo ready; exec sleep 1000")
    argv = ["/bin/sh", "-c", script(described('Executable = "run.sh";'))]
    with subprocess.Popen(argv, cwd=work, stdout=subprocess.PIPE, text=True, start_new_session=True) as task:
        assert task.stdout
        assert task.stdout.readline() == "ready\n"
        os.killpg(task.pid, signal.SIGTERM)
        task.communicate(timeout=PATIENCE_S)

    assert task.returncode == 128 + signal.SIGTERM


def test_names_of_output_files_are_no_shell_text(work: Path) -> None:
    program(work, "run.sh", "echo out")

    ran(work, 'Executable = "run.sh"; StdOutput = "$(touch bad);x";')

    assert sorted(path.name for path in work.iterdir()) == ["$(touch bad);x", "run.sh"]


def test_every_variable_that_counts_processors_comes_from_the_grant() -> None:
    variables = environment(described('Executable = "x";'), GRANT, site="LAB", base={"OMP_NUM_THREADS": "64"})

    counting = {"DIRAC_JOB_PROCESSORS", "DIRAC_PROCESSORS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "PYTHON_CPU_COUNT"}
    assert {variables[name] for name in counting} == {"2"}
    assert (variables["DIRAC_WHOLENODE"], variables["JOBID"], variables["DIRACSITE"]) == ("False", "7", "LAB")


@pytest.mark.parametrize(
    "name", ["DIRAC_JOB_PROCESSORS", "DIRAC_PROCESSORS", "DIRAC_WHOLENODE", "JOBID", "DIRACJOBID", "DIRACSITE"]
)
def test_a_job_cannot_change_what_it_is_told_about_its_grant(name: str) -> None:
    description = described(f'Executable = "x"; ExecutionEnvironment = {{ "{name}=99", "MINE=a%20b" }};')

    variables = environment(description, GRANT, site="LAB", base={})

    assert variables[name] != "99"
    assert variables["MINE"] == "a b"


def test_a_whole_node_is_told() -> None:
    grant = Grant(processor_ids=(0,), whole_node=True)

    assert environment(described('Executable = "x";'), grant, site="", base={})["DIRAC_WHOLENODE"] == "True"


def test_of_the_agents_environment_only_a_short_list_passes() -> None:
    base = {"PATH": "/bin", "LANG": "C", "X509_USER_PROXY": "/secret", "AWS_SECRET": "x", "SLURM_CPUS_PER_TASK": "64"}

    variables = environment(described('Executable = "x";'), GRANT, site="LAB", base=base)

    assert (variables["PATH"], variables["LANG"]) == ("/bin", "C")
    assert not variables.keys() & {"X509_USER_PROXY", "AWS_SECRET", "SLURM_CPUS_PER_TASK"}


def test_outputs_are_the_sandbox_and_the_jobs_own_output_each_once() -> None:
    description = described('Executable = "x"; StdOutput = "out"; OutputSandbox = { "out", "a**b", "**" };')

    assert outputs(description) == ("out", "a*b", "*", "*_request.json")
