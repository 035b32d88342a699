"""A UNIX socket fits below TMPDIR wherever the work directory lies."""

import os
import socket
from pathlib import Path

import pytest

from ce_backends.base import TaskSpec
from ce_backends.conformance.subject import task
from ce_backends.containers.entrypoint import render_inside
from ce_backends.linux.short_path import LONGEST_TMPDIR, ShortPath
from ce_backends.pool.ce import Pool
from tests.unit.pool_scene import begin, ended

STAMP = "0123456789abcdef" * 2
CONDORS = "var/lib/condor/execute/dir_1234567/DIRAC_a1b2c3d4pilot"


@pytest.fixture
def long_dir(tmp_path: Path) -> Path:
    folder = tmp_path / CONDORS
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def links(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder whose own name is short."""
    folder = Path("/tmp", f"g{os.getpid() % 100000}")
    folder.mkdir()
    yield folder
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def test_a_long_work_directory_has_a_short_name_while_it_is_used(long_dir: Path, links: Path) -> None:
    place = ShortPath(long_dir, [str(links)])
    place.open()

    tmpdir = place.tmpdir(long_dir / STAMP)

    assert len(str(tmpdir)) <= LONGEST_TMPDIR
    assert tmpdir.parent.parent.resolve() == long_dir.resolve()
    place.close(is_needed=False)
    assert list(links.iterdir()) == []


def test_a_short_work_directory_needs_no_other_name(links: Path) -> None:
    place = ShortPath(Path("/scratch/tasks"), [str(links)])
    place.open()

    assert place.tmpdir(Path("/scratch/tasks", STAMP)) == Path("/scratch/tasks", STAMP, "tmp")
    assert list(links.iterdir()) == []


def test_the_next_object_finds_the_name_that_running_tasks_have(long_dir: Path, links: Path) -> None:
    first, second = ShortPath(long_dir, [str(links)]), ShortPath(long_dir, [str(links)])
    first.open()
    first.close(is_needed=True)
    second.open()

    assert second.tmpdir(long_dir / STAMP).parent.parent.resolve() == long_dir.resolve()


@pytest.mark.parametrize("is_link", [True, False])
def test_a_name_that_somebody_else_has_is_not_used(long_dir: Path, links: Path, *, is_link: bool) -> None:
    place = ShortPath(long_dir, [str(links)])
    (name,) = place._names()
    name.symlink_to("/etc") if is_link else name.write_text("")

    place.open()

    assert place.tmpdir(long_dir / STAMP) == long_dir / STAMP / "tmp"
    place.close(is_needed=False)
    assert os.path.lexists(name)


def test_a_payload_below_a_long_directory_can_bind_a_socket(long_dir: Path) -> None:
    pool = Pool(long_dir / "tasks", processors=1)
    try:
        status = ended(
            pool, begin(pool, task('printf "%s" "$TMPDIR" > where; touch "$TMPDIR/x"; [ ${#TMPDIR} -le 60 ]\n'))
        )
    finally:
        pool.close()

    assert status.exit_code == 0


def test_in_a_container_a_long_tmpdir_is_its_tmp(long_dir: Path) -> None:
    inside = render_inside(TaskSpec(stamp=STAMP, script=""), long_dir / "tasks" / STAMP)

    assert b"TMPDIR=/tmp" in inside


def test_fifty_letters_of_a_program_fit_behind_the_longest_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "x" * (LONGEST_TMPDIR + 46)

    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
