"""The workflow runner that goes with jobs of DIRAC's Job API, run as a task runs it: one file, any Python, no DIRAC.

Logs, exit codes and statuses are those that DIRAC 9.1.22's own dirac-jobexec gave for the same workflows, unless said.
"""

from pathlib import Path

import pytest

from tests.field.workflows import parameter, workflow
from tests.unit.jobexec_scene import CAPTURES, USUAL, Job, job, sh, step

__all__ = ["job"]

HELLO = "<<<<<<<<<< job.sh Standard Output >>>>>>>>>>\n\nhello from job.sh{}\n "
WITH_JOB_SH = (
    "environment_of_old_names",
    "input_data",
    "input_data_one",
    "input_sandbox",
    "output_data",
    "output_data_simple",
    "policy_download",
    "policy_protocol",
    "processors",
    "processors_exact",
    "where",
)
CAPTURED: dict[str, tuple[list[str], dict[str, str]]] = {
    **{name: ([], {"Script1_job.sh.log": HELLO.format("")}) for name in WITH_JOB_SH},
    "plain": ([], {"Script1_echo.log": "<<<<<<<<<< /bin/echo Standard Output >>>>>>>>>>\n\n\n "}),
    "arguments_and_log": (
        [],
        {"hello.log": "<<<<<<<<<< /bin/echo Standard Output >>>>>>>>>>\n\nhello world -x two words\n "},
    ),
    "local_script": ([], {"Script1_job.sh.log": HELLO.format(" 42")}),
    "several_steps": (
        [],
        {
            "Script1_echo.log": "<<<<<<<<<< /bin/echo Standard Output >>>>>>>>>>\n\nfirst\n ",
            "Script2_job.sh.log": HELLO.format(" second"),
            # DIRAC cannot start a Python file without a first line that says so
            "third.log": "<<<<<<<<<< analysis.py Standard Output >>>>>>>>>>\n\nanalysis ['third']\n ",
        },
    ),
    "parametric_arguments": (
        ["-p", "arguments=--seed 12 --name b"],
        {"Script1_job.sh.log": HELLO.format(" --seed 12 --name b")},
    ),
    "parametric_workflow": (["-p", "arguments=one"], {"Script1_job.sh.log": HELLO.format(" one")}),
    "parametric_input_data": (
        ["-p", "arguments=1", "-p", "ParametricInputData={/labvo/a,", "/labvo/b}"],  # as it comes: in two words
        {"Script1_job.sh.log": HELLO.format(" 1")},
    ),
    # DIRAC cannot read it: its client does not escape the job's name
    "named": (["--cfg", "myvo.cfg"], {"Script1_job.sh.log": HELLO.format(" <a> & b c $HOME n")}),
}


@pytest.mark.parametrize("name", CAPTURED)
def test_a_captured_job_runs_as_with_dirac(job: Job, name: str) -> None:
    arguments, logs = CAPTURED[name]

    done = job.run((CAPTURES / f"{name}.xml").read_bytes(), *USUAL, *arguments, "pilot.cfg")

    assert (done.code, done.stderr) == (0, "")
    assert {log: done.log(log) for log in logs} == logs
    last = {"plain": "echo", "arguments_and_log": "echo", "several_steps": "analysis.py"}.get(name, "job.sh")
    assert done.reason == f"{last} successful" == (job.work / "status").read_text().strip()


def test_the_captured_jobs_are_all_here() -> None:
    assert {*CAPTURED, "environment"} == {path.stem for path in CAPTURES.glob("*.xml")}


def test_a_step_sees_the_runners_environment(job: Job) -> None:
    done = job.run((CAPTURES / "environment.xml").read_bytes(), WITH="spaces; and = signs", MYVAR="3")

    log = done.log("Script1_env.log")
    assert (done.reason, "\nWITH=spaces; and = signs\n" in log, "\nMYVAR=3\n" in log) == ("env successful", True, True)


# ---- steps ----


def test_application_statuses_follow_the_steps(job: Job) -> None:
    done = job.run(workflow(step("/bin/echo", "x", applicationName="Gauss", applicationVersion="v1"), step("job.sh")))

    assert done.statuses == [
        "Executing RunScriptStep1",
        "echo (Gauss v1) successful",
        "Executing RunScriptStep2",
        "job.sh successful",
    ]


def test_errors_have_their_own_part_of_the_log(job: Job) -> None:
    done = job.run(workflow(sh("echo out; echo err >&2")))

    assert done.log("Script1.log") == (
        "<<<<<<<<<< /bin/sh Standard Output >>>>>>>>>>\n\nout\n <<<<<<<<<< /bin/sh Standard Error >>>>>>>>>>\n\nerr\n "
    )


FAILING = workflow(sh("exit 3"), sh("exit 5"), sh("echo third"))


def test_a_failed_step_is_the_last_one(job: Job) -> None:
    done = job.run(FAILING)

    assert (done.code, done.reason) == (3, "sh Exited With Status 3")
    assert not (job.work / "Script2.log").exists()


def test_going_on_as_dirac_does_keeps_the_first_failure(tmp_path: Path) -> None:
    done = Job(tmp_path, goes_on=True).run(FAILING)

    assert (done.code, done.reason) == (3, "sh Exited With Status 3")  # DIRAC: the same words, and 5
    assert "third" in done.log("Script3.log")
    assert done.statuses == ["Executing RunScriptStep1", "sh Exited With Status 3"]


