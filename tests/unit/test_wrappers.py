"""Wrappers, under every shell there is."""

import errno
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ce_backends.base import TaskSpec
from ce_backends.linux.processes import boot_id, stat_of
from ce_backends.pool.layout import lay_out
from ce_backends.pool.wrapper_script import WrapperScript, may_fork, order, preamble
from ce_backends.pool.wrappers import Wrapper, Wrappers
from ce_backends.task.directory import TaskDir
from ce_backends.task.script import JOIN_FAILED_EXIT_CODE, quote
from tests.unit.payload_signals import HEARD
from tests.waiting import until

PATH = {"PATH": "/usr/bin:/bin"}
EVERY_BYTE = bytes(range(1, 256)).decode("utf-8", "surrogateescape")
SHELLS = [
    [found, *options]
    for name, options in (("dash", []), ("bash", []), ("bash", ["--posix"]), ("busybox", ["sh"]))
    if (found := shutil.which(name))
]


class Shells(Wrappers):
    """Wrappers of one kind, whose payloads' shells are forks of them or not."""

    forks = False


@pytest.fixture(params=SHELLS, ids=lambda argv: " ".join(Path(word).name for word in argv))
def shell(request: pytest.FixtureRequest) -> list[str]:
    return list(request.param)


@pytest.fixture(params=[False, True], ids=["own", "fork"])
def wrappers(request: pytest.FixtureRequest, shell: list[str]) -> Iterator[Shells]:
    made = Shells(most_idle=1, shell=shell)
    made.forks = request.param
    yield made
    made.close()


def laid_out(parent: Path, script: str, *, joins: tuple[Path, ...] = ()) -> TaskDir:
    directory = TaskDir(parent / f"task-{len(list(parent.iterdir()))}")
    spec = TaskSpec(stamp="0" * 32, script=script)
    first = preamble(directory.path, joins, reset_oom_score=False)
    lay_out(spec, directory, wrapper_script=WrapperScript(b"", first, has_script=False))
    return directory


def start(
    wrappers: Shells, directory: TaskDir, environment: Mapping[str, str] = PATH, *, is_kept: bool = True
) -> Wrapper:
    script = os.fsdecode((directory.path / "payload").read_bytes())
    forked = script if wrappers.forks and is_kept and may_fork(script, environment) else ""
    text = order(directory, environment, with_times=not is_kept, forked=forked)
    return wrappers.start(text, (), lambda _: None, owner="me" if is_kept else "")


def ran(wrappers: Shells, directory: TaskDir, environment: Mapping[str, str] = PATH) -> bytes:
    """Run a task to its end and give its wrapper back; return the answer."""
    wrapper = start(wrappers, directory, environment)
    answer = wrapper.answer()
    wrappers.free(wrapper)
    return answer


def is_gone(pid: int) -> bool:
    stat = stat_of(pid)
    return stat is None or stat.is_zombie


def test_answer_and_files_tell_how_the_payload_ended(wrappers: Shells, tmp_path: Path) -> None:
    directory = laid_out(tmp_path, "echo out; echo err >&2; pwd > here; exit 42\n")

    answer = ran(wrappers, directory)

    assert (answer, directory.exit_code()) == (b"42\n", 42)
    assert (directory.path / "stdout").read_text() == "out\n"
    assert (directory.path / "stderr").read_text() == "err\n"
    assert (directory.work / "here").read_text() == f"{directory.work}\n"


def test_wrapper_is_written_down_before_its_payload_begins(wrappers: Shells, tmp_path: Path) -> None:
    directory = laid_out(tmp_path, "cp ../started .\n")

    wrapper = start(wrappers, directory)
    wrapper.answer()
    wrappers.free(wrapper)

    assert directory.wrapper(boot_id()) == wrapper.process
    assert (directory.work / "started").read_text() == (directory.path / "started").read_text()


