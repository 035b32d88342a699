"""What the SiteDirector reads of its configuration and of the WMS, and what it tells and submits."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.errors import AccessDenied, BadAnswer, ConfigurationError, NoAnswer
from agents.settings import site_director as table
from agents.site_director.demand import Demand, task_queues_of
from agents.site_director.ledger import PilotLedger
from agents.site_director.pilot_manager import JobsOf, PilotManager
from agents.site_director.pilots import Pilot, PilotReport, State
from agents.site_director.queues import PilotQueue, queues_of
from agents.site_director.registrars import ByReference
from agents.site_director.starter import Starter, check_options, gather_certificates
from agents.site_director.supply import Memory, Stage, WaitingJobs
from agents.site_director.views import Known, WorkSince, situation
from agents.site_director.why_job import refusals, why
from agents.wms.job_monitoring import JobMonitoring
from agents.wms.service import Clock, Retry, Service
from agents.wms.testing import FakeTransport, ok, refused
from ce_backends.cfg import parse
from ce_backends.errors import CEMisconfigured

NOW = 1_000_000.0
CFG = """
Resources { Sites { LCG {
    LCG.One.ch { CEs { ce1.one.ch {
        CEType = Local
        BatchSystem = Host
        Tag = GPU, Special
        VO = example
        Queues {
            short {
                maxCPUTime = 60
                SI00 = 2500
                MaxTotalJobs = 7
            }
            long {
                NumberOfProcessors = 8
                MaxWaitingJobs = 3
                Platform = x86_64
                MaxRAM = 16000
                ExtraPilotOptions = -t "a b"
            }
        }
    } } }
    LCG.Two.ch { CEs { ce2.two.ch {
        CEType = AREX
        VO = other
        Queues { grid { } }
    } } }
} } }
Systems { WorkloadManagement { Agents { SiteDirector {
    VO = example
} } } }
"""


def chosen(more: str = "", text: str = CFG) -> list[PilotQueue]:
    cfg = parse(text, "test.cfg").merge(parse(more, "more.cfg"))
    return queues_of(cfg, table.load(cfg))[0]


def setting(text: str) -> str:
    return f"Systems {{ WorkloadManagement {{ Agents {{ SiteDirector {{\n{text}\n}} }} }} }}"


def test_queues_of_the_vo_with_their_site_and_limits() -> None:
    short, long = chosen()

    assert (short.name, short.site, short.ce, short.queue) == ("ce1.one.ch/short", "LCG.One.ch", "ce1.one.ch", "short")
    assert (short.most_total, short.most_waiting, short.processors) == (7, 100, 1)
    assert (long.most_total, long.most_waiting, long.processors) == (1000, 3, 8)
    assert short.options["StatusInterval"] == 10.0
    assert short.options["BatchSystem"] == "Host"


def test_what_the_matcher_is_told_of_a_queue() -> None:
    short, long = chosen()

    assert short.matcher == {
        "Site": "LCG.One.ch", "GridCE": "ce1.one.ch", "Queue": "short", "NumberOfProcessors": 1,
        "CPUTime": 36000, "VirtualOrganization": "example", "Tag": ["GPU", "Special"],
    }  # fmt: skip
    assert (long.matcher["CPUTime"], long.matcher["MaxRAM"], long.matcher["Platform"]) == (1080000, 16000, "x86_64")


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("Sites = LCG.One.ch", 2),
        ("CEs = ce1.one.ch", 2),
        ("CETypes = Local", 2),
        ("Tags = GPU", 2),
        ("Community = other", 1),
    ],
)
def test_filters_choose_queues(written: str, names: int) -> None:
    text = CFG.replace("SiteDirector {\n    VO = example", "SiteDirector {") if "Community" in written else CFG

    assert len(chosen(setting(written), text)) == names


def test_no_queue_is_one_sentence() -> None:
    with pytest.raises(ConfigurationError, match="no queue is chosen"):
        chosen(setting("Tags = Quantum"))


def test_a_misspelt_option_of_a_queue_is_named() -> None:
    with pytest.raises((ConfigurationError, CEMisconfigured), match="did you mean BatchSystem"):
        chosen(text=CFG.replace("BatchSystem = Host", "BatchSytem = Host"))


def test_a_number_that_is_none_is_named_with_its_place() -> None:
    with pytest.raises(ConfigurationError, match=r"MaxRAM = lots: expected a number"):
        chosen(text=CFG.replace("MaxRAM = 16000", "MaxRAM = lots"))


def test_an_open_quotation_in_the_pilots_options_is_named() -> None:
    queues = chosen(text=CFG.replace('"a b"', '"a b'))

    with pytest.raises(ConfigurationError, match="ExtraPilotOptions"):
        check_options(queues)


# ---- demand


def service(transport: FakeTransport) -> Service:
    return Service("S", ["https://s"], transport, Retry(attempts=1), Clock())


def test_a_task_queue_that_fits_two_queues_is_counted_once() -> None:
    def answer(offer: dict[str, Any]) -> object:
        one = {"1": {"Jobs": 5, "Priority": 1.0}, "2": {"Jobs": 3, "Tags": ["8Processors", "MultiProcessor"]}}
        return ok(one if offer["Queue"] == "long" else {"1": one["1"]})

    found = Demand(service(FakeTransport({"getMatchingTaskQueues": answer})), chosen()).ask()

    assert sorted(found, key=lambda each: each.processors) == [
        WaitingJobs(jobs=5, processors=1, queues=frozenset({"ce1.one.ch/short", "ce1.one.ch/long"})),
        WaitingJobs(jobs=3, processors=8, queues=frozenset({"ce1.one.ch/long"})),
    ]


@pytest.mark.parametrize(
    "answer",
    [None, [], "x", {"1": 7}, {"1": {}}, {"1": {"Jobs": "5"}}, {"1": {"Jobs": -1}}, {"1": {"Jobs": True}},
     {"1": {"Jobs": 1, "Tags": "8Processors"}}, {"1": {"Jobs": 10**9}}],
)  # fmt: skip
def test_answers_of_odd_shape_are_bad_answers(answer: object) -> None:
    with pytest.raises(BadAnswer):
        task_queues_of(answer)


def test_tags_of_odd_size_are_one_processor() -> None:
    assert task_queues_of({"1": {"Jobs": 1, "Tags": ["999999999Processors", 7, "Processors"]}})["1"].processors == 1


# ---- the PilotManager


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[PilotLedger]:
    made = PilotLedger(tmp_path / "pilots.sqlite")
    yield made
    made.close()


def pilot(number: int = 1, **more: Any) -> Pilot:
    usual: dict[str, Any] = {"queue": "ce1.one.ch/short", "processors": 1, "state": State.WAITING, "decided_s": NOW}
    return Pilot(stamp=f"{number:032x}", **{**usual, **more})


def manager(ledger: PilotLedger, transport: FakeTransport) -> PilotManager:
    queues = {queue.name: queue for queue in chosen()}
    asked = service(transport)
    return PilotManager(asked, ByReference(asked, "example"), JobMonitoring(asked), ledger, queues)


NOBODY = refused("No pilots found", 1550)


def test_pilots_are_registered_with_their_stamps_in_one_call_and_their_status_told(ledger: PilotLedger) -> None:
    transport = FakeTransport({"getPilotInfo": NOBODY, "addPilotReferences": ok(), "setPilotStatus": ok(1)})
    one, two = pilot(1), pilot(2)
    ledger.save([one, two], [PilotReport(one.stamp, "Waiting"), PilotReport(two.stamp, "Waiting")])

    made = manager(ledger, transport)
    before = made.is_announced(one), made.tell()
    assert (before, made.announce(), made.is_announced(one), made.tell()) == ((False, 0), 2, True, 2)
    stamps = {one.reference: one.stamp, two.reference: two.stamp}
    assert ("addPilotReferences", [list(stamps), "example", "Local", stamps]) in transport.asked
    told = ["setPilotStatus", [one.reference, "Waiting", "ce1.one.ch", "", "LCG.One.ch", "short"]]
    assert tuple(told) in transport.asked
    assert ledger.unsent() == []


def test_a_pilot_that_the_wms_knows_is_not_added_again(ledger: PilotLedger) -> None:
    one = pilot(1)
    transport = FakeTransport({"getPilotInfo": ok({one.reference: {"Status": "Running"}}), "setPilotStatus": ok(1)})
    ledger.save([one], [PilotReport(one.stamp, "Waiting")])
    manager(ledger, transport).announce()

    assert "addPilotReferences" not in transport.methods


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ("Submitted", ["Running"]),
        ("Waiting", ["Running"]),
        ("Running", []),
        ("Done", []),  # by the pilot, which knows why
        ("Aborted", []),
    ],
)
def test_no_status_is_told_that_the_wms_has_left_behind(ledger: PilotLedger, there: str, told: list[str]) -> None:
    one = pilot(1)
    transport = FakeTransport({"getPilotInfo": ok({one.reference: {"Status": there}}), "setPilotStatus": ok(1)})
    ledger.save([one], [PilotReport(one.stamp, "Running")])
    made = manager(ledger, transport)
    made.announce()

    assert made.tell() == 1
    assert [arguments[1] for method, arguments in transport.asked if method == "setPilotStatus"] == told
    assert ledger.unsent() == []


def test_without_the_right_to_register_pilots_none_waits_for_it(ledger: PilotLedger) -> None:
    one = pilot(1)
    transport = FakeTransport({"getPilotInfo": AccessDenied("Unauthorized query"), "setPilotStatus": ok(1)})
    ledger.save([one], [PilotReport(one.stamp, "Submitted")])
    made = manager(ledger, transport)

    assert (made.announce(), made.is_announced(one), made.tell()) == (1, True, 1)
    assert "setPilotStatus" not in transport.methods


def test_of_several_statuses_the_last_one_is_told(ledger: PilotLedger) -> None:
    one = pilot(1)
    transport = FakeTransport({"getPilotInfo": ok({one.reference: {}}), "setPilotStatus": ok(1)})
    ledger.save([one], [PilotReport(one.stamp, status) for status in ("Waiting", "Running", "Done")])
    made = manager(ledger, transport)
    made.announce()
    made.tell()

    assert [arguments[1] for method, arguments in transport.asked if method == "setPilotStatus"] == ["Done"]


def test_what_the_wms_did_not_hear_is_told_again(ledger: PilotLedger) -> None:
    one = pilot(1)
    transport = FakeTransport({"getPilotInfo": NOBODY, "addPilotReferences": NoAnswer("cut off")})
    ledger.save([one], [PilotReport(one.stamp, "Waiting")])
    made = manager(ledger, transport)
    with pytest.raises(NoAnswer):
        made.announce()
    transport.answers |= {"getPilotInfo": ok({one.reference: {}}), "setPilotStatus": ok(1)}  # it had arrived

    assert (made.announce(), made.tell()) == (1, 1)
    assert transport.methods.count("addPilotReferences") == 1


def test_a_status_that_is_refused_holds_up_nobody(ledger: PilotLedger) -> None:
    one = pilot(1)
    transport = FakeTransport({"getPilotInfo": ok({one.reference: {}}), "setPilotStatus": refused("no")})
    ledger.save([one], [PilotReport(one.stamp, "Waiting")])

    made = manager(ledger, transport)
    made.announce()

    assert made.tell() == 1


def test_jobs_of_pilots(ledger: PilotLedger) -> None:
    one, two, three = pilot(1), pilot(2), pilot(3)
    infos = {one.reference: {"Jobs": [7, 8]}, two.reference: {"Jobs": [9]}}
    statuses = {"7": {"Status": "Done"}, "8": {"Status": "Running"}, "9": {"Status": "Failed"}}
    transport = FakeTransport({"getPilotInfo": ok(infos), "getJobsStatus": ok(statuses)})

    assert manager(ledger, transport).jobs_of([one, two, three]) == {
        one.stamp: JobsOf(2, True), two.stamp: JobsOf(1, False), three.stamp: JobsOf(0, False),
    }  # fmt: skip


# ---- what the law is told


def views_of(*pilots: Pilot, asked_s: float = NOW, known: bool = True) -> Any:
    all_known = Known(
        queues=chosen(),
        pilots=pilots,
        past={},
        waiting=[],
        asked_s=asked_s,
        are_jobs_known=known,
        start_up_s=45.0,
        memory=Memory(),
    )
    return situation(NOW, all_known).queues[0]


def test_a_pilot_that_took_its_job_after_the_question_is_free_yet_as_its_job_is_waiting_yet() -> None:
    busy = pilot(state=State.RUNNING, started_s=NOW - 100, jobs=1, is_busy=True, busy_since_s=NOW - 5)

    assert views_of(busy, asked_s=NOW - 10).pilots[0].free == 1
    assert views_of(busy, asked_s=NOW - 1).pilots[0].free == 0


def test_of_pilots_whose_jobs_nobody_knows_none_is_taken_for_idle() -> None:
    running = pilot(state=State.RUNNING, started_s=NOW - 1000)

    (known,), (unknown,) = views_of(running).pilots, views_of(running, known=False).pilots
    assert (known.free, known.has_run) == (1, False)
    assert (unknown.free, unknown.has_run) == (0, True)


def test_stages_and_room() -> None:
    view = views_of(
        pilot(1), pilot(2, state=State.SUBMITTING), pilot(3, state=State.RUNNING, started_s=NOW - 10),
        pilot(4, state=State.RUNNING, started_s=NOW - 50), pilot(5, state=State.CANCELLING),
    )  # fmt: skip

    assert [each.stage for each in view.pilots] == [Stage.WAITING, Stage.WAITING, Stage.STARTING, Stage.ASKING]
    assert view.room == 2  # of seven


def test_the_end_of_a_pilot_speaks_only_where_it_could_have_had_work() -> None:
    jobs = [WaitingJobs(jobs=1, processors=1, queues=frozenset({"ce1.one.ch/short"}))]
    since = WorkSince({}).seen(jobs, NOW - 100).seen(jobs, NOW)
    ended = {"state": State.DONE, "ended_s": NOW}

    assert since.verdict(pilot(started_s=NOW - 50, jobs=2, **ended)) is True
    assert since.verdict(pilot(started_s=NOW - 50, **ended)) is False
    assert since.verdict(pilot(started_s=NOW - 500, **ended)) is None  # the jobs came later
    assert since.verdict(pilot(**ended)) is None  # it never ran
    assert since.seen([], NOW).verdict(pilot(started_s=NOW - 50, **ended)) is None
    assert since.seen([], NOW).verdict(pilot(started_s=NOW - 50, met_work=True, **ended)) is False


# ---- why a job waits


@pytest.mark.parametrize(
    ("jdl", "reasons"),
    [
        ("", []),
        ('Site = "LCG.One.ch"; Platform = "any"; Tags = {"GPU"};', []),
        ('Site = {"LCG.Two.ch", "LCG.Three.ch"};', ["it may run at LCG.Two.ch, LCG.Three.ch only"]),
        ('BannedSites = {"LCG.One.ch"};', ["it may not run at LCG.One.ch"]),
        ('GridCE = "ce9";', ["it may run on CE ce9 only"]),
        ("NumberOfProcessors = 16;", ["it asks for 16 processors, pilots there have 8"]),
        ("MinRAM = 64000;", ["it asks for 64000 MB of memory, pilots there have 16000"]),
        ('Platform = "aarch64";', ["it may run on platform aarch64 only"]),
        ('Tags = {"Quantum", "8Processors", "MultiProcessor"};', ["it asks for tag Quantum"]),
        ("CPUTime = 9000000;", ["it asks for 9000000 HS06 s of CPU work, pilots there have 1080000"]),
        ('WholeNode = "yes";', ["it asks for a whole node, pilots there have a part of one"]),
    ],
)
def test_why_pilots_of_a_queue_cannot_run_a_job(jdl: str, reasons: list[str]) -> None:
    long = replace(chosen()[1], matcher={**chosen()[1].matcher, "RequiredTag": []})

    assert refusals(f'JobID = 1; Executable = "x"; {jdl}', long) == reasons


def test_a_queue_that_wants_a_tag_takes_only_jobs_with_it() -> None:
    special = replace(chosen()[1], matcher={**chosen()[1].matcher, "RequiredTag": ["Special"]})

    assert refusals('JobID = 1; Executable = "x";', special) == ["pilots there take only jobs with tag Special"]
    assert refusals('JobID = 1; Executable = "x"; Tags = {"Special"};', special) == []


def test_a_job_that_does_not_wait_needs_no_pilot() -> None:
    transport = FakeTransport({"getJobSummary": ok({"Status": "Running", "MinorStatus": "Application"})})

    assert why(service(transport), 7, chosen(), {}) == "job 7 waits for no pilot: it is Running (Application)"


# ---- what is submitted


def test_the_task_of_a_pilot_has_no_secret_in_its_text(tmp_path: Path) -> None:
    proxy = tmp_path / "proxy.pem"
    proxy.write_text("-----BEGIN PRIVATE KEY-----\nabc", encoding="utf-8")
    bundle = tmp_path / "gridpilot.pyz"
    bundle.write_text("bundle", encoding="utf-8")
    start = Starter(servers=["https://a/C", "https://b/C"], vo="example", bundle=bundle, certificates=tmp_path)
    queue = chosen()[1]
    task = start.task(pilot(queue=queue.name), queue, proxy)

    assert (task.credential, task.processors, task.stamp) == (proxy, 8, f"{1:032x}")
    assert (task.inputs, task.shared) == ([tmp_path], [bundle])
    assert "PRIVATE" not in task.script
    for words in (
        "'-n' 'LCG.One.ch' '-N' 'ce1.one.ch' '-Q' 'long' '--wnVO' 'example'",
        "'-C' 'https://a/C,https://b/C'",
        f"'-R' 'gridpilot://ce1.one.ch/long/{1:032x}'",
        "'-P' '8' '-y' 'Pool' '-t' 'a b'",
    ):
        assert words in task.script


def test_only_certificates_go_with_a_pilot_and_not_what_lies_beside_them(tmp_path: Path) -> None:
    ca = tmp_path / "authority"
    ca.mkdir()
    for name in ("0a1b2c3d.0", "0a1b2c3d.signing_policy", "ca.key", "user.pem"):
        (ca / name).write_text(name, encoding="utf-8")

    made = gather_certificates(ca, tmp_path / "work")

    assert sorted(path.name for path in made.iterdir()) == ["0a1b2c3d.0", "0a1b2c3d.signing_policy"]
    with pytest.raises(ConfigurationError, match="0 CA files"):
        gather_certificates(tmp_path / "work", tmp_path / "other")
