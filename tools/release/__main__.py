"""`make release`: all that is given to others, in one folder: sdist, wheels, one file, deb, RPM, SBOM, checksums.

`--twice` builds everything a second time, in another folder with tools installed anew, and compares byte for byte.
"""

import argparse
import filecmp
import hashlib
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path

from tools.release import deb, rpm, sbom
from tools.release.wheel import ROOT, NotBuilt, environment, m2crypto, pip, run, said, tools

SUMS = "SHA256SUMS"


def build(folder: Path, into: Path) -> None:
    """Build all of it.

    Args:
        folder: to work in, empty.
        into: where it goes.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    _tell("an environment with the tools")
    python = tools(folder / "tools")
    environ = environment(python)
    into.mkdir(parents=True)
    _tell("sdist and wheel")
    run([str(python), "-m", "hatchling", "build", "-d", str(into)], environ)
    _tell("M2Crypto, compiled")
    crypto = m2crypto(python, folder, into)
    _tell("the one file")
    (wheel,) = into.glob("gridpilot-*.whl")
    run(pip(python, "install", str(crypto), f"{wheel}[metrics]"), environ)
    run([str(python), "-m", "tools.bundle", "--into", str(folder / "bundle")], environ)
    shutil.copy2(folder / "bundle" / "gridpilot.pyz", into)
    for make, program, name in ((deb.build, "dpkg-deb", "Debian package"), (rpm.build, "rpmbuild", "RPM")):
        if shutil.which(program):
            _tell(f"the {name}")
            make(folder / "bundle" / "gridpilot", into)
        else:
            _tell(f"no {name}: there is no {program} here")
    version, epoch = str(project["version"]), int(environ["SOURCE_DATE_EPOCH"])
    of_python = said(str(python), "-c", "import platform; print(platform.python_version())")
    (place,) = (folder / "bundle" / "gridpilot" / "python" / "lib").glob("python3.*/site-packages")
    packed = folder / "packages"
    shutil.unpack_archive(place / "packages.zip", packed)
    shutil.copytree(place, packed, dirs_exist_ok=True)
    text = sbom.written(packed, version, epoch, of_python)
    (into / f"gridpilot-{version}.cdx.json").write_text(text, encoding="utf-8")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(into.iterdir())]
    (into / SUMS).write_text("".join(lines), encoding="utf-8")


def _tell(what: str) -> None:
    print(f"release: {what} …", flush=True)


def _again(first: Path) -> None:
    """Build it in another folder.

    Raises:
        NotBuilt: a file is not the same.
    """
    with tempfile.TemporaryDirectory(prefix="gridpilot-again-") as folder:
        build(Path(folder), Path(folder, "into"))
        if unequal := differing(first, Path(folder, "into")):
            raise NotBuilt(f"built twice and not the same: {', '.join(unequal)}")
    _tell("the same, byte for byte, the second time")


def differing(one: Path, other: Path) -> list[str]:
    """Return the names that are not the same in two folders, byte for byte."""
    names = sorted({path.name for folder in (one, other) for path in folder.iterdir()})
    _, unequal, missing = filecmp.cmpfiles(one, other, names, shallow=False)
    return sorted([*unequal, *missing])


def main() -> int:
    """Build a release; 1 where it cannot be built, or is another one the second time."""
    parser = argparse.ArgumentParser(prog="python -m tools.release", description=__doc__)
    parser.add_argument("--into", type=Path, default=ROOT / "dist" / "release", help="folder (default: dist/release)")
    parser.add_argument("--twice", action="store_true", help="build it again, and compare")
    asked = parser.parse_args()
    aside = asked.into.with_name(f"{asked.into.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        with tempfile.TemporaryDirectory(prefix="gridpilot-release-") as folder:
            build(Path(folder), aside)
        if asked.twice:
            _again(aside)
    except NotBuilt as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    shutil.rmtree(asked.into, ignore_errors=True)
    aside.rename(asked.into)
    print((asked.into / SUMS).read_text(encoding="utf-8"), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
