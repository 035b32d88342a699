"""A task gets a newer credential while it waits in a real queue, and none once it has begun."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.systems.real_system import PYTHON, RealSystem

# The first part ends while the task waits, the second part finds it again.
_COMMON = """\
import json, pathlib, sys, time
from ce_backends.base import TaskSpec, TaskState
from ce_backends.errors import CEError
from ce_backends.registry import create
folder = pathlib.Path(sys.argv[3])
ce = create(sys.argv[1], json.loads(sys.argv[2]), folder / "ce")
stamp = "5" * 32
def until(states):
    give_up = time.monotonic() + 300
    while (status := ce.poll([task_id])[task_id]).state not in states or "just submitted" in status.reason:
        assert time.monotonic() < give_up, f"not {states} in 300 s: {status}"
        time.sleep(0.2)
def renewed(text):
    (folder / "new").write_text(text)
    try:
        ce.renew_credential(task_id, folder / "new")
    except CEError as error:
        return str(error)
    return ""
"""
_WAITS = """
folder.mkdir()
(folder / "old").write_text("old\\n")
script = f'cat "$GRIDPILOT_CREDENTIAL"; until [ -e "{folder}/go" ]; do sleep 0.2; done; cat "$GRIDPILOT_CREDENTIAL"'
task_id = ce.submit([TaskSpec(stamp=stamp, script=script, credential=folder / "old")])[stamp].task_id
until([TaskState.WAITING])
print(json.dumps([task_id, renewed("first\\n"), renewed("second\\n")]))
"""
_RUNS = """
task_id = ce.find([stamp])[stamp]
until([TaskState.RUNNING])
late = renewed("late\\n")
(folder / "go").touch()
until([state for state in TaskState if state.is_final])
ce.fetch(task_id, folder / "into")
print(json.dumps([late, (folder / "into" / "stdout").read_text()]))
ce.clean([task_id])
"""


@dataclass(frozen=True)
class Renewal:
    """What came of it.

    Attributes:
        waiting: why the credential was not replaced while the task waited; empty where it was, twice.
        running: why it was not when it ran.
        seen: what the task saw, a line when it began and a line at its end.
    """

    waiting: str
    running: str
    seen: list[str]


def renewal(system: RealSystem, ce_type: str, options: Mapping[str, object], release: Callable[[str], None]) -> Renewal:
    """Run one task as the unprivileged user; `release` lets it start, by its id at the CE."""
    folder = system.home / f"renewing-{ce_type}"

    def part(script: str) -> list[str]:
        done = system.run([PYTHON, "-c", _COMMON + script, ce_type, json.dumps(options), str(folder)])
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))

    task_id, first, second = part(_WAITS)
    release(task_id)
    running, seen = part(_RUNS)
    return Renewal(first or second, running, seen.splitlines())
