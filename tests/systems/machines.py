"""Real machines of this host for tests: the image, options of the CE, what of a machine can be seen from outside."""

import os
import signal
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest

from ce_backends.base import TaskSpec
from tests.systems.real_system import ROOT

UP_S = 900
LEAN, WHOLE = "initrd-lean", "initrd"  # cloud-init without systemd, and as clouds have it
# What the kernel does against leaks between processes takes a third of an emulated processor.
APPEND = "root=/dev/vda rw console=ttyS0 panic=5 quiet mitigations=off nopti audit=0 no_timer_check"
# A site's own part of the user data: here a relay, so that what is told to ask localhost comes to this machine's.
RELAY = """\
#cloud-config
write_files:
- path: /run/relay.py
  content: |
    import socket, threading
    def copy(a, b):
        while data := a.recv(65536):
            b.sendall(data)
        b.shutdown(socket.SHUT_WR)
    def serve(near):
        far = socket.create_connection(("10.0.2.2", {port}))
        for pair in ((near, far), (far, near)):
            threading.Thread(target=copy, args=pair, daemon=True).start()
    listening = socket.create_server(("127.0.0.1", {port}), backlog=64)
    while True:
        threading.Thread(target=serve, args=listening.accept()[:1], daemon=True).start()
bootcmd:
- - sh
  - -c
  - "(until [ -e /run/relay.py ]; do sleep 0.2; done; exec python3 /run/relay.py) < /dev/null > /dev/null 2>&1 &"
"""


def image(request: pytest.FixtureRequest) -> Path:
    """Return the folder of the image; where it cannot be made the tests are skipped, or fail with --need."""
    script = ROOT / "tests/clusters/cloud/up.sh"
    done = subprocess.run([script], check=False, text=True, capture_output=True, timeout=UP_S)
    if done.returncode != 0:
        needed = request.config.getoption("--need")
        (pytest.fail if {"cloud", "all"} & set(needed) else pytest.skip)(f"cloud was not run: {done.stderr.strip()}")
    return Path(done.stdout.strip())


def options(image: Path, initrd: str = LEAN, **more: object) -> dict[str, str]:
    """Return the options of a Cloud CE whose machines are this host's."""
    told: Mapping[str, object] = {
        "CloudType": "qemu",
        "Instance_Image": image / "disk.raw",
        "Instance_Flavor": "1x512",
        "Driver_kernel": image / "vmlinuz",
        "Driver_initrd": image / initrd,
        "Driver_append": APPEND,
        "StatusInterval": 1,
        "Context_MaxLifetime": 1800,
        **more,
    }
    return {name: str(value) for name, value in told.items()}


def task(script: str, **more: object) -> TaskSpec:
    return TaskSpec(stamp=uuid.uuid4().hex, script=script, **more)  # type: ignore[arg-type]


def machines(ce_folder: Path) -> list[Path]:
    """Return the folders of the machines of a CE."""
    return sorted((ce_folder / "machines").glob("gridpilot-*"))


def pid_of(machine: Path) -> int:
    return int((machine / "pid").read_text())


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def console(machine: Path) -> str:
    return (machine / "console").read_text(errors="replace")


def end_all(folder: Path) -> None:
    """End what a test that failed has left."""
    for machine in folder.rglob("machines/gridpilot-*"):
        try:
            os.kill(pid_of(machine), signal.SIGKILL)
        except (OSError, ValueError):
            continue
