"""What a wrapper is told to do for a task, as commands of POSIX sh.

What they read and write is what `task/script.py` says, but that the exit code is a line behind the record in `task`:
file systems are slow at making files. `task`, `started` and `times` are the pool's own: see `task/directory.py`. In a
container also:

    outside       what the wrapper starts then     entered      says that the container was started:
    inside        the first script there                        a pipe; gone as soon as it has
    covers/       empty, over what is hidden

`entered` tells by what is in it, and what the first script puts there nobody takes out again: the payload, which comes
after it, has neither its name nor an open end.
"""

import errno
import os
import re
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ce_backends.base import TaskSpec
from ce_backends.containers.entrypoint import Launch
from ce_backends.linux.small_files import read_small
from ce_backends.task.directory import TaskDir
from ce_backends.task.script import DEFAULT_PATH, JOIN_FAILED_EXIT_CODE, assignments, environment_of, quote

_MAX_STRING_BYTES = 32 * 4096 - 1  # execve(2): MAX_ARG_STRLEN
_SHARE_OF_STACK = 4  # execve(2): arguments and environment take at most a fourth of the stack's limit

# The payload may have put a pipe in the place of `task`: to open one for writing would take for ever.
_ORDER = """\
set -C
if {{ echo "$gridpilot_identity" > {started}; }} 2> /dev/null; then
set +C
{run}{times}{if_entered}read -r gridpilot_up gridpilot_idle < /proc/uptime 2> /dev/null
[ ! -f {task} ] || {{ echo "$gridpilot_code $gridpilot_up" >> {task}; }} 2> /dev/null || {{
    /bin/rm -rf {payload} {tmp}
    /bin/sync {directory}
    echo "$gridpilot_code $gridpilot_up" >> {task}
}}
echo "$gridpilot_code"
{or_not}else
set +C
echo refused
fi
"""
_RUN = """\
{run} < /dev/null > {stdout} 2> {stderr}
gridpilot_code=$?
"""
# No end of the pipe reaches the container but the one that its first script opens. The line that is always there is
# for a container that did not start: to read would wait for ever.
_RUN_ENCLOSED = """\
gridpilot_entered=
{{
{run} 4>&- < /dev/null > {stdout} 2> {stderr}
gridpilot_code=$?
echo over >&4
read -r gridpilot_entered <&4
}} 4<> {entered}
"""
# The payload's shell, as a fork of the wrapper: that saves to load one, and to make a file of the script.
_FORK = """\
(
unset gridpilot_identity gridpilot_code gridpilot_up gridpilot_idle
export {variables}
set --
eval {script}
)"""
# By these a script could tell a fork from a shell of its own, and name a process that is not its own.
_KNOWS_ITS_SHELL = re.compile(
    r"\$\{?[$0-]|PPID|BASH|SHLVL|SECONDS|LINENO|\b(?:eval|source)\b|(?:^|[;&|({`\s])\.\s", re.ASCII
)
# A container that did not start is no result of the payload: there is a reason then, and no exit code.
_IF_ENTERED = 'if [ "$gridpilot_entered" = entered ]; then\n'
_OR_NOT = """\
else
[ -s {reason} ] || echo "the container did not start: $(/usr/bin/tail -n 1 {stderr})" > {reason}
echo none
fi
"""
_FILES = ("payload", "tmp", "stdout", "stderr", "outside", "entered", "reason")
_NOTES = ("started", "task")
_PROGRAM = {False: "payload", True: "outside"}  # by whether the payload runs in a container
# Variables that some shell makes use of itself, changes, or keeps from being set.
_SHELLS_OWN = re.compile(
    r"_|BASH.*|COMP_.*|DIRSTACK|ENV|EPOCH.*|EUID|FUNCNAME|FUNCNEST|GROUPS|HISTCMD|IFS|LINENO|MAILCHECK|OLDPWD|OPTARG"
    r"|OPTERR|OPTIND|PIPESTATUS|POSIXLY_CORRECT|PPID|PS[0-4]|PWD|RANDOM|SECONDS|SHELLOPTS|SHLVL|SRANDOM|TMOUT|UID"
)


@dataclass(frozen=True, slots=True)
class WrapperScript:
    """How a task is started.

    Attributes:
        order: what its wrapper is told.
        preamble: what its first shell does before anything else.
        has_script: the order holds the script; without it a file has to.
    """

    order: bytes
    preamble: str
    has_script: bool


def render(
    spec: TaskSpec,
    directory: TaskDir,
    launch: Launch | None,
    joins: Sequence[Path],
    *,
    is_counted: bool,
    tmpdir: Path | None = None,
) -> WrapperScript:
    """Return how a task is started.

    Args:
        spec: the task.
        directory: of it.
        launch: starts the payload, where it is not to be started by a shell.
        joins: the `cgroup.procs` files it enters.
        is_counted: all that it has run is counted by its control group, and it is held by that and not by a cookie.
        tmpdir: a shorter name of its directory for temporary files.

    Raises:
        CEError: a variable cannot be passed on.
        OSError: E2BIG, the kernel would not start a program with such an environment.
    """
    own = launch.environment if launch else environment_of(spec, directory.path, tmpdir)
    environment = {"PATH": DEFAULT_PATH, **own}
    first = preamble(directory.path, joins, reset_oom_score=is_protected())
    forked = first + spec.script if is_counted and not launch and may_fork(spec.script, environment) else ""
    text = order(directory, environment, with_times=not is_counted, is_enclosed=launch is not None, forked=forked)
    return WrapperScript(text, first, bool(forked))


def order(
    directory: TaskDir,
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
    place, notes = quote(str(directory.path)), quote(directory.note(""))
    files = {name: f"{place}/{name}" for name in _FILES} | {name: f"{notes}{name}" for name in _NOTES}
    program = _fork(environment, forked) if forked else _shell(environment, files[_PROGRAM[is_enclosed]])
    text = _ORDER.format(
        directory=place,
        run=(_RUN_ENCLOSED if is_enclosed else _RUN).format(run=program, **files),
        times=f"times > {notes}times\n" if with_times else "",
        if_entered=_IF_ENTERED if is_enclosed else "",
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


@cache
def is_protected() -> bool:
    """Tell whether we are kept from the OOM killer more than others: a payload must not inherit that."""
    try:
        return int(read_small("/proc/self/oom_score_adj")) < 0
    except OSError:
        return False
