"""The pilot and the agent read the same end of the slot out of the Machine/Job Features."""

import re
from pathlib import Path

import pytest

from agents.slot.ends.features import features
from agents.slot.ends.source import Node
from pilot.node.batch_slot import end_of_slot
from tests.field.machine_features import FEATURES

NOW_S = 1_790_000_000


def written(files: dict[str, str], folder: Path) -> dict[str, str]:
    """Write the files; return the environment that names their folders."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        moment = re.sub(r"now([-+][0-9.]+)", lambda found: f"{NOW_S + float(found[1]):.2f}", text)
        path.write_text(moment, encoding="utf-8")
    return {name: str(folder / name) for name in ("MACHINEFEATURES", "JOBFEATURES")}


@pytest.mark.parametrize(("files", "left_s"), FEATURES)
def test_pilot_and_agent_foresee_the_same_end(files: dict[str, str], left_s: int | None, tmp_path: Path) -> None:
    environ = written(files, tmp_path)
    node = Node(environ=environ, now_s=NOW_S, started_s=NOW_S, processors=1, ask=lambda *_: None)

    agents = min((int(end.epoch_s) - NOW_S for end in features(node) or ()), default=None)
    pilots = end_of_slot(environ, lambda: NOW_S)

    assert (agents, pilots and pilots.value - NOW_S) == (left_s, left_s)
