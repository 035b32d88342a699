"""The levels of containment that this machine has."""

import uuid
from pathlib import Path

import pytest

from ce_backends.containment.cell import Level
from ce_backends.containment.probe import probe

ROOT = Path(__file__).parents[2]


def key() -> str:
    return uuid.uuid4().hex[:12]


AVAILABLE = [level for level in Level if probe(key(), best=level).level is level]
every_level = pytest.mark.parametrize("level", AVAILABLE, ids=lambda level: level.name)