def test_second_order_for_a_task_is_refused(wrappers: Shells, tmp_path: Path) -> None:
    directory = laid_out(tmp_path, "echo ran >> ../ran\n")

    answers = [ran(wrappers, directory), ran(wrappers, directory)]

    assert answers == [b"0\n", b"refused\n"]
    assert (directory.path / "ran").read_text() == "ran\n"


def test_wrapper_takes_one_task_after_the_other(wrappers: Shells, tmp_path: Path) -> None:
    parents = []
    for code in (3, 0, 5):
        directory = laid_out(tmp_path, f"echo $PPID; exit {code}\n")
        ran(wrappers, directory)
        parents.append(((directory.path / "stdout").read_text(), directory.exit_code()))

    assert [code for _, code in parents] == [3, 0, 5]
    assert len({parent for parent, _ in parents}) == 1


def test_nothing_of_one_task_reaches_the_next(wrappers: Shells, tmp_path: Path) -> None:
    first = laid_out(tmp_path, "cd /; umask 077; export LEFT=1; trap '' TERM; ulimit -c 0; kill -TERM $$\n")
    second = laid_out(tmp_path, "umask; cat /proc/$$/environ; grep -E 'SigIgn|SigCgt' /proc/$$/status >&2\n")

    ran(wrappers, first, {**PATH, "OF_THE_FIRST": "1"})
    ran(wrappers, second, {**PATH, "OF_THE_SECOND": "2"})

    seen = (second.path / "stdout").read_bytes()
    assert seen.startswith(b"0022\n")
    assert b"OF_THE_SECOND=2" in seen
    assert b"FIRST" not in seen
    assert b"LEFT" not in seen


def test_environment_value_may_hold_every_byte_but_nul(wrappers: Shells, tmp_path: Path) -> None:
    directory = laid_out(tmp_path, "cat /proc/$$/environ\n")

    ran(wrappers, directory, {**PATH, "ALL": EVERY_BYTE})

    assert b"ALL=" + bytes(range(1, 256)) in (directory.path / "stdout").read_bytes().split(b"\0")


@pytest.mark.parametrize(
    "name",
    [
        *("UID", "EUID", "PPID", "BASHOPTS", "BASH_VERSINFO", "SHELLOPTS", "OPTIND", "IFS", "LINENO", "RANDOM", "PS4"),
        *("GROUPS", "DIRSTACK", "FUNCNAME", "SECONDS", "HOME", "LANG", "LC_ALL", "HOSTNAME", "TERM", "MAIL", "CDPATH"),
    ],
)
def test_variable_that_shells_have_their_own_use_for_is_given_as_it_is(
    wrappers: Shells, tmp_path: Path, name: str
) -> None:
    directory = laid_out(tmp_path, "cat /proc/$$/environ\n")

    answer = ran(wrappers, directory, {**PATH, name: "2"})

    assert answer == b"0\n"
    assert f"{name}=2" in (directory.path / "stdout").read_text().split("\0")


def test_environment_too_big_for_the_kernel_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Argument list too long") as refused:
        order(tmp_path, {"BIG": "x" * (1 << 17)}, with_times=False)

    assert refused.value.errno == errno.E2BIG


def test_payload_inherits_neither_descriptors_nor_signals(wrappers: Shells, tmp_path: Path) -> None:
    directory = laid_out(tmp_path, "ls -l /proc/self/fd >&2; grep -E 'SigIgn|SigBlk' /proc/self/status\n")

    ran(wrappers, directory)

    of_the_c_library = 1 << 31 | 1 << 32
    masks = [int(line.split()[1], 16) for line in (directory.path / "stdout").read_text().splitlines()]
    assert [mask & ~of_the_c_library for mask in masks] == [0, 0]
    assert "pipe:" not in (directory.path / "stderr").read_text()


def test_payload_that_cannot_be_contained_does_not_run(wrappers: Shells, tmp_path: Path) -> None:
    directory = laid_out(tmp_path, ": > ran\n", joins=(tmp_path / "no/cgroup.procs",))

    answer = ran(wrappers, directory)

    assert answer == f"{JOIN_FAILED_EXIT_CODE}\n".encode()
    assert directory.reason() == "the payload could not join its control group"
    assert not (directory.work / "ran").exists()


