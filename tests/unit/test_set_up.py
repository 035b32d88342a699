"""The set-up and the release: what is shown, what fails how, and what is compared."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tools import set_up
from tools.release import __main__ as release
from tools.release import deb, host_files, rpm, sbom


def test_each_step_is_told_and_what_it_writes_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    screen, log = set_up.Screen(2), tmp_path / "log"

    screen.run("noise", ["sh", "-c", "echo WARNING: noise >&2"], log)
    screen.run("more", ["true"], log)

    said = capsys.readouterr()
    assert (said.out.splitlines()[0], said.err) == ("set-up: 1 of 2  noise …", "")
    assert "noise" not in said.out.replace("1 of 2  noise", "")
    assert log.read_text() == "WARNING: noise\n"


def test_a_step_that_fails_shows_what_it_wrote(tmp_path: Path) -> None:
    with pytest.raises(set_up.Failed, match=r"(?s)no such package.*it failed; all of it is in .*log"):
        set_up.Screen(1).run("it", ["sh", "-c", "echo no such package; exit 3"], tmp_path / "log")


def test_a_step_has_a_deadline_and_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_up, "DEADLINE_S", 0.0)

    with pytest.raises(set_up.Failed, match="did not end within 0 s"):
        set_up.Screen(1).run("it", ["sleep", "1000"], tmp_path / "log")


def test_a_compiler_is_missed_by_name_and_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    need = set_up.missing_for_compiling()

    assert {"gcc", "libssl-dev"} <= set(need)
    with pytest.raises(set_up.Failed, match=r"missing: gcc, .*; install with: sudo apt-get install -y gcc "):
        set_up.install(need)


def test_without_a_wheel_there_is_none_to_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_up, "WHEELS", tmp_path)

    assert not set_up.has_wheel(tmp_path)


def test_two_builds_are_compared_byte_for_byte(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        (folder / "same").write_bytes(b"1")
        (folder / "changed").write_bytes(b"1")
    (other / "changed").write_bytes(b"2")
    (one / "missing").touch()

    assert release.differing(one, other) == ["changed", "missing"]
    assert release.differing(one, one) == []


def test_the_bill_of_materials_is_the_same_for_the_same_packages(tmp_path: Path) -> None:
    for name in ("psutil", "M2Crypto", "gridpilot"):
        (tmp_path / f"{name}-1.0.dist-info").mkdir()
        text = f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\nLicense-Expression: MIT\n"
        (tmp_path / f"{name}-1.0.dist-info" / "METADATA").write_text(text)

    first = sbom.written(tmp_path, "0.1.0", 7, "3.11.2")

    assert first == sbom.written(tmp_path, "0.1.0", 7, "3.11.2")
    told = json.loads(first)
    assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.5")
    parts = [(part["name"], part["version"]) for part in told["components"]]
    assert parts == [("M2Crypto", "1.0"), ("psutil", "1.0"), ("cpython", "3.11.2")]
    assert told["components"][0]["licenses"] == [{"expression": "MIT"}]


OF_RPM = re.findall(r"^%(?:pre|post|preun|postun)\n(.*?)\n\n", rpm.SPEC, re.M | re.S)


@pytest.mark.parametrize("script", [host_files.STARTER, deb.POSTINST, deb.PRERM, deb.POSTRM, *OF_RPM])
def test_scripts_of_the_package_are_right_for_a_shell(script: str) -> None:
    assert subprocess.run(["sh", "-n", "-c", script], check=False).returncode == 0


def test_the_rpm_has_its_four_scripts() -> None:
    assert len(OF_RPM) == 4
