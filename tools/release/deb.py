"""`make deb`: a Debian package of the bundle, with the manual page and the unit for hosts without a batch system.

It brings its own Python and depends on nothing but any Python 3 that starts it; the same package is good for Debian 11
and later.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import textwrap
import tomllib
from pathlib import Path

from tools.release.host_files import DESCRIPTION, epoch, fill, write
from tools.release.wheel import ROOT

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
CONTROL = """\
Package: gridpilot
Version: {version}
Architecture: {architecture}
Maintainer: gridpilot maintainers
Installed-Size: {size_kb}
Depends: python3 (>= 3.6), adduser
Recommends: bubblewrap
Section: science
Priority: optional
Description: {summary}
{description}"""
POSTINST = """\
#!/bin/sh
set -e
if [ "$1" = configure ]; then
    getent passwd gridpilot >/dev/null || adduser --system --group --quiet --home /var/lib/gridpilot gridpilot
    if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
fi
"""
PRERM = """\
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then systemctl stop 'gridpilot-pilot@*.service'; fi
"""
POSTRM = """\
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
if [ "$1" = purge ]; then rm -rf /var/lib/gridpilot; fi
"""


def build(bundle: Path, into: Path) -> Path:
    """Build the package.

    Args:
        bundle: the unpacked folder, `dist/gridpilot`.
        into: a folder.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    architecture = ARCHITECTURES[os.uname().machine]
    package = into.absolute() / f"gridpilot_{project['version']}_{architecture}.deb"
    with tempfile.TemporaryDirectory(prefix="gridpilot-deb-") as folder:
        tree = Path(folder, "tree")
        fill(tree, bundle, units="lib/systemd/system", licence="usr/share/doc/gridpilot/copyright")
        size_kb = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file()) // 1024
        fields = {"version": project["version"], "architecture": architecture, "size_kb": size_kb}
        description = textwrap.indent(DESCRIPTION, " ")
        write(
            tree / "DEBIAN/control", CONTROL.format(summary=project["description"], description=description, **fields)
        )
        for name, text in (("postinst", POSTINST), ("prerm", PRERM), ("postrm", POSTRM)):
            write(tree / "DEBIAN" / name, text, 0o755)
        argv = ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(tree), str(package)]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "SOURCE_DATE_EPOCH": epoch()})
    return package


def main() -> int:
    """Build the package of what `make bundle` has made."""
    parser = argparse.ArgumentParser(prog="python -m tools.release.deb", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=ROOT / "dist" / "gridpilot", help="default: dist/gridpilot")
    parser.add_argument("--into", type=Path, default=ROOT / "dist", help="folder (default: dist)")
    asked = parser.parse_args()
    if not (asked.bundle / "start.py").is_file():
        print(f"deb: {asked.bundle}: there is no bundle; make bundle", file=sys.stderr)
        return 1
    print(build(asked.bundle, asked.into))
    return 0


if __name__ == "__main__":
    sys.exit(main())
