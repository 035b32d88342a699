"""Wrappers: shells that start payloads, wait for them and write down how they ended, also when we are gone by then.

A wrapper lives in a session of its own and runs one task at a time. It reads orders from a pipe, each a command of
POSIX sh, and answers each with a line on another pipe: the exit code, `refused` when another run had claimed the task,
`none` when there is no exit code. When we are gone the pipe of orders is at its end, and so is the wrapper, after the
task it has.

Where control groups hold the tasks, a wrapper whose task is over takes the next one. That saves one program of the
three that a task would need (wrapper, payload's shell, payload), and moving a new process to its processors.

What it reads and writes in the task's directory is what `node_script` says, but that the exit code is a line behind the
record in `task`: file systems are slow at making files. Of a task in a container also:

    outside       what the wrapper starts then     entered      the container was started
    inside        the first script there           covers/      empty, over what is hidden
"""

import errno
import os
import re
import resource
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ce_backends.node_script import JOIN_FAILED_EXIT_CODE, assignments, quote
from ce_backends.process_tree import Process, boot_id, stat_line
from ce_backends.small_files import read_small
from ce_backends.spawn import spawn

REFUSED = b"refused\n"
_MAX_ANSWER_BYTES = 100
_MAX_STRING_BYTES = 32 * 4096 - 1  # execve(2): MAX_ARG_STRLEN
_SHARE_OF_STACK = 4  # execve(2): arguments and environment take at most a fourth of the stack's limit

# Signals are caught, not ignored: what is ignored stays ignored in the payload, which may have put a pipe in the place
# of `task`: to open one for writing would take for ever.
_BEGIN = """\
trap : TERM INT HUP USR1 USR2
umask 022
cd /
unset OLDPWD
gridpilot_identity={identity}
"""
_ORDER = """\
set -C
if {{ echo "$gridpilot_identity" > {started}; }} 2> /dev/null; then
set +C
{run} < /dev/null > {stdout} 2> {stderr}
gridpilot_code=$?
{times}{if_entered}[ ! -f {task} ] || {{ echo "$gridpilot_code" >> {task}; }} 2> /dev/null || {{
    /bin/rm -rf {payload} {tmp}
    /bin/sync {directory}
    echo "$gridpilot_code" >> {task}
}}
echo "$gridpilot_code"
{or_not}else
set +C
echo refused
fi
"""
# The payload's shell, as a fork of the wrapper: that saves to load one, and to make a file of the script.
_FORK = """\
(
unset gridpilot_identity gridpilot_code
export {variables}
set --
eval {script}
)"""
# By these a script could tell a fork from a shell of its own, and name a process that is not its own.
_KNOWS_ITS_SHELL = re.compile(r"\$\{?[$0-]|PPID|BASH|SHLVL|\b(?:eval|source)\b|(?:^|[;&|({`\s])\.\s", re.ASCII)
# A container that did not start is no result of the payload: there is a reason then, and no exit code.
_IF_ENTERED = "if [ -e {entered} ]; then\n"
_OR_NOT = """\
else
[ -s {reason} ] || echo "the container did not start: $(/usr/bin/tail -n 1 {stderr})" > {reason}
echo none
fi
"""
_FILES = ("started", "payload", "tmp", "stdout", "stderr", "task", "outside", "entered", "reason")
# Variables that some shell makes use of itself, changes, or keeps from being set.
_SHELLS_OWN = re.compile(
    r"_|BASH.*|COMP_.*|DIRSTACK|ENV|EPOCH.*|EUID|FUNCNAME|FUNCNEST|GROUPS|HISTCMD|IFS|LINENO|MAILCHECK|OLDPWD|OPTARG"
    r"|OPTERR|OPTIND|PIPESTATUS|POSIXLY_CORRECT|PPID|PS[0-4]|PWD|RANDOM|SECONDS|SHELLOPTS|SHLVL|SRANDOM|TMOUT|UID"
)


