"""Secret files of a task: they arrive for its user alone, and stay out of everything that is told or brought back."""

import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from ce_backends.base import TaskSpec
from ce_backends.conformance.subject import task
from ce_backends.errors import CEError
from ce_backends.pool.layout import lay_out
from ce_backends.task.archive import add_task
from ce_backends.task.directory import TaskDir
from ce_backends.task.secret_files import secrets_of

WORDS = b"words that nobody may see\n"


@pytest.fixture
def spec(tmp_path: Path) -> TaskSpec:
    (tmp_path / "key").write_bytes(WORDS)
    (tmp_path / "key").chmod(0o644)
    return task(":\n", secrets=(tmp_path / "key",), outputs=("*",))


def test_in_a_directory_only_their_own_file_holds_them(spec: TaskSpec, tmp_path: Path) -> None:
    directory = TaskDir(tmp_path / spec.stamp)

    lay_out(spec, directory)

    holders = [path for path in directory.path.rglob("*") if path.is_file() and WORDS in path.read_bytes()]
    assert holders == [directory.path / "secrets/key"]
    assert [path.stat().st_mode & 0o777 for path in (holders[0], holders[0].parent)] == [0o600, 0o700]


def test_in_an_archive_only_their_own_member_holds_them(spec: TaskSpec, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "task.tar", "w") as archive:
        add_task(archive, spec, "tasks/x", Path("/node/x"), ())

    with tarfile.open(tmp_path / "task.tar") as archive:
        files = {entry.name: (entry.mode, archive.extractfile(entry)) for entry in archive if entry.isfile()}
        holders = {name: mode for name, (mode, file) in files.items() if file and WORDS in file.read()}
        assert holders == {"tasks/x/secrets/key": 0o600}
        assert archive.getmember("tasks/x/secrets").mode == 0o700


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["none"], "none cannot be copied: No such file or directory"),
        (["more"], "more cannot be copied: Is a directory"),
        (["pipe"], "is no plain file"),
        (["key", "more/key"], "two secrets are called key"),
        (["large"], "large is too large: all of a task have 1000000 bytes at most"),
        (["half", "half2"], "half2 is too large"),
        (["key"] * 101, "101 secrets are too many"),
    ],
)
def test_what_cannot_be_a_secret_is_refused_in_a_sentence(names: Sequence[str], sentence: str, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, size in {"key": 9, "more/key": 9, "large": 1_000_001, "half": 600_000, "half2": 600_000}.items():
        (tmp_path / name).write_bytes(bytes(size))

    with pytest.raises(CEError, match=sentence):
        secrets_of(task(":\n", secrets=[tmp_path / name for name in names]))


def test_a_secret_may_be_a_link_as_mounted_ones_are(spec: TaskSpec, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("key")

    assert secrets_of(task(":\n", secrets=(tmp_path / "link",))) == {"link": WORDS}
