"""The queues that the SiteDirector reads of its configuration, and why their pilots cannot run a job."""

from dataclasses import replace

import pytest

from agents.errors import ConfigurationError
from agents.site_director.starter import check_options
from agents.site_director.why_job import refusals, why
from agents.wms.testing import FakeTransport, ok
from ce_backends.errors import CEMisconfigured
from tests.unit.site_director_scene import CFG, chosen, service


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
