"""What is submitted: a task whose script starts a pilot."""

import hashlib
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.errors import ConfigurationError
from agents.site_director.pilots import Pilot
from agents.site_director.queues import PilotQueue
from ce_backends.base import TaskSpec
from ce_backends.task.script import quote

ROOT = Path(__file__).parents[2]
CERTIFICATES = "certificates"  # in the pilot's directory
_CA_FILES = ("*.[0-9]", "*.r[0-9]", "*.signing_policy", "*.namespaces")
_MOST_CA_FILES = 5000
_BUNDLE = "gridpilot.pyz"
# The pilot's credential is the task's: where it lies only the node script knows.
_SCRIPT = """\
export X509_USER_PROXY="$GRIDPILOT_CREDENTIAL" X509_CERT_DIR="$PWD/{certificates}" DIRAC_PILOT_STAMP={stamp}
{start}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """Makes tasks of pilots.

    Attributes:
        servers: URLs of the Configuration service.
        vo: of the pilots.
        bundle: that goes with each; None where nodes run the code of this installation where it lies.
        certificates: folder of CA certificates that goes with each.
    """

    servers: Sequence[str]
    vo: str
    bundle: Path | None
    certificates: Path

    def task(self, pilot: Pilot, queue: PilotQueue, credential: Path) -> TaskSpec:
        """Return the task; no secret is in its text."""
        command = " ".join(map(quote, [*self._program(), *self._options(pilot, queue)]))
        home = "" if self.bundle else f"cd {quote(str(ROOT))} && "
        start = f'work=$PWD\n{home}exec {command} --work-dir "$work/pilot"'
        script = _SCRIPT.format(certificates=CERTIFICATES, stamp=pilot.stamp, start=start)
        return TaskSpec(
            stamp=pilot.stamp,
            script=script,
            inputs=[self.certificates],
            shared=[self.bundle] if self.bundle else [],
            processors=queue.processors,
            credential=credential,
        )

    def _program(self) -> Sequence[str]:
        return ["/usr/bin/env", "python3", _BUNDLE] if self.bundle else [sys.executable, "-m", "pilot"]

    def _options(self, pilot: Pilot, queue: PilotQueue) -> Sequence[str]:
        told = [("-n", queue.site), ("-N", queue.ce), ("-Q", queue.queue), ("--wnVO", self.vo)]
        told += [("-C", ",".join(self.servers)), ("-R", pilot.reference), ("--pilotUUID", pilot.stamp)]
        told += [("-P", str(queue.processors)), ("-y", "Pool" if queue.processors > 1 else "InProcess")]
        given = [word for option, value in told if value for word in (option, value)]
        return [*given, *shlex.split(queue.pilot_options)]


def check_options(queues: Sequence[PilotQueue]) -> None:
    """Go on only if the ExtraPilotOptions of all queues can be split into words.

    Raises:
        ConfigurationError: a quotation is open.
    """
    for queue in queues:
        try:
            shlex.split(queue.pilot_options)
        except ValueError as error:
            written = queue.pilot_options
            raise ConfigurationError(f"{queue.name}: ExtraPilotOptions = {written}: {str(error).lower()}") from error


def gather_certificates(ca: Path, into: Path) -> Path:
    """Copy CA certificates, and nothing that lies beside them, into a folder that goes with each pilot.

    Raises:
        ConfigurationError: there are none, or too many.
        OSError: they cannot be read or written.
    """
    folder = into / CERTIFICATES
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if ca.is_file():
        found = [(_hashed_name(ca), ca)]
    else:
        found = [(path.name, path) for pattern in _CA_FILES for path in sorted(ca.glob(pattern))]
    if not 0 < len(found) <= _MOST_CA_FILES:
        raise ConfigurationError(f"{ca}: {len(found)} CA files; expected 1 to {_MOST_CA_FILES}, <hash>.0 and the like")
    for name, path in found:
        content = path.read_bytes()
        if not (folder / name).exists() or (folder / name).read_bytes() != content:
            (folder / name).write_bytes(content)
    return folder


def _hashed_name(bundle: Path) -> str:
    return f"{hashlib.sha256(bundle.read_bytes()).hexdigest()[:8]}.pem"
