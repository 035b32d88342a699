"""What moves no data, for tests that are about something else."""

from pathlib import Path
from typing import Any

from agents.data.room import Room
from agents.errors import Blame, HandBack
from agents.runner.data_moves import DataMoves


class Nobody:
    """Has nothing that data could be reached by."""

    def access(self, matched: object, credential: Path | None) -> Any:
        raise HandBack("no data here", "", blame=Blame.SITE)


def no_data(ledger: Any = None, workers: Any = None) -> DataMoves:
    """Return what hands every job back that has data."""
    return DataMoves(Nobody(), ledger, Room(Path(), 0), lambda _: None, workers)
