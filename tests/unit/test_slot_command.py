"""Commands of the batch system: their answer, or none within the deadline."""

from pathlib import Path

from agents.slot.command import Commands
from tests.waiting import until

PATH = "/usr/bin:/bin"


def program(directory: Path, name: str, text: str) -> None:
    file = directory / name
    file.write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
    file.chmod(0o755)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_answer_is_what_the_command_prints() -> None:
    assert Commands({"PATH": PATH})("printf", "%s", "42") == "42"


def test_command_that_fails_has_not_answered() -> None:
    assert Commands({"PATH": PATH})("sh", "-c", "echo half; exit 1") is None


def test_command_that_is_missing_has_not_answered() -> None:
    assert Commands({"PATH": PATH})("gridpilot-no-such-command") is None


def test_command_is_found_where_the_batch_system_keeps_its_own(tmp_path: Path) -> None:
    program(tmp_path, "qstat", "echo here")

    assert Commands({"PATH": PATH, "SGE_BINARY_PATH": str(tmp_path)})("qstat") == "here\n"


def test_times_and_words_do_not_depend_on_the_user_s_taste() -> None:
    environ = {"PATH": PATH, "LC_ALL": "de_DE.UTF-8", "LC_TIME": "fr_FR", "SLURM_TIME_FORMAT": "%s", "TZ": "Asia/Tokyo"}

    shown = Commands(environ)("sh", "-c", 'echo "$LC_ALL $LC_TIME $SLURM_TIME_FORMAT $TZ"')

    assert shown == "C   UTC\n"


def test_command_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    answer = Commands({"PATH": PATH}, timeout_s=0.5)("sh", "-c", f"sleep 60 & echo $! $$ >{pids}; wait")

    assert answer is None
    started = [int(word) for word in pids.read_text(encoding="ascii").split()]
    until(lambda: not any(is_running(pid) for pid in started), f"{started} are gone")
