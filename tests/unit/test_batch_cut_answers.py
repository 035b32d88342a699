"""An answer that was cut ends no task: every capture, cut at every line and at many bytes, after every kind of death.

What ends with 0 is whole, a transport vouches for that (the last tests here): only an end of a line, where nobody could
see a cut, is left out for exit code 0 and a job that Slurm lists twice.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ce_backends.arc.rest import Answer
from ce_backends.arc.system import Arc
from ce_backends.base import Accepted, TaskState
from ce_backends.batch.options import Needs
from ce_backends.batch.spool import Spool
from ce_backends.batch.ssh import Login, Ssh
from ce_backends.batch.system import BatchJob, BatchSystem
from ce_backends.batch.transport import Done
from ce_backends.ce_types.local_and_ssh import dialect
from ce_backends.errors import CEError
from ce_backends.task.log_limit import Cap
from tests.unit.answering import Answering
from tests.unit.captured import CAPTURES, capture
from tests.unit.test_arc import CapturedRest
from tests.unit.test_lsf_as_documented import listed as lsf_listed
from tests.unit.test_pbs_as_documented import listed as pbs_listed

EXIT_CODES = (0, -9, 137, 143, 255, 1)
MOST_CUTS = 120
STAMP = "0123456789abcdef0123456789abcdef"
JOB = BatchJob(name=STAMP, size=1, script="/a/jobs/s", log="/a/jobs/s.log", processors=1, memory_mb=0, gpus=0, wall_s=0)
SEVERAL_RECORDS = re.compile(r"requeued")  # of one job: sacct lists the later one last


@dataclass(frozen=True, slots=True)
class Asked:
    """One answer of a batch system, and what else there is to know.

    Attributes:
        system: name of the dialect.
        command: whose answer is cut.
        name: of the case.
        text: the whole answer.
        ids: finds in it the tasks it is about.
        others: what the other commands answer.
    """

    system: str
    command: str
    name: str
    text: str
    ids: Callable[[str], set[str]]
    others: Mapping[str, Done]

    def states(self, done: Done, ids: set[str]) -> Mapping[str, TaskState]:
        """Return the final states that this answer gives, none where it says that it is none."""
        options = {"PBSFlavour": "OpenPBS"} if "OpenPBS" in self.name else {}
        answers = {"scancel": QUIET, "qdel": QUIET, "condor_rm": QUIET, **self.others, self.command: done}
        system = dialect(self.system)(Answering(answers), Needs(), timeout_s=1, options=options)
        try:
            found = system.states(ids)
        except CEError:
            return {}
        return {task_id: status.state for task_id, status in found.items() if status.state.is_final}


QUIET = Done(0, "", "")
EMPTY_QUEUE = Done(0, "<?xml version='1.0'?>\n<job_info>\n</job_info>\n", "")
UNKNOWN_TO_SQUEUE = Done(1, "", "slurm_load_jobs error: Invalid job id specified\n")


def slurm_ids(text: str) -> set[str]:
    return set(re.findall(r"^(\d+(?:_\d+)?)[|.]", text, re.MULTILINE))


def qacct_ids(text: str) -> set[str]:
    pairs = re.findall(r"^jobnumber +(\d+) *\ntaskid +(\S+)", text, re.MULTILINE)
    return {number if task == "undefined" else f"{number}.{task}" for number, task in pairs}


def qstat_ids(text: str) -> set[str]:
    return set(re.findall(r"<JB_job_number>(\d+)<", text))


def oar_ids(text: str) -> set[str]:
    return set(re.findall(r'^ {3}"(\d+)" : \{', text, re.MULTILINE))


def condor_ids(text: str) -> set[str]:
    clusters, procs = (re.findall(rf'"{name}": (\d+)', text) for name in ("ClusterId", "ProcId"))
    return {f"{cluster}.{proc}" for cluster, proc in zip(clusters, procs, strict=True)}


def captures(folder: str, beginning: str) -> Iterator[tuple[str, Done]]:
    for path in sorted((CAPTURES / folder).glob(f"{beginning}*.out")):
        yield path.stem, capture(folder, path.stem)


def slurm() -> Iterator[Asked]:
    for version in ("20.11", "22.05", "24.11"):
        for command, other in (("squeue", {"sacct": QUIET}), ("sacct", {"squeue": UNKNOWN_TO_SQUEUE})):
            for name, done in captures(f"slurm/{version}", f"{command}_"):
                if "name" not in name.split("_"):
                    yield Asked("SLURM", command, f"{version} {name}", done.stdout, slurm_ids, other)


def grid_engine() -> Iterator[Asked]:
    for name, done in captures("grid_engine", "qacct_"):
        if done.exit_code == 0:
            yield Asked("GE", "qacct", name, done.stdout, qacct_ids, {"qstat": EMPTY_QUEUE})
    for name, done in captures("grid_engine", "qstat_"):
        if "</job_info>" in done.stdout:
            yield Asked("GE", "qstat", name, done.stdout, qstat_ids, {"qacct": QUIET})


def oar_and_condor() -> Iterator[Asked]:
    for name, done in captures("oar", "stat_"):
        if done.stdout.startswith("{"):
            yield Asked("OAR", "oarstat", name, done.stdout, oar_ids, {})
    for command, other, beginning in (
        ("condor_q", "condor_history", "q_"),
        ("condor_history", "condor_q", "history_"),
    ):
        for name, done in captures("htcondor", beginning):
            yield Asked("Condor", command, name, done.stdout, condor_ids, {other: QUIET})


def documented() -> Iterator[Asked]:
    """Yield what nothing could be recorded for."""
    for flavour, word, code in (("Torque", "C", "exit_status"), ("OpenPBS", "F", "Exit_status")):
        both = pbs_listed("12.server", word, **{code: "271", "resources_used__walltime": "01:00:04"})
        both += pbs_listed("13.server", word, **{code: "10"}) + pbs_listed("14.server", "R")
        ids = {"12.server", "13.server", "14.server"}
        yield Asked("Torque", "qstat", f"PBS {flavour}", both, lambda _, ids=ids: ids, {})  # type: ignore[misc]
    ended = lsf_listed("EXIT", "12", code="140", reason="TERM_RUNLIMIT: x") + lsf_listed("DONE", "13")
    yield Asked("LSF", "bjobs", "LSF", ended + lsf_listed("RUN", "14"), lambda _: {"12", "13", "14"}, {})


def cuts(text: str) -> Iterator[int]:
    """Yield where to cut: the ends of all lines, and bytes between them."""
    ends = {match.end() for match in re.finditer("\n", text)}
    step = max(1, len(text) // MOST_CUTS)
    yield from sorted((set(range(0, len(text), step)) | ends | {end - 1 for end in ends}) - {len(text)})


CASES = [*slurm(), *grid_engine(), *oar_and_condor(), *documented()]


@pytest.mark.parametrize("asked", CASES, ids=lambda asked: f"{asked.system} {asked.name}")
def test_a_cut_answer_ends_no_task(asked: Asked) -> None:
    ids = asked.ids(asked.text)
    whole = asked.states(Done(0, asked.text, ""), ids)

    wrong = [
        (code, at, final)
        for at in cuts(asked.text)
        for code in EXIT_CODES
        if not is_invisible(asked, code, at)
        and (final := asked.states(Done(code, asked.text[:at], ""), ids)).items() - whole.items()
    ]

    assert not wrong, f"whole {whole}; first of {len(wrong)} cuts: {wrong[0]}"


def is_invisible(asked: Asked, code: int, at: int) -> bool:
    return code == 0 and bool(SEVERAL_RECORDS.search(asked.name)) and asked.text[:at].endswith("\n")


@pytest.mark.parametrize("asked", CASES, ids=lambda asked: f"{asked.system} {asked.name}")
@pytest.mark.parametrize("code", [code for code in EXIT_CODES if code])
def test_a_whole_answer_of_a_command_that_was_killed_ends_no_task(asked: Asked, code: int) -> None:
    assert asked.states(Done(code, asked.text, ""), asked.ids(asked.text)) == {}


def test_the_cases_hold_ends_of_every_system_so_that_a_cut_could_give_one() -> None:
    ending = {asked.system for asked in CASES if asked.states(Done(0, asked.text, ""), asked.ids(asked.text))}

    assert ending == {"SLURM", "GE", "OAR", "Condor", "Torque", "LSF"}
    assert len(CASES) > 120


# ---- finding: what is not in a cut answer may be there all the same ----

FIND = {
    "SLURM": {"squeue": f"{STAMP}|42\n", "sacct": ""},
    "GE": {"qstat": "<job_info></job_info>", "qacct": ""},
    "LSF": {"bjobs": lsf_listed("RUN")},
    "OAR": {"oarstat": ""},
    "Condor": {"condor_history": "", "condor_q": ""},
    "Torque": {"qstat": pbs_listed("12.server", "R")},
}


@pytest.mark.parametrize("system", FIND)
@pytest.mark.parametrize("code", [None, *(code for code in EXIT_CODES if code)])
def test_a_command_that_was_killed_does_not_tell_that_a_job_is_not_there(system: str, code: int | None) -> None:
    answers = {command: Done(code, text, "") for command, text in FIND[system].items()}

    with pytest.raises(CEError):
        dialect(system)(Answering(answers), Needs(), timeout_s=1, options={}).find([STAMP])


# ---- submission: a number that is cut is another job's ----

SUBMITTED = {
    "SLURM": ("sbatch", "1234\n"),
    "GE": ("qsub", "1234\n"),
    "LSF": ("bsub", "Job <1234> is submitted to queue <grid>.\n"),
    "OAR": ("oarsub", "[ADMISSION RULE] x\nOAR_JOB_ID=1234\n"),
    "Condor": ("condor_submit", "1234.0 - 1234.0\n"),
    "Torque": ("qsub", "1234.server\n"),
    "Host": ("/bin/sh", "1234.567890.0a1b2c3d-0000-4000-8000-000000000000\n"),
}


def submitting(system: str, done: Done) -> BatchSystem:
    return dialect(system)(Answering({SUBMITTED[system][0]: done}), Needs(), timeout_s=1, options={})


@pytest.mark.parametrize("system", SUBMITTED)
def test_a_cut_answer_to_a_submission_gives_no_other_number(system: str) -> None:
    text = SUBMITTED[system][1]
    whole = submitting(system, Done(0, text, "")).submit(JOB)

    answers = [
        submitting(system, Done(code, text[:at], "")).submit(JOB) for at in range(len(text)) for code in (0, 137)
    ]

    assert isinstance(whole, Accepted)
    assert {answer for answer in answers if isinstance(answer, Accepted)} <= {whole}


@pytest.mark.parametrize("system", SUBMITTED)
@pytest.mark.parametrize("code", [code for code in EXIT_CODES if code])
def test_a_submit_command_that_was_killed_has_refused_nothing(system: str, code: int) -> None:
    answer = submitting(system, Done(code, "", "")).submit(JOB)

    assert type(answer).__name__ == "Uncertain"


# ---- what has no command of a batch system ----


@pytest.mark.parametrize("code", EXIT_CODES)
def test_a_cut_list_of_processes_ends_no_task(code: int) -> None:
    ids = [f"{digit * 32}.12.34.boot" for digit in "ab"]
    text = "".join(f"{task_id}\n" for task_id in ids) + "that is all\n"
    wrong = []
    for at in range(len(text)):
        host = dialect("Host")(Answering({"/bin/sh": Done(code, text[:at], "")}), Needs(), timeout_s=1, options={})
        try:
            wrong += [at for status in host.states(ids).values() if status.state.is_final]
        except CEError:
            continue

    assert not wrong


@pytest.mark.parametrize("name", ["status_several", "status_killed", "status_one"])
def test_a_cut_body_of_arc_ends_no_task(name: str, tmp_path: Path) -> None:
    body = (CAPTURES / "arc" / f"{name}.txt").read_bytes()
    ids = set(re.findall(r'"id":"(\w+)"', body.decode()))
    for at in cuts(body.decode()):
        rest = CapturedRest({"POST /jobs?action=status": Answer(200, body[:at])})
        with pytest.raises(CEError):
            Arc(rest, tmp_path, Needs(), None).states(ids)


@pytest.mark.parametrize("answer", [Answer(404, b""), Answer(200, b'{"job":[{"id"'), Answer(302, b"")])
def test_arc_that_lists_no_jobs_does_not_tell_that_one_is_not_there(answer: Answer, tmp_path: Path) -> None:
    with pytest.raises(CEError):
        Arc(CapturedRest({"GET /jobs": answer}), tmp_path, Needs(), None).find([STAMP])


def test_cut_ends_of_tasks_are_not_believed(tmp_path: Path) -> None:
    stamps = ["a" * 32, "b" * 32]
    text = "".join(f"{stamp}|1|137|100 200 |0m1.0s 0m1.0s|wall|why\n" for stamp in stamps)
    whole = spool(text, tmp_path).ends(stamps)

    for at in range(len(text)):
        try:
            seen = spool(text[:at], tmp_path).ends(stamps)
        except CEError:
            continue
        assert seen.items() <= whole.items()


def test_a_reason_with_odd_line_ends_tells_nothing_of_another_task(tmp_path: Path) -> None:
    forged = f"{'a' * 32}|1|-|-|||why\x0b{'b' * 32}|1|0|1 2|||\u2028{'b' * 32}|1|0|1 2|||\n"

    assert set(spool(forged, tmp_path).ends(["a" * 32, "b" * 32])) == {"a" * 32}


def spool(text: str, tmp_path: Path) -> Spool:
    class Ends(Answering):
        def run(self, argv, **kinds):  # type: ignore[no-untyped-def]
            return replace(super().run(argv, **kinds), stdout="/root\n") if "mkdir" in argv[2] else Done(0, text, "")

    return Spool(Ends({"/bin/sh": QUIET}), "/root", tmp_path, cap=Cap(1000))


# ---- a transport vouches for what ended with 0 ----


@pytest.mark.parametrize("is_file", [False, True], ids=["stdout", "into a file"])
def test_ssh_that_loses_the_rest_of_an_output_gives_no_exit_code(is_file: bool, tmp_path: Path) -> None:
    client = tmp_path / "fake_ssh"
    client.write_text('#!/bin/sh\nfor last; do :; done; /bin/sh -c "$last" | head -c "$CUT"\nexit 0\n')
    client.chmod(0o755)
    into = tmp_path / "into" if is_file else None
    whole = 48 + 6 + 45 + 2  # the mark that begins, what echo prints, the mark that ends
    seen = {}
    for cut in (*range(40, whole - 2, 7), whole + 100):
        ssh = Ssh(Login(host="ce01", options=()), command=str(client))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CUT", str(cut))
            done = ssh.run(["echo", "12345"], timeout_s=10, into=into)
        ssh.close()
        seen[cut] = (done.exit_code, into.read_text() if into else done.stdout)

    assert seen.pop(whole + 100) == (0, "12345\n")
    assert {code for code, _ in seen.values()} == {None}
