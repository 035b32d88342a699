"""The workflow runner that goes with a job of DIRAC's Job API: the room `jobexec`, packed into one file.

The file is a shell script that looks for a Python, and behind it a zip for that Python. Nothing of it is imported here.
"""

import io
import json
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import agents
from agents.errors import Blame, HandBack
from agents.jobs.jdl import WORKFLOW_RUNNER
from agents.jobs.job import Minor

NAME = WORKFLOW_RUNNER
PLACE = ".gridpilot"  # folder of the runner in the job's directory; with the one line that says how the workflow stands
STATUS = f"{PLACE}/status"
STATUS_FILE = "GRIDPILOT_STATUS_FILE"  # variable of the payload: where it may write that line
NO_PYTHON, NO_CLIENT = "No Python", "No DIRAC client"  # begin the reason of a task that could not run here
_MODULES = ("__init__.py", "__main__.py", "step.py", "workflow.py")
_ENTRY = "import sys\nfrom jobexec.__main__ import main\nsys.exit(main(sys.argv[1:]))\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # equal content makes equal files
_ANSWER_S, _MEMORY_KB = 20, 1_000_000  # of a look at a workflow, which anybody may have written
_MOST_ANSWER = 100_000

_LAUNCHER = """\
#!/bin/sh
# gridpilot's runner of DIRAC's workflows: this script, and behind it a zip for Python.
for python in {pythons}; do
  "$python" -E -s -c 'import sys; sys.exit(sys.version_info < (3, 6))' 2> /dev/null || continue
  exec "$python" -E -s "$0" {options}"$@"
done
sentence='{none} 3.6 or later for dirac-jobexec here (looked for: {looked})'
printf '%s\\n' "$sentence" >&2
[ -z "${{GRIDPILOT_REASON_FILE-}}" ] || printf '%s\\n' "$sentence" > "$GRIDPILOT_REASON_FILE"
exit 127
"""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a workflow takes beyond DIRAC's module Script.

    Attributes:
        modules: first words of the bodies of other modules.
        commands: steps that are commands of DIRAC.
        mentions: commands of DIRAC that the steps' scripts or arguments name; perhaps they are never called.
    """

    modules: Sequence[str] = ()
    commands: Sequence[str] = ()
    mentions: Sequence[str] = ()


@cache
def _zip() -> bytes:
    root = Path(agents.__file__).parents[1] / "jobexec"
    loader = agents.__spec__.loader if agents.__spec__ else None
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py", _EPOCH), _ENTRY)
        for name in _MODULES:  # from a folder, or from the zip that a bundle is
            archive.writestr(zipfile.ZipInfo(f"jobexec/{name}", _EPOCH), loader.get_data(str(root / name)))  # type: ignore[union-attr]
    return content.getvalue()


def write_runner(directory: Path, *, python: str, goes_on: bool) -> Path:
    """Write the runner below a job's directory; return the folder that goes with the task.

    Args:
        directory: of the job.
        python: to try where none is on the PATH; empty for none.
        goes_on: after a step that failed, as DIRAC does.

    Raises:
        OSError: it cannot be written.
    """
    pythons = [word for word in ("python3", "/usr/libexec/platform-python", python) if word]
    text = _LAUNCHER.format(
        pythons=" ".join(map(shlex.quote, pythons)),
        options="--go-on " if goes_on else "",
        none=NO_PYTHON,
        looked=", ".join(pythons).replace("'", "'\\''"),
    )
    file = directory / PLACE / NAME
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode() + _zip())
    file.chmod(0o755)
    return file.parent


def needs_of(arguments: str, inputs: Path, runner: Path) -> Needs:
    """Look, in a process of its own with limits, at the workflow that came with a job; nothing of it is executed.

    One that cannot be read needs nothing: the runner fails the job in its owner's sight, as DIRAC does.

    Args:
        arguments: of the job, as its JDL has them.
        inputs: the folder of its input sandbox.
        runner: what `write_runner` has returned.

    Raises:
        HandBack: this node cannot look.
    """
    try:
        words = shlex.split(arguments)
    except ValueError:
        return Needs()
    script = f'ulimit -v {_MEMORY_KB}; exec "$@"'
    program = [sys.executable, "-E", "-s", str(runner / NAME), *words, "--needs"]
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", script, "sh", *program],
            cwd=inputs,
            env={"LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Needs()
    except OSError as error:
        raise HandBack(Minor.NODE_FAILED, f"the workflow cannot be looked at: {error}", blame=Blame.SITE) from error
    return _answer(done.stdout) if done.returncode == 0 and len(done.stdout) <= _MOST_ANSWER else Needs()


def _answer(text: bytes) -> Needs:
    answer = json.loads(text)  # our own program wrote it
    return Needs(*(tuple(map(str, answer[name])) for name in ("modules", "commands", "mentions")))
