"""The agent's process: how it is started, what is passed on to it, when it is started again, what is left."""

import errno
import functools
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from pilot import __main__ as entry
from pilot.agent import launch
from pilot.agent.supervision import AgentEnd
from pilot.errors import NodeUnfit
from pilot.settings import Settings
from tests.waiting import PATIENCE_S, until

ROOT = Path(__file__).parents[2]
DRIVER = """
import json, sys
from pathlib import Path
from pilot.agent import launch, supervision
from pilot.log import Log
launch.become_subreaper()
work = Path(sys.argv[1])
patience = supervision.Patience(restart_delays_s=(0.05, 0.05), kill_grace_s=0.3)
program = supervision.Program([sys.executable, "-c", sys.argv[2]], {"PATH": "/usr/bin:/bin"}, work)
log = Log([(work / "log").open("a", buffering=1).write])
with supervision.Signals() as signals:
    end = supervision.Supervisor(program, log, patience).run(signals)
    left = supervision.end_leftovers(log, grace_s=0.3)
(work / "end").write_text(json.dumps([end.exit_code, end.restarts, end.stopped_by, end.pilot_exit_code, left]))
"""
COUNTING = "open('runs', 'a').write('x');"  # how often the program was started
LISTENING = """
import signal, time
heard = []
def hear(number, frame):
    open('heard', 'a').write(signal.Signals(number).name + ' ')
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, hear)
open('ready', 'w').close()
while 'SIGHUP' not in (open('heard').read() if __import__('os').path.exists('heard') else ''):
    time.sleep(0.02)
"""
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open('ready', 'w').close()
time.sleep(60)
"""


ORPHAN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.setsid()
open('pid', 'w').write(str(os.getpid()))
time.sleep(60)
"""


TELLS_WHAT_WAS_BEFORE = """
import os
open('told', 'a').write((os.environ['GRIDPILOT_SIGNALS_BEFORE'] or '-') + ' ')
told = open('told').read().split()
"""


@contextmanager
def supervising(work, program, driver=DRIVER):
    process = subprocess.Popen([sys.executable, "-c", driver, str(work), program], cwd=ROOT, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE_S)


def outcome(work, program):
    with supervising(work, program) as process:
        process.wait(PATIENCE_S)
    return json.loads((work / "end").read_text())


def test_an_agent_that_ends_well_is_not_started_again(tmp_path):
    assert outcome(tmp_path, COUNTING) == [0, 0, 0, 0, 0]
    assert (tmp_path / "runs").read_text() == "x"


@pytest.mark.parametrize("code", [2, 3, 4, 5, 6])
def test_a_documented_code_is_passed_on_without_a_restart(tmp_path, code):
    assert outcome(tmp_path, f"{COUNTING} raise SystemExit({code})")[:4] == [code, 0, 0, code]


@pytest.mark.parametrize(
    "crash", ["import os; os.kill(os.getpid(), 9)", "raise SystemExit(70)", "raise SystemExit(99)"]
)
def test_an_agent_that_crashes_is_started_again_but_not_for_ever(tmp_path, crash):
    exit_code, restarts, _, pilot_code, _ = outcome(tmp_path, f"{COUNTING} {crash}")

    assert (restarts, pilot_code, (tmp_path / "runs").read_text()) == (2, 70, "xxx")
    assert exit_code in (-9, 70, 99)


def test_an_agent_that_recovers_ends_well(tmp_path):
    program = f"{COUNTING} import os; len(open('runs').read()) < 2 and os.kill(os.getpid(), 9)"

    assert outcome(tmp_path, program) == [0, 1, 0, 0, 0]


def test_every_signal_is_passed_on_and_the_agent_is_not_started_again(tmp_path):
    names = ["SIGUSR1", "SIGUSR2", "SIGTERM", "SIGHUP"]
    with supervising(tmp_path, LISTENING) as process:
        until((tmp_path / "ready").exists, "the start")
        for count, name in enumerate(names, start=1):
            process.send_signal(signal.Signals[name])
            if name != "SIGHUP":
                until(functools.partial(has_heard, tmp_path, names[:count]), name)
        process.wait(PATIENCE_S)

    assert heard(tmp_path) == names
    assert json.loads((tmp_path / "end").read_text())[:3] == [0, 0, signal.SIGUSR1]


