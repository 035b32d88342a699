"""Jobs from match to their confirmed end: what the WMS is told, and in which order."""

import pytest

from agents.errors import Blame, FailJob, HandBack
from agents.jobs.job import Minor, Phase
from agents.jobs.ledger import ReportKind
from agents.jobs.outcome import TAKEN_AWAY
from agents.process.events import Delivered, Staged
from ce_backends.base import Rejected, TaskSpec, TaskState, Uncertain
from ce_backends.errors import CEUnavailable
from tests.unit.runner_scene import SANDBOX, START, Scene, scene

__all__ = ["scene"]


def test_a_job_that_succeeds_is_told_as_dirac_tells_it(scene: Scene) -> None:
    scene.match()
    scene.end(0)

    assert scene.said() == [
        *START,
        "JobWrapper: Completing / Application Finished Successfully",
        "JobWrapper: Done / Execution Complete",
    ]
    assert scene.runner.tally.done == 1


def test_moments_of_a_job_never_repeat(scene: Scene) -> None:
    scene.match()
    scene.end(0)

    moments = [one.moment for one in scene.ledger.unsent() if one.kind is ReportKind.STATUS]

    assert moments == sorted(set(moments))


def test_sandboxes_are_told_on_the_way(scene: Scene) -> None:
    scene.match(f'{SANDBOX} OutputSandbox = "out";')
    scene.runner.staged(Staged(7))
    scene.end(0)
    scene.runner.endings.delivered(Delivered(7, sandbox="SB:Store|/out.tar.bz2"))

    assert scene.said() == [
        *START[:3],
        "JobWrapper: Running / Downloading InputSandbox",
        START[3],
        "JobWrapper: Completing / Application Finished Successfully",
        "JobWrapper: Completing / Uploading Output Sandbox",
        "JobWrapper: Completing / Output Sandbox Uploaded",
        "JobWrapper: Done / Execution Complete",
    ]


def test_a_job_that_fails_is_told_with_its_exit_code(scene: Scene) -> None:
    scene.match()
    scene.end(3)

    assert scene.said() == [
        *START,
        "JobWrapper: Completing / Application Finished With Errors",
        "JobWrapper: Failed / Application Finished With Errors",
    ]
    parameters = [one.body for one in scene.ledger.unsent() if one.kind is ReportKind.PARAMETERS]
    assert (parameters[-1]["ExitCode"], parameters[-1]["NumberOfProcessors"]) == ("3", "1")


def test_a_job_that_fails_has_its_output_uploaded_all_the_same(scene: Scene) -> None:
    scene.match('OutputSandbox = "out";')
    scene.end(3)

    (work, arguments) = scene.workers.waiting[0]
    event = work(*arguments)

    assert event == Delivered(7, missing=("out",))


def test_a_missing_executable_is_told(scene: Scene) -> None:
    scene.match()
    scene.end(127, reason="Application not found: x.sh")

    assert scene.said()[-1] == "JobWrapper: Failed / Application not found"


def test_a_job_without_an_executable_fails_before_it_holds_anything(scene: Scene) -> None:
    scene.match(jdl="[ JobID = 7; ]")

    assert scene.said() == [START[0], "JobWrapper: Failed / Application not found"]
    assert scene.slot.is_all_free


def test_a_malformed_jdl_fails_the_job(scene: Scene) -> None:
    scene.match(jdl='[ Executable = "x')

    assert scene.said()[-1] == "JobWrapper: Failed / Could Not Extract JDL Parameters"


def test_a_jdl_of_another_job_is_handed_back(scene: Scene) -> None:
    scene.match(jdl='[ JobID = 8; Executable = "x"; ]')

    assert scene.said()[-1] == "JobWrapper: Rescheduled / Could Not Extract JDL Parameters"
    assert scene.orders() == [7]


def test_a_job_whose_task_was_lost_is_handed_back(scene: Scene) -> None:
    scene.match()
    scene.end(None, TaskState.FAILED, "killed by the OOM killer")

    assert scene.said() == [*START, "JobWrapper: Rescheduled / Payload lost on the node"]


def test_a_payload_that_asks_for_it_is_rescheduled(scene: Scene) -> None:
    scene.match()
    scene.end(222)

    assert scene.said()[-1] == "JobWrapper: Rescheduled / Going to reschedule job"
    assert scene.orders() == [7]


def test_a_job_too_big_for_what_is_free_is_handed_back(scene: Scene) -> None:
    scene.match("NumberOfProcessors = 3;")

    assert scene.said() == [START[0], "JobWrapper: Rescheduled / Not enough processors for the job"]
    assert scene.orders() == [7]


def test_a_job_that_the_ce_rejects_is_handed_back_and_counts_against_the_node(scene: Scene) -> None:
    scene.ce.answers = [Rejected("no")]
    scene.match()

    assert scene.said()[-1] == "JobWrapper: Rescheduled / CE Submission Error"
    assert (scene.runner.tally.host_failures_in_a_row, scene.slot.is_all_free) == (1, True)