def order(
    directory: Path,
    environment: Mapping[str, str],
    *,
    with_times: bool,
    is_enclosed: bool = False,
    forked: str = "",
) -> bytes:
    """Return what tells a wrapper to run a task; it runs once, however often and to however many it is told.

    Args:
        directory: of the task, laid out.
        environment: exactly these variables are given to the payload's shell, PWD aside.
        with_times: the CPU time of all that the wrapper has run is written down too.
        is_enclosed: the payload runs in a container.
        forked: what a fork of the wrapper does, whose variables /proc does not show; without it a shell of its own
            reads the file `payload`. See `may_fork`.

    Raises:
        OSError: E2BIG, the kernel would not start a program with such an environment.
    """
    _require_small(environment)
    place = quote(str(directory))
    files = {name: f"{place}/{name}" for name in _FILES}
    program = "outside" if is_enclosed else "payload"
    text = _ORDER.format(
        directory=place,
        run=_fork(environment, forked) if forked else _shell(environment, files[program]),
        times=f"times > {place}/times\n" if with_times else "",
        if_entered=_IF_ENTERED.format(**files) if is_enclosed else "",
        or_not=_OR_NOT.format(**files) if is_enclosed else "",
        **files,
    )
    return text.encode("utf-8", "surrogateescape")


def may_fork(script: str, environment: Mapping[str, str]) -> bool:
    """Tell whether a script cannot know that its shell is a fork of the wrapper, and no variable is in its way."""
    return not _KNOWS_ITS_SHELL.search(script) and not any(map(_SHELLS_OWN.fullmatch, environment))


def _fork(environment: Mapping[str, str], script: str) -> str:
    return _FORK.format(variables=_words(environment), script=quote(script))


def _shell(environment: Mapping[str, str], program: str) -> str:
    if any(map(_SHELLS_OWN.fullmatch, environment)):
        return f"/usr/bin/env -i {assignments(environment)} /bin/sh {program}"
    return f"{_words(environment)} /bin/sh {program}"


def _words(environment: Mapping[str, str]) -> str:
    return " ".join(f"{name}={quote(value)}" for name, value in environment.items())


def _require_small(environment: Mapping[str, str]) -> None:
    sizes = [len(name) + len(os.fsencode(value)) + 2 for name, value in environment.items()]
    stack_bytes, _ = resource.getrlimit(resource.RLIMIT_STACK)
    is_too_much = stack_bytes != resource.RLIM_INFINITY and sum(sizes) > stack_bytes // _SHARE_OF_STACK
    if is_too_much or max(sizes, default=0) > _MAX_STRING_BYTES:
        raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))


def preamble(directory: Path, joins: Sequence[Path], *, reset_oom_score: bool) -> str:
    """Return what the payload's shell does before it comes to the task's script: there is no window for a fork.

    Args:
        directory: of the task.
        joins: the `cgroup.procs` files it enters.
        reset_oom_score: whether the payload must not inherit the protection from the OOM killer that its starter has.
    """
    place = quote(str(directory))
    sorry = f"echo 'the payload could not join its control group' > {place}/reason"
    enter = " && ".join(f"echo 0 > {quote(str(join))}" for join in joins)
    return "".join(
        (
            f"cd {place}/work || exit {JOIN_FAILED_EXIT_CODE}\n",
            f"{enter} || {{ {sorry}; exit {JOIN_FAILED_EXIT_CODE}; }}\n" if joins else "",
            "echo 0 > /proc/self/oom_score_adj\n" if reset_oom_score else "",
        )
    )


def is_protected() -> bool:
    """Tell whether we are kept from the OOM killer more than others: a payload must not inherit that."""
    try:
        return int(read_small("/proc/self/oom_score_adj")) < 0
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class Wrapper:
    """One of these shells; a child of ours.

    Attributes:
        process: which.
        processor_ids: where it and its payloads run, empty for everywhere.
        orders: the descriptor they are written to; None when there will be no more.
        answers: the descriptor they are read from; at its end when the wrapper is over.
    """

    process: Process
    processor_ids: tuple[int, ...]
    orders: int | None
    answers: int

    @property
    def is_kept(self) -> bool:
        """True when it will take another task."""
        return self.orders is not None

    def tell(self, text: bytes) -> None:
        """Give it an order.

        Raises:
            BrokenPipeError: it is over, and has not begun to do it.
        """
        assert self.orders is not None, "it has had its last order"
        while text:
            text = text[os.write(self.orders, text) :]

    def answer(self) -> bytes:
        """Return its answer, empty when it is over; waits for one or the other."""
        return os.read(self.answers, _MAX_ANSWER_BYTES)

    def close(self) -> None:
        """Let go of it: it ends with the task it has."""
        if self.orders is not None:
            os.close(self.orders)
        os.close(self.answers)


