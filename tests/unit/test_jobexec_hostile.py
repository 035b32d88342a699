"""Workflows that anybody may have written: read within bounds, refused in one sentence, never executed."""

import pytest

from tests.field.workflows import SCRIPT, workflow
from tests.unit.jobexec_scene import Job, job, sh, step

__all__ = ["job"]

BOMB = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
GOOD = workflow(step("/bin/echo"))
HOSTILE: dict[str, tuple[str | bytes, str]] = {
    "nothing": ("", "no XML: no element found: line 1, column 0"),
    "no XML": ("{}", "no XML: not well-formed (invalid token): line 1, column 0"),
    "another root": ("<Job/>", "its root is 'Job', expected Workflow"),
    "an entity": (f'<!DOCTYPE x [<!ENTITY l0 "ha">{BOMB}]><Workflow>&l9;</Workflow>', "it declares a document type"),
    "a file": ('<!DOCTYPE x SYSTEM "/etc/passwd"><Workflow/>', "it declares a document type"),
    "an unknown entity": ("<Workflow><name>&xxe;</name><", "no XML: "),
    "depth": ("<Workflow>" + "<a>" * 20, "more than 16 levels"),
    "elements": ("<Workflow>" + "<a/>" * 60000, "more than 50000 elements"),
    "size": ("<Workflow>" + " " * 10_000_000, "it has more than 10000000 bytes"),
    "a step of no type": (GOOD.replace("<type>ScriptStep1</type>", "<type>x</type>", 1), "which is not defined"),
    "too many steps": (workflow(*[step("/bin/true")] * 1001), "it has 1001 steps, expected at most 1000"),
    "NUL": (GOOD.replace("echo", "ec\0ho"), "no XML: not well-formed"),
    "cut off": (GOOD[:-20], "no XML: "),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_workflow_ends_in_a_sentence(job: Job, name: str) -> None:
    xml, said = HOSTILE[name]

    done = job.run(xml)

    assert done.code == 65
    assert done.reason.startswith("jobDescription.xml cannot be read as a workflow: ")
    assert said in done.reason
    assert done.stderr.strip() == f"dirac-jobexec: {done.reason}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nosuch.xml"], "nosuch.xml cannot be read as a workflow: No such file or directory"),
        ([".gridpilot"], ".gridpilot cannot be read as a workflow: Is a directory"),
        (
            ["a.xml", "b.xml"],
            "the workflow cannot be read as a workflow: 2 files are named (a.xml b.xml), expected one",
        ),
        (["-p", "x", "a.xml"], "the workflow cannot be read as a workflow: -p x: expected NAME=VALUE"),
    ],
)
def test_a_wrong_command_line_ends_in_a_sentence(job: Job, arguments: list[str], said: str) -> None:
    done = job.run("", *arguments)

    assert (done.code, done.reason) == (65, said)


@pytest.mark.parametrize("name", ["a & b", "<1>", 'x <b attr="', "fish &amp; chips", "&#0;&", "é \u202e", "]]>"])
def test_a_jobs_name_may_be_anything(job: Job, name: str) -> None:
    assert job.run(workflow(step("/bin/echo"), name=name)).code == 0


def test_bytes_that_are_no_utf8_are_no_reason_to_fail(job: Job) -> None:
    assert job.run(GOOD.encode().replace(b"notgiven", b"caf\xe9")).code == 0


BODIES = [
    "from LHCbDIRAC.Workflow.Modules.GaudiApplication import GaudiApplication",
    f"{SCRIPT}import os; os.system('touch ran')",
    "from DIRAC.Workflow.Modules.Script import Script as Other",
    "from DIRAC.Workflow.Modules.Script import Script, os",
    "",
]


@pytest.mark.parametrize("body", BODIES)
def test_other_modules_are_neither_run_nor_passed_over(job: Job, body: str) -> None:
    done = job.run(workflow(sh("touch ran"), step("x", _module="Own"), modules={"Own": body}))

    assert done.code == 69
    assert done.reason.startswith("No DIRAC client: jobDescription.xml needs one for its modules: ")
    assert not (job.work / "ran").exists()


def test_a_module_that_no_step_uses_is_no_hindrance(job: Job) -> None:
    assert job.run(workflow(sh("true"), modules={"Own": "import x"})).code == 0
