"""The bundle's starter, on a bundle of a few small files; on real nodes it is tested in tests/nodes."""

import hashlib
import importlib.util
import json
import os
import platform
import sys
import zipfile
from pathlib import Path

import pytest

START = Path(__file__).parents[2] / "tools" / "bundle" / "start.py"
MACHINE = platform.machine()
FILES = {"python/bin/python3": "#!/bin/sh\n", "python/lib/python3.11/site-packages/pilot/__init__.py": "x = 1\n"}


@pytest.fixture
def start(tmp_path):
    """The starter as it would be in a bundle of FILES, which lies beside it as one.pyz."""
    spec = importlib.util.spec_from_file_location("start", START)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pack(module, tmp_path / "one.pyz")
    return module


def pack(start, path, machine=MACHINE):
    files = {
        name: [hashlib.sha256(text.encode()).hexdigest(), len(text), name.endswith("3")] for name, text in FILES.items()
    }
    manifest = json.dumps({"version": "1", "python": "3.11.9", "machine": machine, "files": files}).encode()
    start.MANIFEST_SHA512 = hashlib.sha512(manifest).hexdigest()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", manifest)
        for name, text in FILES.items():
            archive.writestr(name, text)


def test_files_are_written_with_their_modes(start, tmp_path):
    start.unpack(str(tmp_path / "one.pyz"), str(tmp_path / "tree"))

    assert {name: (tmp_path / "tree" / name).read_text() for name in FILES} == FILES
    assert os.access(tmp_path / "tree/python/bin/python3", os.X_OK)


def test_a_member_that_is_not_as_listed_is_never_written(start, tmp_path):
    with zipfile.ZipFile(tmp_path / "one.pyz") as archive:
        manifest = archive.read("manifest.json")
    with zipfile.ZipFile(tmp_path / "two.pyz", "w") as archive:
        archive.writestr("manifest.json", manifest)
        for name, text in FILES.items():
            archive.writestr(name, "#!/bin/ls\n" if name.endswith("3") else text)

    with pytest.raises(start.Unfit, match=r"python3: damaged"):
        start.unpack(str(tmp_path / "two.pyz"), str(tmp_path / "tree"))

    assert not (tmp_path / "tree/python/bin/python3").exists()


def test_a_bundle_for_another_machine_says_so(start, tmp_path):
    pack(start, tmp_path / "arm.pyz", machine="s390x")

    with pytest.raises(start.Unfit, match=r"built for s390x; this node is "):
        start.unpack(str(tmp_path / "arm.pyz"), str(tmp_path / "tree"))


def test_without_a_python_that_runs_the_node_s_is_tried_and_each_lack_is_named(start, tmp_path, monkeypatch):
    start.unpack(str(tmp_path / "one.pyz"), str(tmp_path / "tree"))
    (tmp_path / "tree/python/bin/python3").chmod(0o644)
    monkeypatch.setattr(start, "SUITS", "import a_module_that_no_python_has")

    with pytest.raises(start.Unfit) as caught:
        start.choose(str(tmp_path / "tree"), {"python": "3.11.9"})

    assert "python/bin/python3: [Errno 13] Permission denied" in str(caught.value)
    assert "No module named 'a_module_that_no_python_has'" in str(caught.value)


def test_the_node_s_python_serves_where_the_bundle_s_does_not_run(start, tmp_path, monkeypatch):
    start.unpack(str(tmp_path / "one.pyz"), str(tmp_path / "tree"))
    (tmp_path / "tree/python/bin/python3").chmod(0o644)
    monkeypatch.setattr(start, "SUITS", "pass")

    assert start.choose(str(tmp_path / "tree"), {"python": "3.11.9"}) == (
        sys.executable,
        "the bundle's own does not run here",
    )


def test_a_python_that_somebody_named_is_the_only_one_tried(start, tmp_path, monkeypatch):
    start.unpack(str(tmp_path / "one.pyz"), str(tmp_path / "tree"))
    monkeypatch.setenv("GRIDPILOT_PYTHON", "/nowhere/python3")

    with pytest.raises(start.Unfit, match=r"/nowhere/python3: .*No such file"):
        start.choose(str(tmp_path / "tree"), {"python": "3.11.9"})


@pytest.mark.parametrize(
    ("argv", "folder"), [([], "."), (["--work-dir", "w"], "w"), (["-d", "--work-dir=w"], "w"), (["--work-dir"], ".")]
)
def test_the_work_folder_is_found_without_parsing_the_options(start, argv, folder):
    assert start.work_folder(argv) == folder
