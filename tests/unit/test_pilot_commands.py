"""Which commands run, those that a VO brings, and how long each may take."""

import dataclasses
import json
import time

import pytest

from agents.jobs import payload
from agents.jobs.jdl import describe
from agents.jobs.job import Grant
from pilot import cfg, settings
from pilot.agent import launch
from pilot.errors import NodeUnfit, UsageError
from pilot.node import bundle
from pilot.steps import deadline, nagios, order, standard
from pilot.steps.state import LOCAL
from pilot.wms import configuration, credential
from tests.unit.test_pilot_offer import pilot

LAB_COMMANDS = """
from pilotCommands import CommandBase, ConfigureBasics, LaunchAgent


class CheckNode(CommandBase):
    def execute(self):
        code, output = self.executeAndGetOutput("echo $GREETING; exit 3")
        self.pp.installEnv["LAB_CODE"] = "%d %s" % (code, output.strip())
        self.cfg.append("-o '/LocalSite/Lab=%s of %s'" % (self.pp.ceName, self.pp.wnVO))


class ConfigureSite(CommandBase):
    def execute(self):
        raise SystemExit(0)


class Gives(CommandBase):
    def execute(self):
        self.exitWithError(17)


class Basics(ConfigureBasics):
    standard = staticmethod(lambda pilot: pilot)

    def _getBasicsCFG(self):
        super()._getBasicsCFG()
        self.cfg.append("-o /DIRAC/Lab=yes")
"""


@pytest.fixture
def lab(tmp_path):
    """A pilot with the commands above in its work folder."""
    (tmp_path / "LabCommands.py").write_text(LAB_COMMANDS)

    def made(*names):
        told = {"commands": list(names), "extensions": "Lab", "ce": "ce01"}
        return dataclasses.replace(
            pilot(told), work_dir=tmp_path, environ={"GREETING": "hello", "PATH": "/bin:/usr/bin"}
        )

    return made


def names(steps):
    return [(step.name, step.command) for step in steps]


def test_without_a_list_the_standard_commands_run_in_dirac_s_order():
    assert [step.name for step in order.chosen(pilot())] == [
        "CheckWorkerNode", "ConfigureBasics", "RegisterPilot", "CheckCECapabilities", "CheckWNCapabilities",
        "ConfigureSite", "ConfigureArchitecture", "ConfigureCPURequirements", "LaunchAgent",
    ]  # fmt: skip


def test_listed_commands_run_in_their_order_and_unneeded_ones_are_skipped():
    listed = ["ConfigureSite", "InstallDIRAC", "GetPilotVersion", "CheckWorkerNode", "MultiLaunchAgent"]

    assert names(order.chosen(pilot({"commands": listed}))) == [
        ("ConfigureSite", standard.configure_site),
        ("CheckWorkerNode", standard.check_worker_node),
        ("MultiLaunchAgent", standard.launch_pool_agent),
    ]


def test_an_unknown_command_is_named_with_who_asked_for_it():
    with pytest.raises(UsageError, match=r"^option: no command 'Sing'; expected some of CheckWorkerNode, "):
        order.chosen(pilot({"commands": ["Sing"]}))


def test_a_command_that_takes_too_long_is_interrupted():
    step = order.Step("Slow", lambda pilot: time.sleep(30), 0.05)

    with pytest.raises(NodeUnfit, match=r"^command Slow: not done within 0 s"):
        step.run(pilot())


def test_a_limit_that_was_kept_leaves_no_alarm_behind():
    with deadline.within(0.05, "quick"):
        pass

    time.sleep(0.1)  # an alarm left over would raise here


def test_a_command_of_an_extension_comes_before_the_standard_one(lab):
    (step,) = order.chosen(lab("ConfigureSite"))

    assert step.run(lab()).options == {}


def test_what_an_extension_s_command_sets_comes_back(lab):
    (step,) = order.chosen(lab("CheckNode"))

    after = step.run(lab())

    assert after.options == {f"{LOCAL}/Lab": "ce01 of vo"}
    assert (after.environ["LAB_CODE"], after.brought) == ("3 hello", ("LAB_CODE",))


def test_the_hooks_of_dirac_s_commands_are_called(lab):
    (step,) = order.chosen(lab("Basics"))

    assert step.run(lab()).options == {"/DIRAC/Lab": "yes"}


def test_a_class_that_an_extension_only_imports_is_not_its_command(lab):
    (step,) = order.chosen(lab("LaunchAgent"))

    assert step.command == standard.launch_agent


