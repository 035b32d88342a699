"""`make rpm`: an RPM of the bundle, with the manual page and the unit for hosts without a batch system.

It brings its own Python and needs no package but one with any Python 3 that starts it. The same source makes the same
bytes: time of build and name of the machine are the source's, not this machine's.
"""

import argparse
import os
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path

from tools.release.host_files import DESCRIPTION, epoch, fill
from tools.release.wheel import ROOT, NotBuilt, run

SPEC = """\
Name: gridpilot
Version: {version}
Release: 1
Summary: {summary}
License: Apache-2.0
AutoReqProv: no
Requires: /bin/sh
Requires: /usr/bin/python3
Requires(pre): /usr/sbin/useradd
Recommends: bubblewrap

%description
{description}
%prep
%build
%install
cp -a {tree}/. %{{buildroot}}/

%pre
getent passwd gridpilot >/dev/null ||
    useradd --system --user-group --home-dir /var/lib/gridpilot --shell /sbin/nologin gridpilot

%post
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi

%preun
if [ "$1" = 0 ] && [ -d /run/systemd/system ]; then systemctl stop 'gridpilot-pilot@*.service'; fi

%postun
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi

%files
/usr/bin/gridpilot
/usr/lib/gridpilot
/usr/lib/systemd/system/gridpilot-pilot@.service
/usr/share/doc/gridpilot
/usr/share/licenses/gridpilot
/usr/share/man/man1/gridpilot.1.gz
%dir /etc/gridpilot
"""
_FIXED = {
    "_buildhost": "gridpilot",
    "use_source_date_epoch_as_buildtime": "1",
    "clamp_mtime_to_source_date_epoch": "1",
    "source_date_epoch_from_changelog": "0",
    "_build_id_links": "none",
    "__os_install_post": "%{nil}",  # nothing is stripped, nothing compiled: the bundle checks its files
    "_binary_payload": "w6.gzdio",  # every rpm reads it
    "_build_name_fmt": "%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
}


def build(bundle: Path, into: Path) -> Path:
    """Build the package.

    Args:
        bundle: the unpacked folder, `dist/gridpilot`.
        into: a folder.

    Raises:
        NotBuilt: there is no rpmbuild, or it fails.
    """
    if shutil.which("rpmbuild") is None:
        raise NotBuilt("rpmbuild is missing: apt install rpm, or dnf install rpm-build")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    with tempfile.TemporaryDirectory(prefix="gridpilot-rpm-") as folder:
        tree, spec = Path(folder, "tree"), Path(folder, "gridpilot.spec")
        fill(tree, bundle, units="usr/lib/systemd/system", licence="usr/share/licenses/gridpilot/LICENSE")
        text = SPEC.format(
            version=project["version"], summary=project["description"], description=DESCRIPTION, tree=tree
        )
        spec.write_text(text, encoding="utf-8")
        macros = {**_FIXED, "_topdir": f"{folder}/top", "_rpmdir": str(into.absolute()), "_tmppath": folder}
        words = [word for name, value in macros.items() for word in ("--define", f"{name} {value}")]
        environ = {**os.environ, "SOURCE_DATE_EPOCH": epoch(), "LC_ALL": "C.UTF-8"}
        run(["rpmbuild", "-bb", "--quiet", *words, str(spec)], environ)
    return into.absolute() / f"gridpilot-{project['version']}-1.{os.uname().machine}.rpm"


def main() -> int:
    """Build the package of what `make bundle` has made."""
    parser = argparse.ArgumentParser(prog="python -m tools.release.rpm", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=ROOT / "dist" / "gridpilot", help="default: dist/gridpilot")
    parser.add_argument("--into", type=Path, default=ROOT / "dist", help="folder (default: dist)")
    asked = parser.parse_args()
    if not (asked.bundle / "start.py").is_file():
        print(f"rpm: {asked.bundle}: there is no bundle; make bundle", file=sys.stderr)
        return 1
    try:
        print(build(asked.bundle, asked.into))
    except NotBuilt as error:
        print(f"rpm: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
