"""`make bench-register`: a hundred thousand files published by `gridpilot data register`, next to DIRAC's own client.

The files lie on XRootD; the catalogue is DIRAC's FileCatalog. Ours lists folders, asks for checksums and registers; it
is killed half-way and started again. DIRAC's client has only to register, a thousand files in each call, and is given
sizes and checksums: of a tenth before ours, of a tenth after it. What the catalogue holds then is counted in its
database and listed by DIRAC's client. The table goes to docs/data.md.
"""

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import machine
from tests.system import storage as storage_scripts
from tests.system.data_scene import start_again
from tests.system.dirac_stack import ROOT, Stack, is_up, script
from tests.system.storage import DiracData, Storage

PAGE = ROOT / "docs" / "data.md"
BEGIN, END = "<!-- make bench-register -->", "<!-- end -->"
ELEMENT = "XRD-https"
OF_A_FOLDER = 1000
TARGET_AN_HOUR = 1_000_000
LONGEST_S = 1800.0  # of one call to DIRAC's client


def lay(data: DiracData, directory: str, count: int) -> None:
    """Lay small files on the element's disk, of which the catalogue knows nothing."""
    top = data.path(ELEMENT, directory)
    owner = top.parent.parent.stat()

    def belongs(path: Path) -> None:
        os.chown(path, owner.st_uid, owner.st_gid)

    for folder in (top.parent, top):
        folder.mkdir(exist_ok=True)
        belongs(folder)
    for number in range(count):
        folder = top / f"d{number // OF_A_FOLDER:04}"
        if number % OF_A_FOLDER == 0:
            folder.mkdir()
            belongs(folder)
        path = folder / f"{number:07}.root"
        path.write_bytes(f"content of {number}\n".encode())
        belongs(path)


def start(stack: Stack, data: DiracData, directory: str, folder: Path) -> subprocess.Popen[bytes]:
    """Start `gridpilot data register` as a user does."""
    ours = {"X509_USER_PROXY": stack.endpoint["user_proxy"], "X509_CERT_DIR": data.storage.endpoint["ca_dir"]}
    argv = [sys.executable, "-m", "agents.data_cli", "register", ELEMENT, directory]
    argv += ["-C", stack.endpoint["configuration"], "--json"]
    return subprocess.Popen(argv, cwd=folder, env=os.environ | ours | {"PYTHONPATH": str(ROOT)}, stdout=sys.stderr)


def registered(stack: Stack, data: DiracData, directory: str, count: int, folder: Path) -> tuple[float, int]:
    """Publish a directory, killed when half of it is known; the seconds of both processes, and what was known then."""
    began_s = time.monotonic()
    process = start(stack, data, directory, folder)
    try:
        while process.poll() is None and data.registered(directory).files < count // 2:
            time.sleep(1.0)
    finally:
        process.send_signal(signal.SIGKILL)
    if process.wait() != -signal.SIGKILL:
        raise SystemExit("it had ended before it was killed")
    first_s, known = time.monotonic() - began_s, data.registered(directory).files
    start_again()  # XRootD 5.5 may end itself where a client dies in the midst of its answers
    began_s = time.monotonic()
    if start(stack, data, directory, folder).wait():
        raise SystemExit("the second process has failed")
    return first_s + time.monotonic() - began_s, known


def row(name: str, count: int, seconds: float) -> str:
    """One line of the table."""
    return f"| {name} | {count} | {seconds:.0f} s | {count / seconds * 3600:.0f} |"


def measured(stack: Stack, data: DiracData, count: int, folder: Path) -> str:
    """The table and what was counted.

    Raises:
        SystemExit: a file is missing, or there twice.
    """
    directory = f"/labvo/data/register-{uuid.uuid4().hex[:8]}"
    lay(data, directory, count)
    part = count // 10  # of DIRAC's client, before ours and after it
    before_s = _theirs(data, part)
    ours_s, killed_at = registered(stack, data, directory, count, folder)
    theirs_s = before_s + _theirs(data, part)
    times = ours_s / count / (theirs_s / part / 2)
    held = data.registered(directory)
    listed = data.client("user", "list", directory)
    if not held.files == held.guids == held.replicas == len(set(listed)) == len(listed) == count:
        raise SystemExit(f"{count} were laid; the catalogue has {held}, DIRAC's client lists {len(listed)}")
    verdict = "reached" if count / ours_s * 3600 >= TARGET_AN_HOUR else "missed"
    return "\n".join(
        [
            f"{machine.in_words()}; load at the end: {machine.load()}.",
            "",
            "| | files | time | files an hour |",
            "|---|--:|--:|--:|",
            row("`gridpilot data register`: lists, asks for checksums, registers", count, ours_s),
            row("DIRAC's own client: `addFile` alone, a thousand in each call", 2 * part, theirs_s),
            "",
            f"A file takes ours {times:.2f} times as long as `addFile` alone takes DIRAC's client.",
            f"A million an hour: {verdict}.",
            f"It was killed by SIGKILL when {killed_at} files were known, and started again. Then the database of the",
            f"catalogue had {held.files} files with {held.guids} GUIDs and {held.replicas} replicas, and DIRAC's",
            f"client listed {len(listed)}: none missing, none twice.",
        ]
    )


def _theirs(data: DiracData, count: int) -> float:
    spent: float = data.client("user", "add", f"/labvo/data/{uuid.uuid4().hex[:8]}", ELEMENT, str(count))["seconds"]
    return spent


def write(table: str) -> None:
    """Put the table into the page."""
    text = PAGE.read_text(encoding="utf-8")
    between = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    PAGE.write_text(between.sub(lambda _: f"{BEGIN}\n{table}\n{END}", text), encoding="utf-8")


def main() -> int:
    """Bring the stack up, measure, write the table, and leave the stack as it was found."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    was_up = is_up()
    script("up.sh")
    storage_scripts.script("up.sh", "dirac")
    stack = Stack()
    try:
        with TemporaryDirectory(prefix="bench-register-") as folder:
            table = measured(stack, DiracData(stack, Storage(), LONGEST_S), count, Path(folder))
    finally:
        if not was_up:
            storage_scripts.script("down.sh")
            script("down.sh")
    print(table)
    write(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
