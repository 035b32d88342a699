"""What stands in a directory that was fetched, beside the outputs: the same for pools and batch systems."""

from pathlib import Path

import pytest

from ce_backends.task.outputs import tell_end


def test_an_end_has_its_exit_code_and_what_was_skipped(tmp_path: Path) -> None:
    (tmp_path / "stderr").write_text("of the payload\n")

    tell_end(tmp_path, 7, ["output a was skipped: it is a link", "output \udcff was skipped: no"])

    assert (tmp_path / "exit_code").read_text() == "7\n"
    assert (tmp_path / "stderr").read_text() == (
        "of the payload\ngridpilot: output a was skipped: it is a link\ngridpilot: output \\udcff was skipped: no\n"
    )


def test_an_end_without_either_writes_nothing(tmp_path: Path) -> None:
    tell_end(tmp_path, None, [])

    assert list(tmp_path.iterdir()) == []


def test_an_end_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="exit_code"):
        tell_end(tmp_path / "none", 0, [])
