"""What an agent has counted is told in its last word, which is JSON."""

from pathlib import Path

from agents import last_word
from agents.errors import ExitCode
from agents.jobs.tally import Tally


def test_counts_are_left_as_the_last_word(tmp_path: Path) -> None:
    tally = Tally(matched=3, done=1)
    tally.found(7)

    last_word.leave(tmp_path, "drained", ExitCode.ENDED, tally.counts())

    assert '"matched": 3' in (tmp_path / "agent_end.json").read_text(encoding="utf-8")
