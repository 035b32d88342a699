"""One pilot for each work folder."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def pilot(work_dir: Path) -> subprocess.CompletedProcess[str]:
    (work_dir / "pilot.json").write_text("{}")
    return subprocess.run(
        [sys.executable, "-m", "pilot", "--work-dir", str(work_dir)],
        cwd=work_dir,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("is_taken", [True, False])
def test_second_pilot_in_a_work_folder_stops_and_touches_nothing(tmp_path: Path, is_taken: bool) -> None:
    first = os.open(tmp_path, os.O_RDONLY)
    if is_taken:
        fcntl.flock(first, fcntl.LOCK_EX)
    done = pilot(tmp_path)
    os.close(first)

    refusal = f"pilot: {tmp_path}: another pilot works in this folder; give each its own --work-dir\n"
    assert (done.stderr == refusal) is is_taken
    assert ((tmp_path / "pilot.log").exists()) is not is_taken
    assert done.returncode == 2  # a configuration is missing where the folder is free