@pytest.mark.parametrize(
    ("error", "last"),
    [
        (FailJob(Minor.FAILED_DOWNLOADING_INPUT, "no", blame=Blame.USER), "Failed / Failed Downloading InputSandbox"),
        (
            HandBack(Minor.FAILED_DOWNLOADING_INPUT, "no", blame=Blame.SERVER),
            "Rescheduled / Failed Downloading InputSandbox",
        ),
    ],
)
def test_inputs_that_cannot_be_had_end_the_job(scene: Scene, error: FailJob | HandBack, last: str) -> None:
    scene.match(SANDBOX)
    scene.runner.staged(Staged(7, error))

    assert scene.said()[-1] == f"JobWrapper: {last}"
    assert (scene.slot.is_all_free, scene.ce.tasks) == (True, {})


@pytest.mark.parametrize("answer", [CEUnavailable("away"), Uncertain("no answer")])
def test_a_task_that_the_ce_does_not_have_is_given_again(scene: Scene, answer: CEUnavailable | Uncertain) -> None:
    scene.ce.answers = [answer]
    scene.match()
    assert scene.job.phase is Phase.SUBMITTING

    scene.runner.poll()

    assert scene.said() == START
    assert list(scene.ce.tasks) == [scene.job.stamp]


def test_a_task_that_the_ce_has_after_all_is_not_given_twice(scene: Scene) -> None:
    scene.ce.answers = [Uncertain("no answer")]
    scene.match()
    scene.ce.tasks[scene.job.stamp] = TaskSpec(stamp=scene.job.stamp, script="")
    scene.ce.answers = [CEUnavailable("must not be asked")]

    scene.runner.poll()

    assert scene.job.phase is Phase.RUNNING
    assert len(scene.ce.answers) == 1


def test_a_payload_gets_what_was_granted_and_nothing_else(scene: Scene) -> None:
    scene.match("MinNumberOfProcessors = 1; MaxNumberOfProcessors = 8; MaxRAM = 500;")

    (task,) = scene.ce.tasks.values()

    assert (task.processors, task.processor_ids, task.memory_mb) == (2, (0, 1), 500)
    assert task.environment["DIRAC_JOB_PROCESSORS"] == "2"


def test_an_end_frees_the_slot_before_the_outputs_are_uploaded(scene: Scene) -> None:
    scene.match('NumberOfProcessors = 2; OutputSandbox = "out";')
    assert scene.slot.free_processors == 0

    scene.end(0)

    assert (scene.job.phase, scene.slot.free_processors) == (Phase.DELIVERING, 2)


def test_a_job_is_closed_when_the_wms_has_heard_everything_and_its_task_is_cleaned(scene: Scene) -> None:
    scene.match()
    scene.end(0)
    stamp = scene.job.stamp

    scene.accept_reports()

    assert (scene.runner.jobs.all, scene.ce.cleaned, scene.ledger.open_jobs()) == ([], [stamp], [])


def test_a_job_is_not_closed_while_the_wms_has_to_hear_something(scene: Scene) -> None:
    scene.match()
    scene.end(0)

    scene.runner.endings.reports_accepted(7)

    assert scene.job.phase is Phase.REPORTING


def test_the_same_job_matched_twice_runs_once(scene: Scene) -> None:
    scene.match()
    scene.match()

    assert len(scene.ce.tasks) == 1
    assert scene.said() == START


def test_a_job_matched_again_after_its_end_is_a_new_attempt(scene: Scene) -> None:
    scene.match()
    scene.end(222)
    scene.accept_reports()

    scene.match()

    assert (scene.job.attempt, scene.job.phase, len(scene.ce.tasks)) == (2, Phase.RUNNING, 2)


def test_a_job_handed_back_and_matched_again_before_its_reports_are_closed_is_run(scene: Scene) -> None:
    scene.match()
    scene.end(222)
    scene.ledger.sent(scene.ledger.unsent())

    scene.match()

    assert len(scene.ce.tasks) == 2


def test_an_order_to_put_a_job_back_is_not_given_again_when_the_matcher_gives_the_job(scene: Scene) -> None:
    scene.match()
    scene.end(222)
    *words, order = scene.ledger.unsent()
    scene.ledger.sent(words)  # the order was carried out, and its answer lost

    scene.match()

    assert order.kind is ReportKind.RESCHEDULE
    assert order.number not in {report.number for report in scene.ledger.unsent()}


def test_a_job_whose_end_was_decided_here_and_otherwise_by_the_wms_is_written_down_as_taken_away(scene: Scene) -> None:
    scene.match()
    scene.runner.hand_back_all("the slot ends")

    scene.runner.taken_away(7)
    scene.end(None, TaskState.ABORTED)

    assert scene.job.end == TAKEN_AWAY
