"""What a package of the system brings, Debian's or RPM: the bundle, a command, the unit, the manual page."""

import gzip
import os
import shutil
from pathlib import Path

from tools.release.wheel import ROOT, said

PACKAGING = ROOT / "packaging"
STARTER = '#!/bin/sh\nexec /usr/bin/python3 -I /usr/lib/gridpilot/start.py "$@"\n'
DESCRIPTION = """\
A pilot finds out what a node offers, asks the WMS for jobs, runs each of them contained, and reports it to its end.
This package brings the pilot and its agent with a Python of their own, and gridpilot-pilot@.service for hosts that
have no batch system.
"""


def epoch() -> str:
    """Return when the source was committed, s since 1970: the same source makes the same package."""
    return os.environ.get("SOURCE_DATE_EPOCH") or said("git", "-C", str(ROOT), "log", "-1", "--format=%ct")


def fill(tree: Path, bundle: Path, *, units: str, licence: str) -> None:
    """Lay everything out as it will lie on the host, all of it as old as the source.

    Args:
        tree: the root of it, to be made.
        bundle: the unpacked folder, `dist/gridpilot`.
        units: the folder of the system's units.
        licence: where the licence goes.
    """
    epoch_s = epoch()
    shutil.copytree(bundle, tree / "usr/lib/gridpilot")
    write(tree / "usr/bin/gridpilot", STARTER, 0o755)
    _copy(PACKAGING / "gridpilot-pilot@.service", tree / units / "gridpilot-pilot@.service")
    _copy(PACKAGING / "example.conf", tree / "usr/share/doc/gridpilot/example.conf")
    _copy(ROOT / "LICENSE", tree / licence)
    page = tree / "usr/share/man/man1/gridpilot.1.gz"
    page.parent.mkdir(parents=True)
    page.write_bytes(gzip.compress((ROOT / "share/man/man1/gridpilot.1").read_bytes(), mtime=0))
    (tree / "etc/gridpilot").mkdir(parents=True)
    for path in (tree, *tree.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
        elif not path.stat().st_mode & 0o100:
            path.chmod(0o644)
    for path in (tree, *tree.rglob("*")):
        os.utime(path, (int(epoch_s), int(epoch_s)))


def _copy(source: Path, target: Path) -> None:
    write(target, source.read_text(encoding="utf-8"))


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
