"""Files that tasks share and a web server shows: there once, whole, by what is in them; no task takes them along."""

import hashlib
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from ce_backends.base import TaskSpec
from ce_backends.batch.launcher import TASK
from ce_backends.batch.shown_files import ShownFiles, ShownFilesSettings, shown_files
from ce_backends.batch.staged_spool import SentSpool, StagedSpool
from ce_backends.batch.system import BatchJob
from ce_backends.batch.transport import Local
from ce_backends.errors import CEError, CEMisconfigured, CEUnavailable
from ce_backends.task.log_limit import Cap

CONTENT = b"a bundle" * 1000
SHA = hashlib.sha256(CONTENT).hexdigest()
JOB = BatchJob(name="a" * 32, size=1, script="/s", log="/l", processors=1, memory_mb=0, gpus=0, wall_s=0)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "gridpilot.pyz"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def web(tmp_path: Path) -> Path:
    folder = tmp_path / "web"
    folder.mkdir()
    return folder


def task(bundle: Path, number: int = 0) -> TaskSpec:
    return TaskSpec(stamp=f"{number:032x}", script="true", shared=[bundle])


def test_a_file_is_shown_once_and_again_when_it_has_changed(bundle: Path, web: Path) -> None:
    shown = ShownFiles(web, "https://h/x/")
    first = shown.of([task(bundle), task(bundle, 1)])
    (web / SHA).touch()  # would be written again by nobody
    at = (web / SHA).stat().st_mtime_ns
    again = shown.of([task(bundle)])
    bundle.write_bytes(b"new")
    changed = shown.of([task(bundle)])[bundle]

    assert (first, again, shown.url(SHA)) == ({bundle: SHA}, {bundle: SHA}, f"https://h/x/{SHA}")
    assert (web / SHA).stat().st_mtime_ns == at
    assert ((web / SHA).read_bytes(), (web / changed).read_bytes()) == (CONTENT, b"new")
    assert (web / SHA).stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in web.iterdir()) == sorted([SHA, changed])


def test_what_cannot_be_shown_is_told_and_leaves_nothing(bundle: Path, tmp_path: Path, web: Path) -> None:
    with pytest.raises(CEUnavailable, match="cannot be put into"):
        ShownFiles(tmp_path / "none", "https://h/x").of([task(bundle)])
    bundle.unlink()
    with pytest.raises(CEError, match="cannot be copied"):
        ShownFiles(web, "https://h/x").of([task(bundle)])
    assert list(web.iterdir()) == []


@pytest.mark.parametrize("kind", ["shown", "linked", "taken along"])
def test_an_archive_has_what_does_not_come_beside_it(kind: str, bundle: Path, web: Path, tmp_path: Path) -> None:
    where = (Local(), str(tmp_path / "area"), tmp_path / "moving")
    shown = ShownFiles(web, "https://h/x") if kind == "shown" else None
    make = StagedSpool if kind == "linked" else SentSpool
    more = {} if kind == "linked" else {"shown": shown}
    spool = make(*where, cap=Cap(1000), **more)  # type: ignore[arg-type]
    specs = [task(bundle), task(bundle, 1)]
    fetched = spool.fetched(specs)
    spool.lay_out(replace(JOB, fetched=fetched), specs, (), ())
    places = [tmp_path / "area/tasks" / spec.stamp for spec in specs]
    with tarfile.open(places[0] / TASK) as archive:
        names = archive.getnames()
        file = archive.extractfile("shared")
        told = file.read().decode() if file else ""

    assert list(fetched) == {"shown": [f"https://h/x/{SHA}"], "linked": [SHA], "taken along": []}[kind]
    assert ("./work/gridpilot.pyz" in names) == (kind == "taken along")
    assert told == ("" if kind == "taken along" else f"{SHA} gridpilot.pyz\n")
    inodes = {(place / SHA).stat().st_ino for place in places if (place / SHA).exists()}
    assert len(inodes) == (1 if kind == "linked" else 0)


def test_no_link_no_archive_without_it(bundle: Path, tmp_path: Path) -> None:
    """Somebody removes what was brought: refused, brought again; in the end each task takes it along."""
    spool = StagedSpool(Local(), str(tmp_path / "area"), tmp_path / "moving", cap=Cap(1000))
    spool.fetched([task(bundle)])
    (tmp_path / "area/shared" / SHA).unlink()
    with pytest.raises(CEUnavailable):
        spool.lay_out(JOB, [task(bundle)], (), ())
    spool.lay_out(JOB, [task(bundle)], (), ())

    assert (tmp_path / "area/tasks" / task(bundle).stamp / SHA).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("files_dir", "url", "said"),
    [
        ("/srv", "", "both or none"),
        ("", "https://h/x", "both or none"),
        ("/srv", "http://h/x", "https"),
        ("/srv", "https://h/a,b", "https"),
    ],
)
def test_options_that_make_no_sense_are_refused(files_dir: str, url: str, said: str) -> None:
    with pytest.raises(CEMisconfigured, match=said):
        shown_files(ShownFilesSettings(files_dir=files_dir, files_url=url))
    assert shown_files(ShownFilesSettings(files_dir="", files_url="")) is None
