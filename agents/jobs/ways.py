"""Which way things go, DIRAC's services or DiracX, and why: kept in the ledger for whoever explains it."""

import contextlib
import sqlite3
from pathlib import Path

from agents.errors import ConfigurationError

WAY = "way of "  # begins the name of such a fact


def ways(path: Path) -> dict[str, str]:
    """Return which way each thing went last, of a ledger; also while an agent writes it.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as db:
            rows = db.execute("SELECT name, value FROM fact WHERE name GLOB ? || '*' ORDER BY name", (WAY,))
            return {str(name): str(value) for name, value in rows}
    except sqlite3.Error as error:
        raise ConfigurationError(f"{path}: the ledger cannot be read: {error}") from error
