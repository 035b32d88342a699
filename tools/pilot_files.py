"""`make pilot-files`: the folder that DIRAC's pilot wrapper downloads from, with gridpilot in it.

The wrapper fetches `checksums.sha512`, `pilot.json` and `pilot.tar`, compares them, unpacks the tar and starts the
`dirac-pilot.py` in it.
"""

import argparse
import hashlib
import io
import json
import shutil
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
STARTER = Path(__file__).with_name("bundle") / "dirac_pilot.py"
CHECKSUMS = "checksums.sha512"


def main() -> int:
    """Write the folder."""
    parser = argparse.ArgumentParser(prog="python -m tools.pilot_files", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=ROOT / "dist" / "gridpilot.pyz", help="made by make bundle")
    parser.add_argument("--pilot-json", type=Path, required=True, help="what DIRAC's PilotSyncAgent wrote for your VOs")
    parser.add_argument("--into", type=Path, default=ROOT / "dist" / "pilot", help="the folder (default: dist/pilot)")
    parser.add_argument("--with", dest="more", type=Path, nargs="*", default=[], help="modules of your VO, probes")
    arguments = parser.parse_args()
    lack = _lack(arguments.bundle, arguments.pilot_json, *arguments.more)
    if lack:
        print(f"pilot-files: {lack}", file=sys.stderr)
        return 2
    arguments.into.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(arguments.pilot_json, arguments.into / "pilot.json")
    _write_tar(arguments.into / "pilot.tar", arguments.bundle, arguments.more)
    _write_checksums(arguments.into)
    print(f"{arguments.into}: point the pilot file server (Pilot/pilotFileServer) at it; docs/drop-in.md")
    return 0


def _lack(bundle: Path, pilot_json: Path, *more: Path) -> str:
    """Return what is wrong with the files to be put together, "" if nothing is."""
    missing = next((path for path in (bundle, pilot_json, *more) if not path.is_file()), None)
    if missing:
        return f"{missing}: there is no such file" + ("; make bundle makes it" if missing == bundle else "")
    try:
        json.loads(pilot_json.read_text(encoding="utf-8"))
    except ValueError as error:
        return f"{pilot_json}: not JSON: {error}"
    return ""


def _write_tar(target: Path, bundle: Path, more: Sequence[Path]) -> None:
    with tarfile.open(target, "w") as tar:
        for name, source in (
            ("dirac-pilot.py", STARTER),
            ("gridpilot.pyz", bundle),
            *((path.name, path) for path in more),
        ):
            content = source.read_bytes()
            member = tarfile.TarInfo(name)  # no owner, no time: equal content makes an equal tar
            member.size, member.mode = len(content), 0o755
            tar.addfile(member, io.BytesIO(content))


def _write_checksums(folder: Path) -> None:
    """Write the digests last: a wrapper that comes meanwhile finds a difference, and tries elsewhere or again."""
    lines = [
        f"{hashlib.sha512((folder / name).read_bytes()).hexdigest()}  {name}" for name in ("pilot.json", "pilot.tar")
    ]
    aside = folder / f"{CHECKSUMS}.new"
    aside.write_text("\n".join([*lines, ""]), encoding="utf-8")
    aside.replace(folder / CHECKSUMS)


if __name__ == "__main__":
    sys.exit(main())