def log_of(work):
    return (work / "log").read_text() if (work / "log").exists() else ""


def has_heard(work, names):
    return heard(work) == names


def heard(work):
    return (work / "heard").read_text().split() if (work / "heard").exists() else []


def test_an_agent_deaf_to_the_second_request_is_killed(tmp_path):
    with supervising(tmp_path, DEAF) as process:
        until((tmp_path / "ready").exists, "the start")
        process.terminate()
        until(lambda: "agent.signalled" in log_of(tmp_path), "the first request")
        process.terminate()
        process.wait(PATIENCE_S)

    assert json.loads((tmp_path / "end").read_text()) == [-9, 0, signal.SIGTERM, 137, 0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_between_two_agents_is_told_to_the_next_which_starts_at_once(tmp_path, number):
    driver = DRIVER.replace("(0.05, 0.05)", "(60.0,)")
    program = f"{TELLS_WHAT_WAS_BEFORE}\nraise SystemExit(70 if len(told) == 1 else 0)"
    with supervising(tmp_path, program, driver) as process:
        until(lambda: "agent.crashed" in log_of(tmp_path), "the crash")
        process.send_signal(number)
        process.wait(PATIENCE_S)

    assert json.loads((tmp_path / "end").read_text())[:4] == [0, 1, number, 0]
    assert (tmp_path / "told").read_text().split() == ["-", number.name]


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_an_agent_that_dies_of_what_it_was_told_or_with_it_is_started_again_and_told(tmp_path, death):
    dies = f"import signal, time; signal.signal(signal.SIGUSR1, lambda *_: os.kill(os.getpid(), {death.value}))"
    waits = "open('ready', 'w').close(); time.sleep(60)"
    driver = DRIVER.replace("(0.05, 0.05)", "(60.0,)")
    program = f"{TELLS_WHAT_WAS_BEFORE}\nif len(told) == 1: {dies}; {waits}"
    with supervising(tmp_path, program, driver) as process:
        until((tmp_path / "ready").exists, "the start")
        process.send_signal(signal.SIGUSR1)
        process.wait(PATIENCE_S)

    assert json.loads((tmp_path / "end").read_text())[:4] == [0, 1, signal.SIGUSR1, 0]
    assert (tmp_path / "told").read_text().split() == ["-", "SIGUSR1"]


def test_orphans_that_changed_their_session_and_ignore_sigterm_are_gone_at_the_end(tmp_path):
    program = f"""
import os, time, sys
if os.fork() == 0:
    if os.fork() == 0:
        os.execv(sys.executable, [sys.executable, '-c', {ORPHAN!r}])
    os._exit(0)
while not (os.path.exists('pid') and open('pid').read()): time.sleep(0.02)
"""

    end = outcome(tmp_path, program)

    assert end == [0, 0, 0, 0, 1]
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_kill_that_we_did_not_ask_for_is_an_internal_error_and_one_that_we_did_is_128_plus_n():
    assert AgentEnd(-9, 5, 0).pilot_exit_code == 70
    assert AgentEnd(-15, 0, signal.SIGTERM).pilot_exit_code == 143


def test_the_agent_is_started_by_our_python_without_the_current_directory_first(tmp_path):
    command = launch.agent_command(Settings(), tmp_path / "pilot.cfg", tmp_path)

    places = ["--cfg", str(tmp_path / "pilot.cfg"), "--work-dir", str(tmp_path)]
    assert command[1:] == ["-P", "-m", "agents", *places, "--end-with", str(os.getpid())]


def test_the_agent_finds_our_packages_first_and_not_the_nodes():
    environ = {"PYTHONPATH": "/node", "HOME": "/h"}

    without = launch.agent_environment(environ, Settings(), {"X509_CERT_DIR": "/ca"})
    kept = launch.agent_environment(environ, Settings(keep_python_path=True, environment=(("A", "b"),)), {})

    assert (without["PYTHONPATH"], without["PYTHONPATH_SAVE"]) == (str(ROOT), "/node")
    assert (without["HOME"], without["X509_CERT_DIR"]) == ("/h", "/ca")
    assert (kept["PYTHONPATH"], kept["A"]) == (f"{ROOT}{os.pathsep}/node", "b")


def test_the_agent_finds_what_a_bundle_has_in_one_file(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "code_folder", lambda: tmp_path / "packages.zip")

    environment = launch.agent_environment({}, Settings(), {})

    assert environment["PYTHONPATH"] == f"{tmp_path}{os.pathsep}{tmp_path / 'packages.zip'}"


def test_our_own_packages_are_recognised_and_strangers_are_not(tmp_path):
    launch.check_packages(ROOT)
    with pytest.raises(NodeUnfit, match="there is no package agents beside the pilot"):
        launch.check_packages(tmp_path)
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").touch()
    with pytest.raises(NodeUnfit, match="this package agents is not gridpilot's"):
        launch.check_packages(tmp_path)


def test_a_python_environment_that_is_a_shell_file_is_refused(tmp_path, monkeypatch):
    rc = tmp_path / "diracosrc"
    rc.touch()
    monkeypatch.setattr(sys, "path", [])  # so that our own Python lacks the agent's packages
    for package in launch.NEEDS_PACKAGES:
        monkeypatch.delitem(sys.modules, package, raising=False)

    with pytest.raises(NodeUnfit, match="a shell file to source is not one"):
        launch.interpreter(str(rc))


def test_a_report_that_is_missing_or_broken_is_an_empty_one(tmp_path):
    empty = launch.read_report(tmp_path)
    (tmp_path / launch.END_FILE).write_text('{"reason": "drained", "matched": 3, "done": 2, "failed": 1}')
    whole = launch.read_report(tmp_path)
    (tmp_path / launch.END_FILE).write_text('["what"]')

    assert (empty, launch.read_report(tmp_path)) == (launch.AgentReport(), launch.AgentReport())
    assert whole == launch.AgentReport("drained", 3, 2, 1)


def old_python():
    places = [*Path.home().glob(".pyenv/versions/3.9*/bin/python"), *Path("/usr/bin").glob("python3.9")]
    return str(places[0]) if places else ""


@pytest.mark.skipif(not old_python(), reason="no Python 3.9 here; the static check below stands for it")
def test_the_pilot_runs_on_python_3_9(tmp_path):
    argv = [old_python(), "-m", "pilot", "--explain", "--work-dir", str(tmp_path)]

    done = subprocess.run(argv, cwd=ROOT, env={}, capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_in_the_pilot_is_newer_than_python_3_9():
    argv = [sys.executable, "-c", "import vermin; vermin.main()", "-t=3.9-", "--no-tips", "--violations", "pilot"]

    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files"),
        BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
        OSError(errno.ENOSPC, "No space left on device"),
        MemoryError(),
        RuntimeError("can't start new thread"),
    ],
    ids=repr,
)
def test_a_node_that_lacks_something_is_unfit_and_that_is_no_internal_error(error, monkeypatch, capsys):
    def lacks(*_):
        raise error

    monkeypatch.setattr(entry, "bootstrap", lacks)

    assert entry.main([]) == 6
    assert capsys.readouterr().err.startswith("pilot: the node cannot run a pilot: ")


def test_a_command_that_answers_signals_itself_gets_them_and_is_not_killed(tmp_path: Path) -> None:
    """`python -m pilot site-director` ends as the SiteDirector itself does, by SIGTERM."""
    (tmp_path / "answering.py").write_text(
        "import pathlib, signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "pathlib.Path('ready').touch()\nsignal.pause()\n"
    )
    ask = (
        "import os, signal, sys; from pathlib import Path; from pilot.agent import launch\n"
        "launch.check_packages = lambda _: None\n"
        f"launch.agent_environment = lambda *_: {{'PYTHONPATH': {str(tmp_path)!r}}}\n"
        "sys.exit(launch.ask_package('answering', [], os.environ, (signal.SIGTERM,)))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", ask], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    until((tmp_path / "ready").exists, "it works")
    process.terminate()

    assert process.wait(PATIENCE_S) == 7
