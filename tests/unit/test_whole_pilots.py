"""Whole pilots against a small HTTPS server."""

import json
import re
import stat
import subprocess
import sys
import threading

import pytest

from pilot import cfg
from tests.unit.pilot_scene import PILOT_S, ROOT, Wms, keys, pilot_argv, place, run_pilot, serving

__all__ = ["keys", "place"]


class SlowWms(Wms):
    """Does not say whether it knows a pilot until it is released."""

    def __init__(self):
        super().__init__()
        self.asked, self.released = threading.Event(), threading.Event()

    def __call__(self, path, method, args):
        if method == "getPilotInfo":
            self.asked.set()
            self.released.wait(PILOT_S)
        return super().__call__(path, method, args)


def test_a_whole_pilot_registers_writes_its_configuration_and_reports_the_end(keys, place):
    wms = Wms()
    with serving(keys, wms) as wms.url:
        done = run_pilot(place, wms.url, "--ca-dir", str(keys / "ca.pem"), "-t", "c", "--requiredTag", "d")

    assert (done.returncode, done.stderr) == (0, "")
    stamp = "5" * 32
    assert wms.told("addPilotReferences") == [[[stamp], "vo", "DIRAC", {stamp: stamp}]]
    assert [args[:3] + args[4:] for args in wms.told("setPilotStatus")] == [
        [stamp, "Running", "ce01", "LCG.A.ch", "q"],
        [stamp, "Done", "ce01", "LCG.A.ch", "q"],
    ]
    text = (place[0] / "pilot.cfg").read_text()
    written = cfg.parse(text, "pilot.cfg")
    local = cfg.options(cfg.section(written, "/LocalSite"))
    defaults = cfg.options(cfg.section(written, "/Resources/Computing/CEDefaults"))
    assert local["Site"] == "LCG.A.ch"
    assert (local["ReleaseVersion"], local["CPUTime"]) == ("9.1.22", "36000")
    assert (local["NumberOfProcessors"], defaults["NumberOfProcessors"]) == ("1", "1")
    assert (defaults["Tag"], defaults["RequiredTag"]) == ("a, b, c, d", "d")
    assert "hush" not in text


def test_a_pilot_that_the_submitter_registered_is_not_registered_again(keys, place):
    wms = Wms(known=True)
    with serving(keys, wms) as wms.url:
        run_pilot(place, wms.url, "--ca-dir", str(keys / "ca.pem"))

    assert wms.told("addPilotReferences") == []
    assert len(wms.told("setPilotStatus")) == 2


def test_a_pilot_goes_on_when_it_cannot_be_registered(keys, place):
    wms = Wms(answers={"getPilotInfo": (500, b""), "setPilotStatus": (500, b"")})
    with serving(keys, wms) as wms.url:
        done = run_pilot(place, wms.url, "--ca-dir", str(keys / "ca.pem"))

    assert done.returncode == 0
    assert "pilot.not_registered" in done.stdout


def test_the_log_goes_to_the_logging_service_whole_and_in_order(keys, place):
    wms = Wms()
    with serving(keys, wms) as wms.url:
        done = run_pilot(place, wms.url, "--ca-dir", str(keys / "ca.pem"), "-z")

    lines = [line for message, *_ in wms.told("sendMessage") for line in json.loads(message)]
    assert "".join(lines) == done.stdout == (place[0] / "pilot.log").read_text()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [A-Z]+ \[Pilot\] ", line) for line in lines)
    assert wms.told("finaliseLogs") == [['{"retCode": "0"}', "5" * 32, "vo"]]


def test_options_of_the_user_win_and_those_without_effect_are_named_once(keys, place):
    wms = Wms()
    options = ["-o", "/LocalSite/CPUNormalizationFactor=12.5", "-o", "MinimumTimeLeft=7", "-s", "x", "-s", "y"]
    with serving(keys, wms) as wms.url:
        done = run_pilot(place, wms.url, "--ca-dir", str(keys / "ca.pem"), *options)

    written = cfg.parse((place[0] / "pilot.cfg").read_text(), "pilot.cfg")
    assert cfg.option(written, "/LocalSite/CPUNormalizationFactor") == "12.5"
    assert cfg.option(written, "/LocalSite/CPUTime") == "45000"
    assert cfg.option(written, "/Systems/WorkloadManagement/Agents/JobAgent/MinimumTimeLeft") == "7"
    assert done.stdout.count("setting.without_effect name=-s") == 1


def test_a_dry_run_shows_what_would_be_written_and_leaves_no_trace(keys, place):
    wms = Wms()
    with serving(keys, wms) as wms.url:
        done = run_pilot(place, wms.url, "--ca-dir", str(keys / "ca.pem"), "-z", "--dry-run")

    written = cfg.parse("\n".join(line for line in done.stdout.splitlines() if not line.startswith("#")), "stdout")
    assert done.returncode == 0, done.stderr
    assert cfg.option(written, "/LocalSite/Site") == "LCG.A.ch"
    assert done.stdout.splitlines()[-1].startswith("# would start: ")
    assert "command.left_out name=RegisterPilot" in done.stderr
    assert {method for method, _ in wms.calls} == {"getCompressedDataIfNewer"}
    assert not place[0].exists()


def test_a_dry_run_answers_programs(keys, place):
    with serving(keys, wms := Wms()) as wms.url:
        done = run_pilot(place, wms.url, "--ca-dir", str(keys / "ca.pem"), "--dry-run", "--json")

    told = json.loads(done.stdout)
    assert told["pilot.cfg"]["/LocalSite/Site"] == "LCG.A.ch"
    assert told["command"] == ["true"]
    assert told["left out"] == ["RegisterPilot", "LaunchAgent"]
    assert not place[0].exists()


