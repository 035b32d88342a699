"""`make bundle`: gridpilot with its own Python, as one file and as the folder that the file unpacks to."""

import argparse
import hashlib
import json
import platform
import shutil
import sys
import tomllib
import zipfile
from pathlib import Path

from tools.bundle import hot
from tools.bundle.archive import add
from tools.bundle.interpreter import copy_interpreter, copy_libraries
from tools.bundle.packages import copy_packages

ROOT = Path(__file__).parents[2]
START = Path(__file__).with_name("start.py")
DIGEST_MARK = "MANIFEST_SHA512 = None"


def main() -> int:
    """Build the bundle."""
    parser = argparse.ArgumentParser(prog="python -m tools.bundle", description=__doc__)
    parser.add_argument("--into", type=Path, default=ROOT / "dist", help="folder for the results (default: dist)")
    into = parser.parse_args().into
    tree = into / "gridpilot"
    shutil.rmtree(tree, ignore_errors=True)
    loaded = hot.found(ROOT)
    site_packages = copy_interpreter(tree / "python", loaded)
    copy_libraries(copy_packages(ROOT, site_packages, loaded), tree / "python")
    manifest = _write_manifest(tree)
    start = _start_with(manifest)
    (tree / "start.py").write_bytes(start)
    (tree / "start.py").chmod(0o755)
    archive = into / "gridpilot.pyz"
    _write_archive(tree, start, archive)
    digest = hashlib.sha512(archive.read_bytes()).hexdigest()
    (into / "gridpilot.pyz.sha512").write_text(f"{digest}  gridpilot.pyz\n", encoding="utf-8")
    print(f"{archive}: {archive.stat().st_size / 1e6:.1f} MB; unpacked {_size(tree) / 1e6:.1f} MB in {tree}")
    return 0


def _write_manifest(tree: Path) -> bytes:
    """List every file with what it must be; return the list as written."""
    files = {}
    for path in sorted(path for path in tree.rglob("*") if path.is_file()):
        content = path.read_bytes()
        name = path.relative_to(tree).as_posix()
        files[name] = [hashlib.sha256(content).hexdigest(), len(content), path.stat().st_mode & 0o111 != 0]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    facts = {
        "version": project["version"],
        "python": platform.python_version(),
        "abi": sys.implementation.cache_tag,
        "machine": platform.machine(),
        "files": files,
    }
    written = json.dumps(facts, indent=0, sort_keys=True).encode()
    (tree / "manifest.json").write_bytes(written)
    return written


def _start_with(manifest: bytes) -> bytes:
    """Return the starter that trusts this manifest and no other."""
    text = START.read_text(encoding="utf-8")
    assert DIGEST_MARK in text
    return text.replace(DIGEST_MARK, f'MANIFEST_SHA512 = "{hashlib.sha512(manifest).hexdigest()}"').encode()


def _write_archive(tree: Path, start: bytes, target: Path) -> None:
    """Write the one file: a line for the kernel, then a zip whose `__main__.py` is the starter."""
    names = sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file())
    with target.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w") as archive:
            add(archive, "__main__.py", start, is_stored=True)
            for name in names:
                if name != "start.py":
                    add(archive, name, (tree / name).read_bytes())
    target.chmod(0o755)


def _size(tree: Path) -> int:
    return sum(path.stat().st_size for path in tree.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
