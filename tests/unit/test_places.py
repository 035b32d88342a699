"""Where things are to be written: what cannot be is one sentence."""

from pathlib import Path

import pytest

from ce_backends import places
from ce_backends.__main__ import main
from ce_backends.places import NoPlace


def test_a_directory_is_made_with_those_above_it(tmp_path: Path) -> None:
    assert places.folder(tmp_path / "a/b") == tmp_path / "a/b"
    assert list((tmp_path / "a/b").iterdir()) == []


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("file", "there is a file of that name; expected a directory"),
        ("file/below", "the directory cannot be made: Not a directory"),
        ("/proc/below", "the directory cannot be made: No such file or directory"),
        ("/proc", "no file can be made in this directory: No such file or directory"),
        ("n" * 300, "the directory cannot be made: File name too long"),
    ],
)
def test_where_no_directory_can_be(tmp_path: Path, place: str, why: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(NoPlace) as said:
        places.folder(tmp_path / place)

    assert str(said.value) == f"{tmp_path / place}: {why}"


def test_where_no_file_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert places.file(tmp_path / "a/file") == tmp_path / "a/file"
    for place in (tmp_path, tmp_path / "file/below", Path("/proc/below")):
        with pytest.raises(NoPlace):
            places.file(place)


@pytest.mark.parametrize("option", ["--junit", "--work-dir"])
def test_nothing_is_tried_whose_verdict_has_no_place(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()

    assert main(["test", "InProcess", "--quick", option, str(tmp_path / "file/below")]) == 2

    said = capsys.readouterr()
    assert (said.out, said.err.startswith("gridpilot ce: "), "kept" in said.err) == ("", True, False)