def test_wrapper_outlives_its_signals_and_whoever_gave_the_order(wrappers: Shells, tmp_path: Path) -> None:
    directory = laid_out(tmp_path, ": > ready; until [ -e go ]; do sleep 0.02; done; exit 9\n")
    wrapper = start(wrappers, directory)
    until((directory.work / "ready").exists)

    for number in HEARD:
        os.kill(wrapper.process.pid, number)
    wrappers.give_up(wrapper)
    (directory.work / "go").touch()

    until(lambda: directory.exit_code() == 9)
    until(lambda: is_gone(wrapper.process.pid))


def test_idle_wrapper_that_was_killed_is_replaced(wrappers: Shells, tmp_path: Path) -> None:
    wrapper = start(wrappers, laid_out(tmp_path, ":\n"))
    wrapper.answer()
    wrappers.free(wrapper)
    os.kill(wrapper.process.pid, signal.SIGKILL)
    until(lambda: is_gone(wrapper.process.pid))

    assert ran(wrappers, laid_out(tmp_path, "exit 7\n")) == b"7\n"


def test_wrapper_that_is_not_kept_ends_with_its_task_and_tells_its_times(wrappers: Shells, tmp_path: Path) -> None:
    directory = laid_out(tmp_path, "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done\n")

    wrapper = start(wrappers, directory, is_kept=False)
    answers = [wrapper.answer(), wrapper.answer()]
    wrappers.give_up(wrapper)

    assert answers == [b"0\n", b""]
    assert (directory.cpu_s() or 0) > 0


@pytest.mark.parametrize("name", ["with space", "it's", "two\nlines", "Ω☃", "$(so)", "-n"])
def test_task_directory_may_have_any_name(wrappers: Shells, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()

    directory = laid_out(tmp_path / name, ": > here; exit 3\n")

    assert ran(wrappers, directory) == b"3\n"
    assert (directory.work / "here").exists()


def test_syntax_error_in_the_payload_is_its_own_failure(wrappers: Shells, tmp_path: Path) -> None:
    assert ran(wrappers, laid_out(tmp_path, "if then fi (\n")) not in (b"0\n", b"")
    assert ran(wrappers, laid_out(tmp_path, f"echo {quote('after it')}\n")) == b"0\n"


@pytest.mark.parametrize(
    ("script", "may"),
    [
        ("exec /bin/true\n", True),
        ("cd sub && ./run 'a $b' ${c-x} *.root > out.0 2>&1\n", True),
        ("echo $$\n", False),
        ("echo ${$}\n", False),
        ('dirname -- "$0"\n', False),
        ("echo $PPID\n", False),
        ("echo $-\n", False),
        ('eval "echo \\$\\$"\n', False),
        ("cd sub; . ./setup.sh\n", False),
        (". ./setup.sh\n", False),
        ("source ./setup.sh\n", False),
    ],
)
def test_script_that_could_know_its_shell_gets_one_of_its_own(script: str, may: bool) -> None:
    assert may_fork(script, PATH) is may


def test_variable_that_shells_have_their_own_use_for_needs_a_shell_of_its_own() -> None:
    assert not may_fork("exec /bin/true\n", PATH | {"IFS": ","})


def test_fork_of_the_wrapper_is_like_a_shell_of_its_own(tmp_path: Path) -> None:
    script = 'env | sort; echo $# "$*"; trap; umask; ulimit -a; pwd; set | cut -d= -f1; ls -l /proc/self/fd | wc -l\n'
    told = []
    for forks in (False, True):
        wrappers = Shells(most_idle=1)
        wrappers.forks = forks
        (tmp_path / str(forks)).mkdir()
        directory = laid_out(tmp_path / str(forks), script)
        ran(wrappers, directory, PATH | {"ODD": "it's"})
        wrappers.close()
        told.append((directory.path / "stdout").read_text().replace(str(directory.path), "DIRECTORY"))

    assert told[1] == told[0]
    assert "it's" in told[0]