def test_an_extension_s_command_can_end_the_pilot(lab):
    (step,) = order.chosen(lab("Gives"))

    with pytest.raises(NodeUnfit, match="command Gives of an extension ended the pilot with code 17"):
        step.run(lab())


def test_an_extension_that_is_not_there_or_broken_is_named_with_its_place(tmp_path, lab):
    with pytest.raises(UsageError, match=r"no OtherCommands.py in .*; put it beside dirac-pilot.py"):
        order.chosen(dataclasses.replace(pilot({"extensions": "Other"}), work_dir=tmp_path))
    (tmp_path / "LabCommands.py").write_text("import a_module_that_is_not_there")
    with pytest.raises(UsageError, match=r"LabCommands.py: cannot be imported: ModuleNotFoundError"):
        order.chosen(lab("CheckNode"))


def test_modules_are_looked_for_beside_dirac_pilot(tmp_path, lab):
    told = {bundle.VARIABLE: json.dumps({"beside": str(tmp_path)})}

    (step,) = order.chosen(
        dataclasses.replace(
            pilot({"extensions": "Lab", "commands": ["CheckNode"]}), work_dir=tmp_path / "w", environ=told
        )
    )

    assert step.limit_s == order.EXTENSION_S


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo fine; echo more", "INFO [Pilot] nagios.probe name=probe.sh code=0 said=fine"),
        ("echo hm; exit 1", "WARNING [Pilot] nagios.probe name=probe.sh code=1 said=hm"),
        ("echo bad; exit 2", "ERROR [Pilot] nagios.probe name=probe.sh code=2 said=bad"),
        (None, "ERROR [Pilot] nagios.probe name=probe.sh code=2"),
    ],
)
def test_probes_are_run_and_their_result_is_logged(tmp_path, script, said):
    lines = []
    if script:
        (tmp_path / "probe.sh").write_text(f"#!/bin/sh\n{script}\n")

    nagios.run_probes(dataclasses.replace(pilot({"nagios_probes": "probe.sh"}, lines=lines), work_dir=tmp_path))

    assert said in lines[-1]


def test_variables_that_the_vo_brought_reach_payloads_and_others_do_not():
    told = settings.load([settings.Given("environment", "SITE_WORD:::x", "option")]).settings
    agents = launch.agent_environment({"MINE": "m", "LAB": "l", "API_TOKEN": "t"}, told, {}, ["LAB"])

    seen = payload.environment(
        describe('[ JobID = 1; Executable = "x"; ]'), Grant(processor_ids=(0,)), site="S", base=agents
    )

    assert (seen["SITE_WORD"], seen["LAB"]) == ("x", "l")
    assert not {"MINE", "API_TOKEN", "GRIDPILOT_PAYLOAD_VARIABLES"} & set(seen)


def test_voms_folders_come_from_the_environment_else_from_the_first_place_that_has_them(tmp_path):
    for name in ("vomsdir", "vomses"):
        (tmp_path / "c" / "etc/grid-security" / name).mkdir(parents=True)
        (tmp_path / "c" / "etc/grid-security" / name / "x").touch()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x").touch()

    found = credential.voms_variables(
        settings.Settings(cvmfs_folders=(str(tmp_path / "c"),)), {"X509_VOMS_DIR": str(tmp_path / "mine")}
    )

    vomses = str(tmp_path / "c/etc/grid-security/vomses")
    assert found == {"X509_VOMS_DIR": str(tmp_path / "mine"), "X509_VOMSES": vomses, "DIRAC_VOMSES": vomses}


PLACES = cfg.parse(
    "Resources\n{\nSites\n{\nLCG\n{\nLCG.A.ch\n{\nCEs\n{\nce01\n{\nQueues\n{\nlong\n{\n}\n}\n}\n}\n}\n}\n}\n}", "cs"
)


@pytest.mark.parametrize(
    ("site", "ce", "queue", "hint"),
    [
        ("LCG.A.ch", "ce01", "long", ""),
        ("LCG.A.ch", "ce01", "", ""),
        ("LCG.A.ch", "ce01", "lon", "; did you mean queue long?"),
        ("LCG.A.ch", "ce01", "short", ": no queue short; there are long"),
        ("LCG.A.ch", "ce02", "long", "; did you mean CE ce01?"),
        ("LCG.B.ch", "ce01", "long", "; did you mean site LCG.A.ch?"),
        ("EGI.X.org", "ce01", "long", ": no site EGI.X.org"),
    ],
)
def test_what_the_configuration_does_not_have_is_told_with_the_nearest(site, ce, queue, hint):
    assert configuration.nearest(PLACES, site=site, ce=ce, queue=queue) == hint
