"""The RPM, by rpm's own program, in a Debian tree: no tree of a distribution that is made of RPMs can be had here.

What such a distribution has and the package needs is told to rpm by a package without files, `of-the-tree`.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.nodes.bare_node import ROOT

NODES = ROOT / "tests/clusters/nodes"
BUILD_S = 600
OF_THE_TREE = """\
Name: of-the-tree
Version: 1
Release: 1
Summary: what the tree has, by Debian's packages
License: Apache-2.0
BuildArch: noarch
Provides: /bin/sh /usr/bin/python3 /usr/sbin/useradd
%description
%files
"""


@dataclass(frozen=True)
class RpmTree:
    """A tree with a database of RPMs."""

    root: Path
    package: Path

    def rpm(self, *words: str) -> "subprocess.CompletedProcess[str]":
        argv = ["rpm", "--root", str(self.root), "--define", "_dbpath /var/lib/rpm", *words]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=BUILD_S)

    def run(self, *argv: str) -> "subprocess.CompletedProcess[str]":
        inside = ["chroot", str(self.root), "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *argv]
        return subprocess.run(inside, capture_output=True, text=True, check=False, timeout=BUILD_S)

    def paths(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if "var/lib/rpm" not in str(path)}


def built(bundle: Path, into: Path) -> Path:
    into.mkdir()
    argv = [sys.executable, "-m", "tools.release.rpm", "--bundle", str(bundle), "--into", str(into)]
    subprocess.run(argv, cwd=ROOT, check=True, timeout=BUILD_S)
    (made,) = into.glob("*.rpm")
    return made


@pytest.fixture(scope="module")
def package(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    subprocess.run([str(NODES / "with_rpm.sh")], check=True, timeout=BUILD_S)
    return built(bundle / "gridpilot", tmp_path_factory.mktemp("rpm") / "into")


@pytest.fixture(scope="module")
def tree(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RpmTree]:
    folder = tmp_path_factory.mktemp("tree")
    root = folder / "tree"
    subprocess.run([str(NODES / "with_systemd.sh"), str(root)], check=True, timeout=BUILD_S, stdout=subprocess.DEVNULL)
    made = RpmTree(root, package)
    assert made.rpm("--initdb").returncode == 0
    refused = made.rpm("--install", "--force-debian", str(package))
    assert (refused.returncode != 0, "/usr/bin/python3 is needed" in refused.stderr) == (True, True), refused.stderr
    spec = folder / "of-the-tree.spec"
    spec.write_text(OF_THE_TREE, encoding="utf-8")
    words = ["-bb", "--quiet", "--define", f"_topdir {folder}/top", "--define", f"_rpmdir {folder}", str(spec)]
    subprocess.run(["rpmbuild", *words], check=True, timeout=BUILD_S)
    (stub,) = folder.glob("noarch/*.rpm")
    assert made.rpm("--install", "--force-debian", str(stub)).returncode == 0
    yield made
    shutil.rmtree(root, ignore_errors=True)


def test_the_same_source_makes_the_same_bytes(bundle: Path, package: Path, tmp_path: Path) -> None:
    (bundle / "gridpilot/manifest.json").touch()  # built at another time

    assert built(bundle / "gridpilot", tmp_path / "again").read_bytes() == package.read_bytes()


def test_it_is_installed_works_and_is_removed_again(tree: RpmTree) -> None:
    before = tree.paths()

    done = tree.rpm("--install", "--force-debian", str(tree.package))

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert tree.rpm("--verify", "gridpilot").stdout == ""  # sizes, digests, modes, owners
    assert tree.run("getent", "passwd", "gridpilot").stdout.split(":")[5] == "/var/lib/gridpilot"
    assert tree.run("gridpilot", "--version").stdout.startswith("0.")
    doctor = tree.run("gridpilot", "doctor", "-n", "LOCAL.Demo.ch", "-y", "Pool")
    assert "ok" in doctor.stdout, doctor.stdout + doctor.stderr
    units = tree.run("systemctl", "--root=/", "is-enabled", "gridpilot-pilot@here").stdout
    assert units == "disabled\n"  # it is known, and not started by being installed

    assert tree.rpm("--erase", "gridpilot").returncode == 0
    # of a distribution made of RPMs, its package `filesystem` has that folder
    left = {path for path in tree.paths() - before if "__pycache__" not in path}
    assert left <= {
        "usr/share/licenses",
        "etc/passwd-",
        "etc/shadow-",
        "etc/group-",
        "etc/gshadow-",
        "etc/subuid-",
        "etc/subgid-",
    }, left
