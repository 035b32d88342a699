"""PBS's dialect against answers written after the manuals of Torque 6 and OpenPBS: no real PBS has been asked."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from ce_backends.base import Accepted, Limit, Rejected, TaskState, Uncertain
from ce_backends.batch.options import Needs
from ce_backends.batch.system import MAY_NEVER, BatchJob
from ce_backends.batch.systems.pbs import Pbs
from ce_backends.batch.transport import Done
from ce_backends.errors import CEError, CEUnavailable
from tests.unit.answering import Answering

STAMP = "0123456789abcdef0123456789abcdef"
JOB = BatchJob(
    name=STAMP,
    size=1,
    script=f"/a/jobs/{STAMP}",
    log=f"/a/jobs/{STAMP}.log",
    processors=1,
    memory_mb=0,
    gpus=0,
    wall_s=0,
)


def listed(job_id: str, state: str, **more: str) -> str:
    """Return what qstat -f prints for one job."""
    attributes = {
        "Job_Name": "gp_0123456789ab",
        "Job_Owner": "alice@submit.example.org",
        "job_state": state,
        "queue": "grid",
        "Output_Path": f"submit.example.org:/home/alice/gridpilot-tasks/jobs/01234567\n\t{STAMP[8:]}.log",
        "Resource_List.walltime": "01:00:00",
        **{name.replace("__", "."): value for name, value in more.items()},
    }
    return "\n".join([f"Job Id: {job_id}", *(f"    {name} = {value}" for name, value in attributes.items()), "", ""])


def dialect(flavour: str = "Torque", needs: Needs = Needs(), **answers: Done) -> tuple[Pbs, Answering]:  # noqa: B008
    transport = Answering(answers)
    return Pbs(transport, needs, options={"PBSFlavour": flavour}), transport


def one(state: str, flavour: str = "Torque", **more: str) -> Pbs:
    pbs, _ = dialect(flavour, qstat=Done(0, listed("12.server", state, **more), ""), qdel=Done(0, "", ""))
    return pbs


@pytest.mark.parametrize(
    ("letter", "state"),
    [
        *((letter, TaskState.WAITING) for letter in "QHWTM"),
        *((letter, TaskState.RUNNING) for letter in "REBSU"),
        ("Z", TaskState.UNKNOWN),
    ],
)
def test_every_letter_of_the_manuals_is_known_and_no_other(letter: str, state: TaskState) -> None:
    status = one(letter).states(["12.server"])["12.server"]

    assert (status.state, status.native) == (state, letter)


@pytest.mark.parametrize(
    ("flavour", "letter", "attributes", "state", "limit", "reason"),
    [
        ("Torque", "C", {"exit_status": "0"}, TaskState.DONE, None, ""),
        ("Torque", "C", {"exit_status": "7"}, TaskState.DONE, None, ""),
        ("Torque", "C", {"exit_status": "-10"}, TaskState.FAILED, Limit.MEMORY, "limit of memory"),
        ("Torque", "C", {"exit_status": "-11"}, TaskState.FAILED, Limit.WALL, "limit of wall"),
        ("Torque", "C", {"exit_status": "-12"}, TaskState.FAILED, Limit.CPU, "limit of cpu"),
        ("Torque", "C", {"exit_status": "271"}, TaskState.FAILED, None, "killed by signal 15"),
        ("OpenPBS", "F", {"Exit_status": "0"}, TaskState.DONE, None, ""),
        ("OpenPBS", "X", {"Exit_status": "3"}, TaskState.DONE, None, ""),
        ("OpenPBS", "F", {"Exit_status": "-29"}, TaskState.FAILED, Limit.WALL, "limit of wall"),
        ("OpenPBS", "F", {"Exit_status": "-27"}, TaskState.FAILED, Limit.MEMORY, "limit of memory"),
        ("OpenPBS", "F", {"Exit_status": "-10"}, TaskState.FAILED, None, "exit status -10"),
        (
            "OpenPBS",
            "F",
            {"Exit_status": "271", "resources_used__walltime": "01:00:04"},
            TaskState.FAILED,
            Limit.WALL,
            "killed by signal 15",
        ),
        (
            "OpenPBS",
            "F",
            {"Exit_status": "265", "Resource_List__mem": "1gb", "resources_used__mem": "1049000kb"},
            TaskState.FAILED,
            Limit.MEMORY,
            "killed by signal 9",
        ),
    ],
)
def test_an_end_is_told_by_its_exit_status(
    flavour: str, letter: str, attributes: dict[str, str], state: TaskState, limit: Limit | None, reason: str
) -> None:
    status = one(letter, flavour, **attributes).states(["12.server"])["12.server"]

    assert (status.state, status.limit) == (state, limit)
    assert reason in status.reason


@pytest.mark.parametrize(("flavour", "letter"), [("Torque", "C"), ("OpenPBS", "F")])
def test_an_end_without_exit_status_is_no_word_on_the_task(flavour: str, letter: str) -> None:
    assert one(letter, flavour).states(["12.server"]) == {}


def test_an_end_whose_block_is_cut_is_no_word_on_the_task() -> None:
    whole = listed("12.server", "C", exit_status="271")
    pbs, _ = dialect(qstat=Done(0, whole.removesuffix("\n"), ""))

    assert pbs.states(["12.server"]) == {}


def test_what_a_job_used_is_in_seconds_and_megabytes() -> None:
    used = {"resources_used__walltime": "00:01:40", "resources_used__cput": "00:00:50", "resources_used__mem": "1000kb"}

    usage = one("C", exit_status="0", **used).states(["12.server"])["12.server"].usage

    assert (usage.wall_s, usage.cpu_s, usage.memory_peak_mb) == (100.0, 50.0, 1.024)


def test_a_job_that_can_never_run_waits_until_it_is_given_up_for_nodes_may_come_back() -> None:
    comment = "Can Never Run: Insufficient amount of resource: ncpus (R: 500 A: 16 T: 16)"
    listing = listed("12.server", "Q", comment=comment)
    pbs, transport = dialect("OpenPBS", qstat=Done(0, listing, ""), qdel=Done(0, "", ""))

    status = pbs.states(["12.server"])["12.server"]

    assert (status.state, status.reason) == (TaskState.WAITING, f"{MAY_NEVER}{comment}")
    assert [command[0] for command in transport.commands] == ["qstat"]


@pytest.mark.parametrize("what", ["states", "find"])
def test_a_server_without_history_is_asked_without_it_from_then_on(what: str) -> None:
    class WithoutHistory(Answering):
        def run(self, argv: Sequence[str], **kinds: Any) -> Done:
            super().run(argv, **kinds)
            said = "qstat: PBS is not configured to maintain job history 12.server\n"
            return Done(1, "", said) if "-x" in argv else Done(0, listed("12.server", "R"), "")

    transport = WithoutHistory({})
    pbs = Pbs(transport, Needs(), options={"PBSFlavour": "OpenPBS"})
    for _ in range(2):
        known = pbs.states(["12.server"]) if what == "states" else pbs.find([STAMP])

    assert set(known) == ({"12.server"} if what == "states" else {STAMP})
    assert ["-x" in command for command in transport.commands] == [True, False, False]


def test_words_beside_a_good_answer_do_not_spoil_it() -> None:
    pbs, _ = dialect(qstat=Done(0, listed("12.server", "R"), "pbs_iff: a warning of the site's login script\n"))

    assert set(pbs.states(["12.server"])) == {"12.server"}


@pytest.mark.parametrize(
    "said", ["qsub: Queue is not enabled", "qsub: Server shutting down", "No space left on device"]
)
def test_what_passes_by_itself_refuses_no_task(said: str) -> None:
    pbs, _ = dialect(qsub=Done(1, "", f"qsub: {said}\n"))

    with pytest.raises(CEUnavailable):
        pbs.submit(JOB)


def test_a_limit_of_one_job_never_passes() -> None:
    said = "qsub: Job exceeds queue resource limits MSG=cannot satisfy queue max walltime requirement"
    pbs, _ = dialect(qsub=Done(188, "", f"{said}\n"))

    assert isinstance(pbs.submit(JOB), Rejected)


def test_of_an_unknown_job_qstat_complains_and_still_tells_of_the_others() -> None:
    listing, complaint = listed("12.server", "R"), "qstat: Unknown Job Id 13.server\n"
    pbs, _ = dialect(qstat=Done(153, listing, complaint))

    assert set(pbs.states(["12.server", "13.server"])) == {"12.server"}


def test_when_none_is_known_nothing_is_told() -> None:
    pbs, _ = dialect(qstat=Done(153, "", "qstat: Unknown Job Id 13.server\n"))

    assert pbs.states(["13.server"]) == {}


def test_elements_of_an_array_are_asked_for_by_their_job() -> None:
    listing = listed("12[1].server", "R") + listed("12[2].server", "Q") + listed("12[3].server", "Q")
    pbs, transport = dialect(qstat=Done(0, listing, ""))
    task_ids = [pbs.element("12[].server", number, 3) for number in (1, 3)]

    states = pbs.states(task_ids)

    assert {task_id: status.native for task_id, status in states.items()} == {"12[1].server": "R", "12[3].server": "Q"}
    assert transport.commands == [["qstat", "-f", "-t", "12[].server"]]


@pytest.mark.parametrize(
    "answer",
    [
        Done(None, "", ""),
        Done(0, "", ""),
        Done(0, "Segmentation fault", ""),
        Done(255, "", "qstat: cannot connect to server pbs.example.org (errno=111) Connection refused\n"),
    ],
    ids=["slow", "empty", "garbage", "down"],
)
def test_no_answer_of_qstat_says_nothing_of_any_task(answer: Done) -> None:
    pbs, _ = dialect(qstat=answer)

    with pytest.raises(CEError, match="qstat"):
        pbs.states(["12.server"])


@pytest.mark.parametrize("job_id", ["12.server.example.org", "12[].server", "12"])
def test_a_submitted_job_is_accepted_by_its_id(job_id: str) -> None:
    pbs, _ = dialect(qsub=Done(0, f"{job_id}\n", ""))

    assert pbs.submit(JOB) == Accepted(job_id)


@pytest.mark.parametrize(
    "answer", [Done(None, "", ""), Done(0, "", ""), Done(1, "", "qsub: End of File\n"), Done(0, "Welcome!\n", "")]
)
def test_a_lost_answer_of_qsub_is_uncertain(answer: Done) -> None:
    pbs, _ = dialect(qsub=answer)

    assert isinstance(pbs.submit(JOB), Uncertain)


@pytest.mark.parametrize(
    "said",
    [
        "qsub: cannot connect to server pbs.example.org (errno=111) Connection refused",
        "qsub: submit error (Maximum number of jobs already in queue MSG=total number of current user's jobs exceeds)",
        "qsub: would exceed queue grid's per-user limit",
    ],
)
def test_a_passing_refusal_leaves_the_task_to_a_later_try(said: str) -> None:
    pbs, _ = dialect(qsub=Done(1, "", said))

    with pytest.raises(CEUnavailable):
        pbs.submit(JOB)


def test_any_other_refusal_is_of_this_task() -> None:
    pbs, _ = dialect(qsub=Done(170, "", "qsub: Unknown queue MSG=requested queue not found\n"))

    answer = pbs.submit(JOB)

    assert isinstance(answer, Rejected)
    assert "Unknown queue" in answer.reason


@pytest.mark.parametrize(
    ("flavour", "parts"),
    [
        ("Torque", ["-t 1-3", "-l nodes=1:ppn=4:gpus=1", "-l mem=1908mb", "-n"]),
        ("OpenPBS", ["-J 1-3", "-l select=1:ncpus=4:mem=1908mb:ngpus=1", "-l place=excl"]),
    ],
)
def test_what_a_task_needs_is_asked_for_in_the_flavours_words(flavour: str, parts: list[str]) -> None:
    needs = Needs(queue="grid", account="cms", whole_node=True, submit_options=["-p", "10"])
    pbs, transport = dialect(flavour, needs, qsub=Done(0, "12[].server\n", ""))

    pbs.submit(replace(JOB, size=3, processors=4, memory_mb=2000, gpus=1, wall_s=3600))

    text = " ".join(transport.commands[0])
    for part in [*parts, "-N gp_0123456789ab ", "-l walltime=1:01:30", "-q grid", "-A cms", "-r n"]:
        assert part in text
    assert text.endswith(f"-p 10 /a/jobs/{STAMP}")


@pytest.mark.parametrize(
    "said",
    ["qdel: Unknown Job Id 12.server", "qdel: Job has finished 12.server", "qdel: Request invalid for state of job"],
)
def test_deleting_what_is_gone_is_no_error(said: str) -> None:
    pbs, transport = dialect(qdel=Done(153, "", said))

    pbs.cancel(["12.server"])

    assert transport.commands == [["qdel", "12.server"]]


@pytest.mark.parametrize("answer", [Done(None, "", ""), Done(159, "", "qdel: Unauthorized Request 12.server")])
def test_a_deletion_that_was_refused_or_not_answered_is_told(answer: Done) -> None:
    pbs, _ = dialect(qdel=answer)

    with pytest.raises(CEError, match="qdel"):
        pbs.cancel(["12.server"])


def test_a_job_is_found_by_its_log_whose_name_is_folded() -> None:
    pbs, _ = dialect(qstat=Done(0, listed("12[].server", "Q"), ""))

    assert pbs.find([STAMP, "f" * 32]) == {STAMP: "12[].server"}
