"""What a machine is told: user data for cloud-init, by which it runs one task, says how that ended, and goes off.

    parcel.tar    the launcher and task.tar of `batch/launcher.py`; on a disk of its own, or in the text
    console       what the task leaves goes back by it, in lines that `console.py` reads; no other way leads out of
                  every cloud

The task is another user's, who can neither read what the machine was given nor write on its console.
"""

import base64
import gzip
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from io import BytesIO
from pathlib import Path

from ce_backends.batch.launcher import RESULT, TASK
from ce_backends.task.script import DEFAULT_PATH, quote

LAUNCHER = "launcher"
DISK = "gridpilot"  # serial number of the parcel's disk
MARK = "gridpilot"  # begins what is for us on the console

# What is given up is said, as what has ended well is, because nobody can ask the machine. sysrq needs no init system.
_SCRIPT = """\
#!/bin/sh
# gridpilot: machine of one task
umask 077
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
stamp={stamp} user={user} most={most}
say() {{ printf '\\n{mark}:%s:%s\\n' "$stamp" "$1" > /dev/console; }}
off() {{ sync; sleep 1; echo o > /proc/sysrq-trigger; sleep 60; poweroff -f; }}
fail() {{ say "failed:$1"; off; }}
(sleep {lifetime_s}; say "failed:it has reached its deadline of {lifetime_s} s"; off) < /dev/null > /dev/null 2>&1 &
echo 1 > /proc/sys/kernel/printk # nothing of the kernel's in the middle of our lines
# what the machine was given can be asked for on some clouds: not by the task
ip route add unreachable 169.254.169.254/32 2> /dev/null
place=/var/lib/gridpilot-task
mkdir -p /var/lib && mkdir -m 700 "$place" && cd "$place" || fail "$place cannot be made"
{unpack}
id "$user" > /dev/null 2>&1 || useradd --create-home --shell /bin/sh "$user" || fail "no user $user can be made"
{files}\
chown -R "$user" "$place"
as_user() {{ setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups env -i "PATH={path}" "$@"; }}
say began
as_user /bin/sh ./{launcher} "$stamp" < /dev/null > launcher.out 2>&1
head -c 2000 launcher.out >&2
[ -f {result} ] && [ ! -h {result} ] || {{
    say "failed:it has left no result: $(tr -cd '[:print:] ' < launcher.out | head -c 300)"
    off
}}
packed() {{ gzip -c < "$1" | base64 -w 100 > packed; [ "$(stat -c %s packed)" -le "$most" ]; }}
packed {result} || {{
    # too much for a console: the ends of the logs, and how the task ended
    as_user /bin/sh -c 'umask 077; mkdir few && cd "task.$1" || exit
        for name in stdout stderr; do
            [ ! -f $name ] || [ -h $name ] || tail -c 6000 $name > ../few/$name
        done
        for name in started times limit reason exit_code; do
            [ ! -f $name ] || [ -h $name ] || head -c 1000 $name > ../few/$name
        done
        echo "gridpilot: too much for the console of a machine: only the ends of the logs are here" >> ../few/stderr
        cd ../few && tar -cf ../few.tar *' sh "$stamp"
    packed few.tar || fail "its result cannot be packed"
}}
sum=$(sha256sum packed | cut -c 1-64)
nl -b a -w 1 -s : packed | sed "s/^/{mark}:$stamp:line:/" > /dev/console
say "end:$(wc -l < packed):$sum"
off
"""
_FROM_DISK = """\
for serial in /sys/block/*/serial; do
    [ "$(cat "$serial" 2> /dev/null)" != {disk} ] || disk=/dev/$(basename "$(dirname "$serial")")
done
[ "${{disk:-}}" ] && tar -xf "$disk" || fail "the disk with the task cannot be read"
"""
_FROM_TEXT = """\
base64 -d << 'PARCEL' | gzip -d | tar -xf - || fail "the task cannot be unpacked"
{text}PARCEL
"""
_FILES = """\
fetch() {{
    if command -v curl > /dev/null; then curl -fsS --proto =https --retry 5 --max-time 1800 -o "$2" "$1"
    elif command -v wget > /dev/null; then wget -q --https-only -T 60 -t 5 -O "$2" "$1"
    else python3 -c 'import sys, urllib.request as u; u.urlretrieve(sys.argv[1], sys.argv[2])' "$1" "$2"
    fi
}}
more() {{
    fetch {url}/"$1".tar more.tar || fail "{url}/$1.tar cannot be fetched"
    echo "$1  more.tar" | sha256sum -c > /dev/null 2>&1 || fail "{url}/$1.tar is not what was to be there"
    tar -Af {task} more.tar && rm -f more.tar || fail "{task} cannot be completed"
}}
{calls}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contextualisation:
    """What all machines of a CE are told.

    Attributes:
        user: that the task runs as; made where there is none.
        lifetime_s: after so long the machine goes off, whatever it does.
        cloud_config: more for cloud-init, which is done before our script.
        packages: to be installed before it.
        files_url: from where machines fetch what is too large for their user data.
    """

    user: str
    lifetime_s: int
    cloud_config: str = ""
    packages: Sequence[str] = ()
    files_url: str = ""


def parcel(launcher: Path, task: Path, into: Path) -> None:
    """Write the archive that a machine unpacks.

    Raises:
        OSError: it cannot be written.
    """
    with tarfile.open(into, "w") as archive:
        archive.add(launcher, LAUNCHER)
        archive.add(task, TASK)


def user_data(
    told: Contextualisation, stamp: str, parcel: Path | None, *, files: Sequence[str] = (), console_bytes: int
) -> bytes:
    """Return what cloud-init gets, compressed.

    Args:
        told: by the CE.
        stamp: of the task.
        parcel: the archive, to go in the text; None where it comes on a disk.
        files: SHA-256 of the archives that the machine fetches.
        console_bytes: the most that the result may take there.

    Raises:
        OSError: the archive cannot be read.
    """
    script = _SCRIPT.format(
        stamp=stamp,
        user=quote(told.user),
        most=console_bytes,
        mark=MARK,
        lifetime_s=told.lifetime_s,
        unpack=_unpack(parcel),
        files=_fetched(told.files_url, files) if files else "",
        path=DEFAULT_PATH,
        launcher=LAUNCHER,
        result=RESULT,
    )
    return gzip.compress(_with_the_sites(told, script).encode(), mtime=0)


def _unpack(parcel: Path | None) -> str:
    if parcel is None:
        return _FROM_DISK.format(disk=DISK)
    text = base64.encodebytes(gzip.compress(parcel.read_bytes(), mtime=0)).decode("ascii")
    return _FROM_TEXT.format(text=text)


def _fetched(url: str, files: Sequence[str]) -> str:
    calls = "".join(f"more {sha256}\n" for sha256 in files)
    return _FILES.format(url=url, task=TASK, calls=calls)


def _with_the_sites(told: Contextualisation, script: str) -> str:
    """Return our script alone, or with what the site adds, as cloud-init takes several parts."""
    packages = f"#cloud-config\npackages: [{', '.join(told.packages)}]\n" if told.packages else ""
    parts = [(text, "cloud-config") for text in (told.cloud_config, packages) if text]
    if not parts:
        return script
    together = MIMEMultipart()
    for number, (text, kind) in enumerate([*parts, (script, "x-shellscript")]):
        part = MIMEText(text, kind, "utf-8")
        part.add_header("Content-Disposition", f'attachment; filename="part-{number}"')
        if kind == "cloud-config":
            part.add_header("Merge-Type", "list(append)+dict(recurse_array)+str()")
        together.attach(part)
    return together.as_string()


def unpacked(user_data: bytes) -> str:
    """Return user data as text."""
    with gzip.GzipFile(fileobj=BytesIO(user_data)) as file:
        return file.read().decode()