class Wrappers:
    """All wrappers of a pool. For several threads.

    Args:
        most_idle: how many may wait for a task.
        shell: the program they are, with options.
    """

    def __init__(self, most_idle: int, shell: Sequence[str] = ("/bin/sh",)) -> None:
        self._most_idle = most_idle
        self._shell = shell
        self._lock = threading.Lock()
        self._idle: list[Wrapper] = []
        self._unreaped: set[int] = set()

    def start(
        self, text: bytes, processor_ids: Sequence[int], bind: Callable[[Process], None], *, is_kept: bool
    ) -> Wrapper:
        """Give an order to an idle wrapper or a new one; return it.

        Args:
            text: the order.
            processor_ids: which processors it may use, empty for all of ours.
            bind: holds a new one to them.
            is_kept: it may have run other tasks, and will; else it ends with this one.

        Raises:
            OSError: the order was not given; EINVAL if none of these processors may be used.
        """
        ids = tuple(processor_ids)
        while wrapper := self._take_idle(ids):
            try:
                wrapper.tell(text)
            except BrokenPipeError:  # somebody has killed it
                self.give_up(wrapper)
            else:
                return wrapper
        wrapper = self._new(ids)
        bind(wrapper.process)
        wrapper.tell(text)
        return wrapper if is_kept else _last_order_given(wrapper)

    def free(self, wrapper: Wrapper) -> None:
        """Take back a wrapper that has answered."""
        with self._lock:
            self._idle.append(wrapper)
            surplus = self._idle.pop(0) if len(self._idle) > self._most_idle else None
        if surplus:
            self.give_up(surplus)

    def give_up(self, wrapper: Wrapper) -> None:
        """Forget a wrapper; it ends when its task is over, if it has not ended yet."""
        wrapper.close()
        with self._lock:
            self._unreaped.add(wrapper.process.pid)
            self._unreaped = {pid for pid in self._unreaped if not reap(pid)}

    def close(self) -> None:
        """End those that are idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for wrapper in idle:
            wrapper.close()
            with suppress(OSError):
                os.kill(wrapper.process.pid, signal.SIGKILL)
                os.waitpid(wrapper.process.pid, 0)

    def _take_idle(self, ids: tuple[int, ...]) -> Wrapper | None:
        with self._lock:
            found = next((wrapper for wrapper in self._idle if wrapper.processor_ids == ids), None)
            if found:
                self._idle.remove(found)
            return found

    def _new(self, ids: tuple[int, ...]) -> Wrapper:
        (orders_in, orders), (answers, answers_in) = os.pipe(), os.pipe()
        try:
            process = spawn([*self._shell, "-s", "node_script"], ids, stdin=orders_in, stdout=answers_in)
        except OSError:
            os.close(orders)
            os.close(answers)
            raise
        finally:
            os.close(orders_in)
            os.close(answers_in)
        wrapper = Wrapper(process, ids, orders, answers)
        identity = f"{process.pid} {boot_id()} {stat_line(process.pid)}"
        wrapper.tell(_BEGIN.format(identity=quote(identity)).encode("utf-8", "surrogateescape"))
        return wrapper


def _last_order_given(wrapper: Wrapper) -> Wrapper:
    assert wrapper.orders is not None
    os.close(wrapper.orders)
    return replace(wrapper, orders=None)


def reap(pid: int) -> bool:
    """Collect a child if it has ended; tell whether there is nothing more to collect."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # collected already, or a wrapper that an earlier object started
        return True
