"""What is said of a node that cannot run jobs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents.slot import health
from agents.slot.health import Node, troubles

NOVEMBER_2026_S = 1_795_315_000.0


def node(tmp_path: Path, **changes: object) -> Node:
    facts: dict[str, object] = {
        "work_dir": tmp_path,
        "temporary": tmp_path,
        "root": tmp_path,
        "environ": {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        "least_disk_mb": 1,
        "epoch": lambda: NOVEMBER_2026_S,
    }
    return Node(**{**facts, **changes})  # type: ignore[arg-type]


def proc(root: Path, name: str, text: str) -> None:
    file = root / "proc" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="ascii")


def test_healthy_node_has_no_troubles(tmp_path: Path) -> None:
    proc(tmp_path, "meminfo", "MemTotal:  24684680 kB\nMemAvailable:   23576576 kB\n")
    proc(tmp_path, "pressure/memory", "some avg10=0.00 avg60=1.00 total=0\nfull avg10=0.00 avg60=0.50 total=0\n")
    proc(tmp_path, "self/limits", "Max open files            1024                 4096                 files\n")

    assert troubles(node(tmp_path)) == []
    assert troubles(node(tmp_path), health.WISHED) == []


def test_this_very_node_can_be_looked_at(tmp_path: Path) -> None:
    assert troubles(node(tmp_path, root=Path("/"))) == []


def test_work_directory_that_is_gone_is_named_in_every_sentence(tmp_path: Path) -> None:
    sentences = troubles(node(tmp_path, work_dir=tmp_path / "gone"))

    assert len(sentences) == 3
    assert all("gone" in sentence for sentence in sentences)


AGENTS_LOOK = (
    "from agents.slot import health as h; n = h.Node(work_dir=place, temporary=place, environ=os.environ,"
    " least_disk_mb=1); print(h.troubles(n))"
)


@pytest.mark.skipif(os.geteuid() != 0, reason="a mount needs root")
@pytest.mark.parametrize(
    "look",
    [
        AGENTS_LOOK,
        "from pilot.node import work_folder; print([work_folder.cannot_start_from(place)])",
    ],
    ids=["agent", "pilot"],
)
def test_pilot_and_agent_know_a_folder_from_which_nothing_starts(look: str, tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o noexec,size=8m tmpfs "$0" && exec "$1" -B -c "$2" "$0"'
    code = f"import os, sys; sys.path.insert(0, '.'); from pathlib import Path; place = Path(sys.argv[1]); {look}"
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", mount, str(tmp_path), sys.executable, code]

    done = subprocess.run(argv, capture_output=True, text=True, check=False)

    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(done.stderr)
    assert "started" in done.stdout
    assert "noexec" in done.stdout


def test_full_disk_is_told_with_what_was_expected(tmp_path: Path) -> None:
    (sentence,) = troubles(node(tmp_path, least_disk_mb=10**9))

    assert sentence.endswith("MB of disk are free, expected 1000000000 MB (MinDiskSpace)")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("meminfo", "MemAvailable:   1000 kB\n", "1 MB of the node's memory are available, expected 100 MB"),
        ("pressure/memory", "full avg10=90.00 avg60=75.10 avg300=9 total=1\n", "the node waited for memory 75.10 %"),
        ("self/limits", "Max open files            64       64      files\n", "64 files may be open at once"),
    ],
)
def test_what_the_kernel_says_is_told_in_a_sentence(name: str, text: str, said: str, tmp_path: Path) -> None:
    proc(tmp_path, name, text)

    (sentence,) = troubles(node(tmp_path))

    assert sentence.startswith(said)


@pytest.mark.parametrize("epoch_s", [0.0, 5_000_000_000.0])
def test_clock_of_another_time_is_told(epoch_s: float, tmp_path: Path) -> None:
    (sentence,) = troubles(node(tmp_path, epoch=lambda: epoch_s))

    assert f"{epoch_s:.0f} s since 1970" in sentence


def test_node_that_starts_no_program_is_told(tmp_path: Path) -> None:
    (sentence,) = troubles(node(tmp_path, environ={"PATH": str(tmp_path)}))

    assert sentence.startswith("no program can be started")


def test_node_on_which_programs_fail_is_told(tmp_path: Path) -> None:
    (tmp_path / "true").write_text("#!/bin/sh\nexit 3\n", encoding="ascii")
    (tmp_path / "true").chmod(0o755)

    assert troubles(node(tmp_path, environ={"PATH": str(tmp_path)})) == ["the program `true` ended with 3"]


def test_missing_home_and_temporary_directory_are_odd_and_no_obstacle(tmp_path: Path) -> None:
    odd = node(tmp_path, environ={"PATH": "/usr/bin:/bin"}, temporary=tmp_path / "tmp")

    assert troubles(odd) == []
    assert len(troubles(odd, health.WISHED)) == 2