@pytest.mark.parametrize(
    ("executable", "arguments", "code", "reason"),
    [
        ("nosuch", "", 232, "nosuch Exited With Status 1000"),
        ("/bin/my_echo_x", "", 232, "my Exited With Status 1000"),
        ("/bin/sh", "-c 'kill -9 $$'", 247, "sh Exited With Status -9"),
        ("/bin/sh", "-c 'exit 222'", 222, "sh Exited With Status 222"),
        ("", "", 1, "RunScriptStep1: No executable defined"),
        ("/bin/echo", "'a b", 1, "echo: No closing quotation"),
    ],
)
def test_what_fails_has_dirac_s_code_and_words(
    job: Job, executable: str, arguments: str, code: int, reason: str
) -> None:
    done = job.run(workflow(step(executable, arguments)))

    assert (done.code, done.reason) == (code, reason)


def test_a_missing_program_is_named_in_the_log(job: Job) -> None:
    done = job.run(workflow(step("/no/such/program")))

    assert "/no/such/program: No such file or directory" in done.log("Script1.log")


@pytest.mark.parametrize(
    ("executable", "arguments", "said"),
    [
        ("/bin/echo", "'a b' \"c d\" $HOME * | cat > x", "a b c d $HOME * | cat > x\n"),
        ("/bin/echo one", "two", "one two\n"),
        ("job.sh", "x", "hello from job.sh x\n"),
        ("/somewhere/else/job.sh", "x", "hello from job.sh x\n"),
        ("analysis.py", "x", "analysis ['x']\n"),
        ("no_first_line", "x", "plain x\n"),
    ],
)
def test_programs_are_found_and_called_without_a_shell(job: Job, executable: str, arguments: str, said: str) -> None:
    (job.work / "no_first_line").write_text('echo plain "$@"\n')
    for name in ("job.sh", "no_first_line"):
        (job.work / name).chmod(0o644)  # as some archives bring them

    done = job.run(workflow(step(executable, arguments)))

    assert done.code == 0, done.log("Script1.log")
    assert done.log("Script1.log").split("\n\n", 1)[1] == f"{said} "


def test_a_python_file_elsewhere_is_run_by_python(job: Job, tmp_path: Path) -> None:
    (tmp_path / "there.py").write_text("import sys; print(sys.version_info[0], sys.argv[1:])\n")

    done = job.run(workflow(step(f"{tmp_path}/there.py", "x")))

    assert "3 ['x']" in done.log("Script1.log")


# ---- values ----


def test_references_are_resolved_from_the_inside_out(job: Job) -> None:
    done = job.run(
        workflow(
            step("/bin/echo", "@{seed} @{STEP_NUMBER} @{STEP_ID} @{PRODUCTION_ID} @{JOB_ID} @{double} @{nothing}"),
            step(
                "/bin/echo", "@{STEP_INSTANCE_NAME} @{STEP_DEFINITION_NAME} @{applicationLog} @{list} @{seed}", seed="1"
            ),
            parameters={"seed": "12", "double": "<@{seed}>", "list": ""},
        ),
        *USUAL,
        "-p",
        "list={a, b}",
    )

    assert "\n12 1 00000000_00000000_1 00000000 00000000 <12> @{nothing}\n" in done.log("Script1.log")
    assert "\nRunScriptStep2 ScriptStep2 Script2.log a;b 1\n" in done.log("Script2.log")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["-p", "seed=7"], "7"),
        (["-pseed=7"], "7"),
        (["--parameter", "seed=7"], "7"),
        (["--parameter=seed=7"], "7"),
        (["-p", "seed=a=b=c"], "a=b=c"),  # DIRAC: too many values to unpack
        (["-p", "seed= spaced "], "spaced"),
        (["-p", 'seed={"/x/a", "/x/b"}'], "/x/a;/x/b"),
    ],
)
def test_values_come_from_the_command_line(job: Job, given: list[str], said: str) -> None:
    done = job.run(workflow(step("/bin/echo", "@{seed}"), parameters={"seed": "0"}), "jobDescription.xml", *given)

    assert f"\n{said}\n" in done.log("Script1.log")


def test_arguments_of_the_workflow_serve_steps_that_have_none(job: Job) -> None:
    xml = workflow(step("/bin/echo"), step("/bin/echo", "own"), parameters={"arguments": "common @{n}", "n": "7"})

    done = job.run(xml)

    assert "\ncommon 7\n" in done.log("Script1.log")
    assert "\nown\n" in done.log("Script2.log")


def test_links_and_parameters_of_the_module_are_followed(job: Job) -> None:
    linked = parameter("seed", "", ("self", "outer"))
    xml = workflow(
        {"executable": "/bin/echo", "_x": ""}, parameters={"outer": "5"}, of_module=[parameter("arguments", "m")]
    )
    xml = xml.replace("<name>RunScriptStep1</name>", f"<name>RunScriptStep1</name>{linked}")

    assert "\nm\n" in job.run(xml).log("Script1.log")
    assert "\n5\n" in job.run(xml.replace("[m]", "[@{seed}]")).log("Script1.log")


def test_references_that_refer_to_each_other_end(job: Job) -> None:
    round_about = workflow(step("/bin/echo", "@{a}"), parameters={"a": "@{b}", "b": "@{a}"})
    growing = workflow(step("/bin/echo", "@{a}"), parameters={"a": "@{b}" * 90, "b": "@{c}" * 90, "c": "x" * 1000})

    assert job.run(round_about).code == 0
    assert job.run(growing).reason.endswith("the references in a value make it longer than 1000000 characters")
