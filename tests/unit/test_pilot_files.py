import hashlib
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def made(*arguments):
    argv = [sys.executable, "-m", "tools.pilot_files", *map(str, arguments)]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def parts(tmp_path):
    """Options that name a bundle and a pilot.json; both small."""
    (tmp_path / "gridpilot.pyz").write_bytes(b"zip")
    (tmp_path / "pilot.json").write_text("{}")
    return ["--bundle", tmp_path / "gridpilot.pyz", "--pilot-json", tmp_path / "pilot.json", "--into", tmp_path / "out"]


def test_the_folder_has_what_the_wrapper_downloads_and_its_digests(tmp_path, parts):
    (tmp_path / "LabCommands.py").write_text("x = 1")

    done = made(*parts, "--with", tmp_path / "LabCommands.py")

    assert done.returncode == 0, done.stderr
    lines = dict(reversed(line.split("  ", 1)) for line in (tmp_path / "out/checksums.sha512").read_text().splitlines())
    for name in ("pilot.json", "pilot.tar"):
        assert lines[name] == hashlib.sha512((tmp_path / "out" / name).read_bytes()).hexdigest()
    with tarfile.open(tmp_path / "out/pilot.tar") as tar:
        assert tar.getnames() == ["dirac-pilot.py", "gridpilot.pyz", "LabCommands.py"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gridpilot.pyz", None, "gridpilot.pyz: there is no such file; make bundle makes it"),
        ("pilot.json", None, "pilot.json: there is no such file"),
        ("pilot.json", "{", "pilot.json: not JSON"),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_written(tmp_path, parts, name, content, said):
    (tmp_path / name).unlink()
    if content:
        (tmp_path / name).write_text(content)

    done = made(*parts)

    assert (done.returncode, (tmp_path / "out").exists()) == (2, False)
    assert said in done.stderr
