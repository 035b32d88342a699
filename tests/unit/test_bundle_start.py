"""The bundle's starter, on a bundle of a few small files; on real nodes it is tested in tests/nodes."""

import hashlib
import importlib.util
import json
import os
import platform
import subprocess
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


def unpacked(start, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    start.unpack(str(tmp_path / "one.pyz"), str(tree))
    return tree


def test_files_are_written_with_their_modes(start, tmp_path):
    unpacked(start, tmp_path)

    assert {name: (tmp_path / "tree" / name).read_text() for name in FILES} == FILES
    assert os.access(tmp_path / "tree/python/bin/python3", os.X_OK)


def test_a_member_that_is_not_as_listed_is_never_written(start, tmp_path):
    with zipfile.ZipFile(tmp_path / "one.pyz") as archive:
        manifest = archive.read("manifest.json")
    with zipfile.ZipFile(tmp_path / "two.pyz", "w") as archive:
        archive.writestr("manifest.json", manifest)
        for name, text in FILES.items():
            archive.writestr(name, "#!/bin/ls\n" if name.endswith("3") else text)

    (tmp_path / "tree").mkdir()

    with pytest.raises(start.Unfit, match=r"python3: damaged"):
        start.unpack(str(tmp_path / "two.pyz"), str(tmp_path / "tree"))

    assert not (tmp_path / "tree/python/bin/python3").exists()


@pytest.mark.parametrize("there", ["#!/bin/sh\n" + "#" * 10**6, "#!/bin", ""], ids=["longer", "shorter", "empty"])
def test_a_member_of_another_size_is_damaged(there, start, tmp_path):
    with zipfile.ZipFile(tmp_path / "one.pyz") as archive:
        manifest = archive.read("manifest.json")
    with zipfile.ZipFile(tmp_path / "two.pyz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", manifest)
        for name, text in FILES.items():
            archive.writestr(name, there if name.endswith("3") else text)
    (tmp_path / "tree").mkdir()

    with pytest.raises(start.Unfit, match=r"python3: damaged"):
        start.unpack(str(tmp_path / "two.pyz"), str(tmp_path / "tree"))


def test_a_member_that_is_not_there_is_told(start, tmp_path):
    with zipfile.ZipFile(tmp_path / "one.pyz") as archive:
        manifest = archive.read("manifest.json")
    with zipfile.ZipFile(tmp_path / "two.pyz", "w") as archive:
        archive.writestr("manifest.json", manifest)
    (tmp_path / "tree").mkdir()

    with pytest.raises(start.Unfit, match=r"two\.pyz: .*python/bin/python3"):
        start.unpack(str(tmp_path / "two.pyz"), str(tmp_path / "tree"))


def test_a_file_of_many_pieces_is_read_as_one(start, tmp_path):
    content = os.urandom(3 * start.PIECE_BYTES + 1)
    (tmp_path / "file").write_bytes(content)

    assert start.read(str(tmp_path / "file")) == content
    start.check(
        "file", start.pieces(str(tmp_path / "file"), bytearray(7)), [hashlib.sha256(content).hexdigest(), len(content)]
    )


def test_a_bundle_for_another_machine_says_so(start, tmp_path):
    pack(start, tmp_path / "arm.pyz", machine="s390x")

    with pytest.raises(start.Unfit, match=r"built for s390x; this node is "):
        start.unpack(str(tmp_path / "arm.pyz"), str(tmp_path / "tree"))


def test_without_a_python_that_runs_the_node_s_is_tried_and_each_lack_is_named(start, tmp_path, monkeypatch):
    unpacked(start, tmp_path)
    (tmp_path / "tree/python/bin/python3").chmod(0o644)
    monkeypatch.setattr(start, "SUITS", "import a_module_that_no_python_has")

    with pytest.raises(start.Unfit) as caught:
        start.choose(str(tmp_path / "tree"), {"python": "3.11.9"})

    assert "python/bin/python3: [Errno 13] Permission denied" in str(caught.value)
    assert "No module named 'a_module_that_no_python_has'" in str(caught.value)


def test_the_node_s_python_serves_where_the_bundle_s_does_not_run(start, tmp_path, monkeypatch):
    unpacked(start, tmp_path)
    (tmp_path / "tree/python/bin/python3").chmod(0o644)
    monkeypatch.setattr(start, "SUITS", "pass")

    assert start.choose(str(tmp_path / "tree"), {"python": "3.11.9"}) == (
        sys.executable,
        "the bundle's own does not run here",
    )


def test_a_python_that_somebody_named_is_the_only_one_tried(start, tmp_path, monkeypatch):
    unpacked(start, tmp_path)
    monkeypatch.setenv("GRIDPILOT_PYTHON", "/nowhere/python3")

    with pytest.raises(start.Unfit, match=r"/nowhere/python3: .*No such file"):
        start.choose(str(tmp_path / "tree"), {"python": "3.11.9"})


@pytest.mark.parametrize(
    ("argv", "folder"), [([], "."), (["--work-dir", "w"], "w"), (["-d", "--work-dir=w"], "w"), (["--work-dir"], ".")]
)
def test_the_work_folder_is_found_without_parsing_the_options(start, argv, folder):
    assert start.work_folder(argv) == folder


def link_to_a_folder(tree, aside):
    aside.mkdir()
    (tree / "python/lib/python3.11/site-packages/sitecustomize").symlink_to(aside)


def link_to_a_file(tree, aside):
    file = tree / "python/bin/python3"
    file.rename(aside)
    file.symlink_to(aside)


def linked_folder_of_its_own(tree, aside):
    (tree / "python/bin").rename(aside)
    (tree / "python/bin").symlink_to(aside)


def folder_too_many(tree, _aside):
    (tree / "python/lib/python3.11/site-packages/usercustomize").mkdir()


def pipe(tree, _aside):
    (tree / "python/bin/python3").unlink()
    os.mkfifo(tree / "python/bin/python3")


@pytest.mark.parametrize(
    "change",
    [link_to_a_folder, link_to_a_file, linked_folder_of_its_own, folder_too_many, pipe],
    ids=lambda f: f.__name__,
)
def test_a_link_or_a_folder_too_many_is_no_part_of_the_bundle(change, start, tmp_path):
    tree = unpacked(start, tmp_path)
    start.verified(str(tree))  # the control
    change(tree, tmp_path / "aside")

    with pytest.raises(start.Unfit, match="does not belong to this bundle"):
        start.verified(str(tree))


@pytest.mark.parametrize("place", ["", "python/bin", "python/bin/python3"])
def test_a_tree_that_others_may_change_is_refused(place, start, tmp_path):
    tree = unpacked(start, tmp_path)
    (tree / place).chmod(0o775)

    with pytest.raises(start.Unfit, match="its mode is 0775: others could change it"):
        start.verified(str(tree))


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can give files away")
@pytest.mark.parametrize("place", ["", "python/bin", "python/bin/python3"])
def test_a_tree_of_another_account_is_refused(place, start, tmp_path):
    tree = unpacked(start, tmp_path)
    os.chown(tree / place, 4321, -1)

    with pytest.raises(start.Unfit, match="belongs to uid 4321"):
        start.verified(str(tree))


def test_a_cache_that_others_may_write_is_taken_from_them_and_one_like_tmp_is_used(start, tmp_path):
    mine, shared = tmp_path / "mine", tmp_path / "shared"
    mine.mkdir()
    mine.chmod(0o777)
    shared.mkdir()
    shared.chmod(0o1777)

    assert [start.own_folder(str(place)) for place in (mine, shared)] == [str(mine), str(shared)]
    assert (mine.stat().st_mode & 0o777, shared.stat().st_mode & 0o777) == (0o755, 0o777)


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can give files away")
def test_a_cache_of_another_account_is_refused(start, tmp_path):
    os.chown(tmp_path, 4321, -1)

    with pytest.raises(start.Unfit, match="belongs to uid 4321"):
        start.cached(str(tmp_path / "one.pyz"), str(tmp_path))


def test_the_account_s_home_and_variables_have_no_say_in_the_python_that_is_started(start, tmp_path, monkeypatch):
    tree = unpacked(start, tmp_path)
    evil = tmp_path / "evil"
    evil.mkdir()
    for name in ("usercustomize.py", "sitecustomize.py", "json.py"):
        (evil / name).write_text("raise SystemExit('foreign code')\n")
    home = tmp_path / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    home.mkdir(parents=True)
    (home / "usercustomize.py").write_text("raise SystemExit('foreign code')\n")
    variables = {"PATH": os.defpath, "PYTHONPATH": str(evil), "PYTHONUSERBASE": str(tmp_path), "HOME": str(tmp_path)}
    words = [sys.executable, *start.started("python", str(tree), "import json, pilot; print(pilot.x)")[1:]]

    done = subprocess.run(words, cwd=evil, env=variables, capture_output=True, text=True, check=False)
    control = subprocess.run([sys.executable, "-c", ""], env=variables, capture_output=True, text=True, check=False)

    assert done.stdout == "1\n"
    assert "foreign code" in control.stderr
