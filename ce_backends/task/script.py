"""The one small POSIX sh script that runs a task on its node, the same for every backend.

It is started as `sh FILE` and needs nothing but the task's directory:

    payload       the task's own script            started      created once, by the run that counts: its pid,
    work/         where the payload runs                        the boot id and the kernel's stat line of the script
    tmp/          TMPDIR, made here as work/ is    stdout, stderr
                  where nobody has made them
    node_script   this script                      times        begin and end in seconds since the boot, then CPU
                                                                times as the shell's `times` prints them
    credential    the payload's, if any            exit_code    last of all, one line
    limit         which limit it has reached,      reason       one line the payload may leave
                  where the script itself keeps it secrets/     the payload's secret files, if any

A file that ends without a newline is not finished: each is one write, so nothing has to be renamed.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ce_backends.base import TaskSpec
from ce_backends.errors import CEError
from ce_backends.linux.short_path import LONGEST_TMPDIR
from ce_backends.task.image import NO_LAUNCHER, ImageLauncher
from ce_backends.task.secret_files import PLACE, SECRETS

COOKIE = "GRIDPILOT_TASK"
REASON_FILE = "GRIDPILOT_REASON_FILE"
CREDENTIAL = "GRIDPILOT_CREDENTIAL"
JOIN_FAILED_EXIT_CODE = 125  # as env, nice and docker use it: the tool failed, not the program
DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

# What a shell that starts a payload says first: signals go to the whole task, and it is to wait for what the payload
# makes of them. They are caught, not ignored: what is ignored stays ignored in the payload.
OUTLIVES_PAYLOAD = "trap : TERM INT HUP USR1 USR2 XCPU"

# The payload runs in the foreground,
# because POSIX makes a background child of a script ignore SIGINT and SIGQUIT.
_TEMPLATE = """\
#!/bin/sh
# {stamp}: a second start of this script ends at once without running anything.
[ "${{{cookie}-}}" = {stamp} ] || exec env -i {assignments}{passed} /bin/sh "$0"
umask 022
cd {directory} || exit 1
read -r gridpilot_boot < /proc/sys/kernel/random/boot_id
read -r gridpilot_stat < /proc/$$/stat
set -C
{{ echo "$$ $gridpilot_boot $gridpilot_stat" > started; }} 2> /dev/null || exit 0
set +C
{outlives}
{makes}read -r gridpilot_began gridpilot_rest < /proc/uptime
(
unset gridpilot_boot gridpilot_stat
{needs}cd work && exec {within}/bin/sh {payload}
) < /dev/null > stdout 2> stderr
gridpilot_code=$?
read -r gridpilot_ended gridpilot_rest < /proc/uptime
{after}{{ echo "$gridpilot_began $gridpilot_ended"; times; }} > times
{{ echo "$gridpilot_code" > exit_code; }} 2> /dev/null && exit
rm -rf payload tmp
sync .
echo "$gridpilot_code" > exit_code
"""

# Where nobody watches the task, its script does: the wall limit, and at the end what the payload left running. What
# looks for it starts with an empty environment, so that it does not find itself. Who is just becoming another program
# shows no variable at all for that moment (it has an `exe`, unlike a zombie and a thread of the kernel), and who was
# born during the look was not seen: over is what two looks on end have found nothing of, and no process without a
# variable that is younger than this script. A few programs have none for good, so that is waited for a second only.
_SWEEP = """\
gridpilot_birth() {{ # field 22 of /proc/PID/stat, in clock ticks
    set -- ${{1##*) }}
    gridpilot_born=${{20-}}
}}
gridpilot_birth "$gridpilot_stat"
gridpilot_own_birth=$gridpilot_born
gridpilot_quiet=0
for gridpilot_round in 1 2 3 4 5 6 7 8 9 10 11 12; do
    gridpilot_left= gridpilot_odd=
    gridpilot_found=$(/usr/bin/env -i {path} timeout 20 grep -l {cookie}={stamp} /proc/[0-9]*/environ 2> /dev/null)
    for gridpilot_pid in $gridpilot_found; do
        gridpilot_pid=${{gridpilot_pid#/proc/}}
        gridpilot_pid=${{gridpilot_pid%/environ}}
        [ "$gridpilot_pid" = $$ ] || {{ kill -KILL "$gridpilot_pid" 2> /dev/null && gridpilot_left=1; }}
    done
    for gridpilot_file in $(timeout 20 grep -L '' /proc/[0-9]*/environ 2> /dev/null); do
        gridpilot_file=${{gridpilot_file%/environ}}
        [ -e "$gridpilot_file/exe" ] && read -r gridpilot_stat < "$gridpilot_file/stat" || continue
        gridpilot_birth "$gridpilot_stat"
        [ "${{gridpilot_born:-$gridpilot_own_birth}}" -lt "$gridpilot_own_birth" ] || gridpilot_odd=1
    done 2> /dev/null
    if [ "$gridpilot_left$gridpilot_odd" ]; then gridpilot_quiet=0; else gridpilot_quiet=$((gridpilot_quiet + 1)); fi
    [ "$gridpilot_quiet" -lt 2 ] || break
    [ -z "$gridpilot_odd" ] || sleep 0.1
done
"""
# How long the directory's name is, the node knows: sockets have to fit below TMPDIR (see `linux/short_path.py`).
_SHORTENS = f"""\
gridpilot_short=
if [ ${{#TMPDIR}} -gt {LONGEST_TMPDIR} ] && gridpilot_short=$(mktemp -d /tmp/gp-XXXXXXXX 2> /dev/null); then
    ln -s "$TMPDIR" "$gridpilot_short/t" && TMPDIR=$gridpilot_short/t
fi
"""
_LENGTHENS = '[ -z "$gridpilot_short" ] || rm -rf "$gridpilot_short"\n'
_WITHIN_WALL = "/usr/bin/timeout -k {grace_s} {wall_s} "
_NEEDS = """\
command -v {program} > /dev/null 2>&1 || {{ echo {sentence} > reason; exit {code}; }}
"""
_WALL_ENDS = """\
[ $((${{gridpilot_ended%.*}} - ${{gridpilot_began%.*}})) -lt {wall_s} ] || echo wall > limit
"""
WALL_GRACE_S = 5  # from SIGTERM to SIGKILL for a payload at its wall limit


def quote(text: str) -> str:
    """Return text as one word of POSIX sh, whatever is in it.

    Raises:
        CEError: it holds a NUL, which no process can be given.
    """
    if "\0" in text:
        raise CEError(f"{text!r} holds a NUL character, which cannot be passed to a process")
    return "'" + text.replace("'", "'\\''") + "'"


def environment_of(spec: TaskSpec, task_dir: Path, tmpdir: Path | None = None) -> dict[str, str]:
    """Return all variables the payload starts with, PATH only if the task names it.

    Args:
        spec: the task.
        task_dir: its directory.
        tmpdir: a shorter name of the directory for temporary files in there.

    Raises:
        CEError: a name is not one of POSIX sh, or a value holds a NUL.
    """
    for name, value in spec.environment.items():
        if not _VARIABLE.match(name):
            raise CEError(f"environment variable {name!r}: expected letters, digits and _, not beginning with a digit")
        if "\0" in value:
            raise CEError(f"environment variable {name}: its value holds a NUL character")
    own = {COOKIE: spec.stamp, REASON_FILE: f"{task_dir}/reason"}
    if spec.credential is not None:
        own[CREDENTIAL] = f"{task_dir}/credential"
    if spec.secrets:
        own[SECRETS] = f"{task_dir}/{PLACE}"
    return {"HOME": f"{task_dir}/work", "TMPDIR": str(tmpdir or task_dir / "tmp"), **spec.environment, **own}


def assignments(environment: Mapping[str, str]) -> str:
    """Return variables as env(1) takes them, words of POSIX sh."""
    words = [quote(f"{name}={value}") for name, value in environment.items()]
    if "PATH" not in environment:
        words.append(f'"PATH=${{PATH:-{DEFAULT_PATH}}}"')
    return " ".join(words)


def render(
    spec: TaskSpec,
    task_dir: Path,
    *,
    passed: Sequence[str] = (),
    is_alone: bool = False,
    launcher: ImageLauncher = NO_LAUNCHER,
) -> bytes:
    """Return the script for one task; bytes, because a variable may hold any.

    Started without the task's cookie in its environment (by a batch system), it first starts itself again with exactly
    the task's variables; started with it, the caller has given exactly those already and that costs nothing.

    Args:
        spec: the task.
        task_dir: its directory on the node, absolute.
        passed: variables of the starter that the payload gets where they are set.
        is_alone: nobody watches on the node: the script itself keeps the wall limit, writing `wall` into the file
            `limit`, and ends what carries the task's cookie when the payload has ended.
        launcher: starts the payload in the image that the task asks for.

    Raises:
        CEError: a variable cannot be passed on, or the task asks for an image in which nothing here can start it.
    """
    has_wall = is_alone and spec.wall_s > 0
    limits = {"wall_s": spec.wall_s, "grace_s": WALL_GRACE_S}
    enters = launcher.argv(spec.image, task_dir)  # in an image, only the task's directory is surely seen
    shortens = "yes" if is_alone and not enters and "TMPDIR" not in spec.environment else ""
    sweep = _SWEEP.format(stamp=spec.stamp, cookie=COOKIE, path=f"PATH={DEFAULT_PATH}")
    text = _TEMPLATE.format(
        stamp=spec.stamp,
        cookie=COOKIE,
        outlives=OUTLIVES_PAYLOAD,
        assignments=assignments(environment_of(spec, task_dir)),
        passed="".join(f' ${{{name}+"{name}=${name}"}}' for name in passed if name not in spec.environment),
        directory=quote(str(task_dir)),
        makes="mkdir -p -m 700 work tmp\n" + (shortens and _SHORTENS) if is_alone else "",
        needs=_needs(enters[0]) if enters else "",
        within=(_WITHIN_WALL.format(**limits) if has_wall else "") + "".join(f"{quote(word)} " for word in enters),
        payload=quote(f"{task_dir}/payload"),
        after=(_WALL_ENDS.format(**limits) if has_wall else "")
        + (shortens and _LENGTHENS)
        + (sweep if is_alone else ""),
    )
    return text.encode("utf-8", "surrogateescape")


def _needs(program: str) -> str:
    """Return the lines that end a task whose launcher is not on its node."""
    sentence = quote(f"there is no {program} on this node, which is to start the task's image (ContainerLauncher)")
    return _NEEDS.format(program=quote(program), sentence=sentence, code=JOIN_FAILED_EXIT_CODE)
