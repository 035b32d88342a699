"""Tasks of systems whose nodes share no directory with us: one archive goes to the node, one comes back.

    task.tar      what `task/script.py` describes, `patterns`: one line for each output pattern, and `shared`: one line
                  for each input that comes beside it, its SHA-256, which is how it is called there, and its name
    LAUNCHER      what the system starts on the node, beside task.tar, with the stamp as its argument
    renewed.tar   where a system takes more files for a job that waits: `credential`, for the one in task.tar
    result.tar    exit_code and the rest of what the node script left, and in work/ what the patterns match

The launcher makes the task's directory in the scratch directory where it is started; a second start there runs nothing.
When it is asked to end, by SIGTERM, by a file `gridpilot-end` beside it, or because what started it or its directory is
gone, it passes that on to all that carries the task's cookie, and ends what stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from ce_backends.base import TaskSpec
from ce_backends.task.archive import add_credential, add_file, add_task, new_archive
from ce_backends.task.image import NO_LAUNCHER, ImageLauncher
from ce_backends.task.output_list import OUTPUTS
from ce_backends.task.script import COOKIE, DEFAULT_PATH

TASK = "task.tar"
RENEWED = "renewed.tar"
SHARED = "shared"
NOTHING: Mapping[Path, str] = MappingProxyType({})
RESULT = "result.tar"
END = "gridpilot-end"
_NODE_DIR = Path("/@gridpilot-task-directory@")  # known on the node only: the launcher puts it in

# What comes back: what really lies in work/. A link is packed as a link; whoever unpacks decides about links. exit_code
# is last: where it is, all is. Nothing is written by a name that the payload may have made a link.
_LAUNCHER = """\
#!/bin/sh
# gridpilot: launcher STAMP, beside {task}
umask 077
PATH=${{PATH:-{path}}}
export PATH
{first}here=$(pwd -P)/task.$1
fail() {{ echo "gridpilot: $1" >&2; exit 125; }}
case $here in *[!A-Za-z0-9/._+:@=,%~-]*) fail "a task cannot run in a directory called $here" ;; esac
mkdir "$here" || fail "$here is there already: a second start runs nothing"
cd "$here" && tar -xf ../{task} && rm -f ../{task} || fail "{task} cannot be unpacked in $here"
[ ! -f ../{renewed} ] || {{ # what has not come as a whole is passed over
    mkdir new && tar -C new -xf ../{renewed} ./credential && mv -fT new/credential credential
    rm -rf new ../{renewed}
}}
mkdir -p work || fail "$here/work cannot be made"
while IFS= read -r line; do
    sum=${{line%% *}} name=${{line#* }}
    echo "$sum  ../$sum" | sha256sum -c > /dev/null 2>&1 || fail "input $name has not come, or is not what was sent"
    cp -fL -- "../$sum" "work/$name" || fail "input $name cannot be put into $here/work"
done < {shared}
mv node_script node_script.in || fail "{task} is not whole"
LC_ALL=C sed "s|{node_dir}|$here|g" node_script.in > node_script || fail "$here cannot be written"
rm -f node_script.in

send() {{
    found=
    for file in $(/usr/bin/env -i "PATH=$PATH" grep -ls "{cookie}=$2" /proc/[0-9]*/environ); do
        file=${{file#/proc/}}
        kill "-$1" "${{file%/environ}}" 2> /dev/null && found=1
    done
    [ "$found" ]
}}
end() {{
    trap '' TERM
    send TERM "$1"
    for round in 1 2 3 4 5 6; do # 3 s: less than any batch system gives the launcher itself
        send 0 "$1" || break
        sleep 0.5
    done
    while send KILL "$1"; do :; done
    exit 143
}}
trap 'end "$1"' TERM
# A background child of a script ignores SIGINT and SIGQUIT, and so would the payload.
unignore=
env --default-signal=INT,QUIT true 2> /dev/null && unignore='env --default-signal=INT,QUIT'
$unignore /bin/sh ./node_script &
script=$!
# A system may end its own shell only, and say nothing to us (A-REX's fork): then a file tells.
parent=
[ ! -d "/proc/$PPID" ] || parent=/proc/$PPID
(until [ -e ../{end} ] || [ ! -d . ] || [ ! -d "${{parent:-.}}" ]; do sleep 1; done; kill -TERM $$) \
    < /dev/null > /dev/null 2>&1 &
watcher=$!
wait "$script"
kill "$watcher" 2> /dev/null

{outputs}
lists=$(mktemp -d -- ../lists.XXXXXXXXXX) || fail "no directory can be made in $here/.."
pack() {{ tar -cf "$lists/result" --hard-dereference --null --verbatim-files-from --files-from="$lists/$1"; }}
small() {{
    for name in started stdout stderr times limit reason exit_code; do
        [ ! -f "$name" ] || printf '%s\\0' "$name"
    done
}}
{{ outputs "$lists" < patterns; small; }} > "$lists/all"
small > "$lists/small"
pack all || {{ echo "gridpilot: not all outputs could be packed" >> stderr; pack small; }}
mv -fT -- "$lists/result" ../{result} || fail "{result} cannot be written in $here/.."
rm -rf -- "$lists"
"""


def launcher(first: Sequence[str] = ()) -> bytes:
    """Return the script that the system starts; these shell commands are run before anything else."""
    lines = "".join(f"{line}\n" for line in first)
    values = {
        "task": TASK,
        "renewed": RENEWED,
        "shared": SHARED,
        "result": RESULT,
        "end": END,
        "path": DEFAULT_PATH,
        "node_dir": _NODE_DIR,
        "cookie": COOKIE,
        "outputs": OUTPUTS,
    }
    return _LAUNCHER.format(first=lines, **values).encode()


def write_renewed(path: Path, credential: Path) -> None:
    """Write the archive that brings a newer credential to a task that has not begun.

    Raises:
        CEError: the credential cannot be read.
        OSError: it cannot be written.
    """
    with path.open("wb") as file, new_archive(file) as archive:
        add_credential(archive, ".", credential)


def write_task(
    path: Path,
    task: TaskSpec,
    passed: Sequence[str],
    launcher: ImageLauncher = NO_LAUNCHER,
    beside: Mapping[Path, str] = NOTHING,
) -> None:
    """Write the archive that goes to the node; see `task/archive.py`.

    Args:
        path: of the archive.
        task: the task.
        passed: variables of the batch system that the payload gets where they are set.
        launcher: starts the payload in the image that the task asks for.
        beside: SHA-256 of shared files that come beside the archive, under that name.

    Raises:
        CEError: an input cannot be read, a variable not passed on, or nothing starts the task's image.
        OSError: it cannot be written.
    """
    lines = [f"{beside[source]} {source.name}\n" for source in task.shared if source in beside]
    task = replace(task, shared=[source for source in task.shared if source not in beside])
    with path.open("wb") as file, new_archive(file) as archive:
        add_file(archive, SHARED, "".join(lines).encode("utf-8", "surrogateescape"), 0o600)
        add_file(archive, "patterns", "".join(f"{pattern}\n" for pattern in task.outputs).encode(), 0o600)
        add_task(archive, task, ".", _NODE_DIR, passed, launcher)
