from pathlib import Path

import pytest

from pilot import __main__ as entry
from pilot import settings
from pilot.errors import UsageError
from pilot.log import Log
from pilot.node.batch_slot import BatchSlot
from pilot.node.worker_node import Fact, WorkerNode
from pilot.steps import offer, standard
from pilot.steps.state import CE_DEFAULTS, LOCAL, Pilot
from pilot.wms.remote_log import RemoteLog

NODE = WorkerNode(
    processors=Fact(8, "affinity"),
    memory_mb=Fact(16000, "MemTotal of the node"),
    disk_mb=Fact(50000, "free on /w"),
    gpus=(),
    gpus_origin="devices in /dev",
    architecture="Linux_x86_64_glibc-2.36",
)


def pilot(given=None, options=None, slot=None, lines=None):
    loaded = settings.load(settings.Given(name, value, "option") for name, value in (given or {}).items())
    return Pilot(
        loaded=loaded,
        vo="vo",
        slot=slot or BatchSlot(reference="r", stamp="s"),
        node=NODE,
        environ={},
        work_dir=Path("/w"),
        log=Log([lines.append] if lines is not None else []),
        remote_log=RemoteLog(Path("/nowhere"), "s"),
        options=options or {},
    )


@pytest.mark.parametrize(
    ("given", "of_queue", "expected"),
    [
        ({}, {}, 8),
        ({}, {"NumberOfProcessors": "4"}, 4),
        ({}, {"NumberOfProcessors": "64"}, 8),
        ({}, {"NumberOfProcessors": "4", "Tag": "WholeNode"}, 8),
        ({}, {"NumberOfProcessors": "4", "WholeNode": "True"}, 8),
        ({"processors": "2"}, {"NumberOfProcessors": "4"}, 2),
        ({"processors": "12"}, {}, 12),
        ({"max_processors": "3"}, {}, 3),
        ({"processors": "12", "max_processors": "3"}, {}, 3),
        ({}, {"NumberOfProcessors": "lots"}, 8),
    ],
)
def test_the_least_number_of_processors_is_offered_unless_somebody_says_otherwise(given, of_queue, expected):
    options = {f"{LOCAL}/{name}": value for name, value in of_queue.items()}

    assert offer.processors(pilot(given, options)).value == expected


def test_more_processors_than_the_node_has_are_a_warning():
    lines = []

    offer.processors(pilot({"processors": "12"}, lines=lines))

    assert len(lines) == 1
    assert "WARNING [Pilot] processors.too_many given=12 node=8 origin=affinity" in lines[0]


def test_the_same_numbers_stand_everywhere_in_the_configuration():
    before = {f"{LOCAL}/NumberOfProcessors": "64", f"{LOCAL}/MaxRAM": "4000", f"{LOCAL}/Tag": "a"}

    after = standard.check_wn_capabilities(pilot(options=before)).options

    assert [after[f"{place}/NumberOfProcessors"] for place in (LOCAL, CE_DEFAULTS)] == ["8", "8"]
    assert [after[f"{place}/MaxRAM"] for place in (LOCAL, CE_DEFAULTS)] == ["4000", "4000"]


def test_a_whole_node_is_tagged_as_one():
    after = standard.check_wn_capabilities(pilot(options={f"{LOCAL}/WholeNode": "yes"})).options

    assert after[f"{CE_DEFAULTS}/Tag"] == "WholeNode"


def test_the_agent_is_told_what_was_asked_for():
    asked_for = {"max_cycles": "3", "stop_after_failed_matches": "1", "polling_s": "5"}

    asked = offer.agent_options(pilot(asked_for))

    names = ("MaxCycles", "StopOnApplicationFailure", "StopAfterFailedMatches", "PollingTime")
    assert [asked[name] for name in names] == [3, False, 1, 5.0]


def test_the_time_left_is_the_least_of_batch_system_and_queue():
    slot = BatchSlot(reference="r", stamp="s", end=Fact(5000, "SLURM_JOB_END_TIME"))

    of_slot = offer.time_left(pilot(slot=slot, options={f"{LOCAL}/maxCPUTime": "60"}), now=lambda: 4000.0)
    of_queue = offer.time_left(pilot(slot=slot, options={f"{LOCAL}/maxCPUTime": "10"}), now=lambda: 4000.0)

    assert (of_slot, of_queue) == (Fact(1000, "SLURM_JOB_END_TIME"), Fact(600, "maxCPUTime of the queue"))


def test_an_unknown_end_is_left_out_not_zero():
    after = standard.configure_cpu_requirements(pilot()).options

    assert f"{LOCAL}/CPUTime" not in after
    assert f"{LOCAL}/CPUNormalizationFactor" not in after, "the agent measures what nobody tells"


def test_power_that_is_told_is_passed_on_in_diracs_form():
    after = standard.configure_cpu_requirements(pilot(options={f"{LOCAL}/CPUNormalizationFactor": "12.345"})).options

    assert after[f"{LOCAL}/CPUNormalizationFactor"] == "12.3"


def test_the_cpu_work_that_was_given_is_taken_as_it_is():
    after = standard.configure_cpu_requirements(pilot({"cpu_work_hs06s": "7000"})).options

    assert (after[f"{LOCAL}/CPUTime"], after[f"{LOCAL}/CPUTimeLeft"]) == ("7000", "7000")


@pytest.mark.parametrize("power", ["0", "-1", "2250", "fast", "nan"])
def test_an_absurd_power_is_refused(power):
    with pytest.raises(UsageError, match="expected a number between 0 and 1000"):
        offer.power_hs06(pilot(options={f"{LOCAL}/CPUNormalizationFactor": power}))


def test_the_agent_is_told_where_a_client_of_dirac_may_be():
    told = standard.configure_site(
        pilot({"site": "LAB", "python_environment": "/opt/diracosrc", "client_prefix": "/opt/dirac"})
    ).options

    assert told["/Systems/WorkloadManagement/JobWrapper/PreinstalledEnv"] == "/opt/diracosrc"
    assert told["/Systems/WorkloadManagement/JobWrapper/PreinstalledEnvPrefix"] == "/opt/dirac"
    assert told["/LocalSite/CVMFS_locations"] == "/cvmfs/grid.cern.ch, /cvmfs/dirac.egi.eu"


def test_without_a_site_the_pilot_says_how_to_give_one():
    with pytest.raises(UsageError, match="the site is not known: give -n"):
        standard.configure_site(pilot())


def test_an_error_that_nobody_expected_is_one_sentence_and_a_traceback_in_the_log(tmp_path, capsys):
    code = entry.main(["--work-dir", str(tmp_path), 3])

    said = capsys.readouterr().err
    assert (code, said.count("\n")) == (70, 1)
    assert said.startswith("pilot: internal error: ")
    assert "Traceback" in (tmp_path / "pilot.log").read_text()