def test_explain_answers_programs(place):
    done = run_pilot(place, "https://localhost:1", "--explain=-P", "--json")

    assert json.loads(done.stdout) == [{"name": "processors", "value": "0", "origin": "default"}]


def test_json_without_a_question_is_one_sentence(place):
    done = run_pilot(place, "https://localhost:1", "--json")

    assert (done.returncode, done.stderr) == (2, "pilot: option --json: expected with --explain or --dry-run\n")


def test_a_failing_program_makes_the_pilot_failed_and_passes_its_code_on(keys, place):
    wms = Wms()
    with serving(keys, wms) as wms.url:
        done = run_pilot(place, wms.url, "--ca-dir", str(keys / "ca.pem"), program="sh -c 'exit 9'")

    assert (done.returncode, wms.told("setPilotStatus")[-1][1]) == (9, "Failed")


def test_a_pilot_that_may_not_ask_for_itself_still_says_that_it_runs(keys, place):
    wms = Wms(answers={"getPilotInfo": (401, b"")})
    with serving(keys, wms) as wms.url:
        run_pilot(place, wms.url, "--ca-dir", str(keys / "ca.pem"))

    assert (wms.told("addPilotReferences"), wms.told("setPilotStatus")[0][1]) == ([], "Running")


def test_a_pilot_that_may_not_add_itself_still_says_that_it_runs(keys, place):
    wms = Wms(answers={"addPilotReferences": (401, b"")})
    with serving(keys, wms) as wms.url:
        done = run_pilot(place, wms.url, "--ca-dir", str(keys / "ca.pem"))

    assert wms.told("setPilotStatus")[0][1] == "Running"
    assert "pilot.not_added" in done.stdout


def test_a_signal_before_the_agent_ends_the_pilot_with_a_sentence_and_a_status(keys, place):
    wms = SlowWms()
    with serving(keys, wms) as wms.url:
        process = subprocess.Popen(
            pilot_argv(place, wms.url, "--ca-dir", str(keys / "ca.pem")),
            cwd=ROOT,
            env=place[1],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert wms.asked.wait(PILOT_S)
            process.terminate()
            _, said = process.communicate(timeout=PILOT_S)
        finally:
            wms.released.set()
            process.kill()
            process.communicate()

    assert (process.returncode, said) == (143, "pilot: stopped by SIGTERM before the agent was started\n")
    assert wms.told("setPilotStatus")[-1][1] == "Failed"


def test_a_configuration_server_that_is_down_ends_the_pilot_with_its_code(keys, place):
    with serving(keys, Wms()) as url:
        pass

    done = run_pilot(place, url, "--ca-dir", str(keys / "ca.pem"))

    assert done.returncode == 4
    assert done.stderr.startswith("pilot: no configuration: https://localhost")
    assert done.stderr.count("\n") == 1


def test_a_program_that_does_not_exist_ends_the_pilot_with_its_code_and_status(keys, place):
    wms = Wms()
    with serving(keys, wms) as wms.url:
        done = run_pilot(place, wms.url, "--ca-dir", str(keys / "ca.pem"), program="/not/there")

    assert (done.returncode, done.stderr) == (6, "pilot: /not/there: cannot be started: No such file or directory\n")
    assert wms.told("setPilotStatus")[-1][1] == "Failed"


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["-D", "999999999999"], 6, "MB of disk are free"),
        (["-X", "LaunchAgnt"], 2, "no command 'LaunchAgnt'"),
        (["-F", "/not/there.json"], 2, "/not/there.json: there is no such file"),
        (["--ca-dir", "/not/there"], 3, "no CA certificates there"),
        (["--work-dir", "/proc/x"], 6, "not usable as work folder"),
        (["--ca-dir", "/proc/self/status", "-o", "/LocalSite/CPUNormalizationFactor=9999"], 3, "not readable as CA"),
    ],
)
def test_bad_input_ends_the_pilot_with_one_sentence_and_its_code(place, options, code, said):
    done = run_pilot(place, "https://localhost:1", *options)

    assert done.returncode == code
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_a_configuration_server_the_pilot_says_so(place):
    work_dir, environ = place
    argv = [sys.executable, "-m", "pilot", "-n", "LCG.A.ch", "--work-dir", str(work_dir), "-D", "1"]

    done = subprocess.run(argv, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=PILOT_S, check=False)

    assert (done.returncode, done.stderr) == (
        2,
        "pilot: no Configuration server: give -C, or ConfigurationServers in pilot.json\n",
    )


def test_the_pilot_configuration_is_no_secret_and_the_proxy_is_not_in_it(keys, place):
    wms = Wms()
    with serving(keys, wms) as wms.url:
        run_pilot(place, wms.url, "--ca-dir", str(keys / "ca.pem"))

    file = place[0] / "pilot.cfg"
    assert stat.S_IMODE(file.stat().st_mode) & 0o400
    assert "PRIVATE" not in file.read_text()
    assert not file.with_suffix(".new").exists()


def test_explain_shows_each_value_with_its_origin_and_contacts_nobody(place):
    work_dir, environ = place
    wide = {**environ, "SLURM_JOBID": "7", "COLUMNS": "300"}

    done = run_pilot((work_dir, wide), "https://localhost:1", "--explain", "-P", "3")

    rows = [re.split(r"  +", line) for line in done.stdout.splitlines()]
    assert ["processors", "3", "option -P"] in rows
    assert ["max_cycles", "0", "default"] in rows
    assert ["pilot reference", "sshslurm://ce01/7", "SLURM_JOBID"] in rows
    assert (done.returncode, work_dir.exists()) == (0, False)
