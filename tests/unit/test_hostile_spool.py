"""Hostile payloads of batch systems: the scripts on the submit host read and write nothing by a link of theirs."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ce_backends.base import TaskSpec
from ce_backends.batch.launcher import RESULT, TASK, launcher, write_task
from ce_backends.batch.spool import Spool
from ce_backends.batch.transport import Local
from ce_backends.conformance.subject import task
from ce_backends.errors import CEError
from ce_backends.task.log_limit import Cap
from tests.waiting import PATIENCE_S

STAMP = "a" * 32
Fetch = Callable[..., tuple[dict[str, bytes], str]]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    (tmp_path / "secret").write_text("before")
    made = Spool(Local(), str(tmp_path / "area"), tmp_path / "moving", cap=Cap(1000))
    (Path(made.root) / "tasks" / STAMP / "work").mkdir(parents=True)
    return made


@pytest.fixture
def here(spool: Spool) -> Path:
    return Path(spool.root) / "tasks" / STAMP


@pytest.fixture
def fetch(spool: Spool, tmp_path: Path) -> Fetch:
    def fetched(*patterns: str, capped: tuple[str, ...] = ()) -> tuple[dict[str, bytes], str]:
        into = tmp_path / "into"
        skipped = spool.fetch(STAMP, patterns, capped, into)
        files = {str(path.relative_to(into)): path.read_bytes() for path in into.rglob("*") if path.is_file()}
        return files, " ".join(skipped)

    return fetched


def test_patterns_name_what_they_name_in_a_shell(here: Path, fetch: Fetch) -> None:
    for name in ("a.txt", "b.txt", "d/e/x", "d/e/y", ".hidden", "d/.also/x", "o d/it's [1]"):
        (here / "work" / name).parent.mkdir(parents=True, exist_ok=True)
        (here / "work" / name).write_text(name)

    files, skipped = fetch("*.txt", "d/*/x", "*d/it*", "none*", "none/x", "d/?/[y-z]")

    names = {name.removeprefix("outputs/") for name in files if name.startswith("outputs/")}
    assert names == {"a.txt", "b.txt", "d/e/x", "d/e/y", "o d/it's [1]"}
    assert skipped == ""


def test_links_to_directories_are_not_gone_into_by_wildcards(here: Path, fetch: Fetch) -> None:
    for number in range(8):
        (here / f"work/l{number}").symlink_to(".")
    (here / "work/file").write_text("x")
    began = time.monotonic()

    files, _ = fetch("*/*/*/*/*/*/*/file", "l1/file", "file")

    assert {name for name in files if name.startswith("outputs/")} == {"outputs/file", "outputs/l1/file"}
    assert time.monotonic() - began < PATIENCE_S


def test_what_leads_outside_or_is_too_much_is_named_and_the_others_come(here: Path, fetch: Fetch) -> None:
    (here / "work/good").write_text("good")
    (here / "work/out").symlink_to(here.parents[2])
    with (here / "work/sparse").open("wb") as file:
        file.truncate(10**12)

    files, skipped = fetch("out/secret", "out/*", "../secret", "sparse", "good")

    assert files["outputs/good"] == b"good"
    assert b"before" not in files.values()
    assert skipped.count("leads outside") == 3
    assert "output sparse was skipped: all outputs together have more than 20000 MB" in skipped


def test_of_a_directory_with_very_many_files_nothing_comes(here: Path, fetch: Fetch) -> None:
    (here / "work/many").mkdir()
    for number in range(10_001):
        (here / f"work/many/{number}").touch()

    files, skipped = fetch("many")

    assert skipped == "output many was skipped: there are more than 10000 files"
    assert not [name for name in files if "many" in name]


@pytest.mark.parametrize("name", [".capped", ".list", "work/.capped", "stdout", "stderr"])
def test_nothing_is_written_through_a_link_that_the_payload_left(here: Path, fetch: Fetch, name: str) -> None:
    secret = here.parents[2] / "secret"
    (here / name).symlink_to(secret)
    (here / "work/log").write_bytes(b"x" * 5000)
    (here / "work/good").write_text("good")

    files, _ = fetch("good", "log", capped=("log",))

    assert secret.read_text() == "before"
    assert files["outputs/good"] == b"good"
    assert len(files["outputs/log"]) < 2000


def test_a_link_to_nothing_in_the_place_of_a_stream_makes_no_file(here: Path, fetch: Fetch) -> None:
    (here / "stdout").symlink_to(here.parents[2] / "made")

    fetch("x")

    assert not (here.parents[2] / "made").exists()


def test_a_log_behind_a_link_to_a_directory_is_not_made_small_there(here: Path, fetch: Fetch) -> None:
    (here.parents[2] / "log").write_bytes(b"x" * 5000)
    (here / "work/way").symlink_to(here.parents[2])

    fetch("way/log", capped=("way/log",))

    assert len((here.parents[2] / "log").read_bytes()) == 5000


def test_a_link_in_the_place_of_the_work_directory_brings_nothing(here: Path, fetch: Fetch) -> None:
    (here / "work").rmdir()
    (here / "work").symlink_to(here.parents[2])

    files, _ = fetch("secret")

    assert b"before" not in files.values()


@pytest.mark.parametrize("name", ["credential", "credential.new"])
def test_a_renewed_credential_is_written_through_no_link(spool: Spool, here: Path, name: str) -> None:
    secret, proxy = here.parents[2] / "secret", here.parents[2] / "proxy"
    proxy.write_text("PROXY")
    (here / name).symlink_to(secret)

    spool.renew_credential(STAMP, proxy)

    assert (secret.read_text(), (here / "credential").read_text()) == ("before", "PROXY")
    assert (here / "credential").stat().st_mode & 0o777 == 0o600
    assert list((Path(spool.root) / "incoming").iterdir()) == []


def test_a_renewal_of_a_task_that_is_a_link_is_refused(spool: Spool, here: Path) -> None:
    proxy = here.parents[2] / "proxy"
    proxy.write_text("PROXY")
    here.rename(here.parents[2] / "elsewhere")
    here.symlink_to(here.parents[2] / "elsewhere")

    with pytest.raises(CEError):
        spool.renew_credential(STAMP, proxy)

    assert not (here / "credential").exists()


@pytest.mark.parametrize("name", [".all", ".small", "../result.tar.part"])
def test_the_launcher_writes_through_no_link_of_the_payload(tmp_path: Path, name: str) -> None:
    node, secret = tmp_path / "node", tmp_path / "secret"
    node.mkdir()
    secret.write_text("before")
    spec: TaskSpec = task(f"ln -s {secret} ../{name}; echo x > out\n", outputs=("out",))
    write_task(node / TASK, spec, ())
    (node / "launcher").write_bytes(launcher())

    subprocess.run(["/bin/sh", "launcher", spec.stamp], cwd=node, env={"PATH": os.defpath}, check=False)

    assert secret.read_text() == "before"
    assert (node / RESULT).exists()
